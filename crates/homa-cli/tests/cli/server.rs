//! What `homa server` says.

use std::process::Stdio;
use std::thread;
use std::time::Duration;

use crate::common::{Server, finish, homa, signal, texts};

/// The client hears of every possible reason, the server says which it was.
#[test]
fn server__says_what_it_turned_away_and_why() {
    let options = ["--work", "20ms", "--queue-delay", "10ms", "--accounts", "json"];
    let mut server = Server::start_with("homa", "127.0.0.1:0/99", &options);
    let args = ["--outstanding", "64", "--duration", "1s", "--keep-going"];
    let client = homa().arg("client").arg(&server.address).args(args).output().unwrap();
    let (_, err) = texts(&client);
    assert!(err.contains("wait too long"), "{err}");
    let (code, out) = server.end();
    assert_eq!(code, Some(130));
    let accounts = out.lines().find(|line| line.starts_with('{')).expect("accounts");
    let turned_away = &serde_json::from_str::<serde_json::Value>(accounts).unwrap()["turned_away"];
    assert!(turned_away["queue_delay"].as_u64() > Some(0), "{turned_away}");
    assert_eq!(turned_away["queue_delay"], turned_away["requests"]);
    assert!(
        out.contains("turned away: ") && out.contains(" while others waited too long"),
        "{out}"
    );
}

#[test]
fn server__that_is_busy_says_what_it_waits_for_when_it_is_to_end() {
    let mut server = Server::start_with("homa", "127.0.0.1:0/99", &["--work", "300ms"]);
    let args = ["client", &server.address, "--outstanding", "8", "--duration", "3s"];
    let mut client = homa().args(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    thread::sleep(Duration::from_millis(800));
    let (code, out) = server.end();
    let said = server.errors();
    client.kill().unwrap();
    client.wait().unwrap();
    assert_eq!(code, Some(130), "{said}");
    assert!(out.contains(" requests ("), "{out}");
    assert!(
        said.contains("still open: ") && said.contains("; a second signal ends at once"),
        "{said}"
    );
}

#[test]
fn server__that_cannot_write_its_statistics_says_so() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = homa();
    command.args(["server", "--listen", "127.0.0.1:0/99"]).stdout(full).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    thread::sleep(Duration::from_millis(300));
    signal(&child, "-INT");
    let (code, _, err) = finish(child, Duration::from_secs(10));
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("cannot write its statistics to standard output: No space"), "{err}");
}
