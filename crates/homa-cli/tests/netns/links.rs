//! Links that go down and come up again.

use std::thread;
use std::time::{Duration, Instant};

use homa::proto::Unreachable;
use homa_netns::{LabOptions, say_skipped};

use crate::calls::{RECOVERS_WITHIN, assert_fails, wait_for_success};
use crate::network::{Network, SHORT_PATIENCE_MS};
use crate::processes::{Client, Server, load};

/// Well below the patience of clients; interrupting and repairing a link takes a few milliseconds.
const SHORT: Duration = Duration::from_millis(500);

/// Interruptions shorter than a timeout are like lost packets.
fn short_interruptions_cost_no_call(network: Network) {
    let Some(lab) = network.pair() else { return };
    let _server = Server::start(network, lab.host(1));
    let address = network.address(lab.host(1));
    let client = Client::start(network, lab.host(0), address, &load("w4", "8", "2s"));
    let mut longest = Duration::ZERO;
    for jolted in [0, 1].into_iter().cycle().take(10) {
        thread::sleep(Duration::from_millis(150));
        let begin = Instant::now();
        lab.host(jolted).jolt_cable().unwrap();
        longest = longest.max(begin.elapsed());
    }
    let run = client.finish();
    if longest < SHORT {
        run.assert_flawless();
    } else {
        let reason = format!("an interruption meant to be short took {longest:?}: a busy machine");
        say_skipped(&reason);
    }
}
every_network!(short_interruptions_cost_no_call);

/// HOMA-TIMEOUT-1: calls to a peer that is cut off fail, soon and with that reason, and succeed once
/// it is back.
fn a_long_interruption_fails_calls_and_heals(network: Network) {
    let Some(lab) = network.pair() else { return };
    let _server = Server::start(network, lab.host(1));
    let address = network.address(lab.host(1));
    let args = [&load("w3", "4", "5s")[..], &["--keep-going"]].concat();
    let client = Client::start_impatient(network, lab.host(0), address, &args);
    thread::sleep(Duration::from_millis(500));
    network.call_from(lab.host(0), SHORT_PATIENCE_MS, |endpoint| {
        let server = network.server_addr(address);
        wait_for_success(endpoint, server);
        lab.host(1).pull_cable().unwrap();
        let cut = Instant::now();
        while cut.elapsed() < Duration::from_secs(1) {
            assert_fails(endpoint, server);
        }
        lab.host(1).plug_cable().unwrap();
        wait_for_success(endpoint, server);
    });
    let run = client.finish();
    assert_eq!(run.code, Some(1), "{run:?}");
    for reason in run.reasons() {
        assert!(reason.contains("does not answer") || reason.contains("reach"), "{reason}");
    }
    assert!(run.calls_and_failures().0 > 0, "{run:?}");
}
every_network!(a_long_interruption_fails_calls_and_heals);

/// The host's own interface is down: the system says so at once, and the endpoint outlives it.
fn an_interface_taken_down_fails_calls_and_heals(network: Network) {
    let Some(lab) = network.pair() else { return };
    let _server = Server::start(network, lab.host(1));
    let server = network.server_on(lab.host(1));
    network.call_from(lab.host(0), SHORT_PATIENCE_MS, |endpoint| {
        wait_for_success(endpoint, server);
        lab.host(0).set_interface(false).unwrap();
        assert_fails(endpoint, server);
        lab.host(0).set_interface(true).unwrap();
        // Linux forgets IPv6 addresses of interfaces that go down.
        let own = network.address(lab.host(0));
        if own.is_ipv6() {
            lab.host(0).add_address(own).unwrap();
        }
        wait_for_success(endpoint, server);
    });
}
every_network!(an_interface_taken_down_fails_calls_and_heals);

/// PROTOCOL section 12: what a router says of the way ends the call that it says it of.
fn a_router_without_a_way_fails_calls_and_heals(network: Network) {
    let mut options = LabOptions::default();
    options.path_mtu = Some(1500);
    let Some(lab) = network.lab(2, &options, &[]) else { return };
    let _server = Server::start(network, lab.host(1));
    let server = network.server_on(lab.host(1));
    network.call_from(lab.host(0), SHORT_PATIENCE_MS, |endpoint| {
        wait_for_success(endpoint, server);
        lab.close_way_to(lab.host(1)).unwrap();
        // Linux says little of that at a time, and perhaps only of the last call's late packets.
        let begin = Instant::now();
        while assert_fails(endpoint, server) != Some(Unreachable::Host) {
            assert!(begin.elapsed() < RECOVERS_WITHIN, "the router is not heard");
        }
        lab.open_way_to(lab.host(1)).unwrap();
        wait_for_success(endpoint, server);
    });
}
every_network!(a_router_without_a_way_fails_calls_and_heals);
