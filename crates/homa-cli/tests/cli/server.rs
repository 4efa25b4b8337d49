//! What `homa server` says.

use crate::common::{Server, homa, texts};

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
