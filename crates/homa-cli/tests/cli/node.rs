//! `homa node`: clusters of a few processes on loopback, and `homa lab --merge`.

use std::io::Read;
use std::net::{TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::{finish, homa, run, signal, texts};

/// Longer than any of these runs takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);
/// Options of a short run, with more places than it has calls: processes may have to wait for processors.
const SHORT: [&str; 12] = [
    "--workload",
    "w3",
    "--rate",
    "20mbit",
    "--load",
    "0.2",
    "--warmup",
    "100ms",
    "--duration",
    "1s",
    "--outstanding",
    "100",
];

/// So many neighbouring ports that nobody has, below those that the system gives away by itself.
fn free_ports(count: u16) -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let own = 10_000 + (std::process::id() % 400) as u16 * 50;
    for _ in 0..50 {
        let first = own + NEXT.fetch_add(count, Ordering::Relaxed) % 48;
        let is_free = |port: u16| {
            TcpListener::bind(("127.0.0.1", port)).is_ok()
                && UdpSocket::bind(("127.0.0.1", port)).is_ok()
        };
        if (first..first + count).all(is_free) {
            return first;
        }
    }
    panic!("no free ports");
}

/// A place for files, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("homa-node-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_str(&std::fs::read_to_string(self.0.join(name)).unwrap()).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A node as `srun` starts it: its place is in the environment.
fn slurm_node(rank: usize, size: usize, args: &[&str]) -> Child {
    homa()
        .arg("node")
        .args(args)
        .env("SLURM_PROCID", rank.to_string())
        .env("SLURM_NTASKS", size.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits until rank 0 says that the run begins; what it says later can still be read.
fn await_begin(leader: &mut Child) {
    let stderr = leader.stderr.as_mut().expect("piped");
    let (mut line, mut byte) = (Vec::new(), [0]);
    // Not through a buffer, which would keep what comes after the line.
    while stderr.read(&mut byte).expect("readable") == 1 && byte != *b"\n" {
        line.push(byte[0]);
    }
    let line = String::from_utf8_lossy(&line);
    assert!(line.ends_with("nodes have met, and begin"), "{line}");
}

/// Addresses of so many nodes on one host.
fn peers(count: u16) -> String {
    let first = free_ports(count + 1);
    let peers = (0..count).map(|rank| format!("127.0.0.1:{}", first + rank));
    peers.collect::<Vec<_>>().join(",")
}

/// Four nodes by Slurm's variables, with each transport, and their files joined.
#[test]
fn node__four_of_them_meet_measure_and_merge() {
    let folder = Folder::new("four");
    for transport in ["homa", "tcp"] {
        let peers = peers(4);
        let json = folder.file(&format!("{transport}-{{rank}}.json"));
        let patient = if transport == "homa" { &["--timeout", "3s"][..] } else { &[] };
        let args = ["--peers", &peers, "--transport", transport, "--json", &json, "--poll", "0"];
        let args = [&args[..], &SHORT, patient].concat();
        let nodes: Vec<_> = (0..4).map(|rank| slurm_node(rank, 4, &args)).collect();
        for (rank, node) in nodes.into_iter().enumerate() {
            let (code, out, err) = finish(node, LIMIT);
            assert_eq!(code, Some(0), "{transport} {rank}: {err}");
            assert!(out.starts_with(&format!("rank {rank} of 4, {transport} w3")), "{out}");
        }
        let node = folder.json(&format!("{transport}-2.json"));
        assert_eq!((&node["schema"], &node["rank"]), (&"homa-node/1".into(), &2.into()));
        assert_eq!((&node["is_complete"], &node["errors"]), (&true.into(), &0.into()));
        assert!(node["rpcs"].as_u64() > Some(10) && node["served"].as_u64() > Some(10), "{node}");
    }
    let files: Vec<_> = ["homa", "tcp"]
        .into_iter()
        .flat_map(|transport| (0..4).map(move |rank| format!("{transport}-{rank}.json")))
        .collect();
    let paths: Vec<_> = files.iter().map(|name| folder.file(name)).collect();
    let paths: Vec<_> = paths.iter().map(String::as_str).collect();
    let merged = folder.file("lab.json");
    let unloaded = [&["--unloaded"], &paths[..4]].concat();
    let args = [&["lab", "--json", &merged, "--merge"], &paths[..], &unloaded].concat();
    let output = run(&args);
    let (out, err) = texts(&output);
    assert!(output.status.success(), "{err}");
    assert!(out.contains("homa: ") && out.contains("tcp (connections): "), "{out}");
    check_merged(&folder, &files);
}

/// The joined results hold all calls of all nodes, in ten equal parts.
fn check_merged(folder: &Folder, files: &[String]) {
    let lab = folder.json("lab.json");
    assert_eq!((&lab["schema"], &lab["config"]["hosts"]), (&"homa-lab/1".into(), &4.into()));
    for (at, transport) in ["homa", "tcp"].into_iter().enumerate() {
        let result = &lab["results"][at];
        assert_eq!((&result["transport"], &result["errors"]), (&transport.into(), &0.into()));
        let nodes = files[4 * at..4 * at + 4].iter().map(|name| folder.json(name));
        let rpcs: u64 = nodes.map(|node| node["rpcs"].as_u64().unwrap()).sum();
        let count_of = |tenth: &Value| tenth["count"].as_u64().unwrap();
        for tenths in [&result["by_size"], &result["slowdown"]] {
            let tenths = tenths.as_array().unwrap();
            assert_eq!(tenths.len(), 10);
            assert_eq!(tenths.iter().map(count_of).sum::<u64>(), rpcs);
            assert!(tenths.iter().all(|tenth| count_of(tenth).abs_diff(rpcs / 10) <= 1));
            assert!(tenths.windows(2).all(|pair| {
                pair[0]["upper_bytes"].as_u64() <= pair[1]["upper_bytes"].as_u64()
            }));
            assert!(tenths.iter().all(|tenth| tenth["p50"].as_f64() <= tenth["p99_9"].as_f64()));
        }
    }
    assert!(lab["config"]["host_delay_us"].as_f64() > Some(1.0), "{lab}");
}

/// The same options give the same calls, and hosts may come from Slurm's list.
#[test]
fn node__a_list_of_hosts_and_the_same_calls_again() {
    let folder = Folder::new("list");
    let mut lengths = Vec::new();
    for repeat in 0..2 {
        let port = free_ports(2).to_string();
        let json = folder.file(&format!("{repeat}-{{rank}}.json"));
        let args = [&["--port", &port, "--json", &json, "--poll", "0"][..], &SHORT].concat();
        let start = |rank: usize| {
            let mut command = homa();
            command.arg("node").args(&args).env("SLURM_PROCID", rank.to_string());
            command.env("SLURM_NTASKS", "2").env("SLURM_STEP_NODELIST", "127.0.0.[2-3]");
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        for node in [start(0), start(1)] {
            let (code, _, err) = finish(node, LIMIT);
            assert_eq!(code, Some(0), "{err}");
        }
        let node = folder.json(&format!("{repeat}-1.json"));
        let count = |length: &Value| {
            let pairs = length["latency_ns"].as_array().unwrap();
            let counts = pairs.iter().map(|pair| pair[1].as_u64().unwrap());
            (length["bytes"].as_u64().unwrap(), counts.sum::<u64>())
        };
        lengths.push(node["lengths"].as_array().unwrap().iter().map(count).collect::<Vec<_>>());
    }
    assert!(!lengths[0].is_empty());
    assert_eq!(lengths[0], lengths[1]);
}

/// One of three dies in the middle: the others say which, write what they have, and fail.
#[test]
fn node__a_death_ends_the_run_of_all() {
    let folder = Folder::new("death");
    let peers = peers(3);
    let json = folder.file("{rank}.json");
    let own = ["--peers", &peers, "--json", &json, "--poll", "0", "--timeout", "3s"];
    let mut args = [&SHORT[..], &own].concat();
    args.iter_mut().filter(|arg| **arg == "1s").for_each(|duration| *duration = "50s");
    let mut nodes: Vec<_> = (0..3).map(|rank| slurm_node(rank, 3, &args)).collect();
    await_begin(&mut nodes[0]);
    std::thread::sleep(Duration::from_secs(2));
    let mut victim = nodes.remove(1);
    assert!(victim.try_wait().unwrap().is_none(), "the run has not begun, or is over");
    victim.kill().unwrap();
    victim.wait().unwrap();
    let killed = Instant::now();
    for (rank, node) in [0, 2].into_iter().zip(nodes) {
        let (code, out, err) = finish(node, LIMIT);
        assert_eq!(code, Some(1), "{err}");
        assert!(err.contains("rank 1 (127.0.0.1:") && err.contains("has died"), "{err}");
        assert!(out.contains("incomplete"), "{out}");
        let report = folder.json(&format!("{rank}.json"));
        assert_eq!(report["is_complete"], false);
        assert!(report["why"].as_str().unwrap().contains("rank 1"), "{report}");
        assert!(report["rpcs"].as_u64() > Some(0), "{report}");
    }
    assert!(killed.elapsed() < Duration::from_secs(20), "{:?}", killed.elapsed());
    let output = run(&["lab", "--merge", &folder.file("0.json"), &folder.file("2.json")]);
    let (out, err) = texts(&output);
    assert_eq!(output.status.code(), Some(1), "{out}");
    assert!(err.contains("incomplete") && err.contains("missing: 1"), "{err}");
}

/// Ctrl-C on one node ends all, in order.
#[test]
fn node__an_interrupt_ends_the_run_of_all() {
    let peers = peers(2);
    let args = ["--peers", &peers, "--duration", "50s", "--rate", "10mbit", "--poll", "0"];
    let mut nodes: Vec<_> = (0..2).map(|rank| slurm_node(rank, 2, &args)).collect();
    await_begin(&mut nodes[0]);
    signal(&nodes[1], "-INT");
    for (rank, node) in nodes.into_iter().enumerate() {
        let (code, _, err) = finish(node, LIMIT);
        let (expected, said) =
            if rank == 1 { (130, "interrupted") } else { (1, "was interrupted") };
        assert_eq!(code, Some(expected), "{rank}: {err}");
        assert!(err.contains(said), "{rank}: {err}");
    }
}

/// Nodes that are not there are named, by rank 0 and by the others.
#[test]
fn node__who_does_not_come_is_named() {
    let peers = peers(3);
    let args = ["--peers", &peers, "--meet", "1s", "--poll", "0"];
    let alone = |rank| finish(slurm_node(rank, 3, &args), LIMIT);
    let (code, _, err) = alone(2);
    assert_eq!(code, Some(1));
    assert!(err.contains("rank 0 (127.0.0.1:") && err.contains("control port"), "{err}");
    let (two, none) = (slurm_node(0, 3, &args), slurm_node(1, 3, &args));
    for node in [two, none] {
        let (code, _, err) = finish(node, LIMIT);
        assert_eq!(code, Some(1));
        assert!(err.contains("rank 2 (127.0.0.1:"), "{err}");
    }
}

/// Nodes that were told to do different things do not begin.
#[test]
fn node__other_options_are_refused() {
    let peers = peers(2);
    let node = |rank: usize, load| {
        slurm_node(rank, 2, &["--peers", &peers, "--load", load, "--meet", "20s", "--poll", "0"])
    };
    for node in [node(0, "0.5"), node(1, "0.6")] {
        let (code, _, err) = finish(node, LIMIT);
        assert_eq!(code, Some(1));
        assert!(err.contains("rank 1 at ") && err.contains("other options"), "{err}");
    }
}

#[test]
fn node__usage_errors_end_with_2() {
    for (args, complaint) in [
        (&["node"][..], "srun"),
        (&["node", "--rank", "0"], "--peers"),
        (&["node", "--rank", "2", "--peers", "a:1,b:1"], "beyond"),
        (&["node", "--rank", "0", "--peers", "a:1,b"], "not an address"),
        (&["node", "--rank", "0", "--peers", "127.0.0.1:40000,127.0.0.1:2"], "32767"),
        (&["node", "--rank", "0", "--peers", "a:1,b:1", "--transport", "raw"], "homa or tcp"),
        (&["node", "--rank", "0", "--peers", "a:1,b:1", "--pipelined"], "--pipelined"),
        (&["node", "--rate", "200"], "200mbit"),
        (&["node", "--load", "0"], "share"),
        (&["node", "--rank", "0", "--peers", "a:1,b:1", "--incast", "2"], "--incast"),
        (&["lab", "--unloaded", "a.json"], "--merge"),
        (&["lab", "--merge", "a.json", "--hosts", "3"], "--hosts"),
        (&["lab", "--transports", "homa,homa"], "twice"),
        (&["lab", "--transports", "raw"], "homa and tcp"),
        (&["lab", "--transports", "homa", "--mixed"], "--mixed"),
        (&["lab", "--incast", "8"], "--incast"),
        (&["lab", "--buffers", "1K"], "--buffers"),
        (&["lab", "--rtt-bytes", "1"], "--rtt-bytes"),
    ] {
        let mut command = homa();
        command.args(args).env_remove("SLURM_PROCID").env_remove("JOB_COMPLETION_INDEX");
        let output = command.stdin(Stdio::null()).output().unwrap();
        let (_, err) = texts(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {err}");
        assert!(err.contains(complaint), "{args:?}: {err}");
    }
    let output = run(&["lab", "--merge", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")]);
    assert!(texts(&output).1.contains("Cargo.toml"), "{output:?}");
}
