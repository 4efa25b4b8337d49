//! Messages of files: a run that is traced and replayed is the same run.
#![allow(non_snake_case, reason = "tests are named function__case")]

use std::fmt::Write;
use std::path::PathBuf;

use homa_sim::{
    Exchange, NetworkConfig, Protocol, Shape, SimConfig, SimError, TracedMessage, run, run_traced,
};

/// A file of one test, removed at its end.
struct File(PathBuf);

impl File {
    fn new(test: &str, text: &str) -> Self {
        let name = format!("homa-sim-replay-{test}-{}.csv", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> Option<PathBuf> {
        Some(self.0.clone())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn small() -> SimConfig {
    let topology = Shape::LeafSpine { racks: 3, hosts_per_rack: 4, spines: 2 };
    let network = NetworkConfig { topology, ..NetworkConfig::default() };
    SimConfig { messages: 1000, warmup_ms: 0.1, network, ..SimConfig::sigcomm18("w3") }
}

fn csv(messages: &[TracedMessage]) -> String {
    let mut text = "from,to,bytes,start_ns\n".to_owned();
    for TracedMessage { from, to, bytes, start_ns, .. } in messages {
        writeln!(text, "{from},{to},{bytes},{start_ns:.3}").unwrap();
    }
    text
}

/// Messages, times, and with the same parameters what becomes of them.
#[test]
fn replay__of_a_traced_run_is_the_same_run() {
    for (protocol, exchange) in [
        (Protocol::Homa, Exchange::OneWay),
        (Protocol::Homa, Exchange::Echo),
        (Protocol::Dctcp, Exchange::OneWay),
    ] {
        let config = SimConfig { protocol, exchange, ..small() };
        let (outcome, messages) = run_traced(&config, &|_| {}).unwrap();
        let file = File::new(&format!("traced-{protocol:?}-{exchange:?}"), &csv(&messages));
        let config = SimConfig { replay: file.path(), ..config };
        let (again, replayed) = run_traced(&config, &|_| {}).unwrap();
        assert_eq!(messages, replayed);
        assert_eq!(outcome.report().fingerprint, again.report().fingerprint);

        let other = SimConfig { seed: 2, protocol: Protocol::Oracle, ..config };
        let other = SimConfig { exchange: Exchange::OneWay, ..other };
        let (_, others) = run_traced(&other, &|_| {}).unwrap();
        let sent = |m: &TracedMessage| (m.start_ns, m.from, m.to, m.bytes);
        assert!(others.iter().zip(&messages).all(|(one, same)| sent(one) == sent(same)));
    }
}

/// The lengths of the file are the workload, and all that is in it is measured.
#[test]
fn replay__alone_gives_lengths_and_ranges() {
    let text = "time_us,from,to,bytes\n0,a,b,300\n1,b,c,20000\n1,a,c,1\n9,c,a,300\n";
    let file = File::new("alone", text);
    let mut config = SimConfig { network: small().network, ..SimConfig::sigcomm18("replay") };
    config.replay = file.path();
    let report = run(&config, &|_| {}).unwrap();
    assert_eq!((report.messages, report.unfinished, report.workload.as_str()), (4, 0, "replay"));
    let bins: Vec<_> = report.bins.iter().map(|bin| (bin.upper_bytes, bin.count)).collect();
    assert_eq!(bins, [(1, 1), (300, 2), (20_000, 1)]);

    config.warmup_ms = 0.001;
    assert_eq!(run(&config, &|_| {}).unwrap().messages, 3);
    config.messages = 2;
    assert_eq!(run(&config, &|_| {}).unwrap().messages, 2);
    config.warmup_ms = 1.0;
    let why = config.validate().unwrap_err().to_string();
    assert!(why.contains("no message starts at warmup_ms or later"), "{why}");
}

#[test]
fn config__files_that_cannot_be_replayed_are_errors() {
    let file = File::new("wrong", "time_us,from,to,bytes\n0,0,1,300\n1,0,12,300\n");
    for protocol in [Protocol::Homa, Protocol::Oracle] {
        let config = SimConfig { protocol, replay: file.path(), ..small() };
        let why = config.validate().unwrap_err().to_string();
        assert!(why.ends_with(".csv, line 3: there is no host 12: hosts are 0 to 11"), "{why}");
        let missing = SimConfig { replay: Some("/nonexistent.csv".into()), ..config };
        let error = missing.validate().unwrap_err();
        assert!(matches!(error, SimError::Replay(_)) && error.to_string().contains("cannot read"));
    }
    let why = SimConfig::sigcomm18("replay").validate().unwrap_err().to_string();
    assert!(why.contains("needs a replay"), "{why}");
}
