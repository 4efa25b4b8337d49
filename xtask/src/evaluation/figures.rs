//! What runs measured, kept beside the tables that are made of it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use homa_sim::stats::{BinReport, QueueReport, SlowdownSummary};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::command::Command;

/// What is kept of a run: see docs/json.md.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Run {
    /// The sweep's values.
    pub(super) set: BTreeMap<String, Value>,
    pub(super) protocol: String,
    pub(super) workload: String,
    pub(super) load: f64,
    pub(super) seeds: Vec<u64>,
    pub(super) messages: u64,
    pub(super) unfinished: u64,
    pub(super) window_seconds: f64,
    pub(super) goodput_gbps: f64,
    pub(super) offered_gbps: Option<f64>,
    pub(super) backlog_bytes: Option<[f64; 2]>,
    pub(super) utilization_pct: f64,
    pub(super) wasted_pct: f64,
    pub(super) slowdown: SlowdownSummary,
    pub(super) bins: Vec<BinReport>,
    pub(super) queues: BTreeMap<String, QueueReport>,
    /// By tier of switches. Not kept of older runs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) buffers: BTreeMap<String, QueueReport>,
    pub(super) priorities: [f64; 8],
    pub(super) drops: u64,
    pub(super) fingerprint: String,
}

impl Run {
    /// A value of the sweep as a number.
    pub(super) fn swept(&self, key: &str) -> Option<f64> {
        self.set.get(key)?.as_f64()
    }

    /// By how much the backlog grew, as a share of what was offered meanwhile.
    pub(super) fn backlog_growth(&self) -> Option<f64> {
        let [begin, end] = self.backlog_bytes?;
        let seconds = self.window_seconds / self.seeds.len() as f64;
        let offered = self.offered_gbps? * 1.25e8 * seconds;
        (offered > 0.0).then(|| (end - begin) / offered)
    }
}

/// The runs of a command.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    command: String,
    runs: Vec<Run>,
}

/// All figures of an experiment, by command.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    entries: Vec<Entry>,
}

impl Figures {
    /// Those in a file, or none if there is no such file.
    ///
    /// # Errors
    ///
    /// It can't be read, or holds something else.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            text => text?,
        };
        let cannot = |error| io::Error::other(format!("{}: {error}", path.display()));
        Ok(Self { entries: serde_json::from_str(&text).map_err(cannot)? })
    }

    /// Writes them, if there are any, a line for each run, with as many digits as can mean anything.
    ///
    /// # Errors
    ///
    /// The file can't be written.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let entry = |entry: &Entry| {
            let line = |run| rounded(serde_json::to_value(run).unwrap_or_default()).to_string();
            let runs: Vec<String> = entry.runs.iter().map(line).collect();
            let command = Value::from(entry.command.as_str());
            format!("{{\"command\":{command},\"runs\":[\n{}\n]}}", runs.join(",\n"))
        };
        let entries: Vec<String> = self.entries.iter().map(entry).collect();
        fs::write(path, format!("[\n{}\n]\n", entries.join(",\n")))
    }

    /// Takes the runs of a command, in the place of earlier ones.
    pub(super) fn put(&mut self, command: &Command, runs: Vec<Run>) {
        let text = command.text();
        self.entries.retain(|entry| entry.command != text);
        self.entries.push(Entry { command: text, runs });
    }

    /// Leaves out what belongs to none of these commands, and puts the rest in their order.
    pub(super) fn keep(&mut self, commands: &[Command]) {
        let of = |command: &Command| {
            self.entries.iter().find(|entry| entry.command == command.text()).cloned()
        };
        self.entries = commands.iter().filter_map(of).collect();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What a command measured; empty if it was not run.
    pub(super) fn runs(&self, command: &Command) -> &[Run] {
        let text = command.text();
        self.entries.iter().find(|entry| entry.command == text).map_or(&[], |entry| &entry.runs)
    }
}

/// The same value with six significant digits.
fn rounded(value: Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => {
            let text = format!("{:.5e}", number.as_f64().unwrap_or_default());
            text.parse::<f64>().map_or(Value::Null, Value::from)
        }
        Value::Array(values) => values.into_iter().map(rounded).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (name, rounded(value))).collect()
        }
        other => other,
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;
    use homa_sim::{NetworkConfig, Shape, SimConfig, Workload};
    use serde_json::json;

    /// A run that nobody has made, with the workload's bins and a message in each.
    pub(in super::super) fn small(workload: &str) -> Run {
        let workload = Workload::named(workload).unwrap();
        let bin = |bin: &homa_sim::workload::Bin| {
            json!({"cum_pct": bin.cumulative_percent, "upper_bytes": bin.upper_bytes, "count": 1,
                   "mean": 1.25, "p50": 1.25, "p99": 1.5, "p99_9": 1.5})
        };
        let bins: Vec<Value> = workload.bins().iter().map(bin).collect();
        let slowdown = json!({"count": 300, "short_p50": 1.1, "short_p99": 1.3, "p50": 1.25,
                              "p99": 1.5, "p99_9": 1.5, "mean_by_message": 1.3, "mean_by_byte": 1.4});
        let queue = json!({"mean_bytes": 1234.5, "p99_bytes": 9000, "max_bytes": 20000});
        let run = json!({
            "set": {}, "protocol": "homa", "workload": workload.name(), "load": 0.8, "seeds": [1],
            "messages": 300, "unfinished": 0, "window_seconds": 0.01, "goodput_gbps": 7.0,
            "offered_gbps": 7.1, "backlog_bytes": [1e5, 1e5], "utilization_pct": 80.0,
            "wasted_pct": 0.123456789, "slowdown": slowdown, "bins": bins,
            "queues": {"tor_to_host": queue}, "priorities": [12.5, 12.5, 12.5, 12.5, 12.5, 12.5, 12.5, 12.5],
            "drops": 0, "fingerprint": "00"
        });
        serde_json::from_value(run).unwrap()
    }

    /// What is kept is part of what `homa sim` reports.
    #[test]
    fn run__is_read_from_a_report() {
        let topology = Shape::SingleSwitch { hosts: 3 };
        let network = NetworkConfig { topology, ..NetworkConfig::default() };
        let base = SimConfig::sigcomm18("w1");
        let config = SimConfig { messages: 50, warmup_ms: 0.01, network, ..base };
        let report = homa_sim::run(&config, &|_| {}).unwrap();
        let mut value = serde_json::to_value(&report).unwrap();
        value["set"] = json!({"load": 0.8});
        let run: Run = serde_json::from_value(value).unwrap();
        assert_eq!((run.messages, run.swept("load")), (50, Some(0.8)));
        assert_eq!((run.offered_gbps, &run.bins), (Some(report.offered_gbps), &report.bins));
    }

    #[test]
    fn figures__survive_their_file() {
        let command = Command::new("a", "--load 0.8");
        let mut figures = Figures::default();
        figures.put(&command, vec![small("w3")]);
        figures.put(&command, vec![small("w3"), small("w3")]);
        figures.put(&Command::new("b", "--load 0.9"), Vec::new());
        let folder = std::env::temp_dir().join(format!("homa-figures-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("a.json");
        figures.keep(std::slice::from_ref(&command));
        figures.write(&path).unwrap();
        let read = Figures::read(&path).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        let [first, second] = read.runs(&command) else { panic!("{read:?}") };
        assert_eq!((read.entries.len(), &first.fingerprint), (1, &second.fingerprint));
        assert!((first.goodput_gbps / small("w3").goodput_gbps - 1.0).abs() < 1e-5);
        assert!(read.runs(&Command::new("b", "--load 0.9")).is_empty());
    }

    #[test]
    fn read__of_no_file_is_nothing() {
        assert!(Figures::read(Path::new("no/such/file")).unwrap().entries.is_empty());
    }

    #[test]
    fn backlog_growth__is_a_share_of_what_was_offered() {
        let mut run = small("w3");
        run.seeds = vec![1, 2];
        (run.window_seconds, run.offered_gbps) = (0.02, Some(8.0));
        run.backlog_bytes = Some([1e6, 2e6]);
        assert!((run.backlog_growth().unwrap() - 0.1).abs() < 1e-9);
    }
}
