//! `homa client` and `homa server` together.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::common::{Server, finish, homa, run, signal, texts};

const HOMA: (&str, &str) = ("homa", "127.0.0.1:0/4000");
const TCP: (&str, &str) = ("tcp", "127.0.0.1:0");

fn client(transport: &str, address: &str, args: &[&str]) -> Child {
    homa()
        .args(["client", address, "--transport", transport])
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// A client whose calls must not fail: on a busy machine a server may wait long for a processor.
fn patient_client(transport: &str, address: &str, args: &[&str]) -> Child {
    let patience: &[&str] = if transport == "homa" { &["--timeout", "1s"] } else { &[] };
    client(transport, address, &[args, patience].concat())
}

#[test]
fn client__loads_a_server_and_sums_up() {
    for (transport, listen) in [HOMA, TCP] {
        let server = Server::start(transport, listen);
        let args = ["--workload", "w3", "--outstanding", "8", "--duration", "1500ms"];
        let child = patient_client(transport, &server.address, &args);
        let (code, out, err) = finish(child, Duration::from_secs(20));
        assert_eq!(code, Some(0), "{transport}: {err}");
        assert!(out.contains(&format!("{transport}_w3 clients: ")), "a line per second: {out}");
        assert!(out.contains("P99.9") && out.contains("Kops/s"), "{out}");
    }
}

#[test]
fn client__open_loop_reports_both_latencies() {
    let server = Server::start(TCP.0, TCP.1);
    let args = ["--rps", "500", "--one-way", "--duration", "500ms", "--workload", "10K"];
    let (code, out, err) = finish(client("tcp", &server.address, &args), Duration::from_secs(20));
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("RTT (us)") && out.contains("RTT from release (us)"), "{out}");
    assert!(out.contains("10000, 200 outstanding"), "{out}");
}

/// `--json`: the figures of a run, among them how soon those learn of it who are turned away.
#[test]
fn client__json_has_the_figures() {
    let json_of = |options: &[&str], outstanding| -> serde_json::Value {
        let server = Server::start_with(HOMA.0, HOMA.1, options);
        let args =
            ["--json", "-", "--keep-going", "--outstanding", outstanding, "--duration", "1s"];
        let child = patient_client("homa", &server.address, &args);
        let (_, out, err) = finish(child, Duration::from_secs(20));
        assert!(err.contains(" outstanding, "), "the summary for people: {err}");
        serde_json::from_str(&out).expect("one object and nothing else")
    };
    let quiet = json_of(&[], "1");
    assert_eq!(quiet["schema"], "homa-client/1");
    assert!(quiet["rpcs"].as_u64() > Some(0) && quiet["rtt_us"]["p99"].is_f64(), "{quiet}");
    assert_eq!((&quiet["errors"], &quiet["failure_us"]), (&0.into(), &serde_json::Value::Null));
    let overloaded = json_of(&["--work", "20ms", "--queue-delay", "10ms"], "64");
    assert!(overloaded["errors"].as_u64() > Some(0), "{overloaded}");
    // At once, not after the 1.3 s that 64 calls of 20 ms take.
    assert!(overloaded["failure_us"]["p50"].as_f64() < Some(100_000.0), "{overloaded}");
}

#[test]
fn client__nothing_listens() {
    let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for (transport, address) in
        [("homa", format!("127.0.0.1:{free}/99")), ("tcp", format!("127.0.0.1:{free}"))]
    {
        let begin = Instant::now();
        let output = run(&["client", &address, "--transport", transport]);
        let (_, err) = texts(&output);
        assert_eq!(output.status.code(), Some(1), "{transport}: {err}");
        assert!(begin.elapsed() < Duration::from_secs(1), "{transport}: {:?}", begin.elapsed());
        assert!(err.contains(&format!("{address} does not serve")), "{transport}: {err}");
        assert!(err.contains("nothing listens"), "{transport}: {err}");
    }
}

#[test]
fn client__server_killed_in_mid_run() {
    for (transport, listen) in [HOMA, TCP] {
        let mut server = Server::start(transport, listen);
        let child =
            client(transport, &server.address, &["--outstanding", "4", "--duration", "60s"]);
        std::thread::sleep(Duration::from_millis(500));
        server.child.kill().unwrap();
        let killed = Instant::now();
        let (code, out, err) = finish(child, Duration::from_secs(10));
        assert!(
            killed.elapsed() < Duration::from_millis(1300),
            "{transport}: {:?}",
            killed.elapsed()
        );
        assert_eq!(code, Some(1), "{transport}: {err}");
        assert!(err.contains("calls failed: "), "{transport}: {err}");
        assert!(out.contains("Kops/s"), "the summary is printed: {out}");
    }
}

#[test]
fn client__keeps_going_until_the_server_is_back() {
    for (transport, listen) in [HOMA, TCP] {
        let server = Server::start(transport, listen);
        let address = server.address.clone();
        let child = client(transport, &address, &["--keep-going", "--duration", "6s"]);
        std::thread::sleep(Duration::from_millis(300));
        drop(server);
        std::thread::sleep(Duration::from_millis(1500));
        let _server = Server::start(transport, &address);
        let (code, out, err) = finish(child, Duration::from_secs(20));
        assert_eq!(code, Some(1), "some calls failed: {err}");
        let last = out.lines().rfind(|line| line.contains("clients: ")).unwrap();
        assert!(!last.contains("clients: 0.00"), "{transport}: calls succeed again: {out}");
    }
}

#[test]
fn client__interrupted_ends_with_130_and_a_summary() {
    let server = Server::start(HOMA.0, HOMA.1);
    let child = client("homa", &server.address, &["--duration", "60s"]);
    std::thread::sleep(Duration::from_millis(500));
    signal(&child, "-INT");
    let (code, out, _) = finish(child, Duration::from_secs(10));
    assert_eq!(code, Some(130));
    assert!(out.contains("Kops/s"), "{out}");
}

/// `--timeout`: by default a server that is silent for so long is taken to be dead.
#[test]
fn client__bears_a_silent_server_as_long_as_it_is_told_to() {
    for (timeout, expected) in [("100ms", 1), ("4s", 0)] {
        let server = Server::start(HOMA.0, HOMA.1);
        let args = ["--timeout", timeout, "--outstanding", "4", "--duration", "2s"];
        let child = client("homa", &server.address, &args);
        std::thread::sleep(Duration::from_millis(400));
        signal(&server.child, "-STOP");
        std::thread::sleep(Duration::from_millis(900));
        signal(&server.child, "-CONT");
        let (code, _, err) = finish(child, Duration::from_secs(20));
        assert_eq!(code, Some(expected), "{timeout}: {err}");
    }
}

#[test]
fn client__stopped_for_a_while_loses_nothing() {
    for (transport, listen) in [HOMA, TCP] {
        let server = Server::start(transport, listen);
        let args = ["--outstanding", "8", "--duration", "3s"];
        let child = patient_client(transport, &server.address, &args);
        std::thread::sleep(Duration::from_millis(400));
        signal(&child, "-STOP");
        std::thread::sleep(Duration::from_millis(1200));
        signal(&child, "-CONT");
        let (code, _, err) = finish(child, Duration::from_secs(20));
        assert_eq!(code, Some(0), "{transport}: {err}");
    }
}

/// A new key file, as `homa key` makes it.
fn key_file(name: &str) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let (key, _) = texts(&run(&["key"]));
    assert_eq!(key.trim_end().len(), 64, "{key}");
    let path = std::env::temp_dir().join(format!("homa-cli-{name}-{}", std::process::id()));
    std::fs::write(&path, key).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

#[test]
fn key_file__both_sides_need_one() {
    let (path, other) = (key_file("key"), key_file("other"));
    let [path_text, other_text] = [&path, &other].map(|path| path.to_str().unwrap());
    let server = Server::start_with(HOMA.0, HOMA.1, &["--key-file", path_text]);
    let args = ["--duration", "300ms", "--workload", "w2"];
    let with = |more: &[&str]| {
        let args = [&args[..], more].concat();
        finish(client("homa", &server.address, &args), Duration::from_secs(20))
    };
    let (code, out, err) = with(&["--key-file", path_text]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    for more in [&[][..], &["--key-file", other_text]] {
        let (code, _, err) = with(more);
        assert_eq!(code, Some(1), "{err}");
        assert!(err.contains("--key-file"), "a hint: {err}");
    }
    signal(&server.child, "-INT");
    let said = server.errors();
    assert!(said.contains("without authentication") && said.contains("of another key"), "{said}");
    for path in [path, other] {
        std::fs::remove_file(path).unwrap();
    }
}

/// What a server says, and what a client does, when each has options of its own.
fn one_side_alone(of_server: &[&str], of_client: &[&str]) -> (String, String) {
    let server = Server::start_with(HOMA.0, HOMA.1, of_server);
    let args = [&["--duration", "300ms"], of_client].concat();
    let (code, _, err) = finish(client("homa", &server.address, &args), Duration::from_secs(20));
    assert_eq!(code, Some(1), "{err}");
    signal(&server.child, "-INT");
    (server.errors(), err)
}

/// Who drops packets says so and why, whichever side it is.
#[test]
fn options_of_one_side_alone__are_told_by_who_drops_packets() {
    let path = key_file("alone");
    let (said, _) = one_side_alone(&[], &["--key-file", path.to_str().unwrap()]);
    assert!(said.contains("with authentication (their senders have a --key-file"), "{said}");
    let (said, _) = one_side_alone(&["--checksums"], &[]);
    assert!(said.contains("without a right checksum"), "{said}");
    let (_, complaints) = one_side_alone(&[], &["--checksums"]);
    assert!(complaints.contains("without a right checksum"), "{complaints}");
    let both = ["--key-file", path.to_str().unwrap(), "--checksums"];
    let (said, _) = one_side_alone(&["--checksums"], &both);
    assert!(said.contains("with authentication") && !said.contains("right checksum"), "{said}");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn key_file__that_is_none() {
    let (code, _, err) =
        finish(client("homa", "127.0.0.1:1", &["--key-file", "/x"]), Duration::from_secs(5));
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("cannot use the key file /x: "), "{err}");
}

/// Whether the file can be written is found out before the run.
#[test]
fn client__json_to_nowhere_is_an_error_at_once() {
    let begin = Instant::now();
    let output = run(&["client", "127.0.0.1:1", "--json", "/nonexistent/file", "--keep-going"]);
    let (out, err) = texts(&output);
    assert_eq!((output.status.code(), out.as_str()), (Some(1), ""));
    assert!(err.contains("cannot write /nonexistent/file"), "{err}");
    assert!(begin.elapsed() < Duration::from_secs(5));
}

/// As behind `2>&1 | head`: what is told to nobody stops nothing.
#[test]
fn client__goes_on_when_nobody_reads_what_it_tells() {
    let server = Server::start(HOMA.0, HOMA.1);
    let mut child =
        patient_client("homa", &server.address, &["--json", "-", "--duration", "500ms"]);
    drop(child.stderr.take());
    let (code, out, _) = finish(child, Duration::from_secs(20));
    assert_eq!(code, Some(0));
    assert!(serde_json::from_str::<serde_json::Value>(&out).is_ok(), "{out}");
}
