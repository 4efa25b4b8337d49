//! `homa sim` end to end, on networks of a few hosts.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use crate::common::{finish, homa, run, signal, texts};
use serde_json::Value;

/// A network and a number of messages that take no time, as long as messages are short.
const TINY: [&str; 8] =
    ["--hosts", "4", "--messages", "200", "--runs", "1", "--set", "warmup_ms=0.1"];

const W3: [&str; 2] = ["--workload", "w3"];

/// A folder for the files of one test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("homa-sim-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn sim(args: &[&str]) -> (Option<i32>, String, String) {
    let output = run(&[&["sim"], args].concat());
    let (out, err) = texts(&output);
    (output.status.code(), out, err)
}

/// Runs a tiny simulation and returns what it writes as JSON.
fn report(args: &[&str]) -> Value {
    let (code, out, err) = sim(&[&TINY[..], args, &["--json", "-"]].concat());
    assert_eq!(code, Some(0), "{err}");
    serde_json::from_str(&out).expect("standard output is JSON only")
}

fn read(path: impl AsRef<Path>) -> Value {
    without_wall_times(serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
}

fn without_wall_times(mut report: Value) -> Value {
    for run in report["runs"].as_array_mut().unwrap() {
        run["wall_seconds"] = Value::Null;
        run["events_per_second"] = Value::Null;
    }
    report
}

/// The fields of the lines that begin so.
fn lines(csv: &'static str, begin: &str) -> Vec<Vec<&'static str>> {
    csv.lines()
        .filter(|line| line.starts_with(begin))
        .map(|line| line.split(',').collect())
        .collect()
}

fn fingerprints(report: &Value) -> Vec<&str> {
    let runs = report["runs"].as_array().unwrap();
    runs.iter().map(|run| run["fingerprint"].as_str().unwrap()).collect()
}

#[test]
fn sim__wrong_usage_ends_with_2() {
    for (args, complaint) in [
        (&["--workload", "w9"][..], "'w9' is neither w1"),
        (&["--load", "3"], "load is above 0 and at most 2"),
        (&["--load", "high"], "invalid value 'high'"),
        (&["--hosts", "20"], "--hosts: topology: 20 hosts are no whole racks of 16"),
        (&["--hosts", "1"], "1 hosts; 2 to"),
        (&["--preset", "tcp"], "sigcomm18"),
        (&["--priorities", "9"], "1 to 8"),
        (&["--overcommit", "0"], "overcommit_max"),
        (&["--unsched", "much"], "not a size"),
        (&["--runs", "0"], "1..=1000"),
        (&["--set", "homa.overcomit=1"], "homa.overcomit: unknown field `overcomit`, expected"),
        (&["--set", "load"], "KEY=VALUE"),
        (&["--sweep", "load=0.5,,1"], "KEY=A,B"),
        (&["--sweep", "load=0.5,5"], "load is above 0 and at most 2 (at load=5)"),
        (&["--sweep", "seed=1,2"], "give --runs 1"),
        (&["--trace", "a.csv", "--runs", "2"], "give --runs 1"),
        (&["--trace", "a.csv", "--runs", "1", "--sweep", "load=0.5,0.8"], "and no --sweep"),
        (&["--shard", "4/3"], "K/N"),
        (&["--shard", "env"], "neither SLURM_ARRAY_TASK_ID nor JOB_COMPLETION_INDEX"),
        (&["--merge", "a.json", "--load", "1"], "cannot be used with"),
        (&["--json", "-", "--csv", "-"], "one result alone"),
        (&["--sweep", "workload=w1,w4", "--plot", "-"], "one plot for each workload"),
    ] {
        let (code, out, err) = sim(args);
        assert_eq!(code, Some(2), "{args:?}: {err}");
        assert!(err.contains(complaint), "{args:?}: {err}");
        assert_eq!(out, "", "{args:?}");
    }
}

#[test]
fn sim__files_that_cannot_be_used_end_with_1_before_anything_runs() {
    let folder = Folder::new("unusable");
    let other = folder.file("other.json");
    std::fs::write(&other, "{\"schema\":\"homa-bench/1\"}").unwrap();
    for (args, complaint) in [
        (&["--config", "/nonexistent.toml"][..], "/nonexistent.toml"),
        (&["--json", "/nonexistent/a.json"], "cannot write /nonexistent/a.json"),
        (&["--csv", "/nonexistent/a.csv"], "cannot write"),
        (&["--plot", "/nonexistent/a.svg"], "cannot write"),
        (&["--merge", "/nonexistent.json"], "cannot use /nonexistent.json"),
        (&["--merge", &other], "its schema is not homa-sim/1"),
    ] {
        let (code, out, err) = sim(args);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{args:?}: {err}");
        assert!(err.contains(complaint), "{args:?}: {err}");
    }
}

#[test]
fn sim__prints_slowdown_beside_the_published() {
    let (code, out, err) = sim(&[&TINY[..], &W3, &["--load", "0.8"]].concat());
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.starts_with("homa, W3 at load 0.8, 4 hosts, seed 1\n"), "{out}");
    let published = include_str!("../../../homa-sim/data/published/sigcomm18_slowdown_deciles.csv");
    let first = &lines(published, "Homa,0.8,W3")[0];
    let line = out.lines().find(|line| line.contains("│ 10 ")).expect("the first tenth");
    let rounded = |field: &str| format!(" {:.2} ", field.parse::<f64>().unwrap());
    assert!(first[6..8].iter().all(|field| line.contains(&rounded(field))), "{line} {first:?}");
    for word in ["published P50", "tor_to_host", "goodput", "wasted", "fingerprint", "0 unfinished"]
    {
        assert!(out.contains(word), "{word}");
    }
    // Nothing was published for this load.
    let (_, out, _) = sim(&[&TINY[..], &W3, &["--load", "0.5"]].concat());
    assert!(out.contains("P99") && !out.contains("published"), "{out}");
}

#[test]
fn sim__json_has_all_bins_and_the_configuration() {
    let report =
        report(&["--workload", "w3", "--load", "0.5", "--unsched", "5K", "--set", "seed=7"]);
    assert_eq!(report["schema"], "homa-sim/1");
    assert_eq!(report["config"]["homa"]["unscheduled_bytes"], 5000);
    let run = &report["runs"][0];
    assert_eq!(run["config"], report["config"]);
    for (field, value) in [
        ("protocol", Value::from("homa")),
        ("workload", "w3".into()),
        ("load", 0.5.into()),
        ("seed", 7.into()),
        ("messages", 200.into()),
        ("unfinished", 0.into()),
    ] {
        assert_eq!(run[field], value, "{field}");
    }
    let bins = run["bins"].as_array().unwrap();
    let published = lines(include_str!("../../../homa-sim/data/workloads/bins.csv"), "W3,");
    assert_eq!(bins.len(), published.len());
    for (bin, published) in bins.iter().zip(&published) {
        assert_eq!(bin["cum_pct"].as_f64(), published[1].parse().ok());
        assert_eq!(bin["upper_bytes"].as_u64(), published[2].parse().ok());
    }
    let count: u64 = bins.iter().map(|bin| bin["count"].as_u64().unwrap()).sum();
    assert_eq!(count, 200);
    let first = bins.iter().find(|bin| bin["count"].as_u64() > Some(0)).unwrap();
    let figure = |name: &str| first[name].as_f64().unwrap();
    assert!(0.99 < figure("p50") && figure("p50") <= figure("p99") && figure("mean") > 0.99);
    assert!(
        run["events_per_second"].as_f64() > Some(0.0) && run["goodput_gbps"].as_f64() > Some(0.0)
    );
    assert_eq!(run["priorities"].as_array().unwrap().len(), 8);
    assert!(run["queues"]["tor_to_host"]["max_bytes"].as_u64() > Some(0));
    for held in ["incoming_bytes", "arrived_bytes", "outgoing_bytes"] {
        let peak = |name: &str| run["memory"][held][name].as_f64().unwrap();
        assert!(0.0 < peak("peak_mean") && peak("peak_mean") <= peak("peak_max"), "{held}");
    }
}

/// Whatever threads do, the same command gives the same results.
#[test]
fn sim__the_same_command_gives_the_same_results() {
    let size = ["--hosts", "4", "--messages", "200", "--runs", "3", "--set", "warmup_ms=0.1"];
    let args = [&["sim"], &size[..], &W3, &["--json", "-"]].concat();
    let with_threads = |threads: &str| {
        let output = homa().args(&args).env("RAYON_NUM_THREADS", threads).output().unwrap();
        without_wall_times(serde_json::from_slice(&output.stdout).unwrap())
    };
    let one = with_threads("1");
    assert_eq!(one, with_threads("3"));
    assert_eq!(
        (&one["runs"][0]["seeds"], &one["runs"][0]["messages"]),
        (&[1, 2, 3][..].into(), &600.into())
    );
    let other = report(&["--workload", "w3", "--seed", "2"]);
    assert_ne!(fingerprints(&one), fingerprints(&other));
}

#[test]
fn sim__sweeps_are_all_combinations_in_order() {
    let sweep = ["--sweep", "workload=w1,w3", "--sweep", "homa.priorities=1,8"];
    let swept = report(&sweep);
    let runs = swept["runs"].as_array().unwrap();
    let points: Vec<_> = runs
        .iter()
        .map(|run| {
            (run["workload"].as_str().unwrap(), run["set"]["homa.priorities"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(points, [("w1", 1), ("w1", 8), ("w3", 1), ("w3", 8)]);
    // The division of priorities follows the workload, as with --workload.
    let unscheduled = |run: &Value| run["config"]["homa"]["unscheduled_priorities"].clone();
    assert_eq!((unscheduled(&runs[0]), unscheduled(&runs[3])), (7.into(), 4.into()));
    let alone = report(&["--workload", "w1", "--priorities", "8"]);
    assert_eq!(fingerprints(&alone)[0], fingerprints(&swept)[1]);
    assert_ne!(fingerprints(&swept)[2], fingerprints(&swept)[3]);

    let (_, out, _) = sim(&[&TINY[..], &sweep].concat());
    assert!(
        out.contains("P99 slowdown at") && out.contains("workload=w3 homa.priorities=8"),
        "{out}"
    );
    assert!(out.lines().all(|line| line.chars().count() <= 150), "{out}");
}

#[test]
fn sim__a_file_says_less_than_the_command_line() {
    let folder = Folder::new("config");
    let file = folder.file("a.toml");
    let text = "
        workload = \"w2\"
        load = 0.3
        messages = 150
        warmup_ms = 0.1
        [network.topology]
        shape = \"single_switch\"
        hosts = 3
        [homa]
        overcommit = 2
    ";
    std::fs::write(&file, text).unwrap();
    let args = ["--config", &file, "--load", "0.4", "--runs", "1", "--json", "-"];
    let (code, out, err) = sim(&args);
    assert_eq!(code, Some(0), "{err}");
    let report: Value = serde_json::from_str(&out).unwrap();
    let config = &report["config"];
    assert_eq!(
        (&config["workload"], &config["load"], &config["messages"]),
        (&"w2".into(), &0.4.into(), &150.into())
    );
    assert_eq!(
        (&config["homa"]["overcommit"], &config["network"]["topology"]["hosts"]),
        (&2.into(), &3.into())
    );
    // Of the preset, for this workload.
    assert_eq!(config["homa"]["unscheduled_priorities"], 5);

    std::fs::write(&file, "lod = 1").unwrap();
    let (code, _, err) = sim(&["--config", &file]);
    assert_eq!(code, Some(2));
    assert!(err.contains("lod: unknown field"), "{err}");
    std::fs::write(&file, "load 1").unwrap();
    let (code, _, err) = sim(&["--config", &file]);
    assert_eq!(code, Some(2));
    assert!(err.contains("a.toml") && err.contains("line 1"), "{err}");
}

#[test]
fn sim__the_kernel_preset_runs_rpcs() {
    let report = report(&["--preset", "kernel", "--workload", "w2"]);
    let run = &report["runs"][0];
    assert_eq!((&run["config"]["exchange"], &run["unfinished"]), (&"echo".into(), &0.into()));
}

/// Homa in SIRD's evaluation, as it was there and informed.
#[test]
fn sim__the_presets_of_nsdi25() {
    for (preset, announced) in [("nsdi25", u64::from(u32::MAX)), ("informed", 500_000)] {
        let report = report(&["--preset", preset, "--workload", "w4"]);
        let (config, run) = (&report["config"], &report["runs"][0]);
        assert_eq!(config["network"]["host_gbps"], 100.0, "{preset}");
        assert_eq!(config["homa"]["wholly_scheduled_bytes"], announced, "{preset}");
        assert_eq!(run["unfinished"], 0, "{preset}");
    }
}

/// A run is traced and repeated; a capture of the kernel's is sent again.
#[test]
fn sim__replays_traces_and_captures() {
    let folder = Folder::new("replay");
    let (trace, again) = (folder.file("1.csv"), folder.file("2.csv"));
    let whole = report(&[&W3[..], &["--trace", &trace]].concat());
    let same = report(&[&W3[..], &["--replay", &trace, "--trace", &again]].concat());
    assert_eq!(fingerprints(&whole), fingerprints(&same));
    assert_eq!(std::fs::read(&trace).unwrap(), std::fs::read(&again).unwrap());

    let captures = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests-data/captures");
    let capture = format!("{captures}/loss-w4.pcap");
    let output = run(&["decode", "--messages", &capture]);
    let (csv, _) = texts(&output);
    assert_eq!(output.status.code(), Some(0));
    assert!(csv.starts_with("time_us,from,to,bytes\n0.000,"), "{csv}");
    let lines: Vec<Vec<_>> = csv.lines().skip(1).map(|line| line.split(',').collect()).collect();
    assert!(lines.len() > 100 && lines.iter().all(|line| line.len() == 4 && line[1] != line[2]));
    assert!(lines.is_sorted_by_key(|line| line[0].parse::<f64>().unwrap()));
    // The first RPC: there and back.
    assert_eq!([lines[0][3], lines[1][3]], ["271"; 2]);
    assert_eq!([lines[0][1], lines[0][2]], [lines[1][2], lines[1][1]]);
    let messages = folder.file("messages.csv");
    std::fs::write(&messages, &csv).unwrap();
    let (code, out, err) = sim(&["--replay", &messages, "--hosts", "2", "--trace", "-"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(err.starts_with("homa, replay of ") && err.contains(" 0 unfinished"), "{err}");
    let replayed: Vec<Vec<_>> = out.lines().skip(1).map(|line| line.split(',').collect()).collect();
    assert_eq!(replayed.len(), lines.len());
    for (theirs, ours) in lines.iter().zip(&replayed) {
        let us = |text: &str| text.parse::<f64>().unwrap();
        assert_eq!((us(theirs[0]), theirs[3]), (us(ours[0]) / 1e3, ours[3]));
        assert_eq!(ours[6], "1", "it is measured");
    }
}

#[test]
fn sim__files_that_cannot_be_replayed() {
    let folder = Folder::new("no-replay");
    let file = folder.file("a.csv");
    std::fs::write(&file, "time_us,from,to,bytes\n1,a,b,5\n1,a,b,many\n").unwrap();
    let (code, out, err) = sim(&["--replay", &file]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(err.contains("a.csv, line 3: 'many' is no length from 1 to"), "{err}");
    let (code, _, err) = sim(&["--replay", "/nonexistent.csv"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("cannot read /nonexistent.csv"), "{err}");
    let (code, _, err) = sim(&["--workload", "replay"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("workload replay needs a replay"), "{err}");
}

/// In a file and on the command line, where a list replaces the list that there was.
#[test]
fn sim__faults() {
    let folder = Folder::new("faults");
    let file = folder.file("a.toml");
    let text = "
        [[faults]]
        fault = \"host_link_down\"
        host = 1
        from_us = 150
        to_us = 200
        [[faults]]
        fault = \"paused_host\"
        host = 2
        from_us = 150
        to_us = 1e4
    ";
    std::fs::write(&file, text).unwrap();
    let args = ["--workload", "w3", "--set", "homa.resend_ms=1", "--config", &file];
    let faulty = report(&args);
    let run = &faulty["runs"][0];
    assert_eq!(run["config"]["faults"][1]["fault"], "paused_host");
    assert!(run["drops_by_cause"]["link_down"].as_u64() > Some(0), "{}", run["drops_by_cause"]);
    assert!(run["sim_seconds"].as_f64() > Some(0.01));
    let none = report(&[&args[..], &["--set", "faults=[]"]].concat());
    assert_eq!(none["runs"][0]["drops"], 0);
    assert_ne!(fingerprints(&faulty), fingerprints(&none));
    let (_, out, _) = sim(&[&TINY[..], &args].concat());
    assert!(out.contains(" where links were down)"), "{out}");
    let slow =
        r#"faults=[{"fault":"slow_host","host":3,"delay_factor":20,"from_us":0,"to_us":1e9}]"#;
    let sweep = format!("{slow},[]");
    let swept = report(&["--workload", "w3", "--sweep", &sweep]);
    assert_eq!(fingerprints(&swept)[1], fingerprints(&none)[0]);
    assert_ne!(fingerprints(&swept)[0], fingerprints(&none)[0]);
    for (fault, complaint) in [
        (r#"{"fault":"flood"}"#, "unknown variant `flood`, expected one of `link_down`"),
        (r#"{"fault":"paused_host","host":2,"from_us":1}"#, "faults[0]: missing field `to_us`"),
        (r#"{"fault":"paused_host","host":4,"from_us":1,"to_us":2}"#, "there is no host 4"),
        (r#"{"fault":"link_down","between":[0,0],"from_us":1,"to_us":2}"#, "no link between"),
    ] {
        let (code, _, err) = sim(&["--hosts", "4", "--set", &format!("faults=[{fault}]")]);
        assert_eq!(code, Some(2), "{err}");
        assert!(err.contains(complaint), "{err}");
    }
}

#[test]
fn sim__csv_and_plot() {
    let folder = Folder::new("csv");
    let (csv, plot) = (folder.file("a.csv"), folder.file("a.svg"));
    let args = ["--sweep", "homa.cutoffs=null,[9,8,7,6,5,4,3,0]", "--csv", &csv, "--plot", &plot];
    let (code, _, err) = sim(&[&TINY[..], &W3, &args].concat());
    assert_eq!(code, Some(0), "{err}");
    let csv = std::fs::read_to_string(csv).unwrap();
    let mut lines = csv.lines();
    let header = "run,set,protocol,workload,load,seed,cum_pct,upper_bytes,count,mean,p50,p99,p99_9";
    assert_eq!(lines.next(), Some(header));
    let last = lines.next_back().unwrap();
    assert!(last.starts_with("1,\"homa.cutoffs=[9,8,7,6,5,4,3,0]\",homa,w3,0.8,1,100,"), "{last}");
    assert!(csv.ends_with('\n') && !csv.contains("\n\n"));
    let svg = std::fs::read_to_string(plot).unwrap();
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    for name in ["Slowdown of W3", "homa.cutoffs=null P99", "P50", "published P99"] {
        assert!(svg.contains(name), "{name}");
    }
}

/// Each message of the run is there, and those that are measured give the figures of the report.
#[test]
fn sim__trace_has_all_messages() {
    let folder = Folder::new("trace");
    let (trace, json) = (folder.file("a.csv"), folder.file("a.json"));
    for protocol in ["homa", "dctcp", "oracle"] {
        let set = format!("protocol={protocol}");
        let args = ["--set", &set, "--trace", &trace, "--json", &json];
        let (code, _, err) = sim(&[&TINY[..], &W3, &args].concat());
        assert_eq!(code, Some(0), "{err}");
        let text = std::fs::read_to_string(&trace).unwrap();
        let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
        let header = ["start_ns", "from", "to", "bytes", "best_ns", "time_ns", "measured"];
        assert_eq!(lines.next().unwrap(), header);
        let lines: Vec<_> = lines.collect();
        let number = |text: &str| text.parse::<f64>().unwrap();
        assert!(lines.is_sorted_by_key(|line| number(line[0])), "{text}");
        assert!(lines.iter().all(|line| line[1] != line[2]), "{text}");
        let measured: Vec<_> = lines.iter().filter(|line| line[6] == "1").collect();
        assert!(measured.len() < lines.len(), "messages go on until those measured are there");
        let slowdowns = measured.iter().map(|line| number(line[5]) / number(line[4]));
        let mean = slowdowns.sum::<f64>() / measured.len() as f64;
        let run = &read(&json)["runs"][0];
        assert_eq!(run["messages"], measured.len());
        let reported = run["slowdown"]["mean_by_message"].as_f64().unwrap();
        assert!((mean / reported - 1.0).abs() < 1e-3, "{mean}, reported {reported}");
    }
}

#[test]
fn sim__a_plot_for_each_workload() {
    let folder = Folder::new("plots");
    let plot = folder.file("a.svg");
    let (code, _, err) =
        sim(&[&TINY[..], &["--sweep", "workload=w1,1K", "--plot", &plot]].concat());
    assert_eq!(code, Some(0), "{err}");
    let svg = |name: &str| std::fs::read_to_string(folder.file(name)).unwrap();
    assert!(
        svg("a-w1.svg").contains("Slowdown of W1")
            && svg("a-1000.svg").contains("Slowdown of 1000")
    );
    assert!(!Path::new(&plot).exists());
}

const SWEEP: [&str; 6] = ["--workload", "w3", "--sweep", "load=0.3,0.5,0.7", "--sweep", "seed=1,2"];

/// Shares as the environment of a cluster says them, joined in any order, are the whole.
#[test]
fn sim__shards_merge_to_the_whole() {
    let folder = Folder::new("shards");
    let whole = folder.file("whole.json");
    let (_, table, _) = sim(&[&TINY[..], &SWEEP, &["--json", &whole]].concat());
    let shard = |name: &str, variables: &[(&str, &str)]| {
        let file = folder.file(name);
        let output = homa()
            .args([&["sim"], &TINY[..], &SWEEP, &["--shard", "env", "--json", &file]].concat())
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", texts(&output).1);
        file
    };
    let slurm = |task: &'static str| {
        let min_and_count = [("SLURM_ARRAY_TASK_MIN", "1"), ("SLURM_ARRAY_TASK_COUNT", "3")];
        let [min, count] = min_and_count;
        shard(&format!("slurm-{task}.json"), &[("SLURM_ARRAY_TASK_ID", task), min, count])
    };
    let kubernetes = |index: &'static str| {
        let count = ("JOB_COMPLETIONS", "3");
        shard(&format!("k8s-{index}.json"), &[("JOB_COMPLETION_INDEX", index), count])
    };
    let slurm = ["1", "2", "3"].map(slurm);
    assert_eq!(read(&slurm[1])["shard"], serde_json::json!({"number": 2, "count": 3}));
    assert_eq!(read(&slurm[1])["runs"].as_array().unwrap().len(), 2);
    for files in [slurm.clone(), ["2", "0", "1"].map(kubernetes)] {
        let all = folder.file("all.json");
        let args = [&["--merge"], &files.each_ref().map(String::as_str)[..], &["--json", &all]];
        let (code, out, err) = sim(&args.concat());
        assert_eq!(code, Some(0), "{err}");
        assert_eq!(read(&all), read(&whole));
        assert_eq!(out.lines().count(), table.lines().count());
    }

    let [first, second, _] = slurm;
    let (code, _, err) = sim(&["--merge", &first, &second]);
    assert_eq!(code, Some(1));
    assert!(err.contains("of 6 runs these are missing: 2, 5"), "{err}");
    let (_, _, err) = sim(&["--merge", &first, &first]);
    assert!(err.contains("run 0 is in an earlier file too"), "{err}");
    let other = folder.file("other.json");
    sim(&[&TINY[..], &W3, &["--load", "0.2", "--json", &other]].concat());
    let (_, _, err) = sim(&["--merge", &first, &other]);
    assert!(err.contains("not of the same sweep"), "{err}");
}

#[test]
fn sim__messages_that_do_not_arrive_end_with_1() {
    let (code, out, err) = sim(&[&TINY[..], &W3, &["--set", "seconds_max=0.00001"]].concat());
    assert_eq!(code, Some(1), "{out}");
    assert!(err.contains("200 measured messages had not arrived"), "{err}");
    assert!(out.contains("200 unfinished") && out.contains("fingerprint"), "{out}");
}

#[test]
fn sim__interrupted_ends_with_130_and_what_is_complete() {
    let folder = Folder::new("interrupt");
    let json = folder.file("a.json");
    let sweep = "messages=100,1000000000";
    // On a busy machine the short run may take long.
    for patience_ms in [1000, 5000, 25_000] {
        let child = homa()
            .args(
                [
                    &[
                        "sim",
                        "--hosts",
                        "4",
                        "--runs",
                        "1",
                        "--set",
                        "warmup_ms=0",
                        "--sweep",
                        sweep,
                    ],
                    &W3[..],
                ]
                .concat(),
            )
            .args(["--json", &json])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(patience_ms));
        signal(&child, "-INT");
        let (code, out, err) = finish(child, Duration::from_secs(10));
        assert_eq!((code, err.as_str()), (Some(130), "homa: interrupted\n"));
        let report = read(&json);
        let runs = report["runs"].as_array().unwrap();
        if let [run] = &runs[..] {
            assert_eq!((&report["points"], &run["messages"]), (&2.into(), &100.into()));
            return assert!(out.contains("100 measured"), "{out}");
        }
        assert!(runs.is_empty() && out.contains("nothing was run"), "{out}");
    }
    panic!("the short run was never complete");
}
