//! A great many calls at once. Alone in its process, so that nothing else competes with it.
#![allow(non_snake_case, reason = "tests are named function__case")]

mod common;

use std::collections::HashMap;
use std::time::Duration;

use common::*;
use homa::{CallOptions, Config};

const CALLS: usize = if cfg!(debug_assertions) { 10_000 } else { 100_000 };

/// On a busy machine either side may have to wait for a processor for longer than a peer may be silent by
/// default, which is not what this test is about.
fn patient() -> Config {
    let mut config = Config::default();
    config.proto.timing.timeout = homa::proto::Duration::from_secs(5);
    config
}

/// As many calls as a busy service may have open at once, all of them open before any is answered.
#[test]
fn blocking_send__many_outstanding() {
    let server_endpoint = blocking_endpoint(patient());
    let server = server_endpoint.serve(PORT).unwrap();
    let addr = addr_of(server_endpoint.local_addr());
    let answering = std::thread::spawn(move || {
        let mut requests = Vec::with_capacity(CALLS);
        while requests.len() < CALLS {
            assert!(server.accept_batch(&mut requests, CALLS, Some(Duration::from_secs(60))) > 0);
        }
        for mut request in requests {
            let echo = request.take_message();
            request.reply(echo).unwrap();
        }
        // Until the responses that were lost have been sent again.
        assert!(server_endpoint.shutdown(Duration::from_secs(60)));
    });
    let client = blocking_endpoint(patient());
    let options = CallOptions::new().deadline(Duration::from_secs(120));
    let mut open: HashMap<_, u32> = HashMap::new();
    for number in 0..CALLS as u32 {
        let request = number.to_le_bytes().to_vec();
        open.insert(client.send_with(addr, request, options).unwrap(), number);
    }
    let mut outcomes = Vec::new();
    while !open.is_empty() {
        assert!(client.recv_batch(&mut outcomes, 1000, Some(Duration::from_secs(60))) > 0);
        for (id, response) in outcomes.drain(..) {
            let number = open.remove(&id).unwrap();
            assert_eq!(response.unwrap(), number.to_le_bytes()[..]);
        }
    }
    answering.join().unwrap();
}
