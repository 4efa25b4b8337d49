//! Conversations of two kernels (`tests-data/captures/README.md`), replayed with an endpoint of ours
//! in the place of either. What is checked, packet by packet, is in [`homa_testkit::replay`]; here is
//! what came of each, and which packets of the kernel may be dropped.
#![allow(non_snake_case, reason = "tests are named function__case")]

use homa_proto::Config;
use homa_testkit::replay::{Capture, Report, Side, replay};
use homa_wire::PacketType;
use std::path::Path;

fn capture(name: &str) -> Capture {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests-data/captures");
    Capture::read(&folder.join(name))
}

/// Without pacing: what is to be sent again is due at once, so that each packet can be held against what
/// asked for it. What the pacer may delay is in `every_capture__with_pacing`.
fn unpaced() -> Config {
    let mut config = Config::default();
    config.pacing = false;
    config
}

fn run(name: &str, role: Side) -> Report {
    let report = replay(&capture(name), role, &unpaced());
    println!("{report:#?}");
    report
}

/// Of our server, in a network that loses the requests which the recorded one lost: how often it
/// knows nothing of an RPC it is asked about.
fn run_with_losses(name: &str) -> (Report, u64) {
    let report = replay(&capture(name).without_lost_requests(), Side::Server, &unpaced());
    println!("{report:#?}");
    let unknown = report.stats.packets_sent[PacketType::RpcUnknown.index()];
    (report, unknown)
}

/// How many RPCs were done, which are open at the end, how many bytes were compared, and what was
/// dropped.
#[track_caller]
fn check(report: &Report, done: usize, open: &[u64], bytes: usize, drops: &[(&str, u32)]) {
    let dropped: Vec<_> = report.drops.iter().map(|(what, &n)| (what.as_str(), n)).collect();
    assert_eq!(dropped, drops);
    assert_eq!(report.completed.len(), done);
    assert_eq!(report.open.iter().copied().collect::<Vec<_>>(), open);
    assert_eq!(report.bytes_compared, bytes);
}

/// The last response is not acknowledged in the capture.
#[test]
fn short_rpc__as_server() {
    check(&run("short-rpc.pcap", Side::Server), 446, &[892], 89_200, &[]);
}

/// The first response came twice, once in answer to a RESEND.
#[test]
fn short_rpc__as_client() {
    let drops = [("DATA UnknownRpc", 1)];
    check(&run("short-rpc.pcap", Side::Client), 446, &[], 89_200, &drops);
}

#[test]
fn full_100kb__as_server() {
    check(&run("full-100kB.pcap", Side::Server), 2, &[], 400_000, &[]);
}

/// All 61 retransmissions came after the response was complete.
#[test]
fn full_100kb__as_client() {
    let drops = [("DATA UnknownRpc", 61)];
    check(&run("full-100kB.pcap", Side::Client), 2, &[], 400_000, &drops);
}

/// The capture ends before the second response is acknowledged.
#[test]
fn grants__as_server() {
    check(&run("grants.pcap", Side::Server), 2, &[4], 232_890, &[]);
}

#[test]
fn grants__as_client() {
    check(&run("grants.pcap", Side::Client), 1, &[4], 116_884, &[]);
}

/// The capture begins in the middle of request 158, and ends in that of request 162.
#[test]
fn w4__as_server() {
    check(&run("w4.pcap", Side::Server), 1, &[158, 162], 24_160, &[]);
}

/// Ten packets of response 161 came twice again after it was complete.
#[test]
fn w4__as_client() {
    let drops = [("DATA UnknownRpc", 20)];
    check(&run("w4.pcap", Side::Client), 2, &[162], 64_920, &drops);
}

/// Requests that the recorded server lost were sent again: our server has them already, and none
/// is executed twice.
#[test]
fn loss_short__as_server() {
    let drops = [("DATA Duplicate", 22)];
    check(&run("loss-short.pcap", Side::Server), 441, &[882], 88_100, &drops);
}

/// HOMA-UNKNOWN-1: as often as the kernel.
#[test]
fn loss_short__as_server_with_losses() {
    let (report, unknown) = run_with_losses("loss-short.pcap");
    check(&report, 441, &[882], 88_100, &[]);
    assert_eq!(unknown, 22);
}

/// Two responses came twice, each asked for again by two NEED_ACKs.
#[test]
fn loss_short__as_client() {
    let drops = [("DATA UnknownRpc", 2)];
    check(&run("loss-short.pcap", Side::Client), 440, &[882], 88_000, &drops);
}

#[test]
fn loss_w4__as_server() {
    let drops = [("DATA Duplicate", 47)];
    check(&run("loss-w4.pcap", Side::Server), 62, &[124], 313_228, &drops);
}

/// HOMA-UNKNOWN-1. Other losses were of packets in the middle of requests. Three more of the kernel's
/// RPC_UNKNOWNs answered RESENDs that the ACK had overtaken inside its host.
#[test]
fn loss_w4__as_server_with_losses() {
    let (report, unknown) = run_with_losses("loss-w4.pcap");
    check(&report, 62, &[124], 313_228, &[("DATA Duplicate", 42)]);
    assert_eq!(unknown, 5);
}

/// The kernels sent many packets twice: their client asked again with every NEED_ACK. Three times the
/// server had forgotten an RPC of which our client has the response already.
#[test]
fn loss_w4__as_client() {
    let drops = [("DATA Duplicate", 221), ("DATA UnknownRpc", 230), ("RPC_UNKNOWN UnknownRpc", 3)];
    check(&run("loss-w4.pcap", Side::Client), 61, &[124], 313_062, &drops);
}

/// HOMA-HDR-10: in the guise of TCP. The recorded server lost most packets several times; ours
/// has all of them at once, and drops the repetitions.
#[test]
fn tcp_hijack__as_server() {
    let drops = [("DATA Duplicate", 133)];
    check(&run("tcp-hijack.pcap", Side::Server), 1, &[2], 30_000, &drops);
}

/// HOMA-HDR-10, HOMA-UNKNOWN-1.
#[test]
fn tcp_hijack__as_server_with_losses() {
    let (report, unknown) = run_with_losses("tcp-hijack.pcap");
    check(&report, 1, &[2], 30_000, &[("DATA Duplicate", 111)]);
    assert_eq!(unknown, 1);
}

/// HOMA-HDR-10. The capture ends before the response.
#[test]
fn tcp_hijack__as_client() {
    check(&run("tcp-hijack.pcap", Side::Client), 0, &[2], 0, &[]);
}

const CAPTURES: [&str; 7] = [
    "short-rpc.pcap",
    "full-100kB.pcap",
    "grants.pcap",
    "w4.pcap",
    "loss-short.pcap",
    "loss-w4.pcap",
    "tcp-hijack.pcap",
];

/// Nothing hangs on one choice of random numbers, or on the speed of the link.
#[test]
fn every_capture__with_other_seeds_and_links() {
    let mut config = unpaced();
    for (seed, link_mbps) in [(1, 1_000), (2, 10_000), (3, 100_000)] {
        (config.seed, config.link_mbps) = (seed, link_mbps);
        for capture in CAPTURES.map(capture) {
            for role in [Side::Client, Side::Server] {
                let drops = replay(&capture, role, &config).drops;
                let repeated =
                    |what: &String| what.ends_with(" Duplicate") || what.ends_with(" UnknownRpc");
                assert!(drops.keys().all(repeated), "{drops:?}");
            }
        }
    }
}

/// HOMA-PACER-3: what is sent again keeps to the pace of the link. All that is asked for is sent again all
/// the same, nothing else is, and the same messages arrive, with the same bytes.
#[test]
fn every_capture__with_pacing() {
    let mut config = Config::default();
    let mut pauses = 0;
    for capture in CAPTURES.map(capture) {
        for role in [Side::Client, Side::Server] {
            let at_once = replay(&capture, role, &unpaced());
            for link_mbps in [1_000, 10_000, 25_000] {
                config.link_mbps = link_mbps;
                let paced = replay(&capture, role, &config);
                assert_eq!(paced.completed, at_once.completed);
                assert_eq!(paced.open, at_once.open);
                assert_eq!(paced.bytes_compared, at_once.bytes_compared);
                // Once, if it is asked for once more while it waits.
                assert!(paced.stats.resent_packets <= at_once.stats.resent_packets);
                pauses += paced.stats.pacer_pauses;
            }
        }
    }
    assert!(pauses > 100, "{pauses}");
}
