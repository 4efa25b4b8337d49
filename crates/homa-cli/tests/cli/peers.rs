//! What Homa is compared with: each transport between two processes.
//!
//! Those of the cargo feature `peers` are tested in builds that have it.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::{Server, finish, homa, run, signal, texts};

const PEERS: &[&str] = if cfg!(feature = "peers") {
    &["udp", "homa-tokio", "quic", "grpc", "grpc-connections", "grpc-homa"]
} else {
    &["udp"]
};
/// Those that `homa server` and `homa client` know, and whose addresses have no Homa port.
const TRANSPORTS: &[&str] =
    if cfg!(feature = "peers") { &["udp", "quic", "grpc"] } else { &["udp"] };
const SHORT: [&str; 6] = ["--duration", "200ms", "--warmup", "50ms", "--rounds", "2"];
/// Enough for long messages, with unoptimized code, on a busy machine.
const LONGER: [&str; 6] = ["--duration", "1s", "--warmup", "50ms", "--rounds", "1"];
const LISTEN: &str = "127.0.0.1:0";

fn client(transport: &str, address: &str, args: &[&str]) -> Child {
    homa()
        .args(["client", address, "--transport", transport])
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The report of a benchmark that must succeed, and its table.
fn bench(args: &[&str], time: [&str; 6]) -> (Value, String) {
    let output = run(&[&["bench"], args, &time, &["--json", "-", "--timeout", "2s"]].concat());
    let (out, err) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {err}");
    (serde_json::from_str(&out).expect("JSON"), err)
}

#[test]
fn bench__each_peer_beside_homa() {
    for peer in PEERS {
        let transports = format!("homa,{peer}");
        let args = ["rate", "--outstanding", "8", "--transports", &transports];
        let (report, table) = bench(&args, SHORT);
        let results = report["results"].as_array().unwrap();
        assert_eq!(results.len(), 2, "{peer}");
        assert_eq!(results[0]["transport"], "homa");
        assert_eq!(results[1]["transport"], peer.strip_suffix("-connections").unwrap_or(peer));
        let result = &results[1];
        assert_eq!((&result["errors"], &result["rounds"]), (&0.into(), &2.into()), "{peer}");
        assert!(result["rpcs"].as_u64() > Some(0), "{peer}");
        assert!(result["cpu"]["server"].as_f64() > Some(0.0), "{peer}");
        let comparisons = report["comparisons"].as_array().unwrap();
        let kops = comparisons.iter().find(|c| c["metric"] == "kops").expect("a ratio of rates");
        assert_eq!((&kops["test"], &kops["transport"]), (&"rate".into(), &result["transport"]));
        let of = |result: &Value| result["kops"].as_f64().unwrap();
        let ratio = of(&results[0]) / of(result);
        assert!((kops["homa_over"].as_f64().unwrap() / ratio - 1.0).abs() < 1e-9, "{peer}");
        assert!(report["ratios"].as_array().unwrap().is_empty(), "TCP was not measured");
        assert!(table.contains("Homa over"), "{table}");
    }
}

/// Long messages as well, but for those that no datagram carries: they are left out with a reason.
#[test]
fn bench__all_in_one_run() {
    let transports = ["homa", "tcp"].iter().chain(PEERS).copied().collect::<Vec<_>>().join(",");
    let args = ["throughput", "--size", "100K", "--outstanding", "2", "--transports", &transports];
    let (report, table) = bench(&args, LONGER);
    let results = report["results"].as_array().unwrap();
    assert_eq!(results.len(), 2 + PEERS.len(), "tcp is two, udp is none");
    assert!(results.iter().all(|result| result["gbps"].as_f64() > Some(0.0)), "{table}");
    assert!(results.iter().all(|result| result["transport"] != "udp"));
    let skipped = report["skipped"].as_array().unwrap();
    assert_eq!(skipped.len(), 1);
    assert_eq!(
        (&skipped[0]["test"], &skipped[0]["transport"]),
        (&"throughput".into(), &"udp".into())
    );
    assert!(skipped[0]["reason"].as_str().unwrap().contains("65451"), "{skipped:?}");
    assert!(table.contains("-: throughput over udp is not measured: "), "{table}");
}

#[test]
fn bench__thresholds_on_ratios_to_peers() {
    let args = ["bench", "latency", "--transports", "homa,udp"];
    let of = |condition| run(&[&args[..], &SHORT, &["--fail-if", condition]].concat());
    assert_eq!(of("ratio-udp.latency.p50>1000").status.code(), Some(0));
    let output = of("ratio-udp.latency.p50>0.001");
    assert_eq!(output.status.code(), Some(3), "{}", texts(&output).1);
}

#[test]
fn bench__peers_without_the_feature_say_how_to_get_them() {
    let output = run(&["bench", "--transports", "homa,quic", "--duration", "10ms"]);
    let (_, err) = texts(&output);
    if !cfg!(feature = "peers") {
        assert_eq!(output.status.code(), Some(2), "{err}");
        assert!(err.contains("no quic") && err.contains("--features peers"), "{err}");
        let output = run(&["server", "--transport", "grpc"]);
        assert_eq!(output.status.code(), Some(2));
        assert!(texts(&output).1.contains("no grpc"));
    }
    let (help, _) = texts(&run(&["bench", "--help"]));
    assert!(help.contains("--features peers"), "{help}");
}

#[test]
fn client__loads_a_server_and_sums_up() {
    for transport in TRANSPORTS {
        let mut server = Server::start(transport, LISTEN);
        let args = ["--workload", "10000", "--outstanding", "4", "--duration", "1500ms"];
        let child = client(transport, &server.address, &args);
        let (code, out, err) = finish(child, Duration::from_secs(20));
        assert_eq!(code, Some(0), "{transport}: {err}");
        assert!(out.contains(&format!("{transport}_10000 clients: ")), "a line: {out}");
        let (code, out) = server.end();
        assert_eq!(code, Some(130), "{transport}");
        assert!(out.contains(" requests (") && out.contains(" 0 errors)"), "{transport}: {out}");
    }
}

#[test]
fn client__nothing_listens() {
    let free = std::net::UdpSocket::bind(LISTEN).unwrap().local_addr().unwrap();
    for transport in TRANSPORTS {
        let begin = Instant::now();
        let output = run(&["client", &free.to_string(), "--transport", transport]);
        let (_, err) = texts(&output);
        assert_eq!(output.status.code(), Some(1), "{transport}: {err}");
        assert!(begin.elapsed() < Duration::from_secs(8), "{transport}: {:?}", begin.elapsed());
        // QUIC does not hear of it.
        let reason = if *transport == "quic" { "no connection within" } else { "nothing listens" };
        assert!(err.contains(reason), "{transport}: {err}");
    }
}

#[test]
fn client__server_killed_in_mid_run() {
    for transport in TRANSPORTS {
        let mut server = Server::start(transport, LISTEN);
        let child =
            client(transport, &server.address, &["--outstanding", "4", "--duration", "60s"]);
        std::thread::sleep(Duration::from_millis(500));
        server.child.kill().unwrap();
        // About a second, but for a machine that is too busy; much less than the run would take.
        let (code, out, err) = finish(child, Duration::from_secs(20));
        assert_eq!(code, Some(1), "{transport}: {err}");
        let address = &server.address;
        let is_said = err.contains(&format!("{address} does not serve"))
            || err.contains(&format!("no call to {address} succeeded for 1."));
        assert!(is_said, "{transport}: {err}");
        assert!(out.contains("Kops/s"), "the summary is printed: {out}");
    }
}

#[test]
fn client__keeps_going_until_the_server_is_back() {
    for transport in TRANSPORTS {
        let server = Server::start(transport, LISTEN);
        let address = server.address.clone();
        let child = client(transport, &address, &["--keep-going", "--duration", "7s"]);
        std::thread::sleep(Duration::from_millis(300));
        drop(server);
        std::thread::sleep(Duration::from_millis(1500));
        let _server = Server::start(transport, &address);
        let (code, out, err) = finish(child, Duration::from_secs(20));
        assert_eq!(code, Some(1), "{transport}: some calls failed: {err}");
        assert!(err.contains("calls failed: "), "{transport}: {err}");
        let last = out.lines().rfind(|line| line.contains("clients: ")).unwrap();
        assert!(!last.contains("P50 - "), "{transport}: calls succeed again: {out}");
    }
}

#[test]
fn client__interrupted_ends_with_130_and_a_summary() {
    for transport in TRANSPORTS {
        let server = Server::start(transport, LISTEN);
        let child = client(transport, &server.address, &["--duration", "60s"]);
        std::thread::sleep(Duration::from_millis(500));
        signal(&child, "-INT");
        let (code, out, err) = finish(child, Duration::from_secs(10));
        assert_eq!(code, Some(130), "{transport}: {err}");
        assert!(out.contains("Kops/s"), "{transport}: {out}");
    }
}

#[test]
fn client__stopped_for_a_while_loses_nothing() {
    for transport in TRANSPORTS {
        let server = Server::start(transport, LISTEN);
        let child = client(transport, &server.address, &["--outstanding", "8", "--duration", "3s"]);
        std::thread::sleep(Duration::from_millis(400));
        signal(&child, "-STOP");
        std::thread::sleep(Duration::from_millis(1200));
        signal(&child, "-CONT");
        let (code, _, err) = finish(child, Duration::from_secs(20));
        assert_eq!(code, Some(0), "{transport}: {err}");
    }
}
