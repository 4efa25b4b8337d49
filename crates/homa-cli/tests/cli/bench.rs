//! `homa bench` end to end.

use std::process::Stdio;
use std::time::Duration;

use crate::common::{finish, homa, run, signal, texts};
use serde_json::Value;

const SHORT: [&str; 6] = ["--duration", "300ms", "--warmup", "50ms", "--rounds", "2"];

fn bench(args: &[&str]) -> (Option<i32>, String, String) {
    let output = run(&[&["bench"], args, &SHORT].concat());
    let (out, err) = texts(&output);
    (output.status.code(), out, err)
}

#[test]
fn bench__both_transports_as_json() {
    let (code, out, err) = bench(&["latency", "--json", "-", "--timeout", "2s"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("Homa/TCP"), "the table is on standard error: {err}");
    let report: Value = serde_json::from_str(&out).expect("standard output is JSON only");
    assert_eq!(report["schema"], "homa-bench/1");
    let results = report["results"].as_array().unwrap();
    let names: Vec<_> = results.iter().map(|r| (&r["transport"], &r["variant"])).collect();
    let (homa, tcp) = (Value::from("homa"), Value::from("tcp"));
    let (connections, pipelined) = (Value::from("connections"), Value::from("pipelined"));
    assert_eq!(names, [(&homa, &Value::Null), (&tcp, &connections), (&tcp, &pipelined)]);
    for result in results {
        assert_eq!((&result["errors"], &result["rounds"]), (&0.into(), &2.into()));
        assert_eq!(result["workload"], "100");
        let figure = |name: &str| result["rtt_us"][name].as_f64().unwrap();
        assert!(0.0 < figure("min") && figure("min") <= figure("p50"));
        assert!(figure("p50") <= figure("p99") && figure("p99") <= figure("max"));
        assert!(result["rpcs"].as_u64().unwrap() > 0 && result["kops"].as_f64().unwrap() > 0.0);
        let seconds = result["seconds"].as_f64().unwrap();
        assert!((0.29..1.0).contains(&seconds), "{seconds}");
        assert!(result["cpu"]["server"].as_f64().unwrap() > 0.0);
        assert_eq!(result["by_size"][0]["upper_bytes"], 128);
    }
    assert_eq!(report["ratios"].as_array().unwrap().len(), 5);
}

#[test]
fn bench__json_file_and_open_loop() {
    let path = std::env::temp_dir().join(format!("homa-bench-{}.json", std::process::id()));
    let file = path.to_str().unwrap();
    let args = ["workload", "--workload", "w2", "--rps", "2000", "--transports", "tcp-connections"];
    let (code, out, err) = bench(&[&args[..], &["--json", file]].concat());
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("W2, 64 outstanding") && out.contains("P99.9"));
    let report: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    std::fs::remove_file(&path).unwrap();
    let result = &report["results"][0];
    let kops = result["kops"].as_f64().unwrap();
    // A busy machine falls behind, or catches up; without a pace it would be tens of thousands per
    // second.
    assert!((0.1..8.0).contains(&kops), "{kops}");
    let p50 = |name: &str| result[name]["p50"].as_f64().unwrap();
    assert!(p50("rtt_release_us") <= p50("rtt_us"));
    assert!(result["by_size"].as_array().unwrap().len() > 3);
}

#[test]
fn bench__a_lossy_network_loses_nothing() {
    let fault = "drop=0.05,dup=0.02,reorder=0.05,corrupt=0.01";
    // On a busy machine a process may have to wait for longer than a peer may be silent by default.
    let patience = ["--timeout", "2s"];
    let args = ["workload", "--transports", "homa", "--outstanding", "16", "--fault", fault];
    let (code, out, err) =
        bench(&[&args[..], &patience, &["--fail-if", "homa.workload.errors>0"]].concat());
    assert_eq!(code, Some(0), "{out}{err}");
}

#[test]
fn bench__fail_if_ends_with_3() {
    let args = ["latency", "--transports", "tcp", "--fail-if", "tcp.latency.p50>1ns"];
    let (code, out, err) = bench(&args);
    assert_eq!(code, Some(3), "{err}");
    assert!(out.contains("P50"), "the table is printed all the same");
    assert!(err.contains("tcp.latency.p50>1ns: measured"), "{err}");
    let args = ["latency", "--transports", "tcp", "--fail-if", "tcp.latency.p50<1ns"];
    assert_eq!(bench(&args).0, Some(0));
}

#[test]
fn bench__interrupted_ends_with_130_and_a_summary() {
    let child = homa()
        .args(["bench", "--transports", "tcp", "--duration", "60s", "--warmup", "0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(600));
    signal(&child, "-INT");
    let (code, out, err) = finish(child, Duration::from_secs(10));
    assert_eq!(code, Some(130), "{err}");
    assert!(out.contains("latency") && out.contains("P50"), "{out}");
}

/// What failed before anything was measured has no figures of CPU time.
#[test]
fn bench__that_fails_before_measuring_has_no_cpu_figures() {
    let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = format!("127.0.0.1:{free}/99");
    let args = ["bench", "latency", "--transports", "homa", "--server", &server];
    let output = run(&[&args[..], &["--warmup", "10s", "--json", "-"]].concat());
    let (out, err) = texts(&output);
    assert_eq!(output.status.code(), Some(1), "{err}");
    let report: Value = serde_json::from_str(&out).expect("JSON all the same");
    assert_eq!(report["results"][0]["cpu"]["client"], Value::Null, "{report}");
    let line = err.lines().find(|line| line.contains("CPU client")).expect("the table");
    assert!(line.contains(" - "), "{line}");
}
