//! Messages of every length, over links and paths of several MTUs, lossy and disorderly ones.

use std::thread;
use std::time::Duration;

use homa_netns::{Disorder, Host, Lab, LabOptions};

use crate::network::{LONG_PATIENCE_MS, Network};
use crate::processes::{Client, Server, load};

/// Around the limits of one packet, of what is sent without being asked for, and of all.
const LENGTHS: [usize; 16] = [
    1, 2, 11, 60, 1_000, 1_166, 1_200, 1_380, 1_412, 1_440, 8_900, 40_000, 40_001, 100_000,
    999_999, 1_000_000,
];

fn options(mtu: u32, path_mtu: Option<u32>) -> LabOptions {
    let mut options = LabOptions::default();
    (options.mtu, options.path_mtu) = (mtu, path_mtu);
    options
}

/// Over such links messages of every length arrive, and many of them at once.
fn check_every_length(network: Network, options: &LabOptions) {
    let Some(lab) = network.lab(2, options, &[]) else { return };
    let server = Server::start(network, lab.host(1));
    echo_every_length(network, lab.host(0), network.server_on(lab.host(1)));
    drop(server);
    load_both_ways(network, &lab);
}

/// Messages of all lengths come back as they were, alone and together.
fn echo_every_length(network: Network, from: &Host, server: homa::Addr) {
    let content = |len: usize| (0..len).map(|at| (at / 256 + at) as u8).collect::<Vec<_>>();
    network.call_from(from, LONG_PATIENCE_MS, |endpoint| {
        for len in LENGTHS {
            let response = endpoint.call(server, content(len));
            let response = response.unwrap_or_else(|error| panic!("{len} bytes: {error}"));
            assert!(response.into_bytes() == content(len), "{len} bytes");
        }
        let ids = LENGTHS.map(|len| endpoint.send(server, content(len)).expect("it is taken"));
        for _ in LENGTHS {
            let (id, outcome) = endpoint.recv(Some(Duration::from_secs(20))).expect("an outcome");
            let len = LENGTHS[ids.iter().position(|sent| *sent == id).expect("a call of ours")];
            let response = outcome.unwrap_or_else(|error| panic!("{len} bytes: {error}"));
            assert!(response.into_bytes() == content(len), "{len} bytes");
        }
    });
}

/// Both hosts at once call the other with messages of many lengths, and with long ones.
fn load_both_ways(network: Network, lab: &Lab) {
    let _servers = [Server::start(network, lab.host(0)), Server::start(network, lab.host(1))];
    for (workload, outstanding) in [("w4", "4"), ("1M", "2")] {
        let args = load(workload, outstanding, "500ms");
        let clients = [(0, 1), (1, 0)].map(|(from, to)| {
            Client::start(network, lab.host(from), network.address(lab.host(to)), &args)
        });
        for client in clients {
            client.finish().assert_flawless();
        }
    }
}

fn every_length_arrives(network: Network) {
    for mtu in [1500, 9000] {
        check_every_length(network, &options(mtu, None));
    }
}
every_network!(every_length_arrives);

/// Neither side can know of the narrow link but from the router before it (PROTOCOL section 12).
fn every_length_passes_a_narrow_path(network: Network) {
    for (mtu, path_mtu) in [(1500, 1280), (1500, 1400), (9000, 1500)] {
        check_every_length(network, &options(mtu, Some(path_mtu)));
    }
}
every_network!(every_length_passes_a_narrow_path);

/// Links that cut and sum for their hosts carry several packets as one, up to the router and beyond.
fn every_length_passes_links_that_offload(network: Network) {
    for path_mtu in [None, Some(1280)] {
        let mut options = options(1500, path_mtu);
        options.offload = true;
        check_every_length(network, &options);
    }
}
every_network!(every_length_passes_links_that_offload);

/// What is under way when the path shrinks is sent again in smaller pieces (KNOWN_ISSUES 2.7).
fn a_path_that_shrinks_costs_no_call(network: Network) {
    let Some(lab) = network.lab(2, &options(1500, Some(1500)), &[]) else { return };
    let _server = Server::start(network, lab.host(1));
    let address = network.address(lab.host(1));
    let client = Client::start(network, lab.host(0), address, &load("w4", "8", "2s"));
    for mtu in [1400, 1300] {
        thread::sleep(Duration::from_millis(600));
        lab.set_path_mtu(mtu).unwrap();
    }
    client.finish().assert_flawless();
}
every_network!(a_path_that_shrinks_costs_no_call);

fn lost_packets_cost_no_call(network: Network) {
    let Some(lab) = network.lab(2, &LabOptions::default(), &["nft"]) else { return };
    let _server = Server::start(network, lab.host(1));
    for permille in [10, 50] {
        lab.host(1).set_loss(permille).unwrap();
        for (workload, outstanding) in [("w4", "8"), ("100", "64"), ("1M", "2")] {
            let args = load(workload, outstanding, "700ms");
            let client = Client::start(network, lab.host(0), network.address(lab.host(1)), &args);
            client.finish().assert_flawless();
        }
    }
}
every_network!(lost_packets_cost_no_call);

/// A duplicate executes nothing twice, and what is only late isn't asked for without end.
fn disorder_costs_no_call(network: Network) {
    let Some(lab) = network.pair() else { return };
    let server = Server::start(network, lab.host(1));
    let disorder = Disorder {
        duplicate_permille: 50,
        reorder_permille: 100,
        hold_max: Duration::from_millis(2),
        seed: 1,
    };
    let forwarder = lab.host(1).disorder(disorder).unwrap();
    let mut calls = 0;
    for (workload, outstanding) in [("w4", "8"), ("100", "32"), ("1M", "2")] {
        let args = load(workload, outstanding, "1s");
        let client = Client::start(network, lab.host(0), network.address(lab.host(1)), &args);
        let run = client.finish();
        run.assert_flawless();
        calls += run.calls_and_failures().0;
    }
    let counts = forwarder.counts();
    assert!(counts.duplicated > 100 && counts.reordered > 100, "{counts:?}");
    let summary = server.stop();
    let served = summary.split(' ').next().and_then(|count| count.parse::<u64>().ok());
    // Calls that ended after a client's time was over are not counted by it.
    let requests = served.unwrap_or_else(|| panic!("{summary}"));
    assert!((calls..=calls + 8 + 32 + 2).contains(&requests), "{calls} calls, {summary}");
}
every_network!(disorder_costs_no_call);
