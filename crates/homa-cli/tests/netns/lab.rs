//! `homa lab`: clusters that it makes itself.

use std::fs;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use homa_netns::{say_skipped, unavailable};
use serde_json::Value;

/// Longer than any of these takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(90);
/// A small cluster with little to do.
const SMALL: [&str; 15] = [
    "lab",
    "--hosts",
    "3",
    "--rate",
    "50mbit",
    "--workload",
    "1000",
    "--load",
    "0.2",
    "--warmup",
    "200ms",
    "--buffers",
    "128K",
    "--json",
    "-",
];

/// Whether this machine has no labs, which is said.
fn skip() -> bool {
    let why = unavailable(&["tc"]);
    why.as_deref().map(say_skipped).is_some()
}

fn start(more: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_homa"));
    command.args(SMALL).args(more);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("it runs")
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([name, &child.id().to_string()]).status();
    assert!(status.expect("kill can be run").success());
}

/// The namespaces that this process has made.
fn namespaces_of(child: &Child) -> Vec<String> {
    let prefix = format!("homa-{}-", child.id());
    let entries = fs::read_dir("/run/netns").into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.starts_with(&prefix)).collect()
}

/// Waits until nodes run on all of its hosts.
fn wait_for_nodes(child: &Child) {
    let end = Instant::now() + LIMIT;
    let pids = |name: &String| {
        let output = Command::new("ip").args(["netns", "pids", name]).output().expect("ip");
        output.stdout.len()
    };
    while namespaces_of(child).iter().filter(|name| pids(name) > 0).count() < 3 {
        assert!(Instant::now() < end, "no nodes");
        thread::sleep(Duration::from_millis(20));
    }
}

fn json(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn lab__measures_both_transports_and_simulates_the_same() {
    if skip() {
        return;
    }
    let child = start(&["--duration", "1s", "--mixed"]);
    let report = json(&child.wait_with_output().unwrap());
    assert_eq!(report["schema"], "homa-lab/1");
    assert!(report["config"]["host_delay_us"].as_f64().unwrap() > 0.0);
    let results = report["results"].as_array().unwrap();
    let names: Vec<_> = results.iter().map(|result| &result["transport"]).collect();
    assert_eq!(names, ["homa", "tcp", "homa", "tcp"]);
    for (result, is_mixed) in results.iter().zip([false, false, true, true]) {
        assert_eq!((&result["is_mixed"], &result["is_complete"]), (&is_mixed.into(), &true.into()));
        assert_eq!(result["errors"], 0, "{result}");
        assert!(result["rpcs"].as_u64().unwrap() > 100);
        assert_eq!(result["slowdown"].as_array().map(Vec::len), Some(10));
    }
    // The simulator has the very same calls.
    let prediction = &report["prediction"][0];
    assert_eq!(prediction["rpcs"], results[0]["rpcs"]);
    assert!(prediction["slowdown"][0]["p50"].as_f64().unwrap() >= 1.0);
}

#[test]
fn lab__incast_has_the_calls_of_those_who_call() {
    if skip() {
        return;
    }
    let child = start(&["--duration", "1s", "--incast", "2", "--transports", "homa"]);
    let report = json(&child.wait_with_output().unwrap());
    assert_eq!(report["config"]["incast"], 2);
    let (measured, predicted) = (&report["results"][0], &report["prediction"][0]);
    assert_eq!((&measured["errors"], &measured["rpcs"]), (&0.into(), &predicted["rpcs"]));
    // A fifth of 50 Mb/s in packets of 1102 bytes.
    let expected = 0.2 * 50e6 / 8.0 / 1102.0;
    let calls = measured["rpcs"].as_f64().unwrap();
    assert!((calls / expected - 1.0).abs() < 0.2, "{calls} of {expected}");
}

#[test]
fn lab__leaves_nothing_behind_after_an_interrupt() {
    if skip() {
        return;
    }
    let mut child = start(&["--duration", "60s"]);
    wait_for_nodes(&child);
    signal(&child, "-INT");
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(begin.elapsed() < LIMIT, "it goes on");
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(namespaces_of(&child), [""; 0]);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn lab__removes_what_a_killed_one_left() {
    if skip() {
        return;
    }
    let mut killed = start(&["--duration", "60s"]);
    wait_for_nodes(&killed);
    signal(&killed, "-KILL");
    killed.wait().unwrap();
    assert!(!namespaces_of(&killed).is_empty());
    let next = start(&["--duration", "100ms", "--transports", "homa", "--no-prediction"]);
    json(&next.wait_with_output().unwrap());
    assert_eq!(namespaces_of(&killed), [""; 0]);
}
