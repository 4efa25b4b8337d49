//! Hosts and processes that disappear, stop, and come back; and many hosts at once.

use std::collections::HashMap;
use std::thread;
use std::time::Duration;

use homa::proto::Unreachable;
use homa_netns::{Host, Lab, LabOptions};

use crate::calls::{assert_fails, wait_for_success};
use crate::network::{LONG_PATIENCE_MS, Network, SHORT_PATIENCE_MS};
use crate::processes::{Client, Server, load};

/// What an outcome may take: machines are busy.
const LIMIT: Duration = Duration::from_secs(20);

/// A server that is killed says nothing; its host does (PROTOCOL section 12).
fn a_server_that_is_killed_fails_calls_until_it_is_back(network: Network) {
    let Some(lab) = network.pair() else { return };
    let server = Server::start(network, lab.host(1));
    let addr = network.server_on(lab.host(1));
    network.call_from(lab.host(0), SHORT_PATIENCE_MS, |endpoint| {
        wait_for_success(endpoint, addr);
        server.kill();
        let missing = assert_fails(endpoint, addr);
        assert!(matches!(missing, Some(Unreachable::Port | Unreachable::Protocol)), "{missing:?}");
        // Another process, which knows nothing of what the first was asked.
        let _server = Server::start(network, lab.host(1));
        wait_for_success(endpoint, addr);
    });
}
every_network!(a_server_that_is_killed_fails_calls_until_it_is_back);

/// Its socket takes packets that nobody reads: only silence tells.
fn a_server_that_is_stopped_fails_calls_until_it_goes_on(network: Network) {
    let Some(lab) = network.pair() else { return };
    let server = Server::start(network, lab.host(1));
    let addr = network.server_on(lab.host(1));
    network.call_from(lab.host(0), SHORT_PATIENCE_MS, |endpoint| {
        wait_for_success(endpoint, addr);
        server.pause();
        assert_fails(endpoint, addr);
        server.resume();
        wait_for_success(endpoint, addr);
    });
}
every_network!(a_server_that_is_stopped_fails_calls_until_it_goes_on);

fn a_host_that_disappears_fails_calls(network: Network) {
    let Some(lab) = network.lab(3, &LabOptions::default(), &[]) else { return };
    let servers = [1, 2].map(|index| Server::start(network, lab.host(index)));
    let [gone, other] = [1, 2].map(|index| network.address(lab.host(index)));
    let client = Client::start(network, lab.host(0), other, &load("w4", "4", "2s"));
    network.call_from(lab.host(0), SHORT_PATIENCE_MS, |endpoint| {
        wait_for_success(endpoint, network.server_addr(gone));
        lab.host(1).delete_link().unwrap();
        for _ in 0..3 {
            assert_fails(endpoint, network.server_addr(gone));
        }
        endpoint.call(network.server_addr(other), "and you?").unwrap();
    });
    // Nobody else notices.
    client.finish().assert_flawless();
    drop(servers);
}
every_network!(a_host_that_disappears_fails_calls);

/// The host tells few of many calls that nobody is there, for kernels limit their ICMP: the last line is
/// about these all the same, and comes soon.
fn many_calls_to_nobody_are_told_so(network: Network) {
    let Some(lab) = network.pair() else { return };
    let args = ["--outstanding", "50", "--duration", "20s"];
    let address = network.address(lab.host(1));
    let run = Client::start_impatient(network, lab.host(0), address, &args).finish();
    assert_eq!(run.code, Some(1), "{run:?}");
    let verdict = run.complaints.lines().last().unwrap_or_default();
    let there = ["nothing listens on UDP port", "does not speak Homa over raw IP"];
    assert!(there.iter().any(|reason| verdict.contains(reason)), "{run:?}");
    assert!(verdict.contains("does not serve"), "{run:?}");
}
every_network!(many_calls_to_nobody_are_told_so);

/// A server is not disturbed by clients that die in the middle of their calls.
fn clients_that_disappear_disturb_nobody(network: Network) {
    let Some(lab) = network.lab(3, &LabOptions::default(), &[]) else { return };
    let _server = Server::start(network, lab.host(0));
    let address = network.address(lab.host(0));
    let loyal = Client::start(network, lab.host(1), address, &load("w4", "8", "2s"));
    for _ in 0..5 {
        let mortal = Client::start(network, lab.host(2), address, &load("w4", "8", "60s"));
        thread::sleep(Duration::from_millis(300));
        mortal.kill();
    }
    lab.host(2).delete_link().unwrap();
    loyal.finish().assert_flawless();
}
every_network!(clients_that_disappear_disturb_nobody);

/// Each of eight hosts serves, and calls all others at once from one endpoint.
fn eight_hosts_call_each_other(network: Network) {
    let Some(lab) = network.lab(8, &LabOptions::default(), &[]) else { return };
    let servers: Vec<_> = lab.hosts().iter().map(|host| Server::start(network, host)).collect();
    thread::scope(|scope| {
        for caller in lab.hosts() {
            scope.spawn(|| call_all_others(network, &lab, caller));
        }
    });
    for server in servers {
        let summary = server.stop();
        let expected = format!("{} requests ", ROUNDS * 7);
        assert!(summary.starts_with(&expected) && summary.contains(" 0 errors)"), "{summary}");
    }
}
every_network!(eight_hosts_call_each_other);

const ROUNDS: usize = 40;

/// In each round one call to each other host, all at once.
fn call_all_others(network: Network, lab: &Lab, caller: &Host) {
    let others = lab.hosts().iter().filter(|host| host.name() != caller.name());
    let others: Vec<_> = others.map(|host| network.server_on(host)).collect();
    network.call_from(caller, LONG_PATIENCE_MS, |endpoint| {
        for round in 0..ROUNDS {
            let request =
                |to: usize| vec![(round + to) as u8; 1 + (round * 2_000 + to * 97) % 90_000];
            let calls = others.iter().enumerate();
            let calls = calls.map(|(to, addr)| (endpoint.send(*addr, request(to)).unwrap(), to));
            let mut calls: HashMap<_, _> = calls.collect();
            while !calls.is_empty() {
                let (id, outcome) = endpoint.recv(Some(LIMIT)).expect("an outcome");
                let to = calls.remove(&id).expect("one outcome of each call");
                let response = outcome.unwrap_or_else(|error| panic!("round {round}: {error}"));
                assert!(response.into_bytes() == request(to), "round {round}, {}", others[to]);
            }
        }
    });
}
