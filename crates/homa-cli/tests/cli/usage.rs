//! Wrong usage ends with exit status 2 and says what is wrong; help is complete.

use crate::common::{run, texts};

#[test]
fn usage__errors_end_with_2() {
    for (args, complaint) in [
        (&["frobnicate"][..], "frobnicate"),
        (&["bench", "speed"], "speed"),
        (&["bench", "--duration", "fast"], "not a time"),
        (&["bench", "--transports", "sctp"], "sctp"),
        (&["server", "--timeout", "0"], "no time"),
        (&["client", "h:1", "--timeout", "6s"], "5s"),
        (&["bench", "--size", "1K"], "single test"),
        (&["bench", "latency", "--size", "5"], "12"),
        (&["bench", "--fault", "drop=2"], "drop"),
        (&["bench", "--fail-if", "nonsense"], "TRANSPORT.TEST.METRIC"),
        (&["bench", "latency", "--fail-if", "homa.rate.kops<1"], "not run"),
        (
            &["bench", "latency", "--transports", "tcp", "--fail-if", "homa.latency.p50<1us"],
            "not measured",
        ),
        (&["client"], "ADDR"),
        (&["client", "127.0.0.1"], "not an address"),
        (&["client", "127.0.0.1:40000"], "32767"),
        (&["client", "127.0.0.1:4000/40000"], "32767"),
        (&["client", "127.0.0.1:4000", "--workload", "w9"], "w9"),
        (&["client", "127.0.0.1:4000", "--gbps", "1", "--rps", "1"], "--rps"),
        (&["server", "--listen", "127.0.0.1:0/0"], "reserved"),
        (&["decode"], "FILE"),
    ] {
        let output = run(args);
        let (out, err) = texts(&output);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {err}");
        assert!(err.contains(complaint), "{args:?}: {err}");
        assert_eq!(out, "", "{args:?}");
    }
}

#[test]
fn usage__help_names_units_examples_and_exit_status() {
    let (out, _) = texts(&run(&["--help"]));
    assert!(out.contains("Examples:") && out.contains("Exit status:") && out.contains("130"));
    assert!(out.starts_with("Homa, ") && out.contains("over UDP or raw IP"), "{out}");
    let (out, _) = texts(&run(&["bench", "--help"]));
    for word in ["Examples:", "decimal", "binary", "--fail-if", "--fault", "ratio", "latency"] {
        assert!(out.contains(word), "{word}");
    }
    assert!(!out.contains("bench-server"));
    for command in ["server", "client", "decode", "sim", "node", "lab"] {
        let output = run(&[command, "--help"]);
        assert!(output.status.success());
        assert!(texts(&output).0.contains("Examples:"), "{command}");
    }
}

#[test]
fn decode__a_capture_in_each_form() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests-data/captures/short-rpc.pcap");
    let output = run(&["decode", file]);
    let (out, err) = texts(&output);
    assert!(output.status.success());
    assert!(out.lines().count() > 100);
    assert!(out.lines().all(|line| line.contains(" id=") && line.contains(" via=ip/146")));
    assert!(err.contains("Homa packets") && err.contains(" 0 malformed"), "{err}");

    let (out, _) = texts(&run(&["decode", file, "--json"]));
    let first: serde_json::Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    assert_eq!(first["type"], "DATA");

    let (out, _) = texts(&run(&["decode", file, "--rpcs"]));
    assert!(out.lines().any(|line| line.contains("complete") && line.contains("request=100")));
}

#[test]
fn decode__a_missing_file_ends_with_1() {
    let output = run(&["decode", "/nonexistent.pcap"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(texts(&output).1.contains("/nonexistent.pcap"));
}
