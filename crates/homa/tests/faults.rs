//! Calls over a network that loses, repeats, reorders and damages packets.
#![allow(non_snake_case, reason = "tests are named function__case")]

mod common;

use std::time::Duration;

use common::*;
use homa::{CallOptions, Config};

fn faulty(plan: &str, seed: u64) -> Config {
    let mut config = Config::default();
    let mut plan: homa::FaultPlan = plan.parse().unwrap();
    plan.seed = seed;
    config.fault = Some(plan);
    config
}

async fn calls_survive(plan: &str) {
    let (server, addr) = echoing(faulty(plan, 1)).await;
    let client = endpoint(faulty(plan, 2)).await;
    let calls: Vec<_> = (0..200u64)
        .map(|seed| {
            let length = [1, 100, 3000, 50_000, 300_000][seed as usize % 5];
            let request = contents(seed, length);
            let call = client.call(addr, request.clone());
            tokio::spawn(async move { assert!(call.await.unwrap() == request, "{seed}") })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    let requests = server.stats().protocol.server_requests_done;
    assert_eq!(requests, 200, "at most once, and at least");
}

#[tokio::test]
async fn call__survives_loss() {
    calls_survive("drop=0.05").await;
}

#[tokio::test]
async fn call__survives_everything_at_once() {
    calls_survive("drop=0.05,dup=0.02,reorder=0.05,corrupt=0.01").await;
}

#[tokio::test]
async fn call__survives_delay() {
    calls_survive("delay=300us,jitter=200us").await;
}

/// Packets that arrive with wrong bytes, which nothing noticed: messages may be wrong then, or fail,
/// but every call ends and nothing is left behind.
#[tokio::test]
async fn call__ends_in_spite_of_undetected_corruption() {
    let [server, client] = [5, 6].map(|seed| faulty("corrupt-undetected=0.05", seed));
    let (_server, addr) = echoing(server).await;
    let client = endpoint(client).await;
    let options = CallOptions::new().deadline(Duration::from_secs(2));
    let calls: Vec<_> = (0..200)
        .map(|seed| tokio::spawn(client.call_with(addr, contents(seed, 5000), options)))
        .collect();
    let mut right = 0;
    for (seed, call) in (0..200).zip(calls) {
        right +=
            u32::from(call.await.unwrap().is_ok_and(|response| response == contents(seed, 5000)));
    }
    assert!(right > 100, "{right} of 200 right");
    assert!(client.shutdown(Duration::from_secs(5)).await);
}

#[test]
fn blocking_call__survives_everything_at_once() {
    let plan = "drop=0.05,dup=0.02,reorder=0.05,corrupt=0.01,delay=100us";
    let (server, addr) = blocking_echoing(faulty(plan, 3), 2);
    let client = blocking_endpoint(faulty(plan, 4));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let client = &client;
            scope.spawn(move || {
                for round in 0..25 {
                    let request = contents(thread * 100 + round, 1 + round as usize * 4000);
                    assert!(client.call(addr, request.clone()).unwrap() == request);
                }
            });
        }
    });
    server.close();
}
