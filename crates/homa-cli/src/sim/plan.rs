//! What is to be simulated: the points of a sweep, each as a configuration.

use std::path::Path;

use homa_sim::{ReplayError, Shape, SimConfig, SimError, Workload};
use serde_json::Value;

use super::args::SimArgs;
use super::preset;
use super::setting::{self, Setting};
use super::shard::Shard;
use super::sweep;
use super::swept::Swept;
use crate::exit::Stop;

/// Messages have these lengths unless something else is asked for.
const WORKLOAD: &str = "w4";

/// All that one command simulates.
#[derive(Debug)]
pub(super) struct Plan {
    /// The configuration without the sweep's values.
    pub(super) config: SimConfig,
    /// The points of the whole sweep.
    pub(super) points: usize,
    /// The share of them that is run.
    pub(super) shard: Option<Shard>,
    /// Those that are run, in the order of the sweep.
    pub(super) runs: Vec<PlannedRun>,
    /// Whether the messages of the run, which then is the only one, are wanted one by one.
    pub(super) is_traced: bool,
}

/// One point of a sweep.
#[derive(Debug, Clone)]
pub(super) struct PlannedRun {
    /// Its number in the sweep, from 0.
    pub(super) index: usize,
    /// The sweep's values here.
    pub(super) set: Swept,
    /// Of the first seed.
    pub(super) config: SimConfig,
    /// How many seeds, counted from that of `config`.
    pub(super) seeds: u32,
}

impl Plan {
    /// # Errors
    ///
    /// Something that can't be, or a file that can't be read.
    pub(super) fn new(args: &SimArgs) -> Result<Self, Stop> {
        let shard = args.shard.map(|choice| choice.shard()).transpose()?;
        let source = Source::new(args)?;
        let points = sweep::points(&args.sweep);
        let is_ours = |index| shard.is_none_or(|shard| shard.has(index));
        let runs: Result<Vec<_>, _> =
            points.iter().enumerate().map(|(index, swept)| source.run(index, swept)).collect();
        let runs: Vec<_> = runs?.into_iter().filter(|run| is_ours(run.index)).collect();
        let is_traced = args.trace.is_some();
        if is_traced && !matches!(runs[..], [PlannedRun { seeds: 1, .. }]) {
            let why = "--trace has the messages of one run: give --runs 1, and no --sweep";
            return Err(Stop::Usage(why.into()));
        }
        Ok(Self { config: source.config(&[])?, points: points.len(), shard, runs, is_traced })
    }
}

impl PlannedRun {
    /// The configuration for each seed.
    pub(super) fn configs(&self) -> impl Iterator<Item = SimConfig> {
        let seeds =
            (0..u64::from(self.seeds)).map(|further| self.config.seed.wrapping_add(further));
        seeds.map(|seed| SimConfig { seed, ..self.config.clone() })
    }
}

/// What configurations are made from.
struct Source<'a> {
    args: &'a SimArgs,
    file: Option<Value>,
    /// The command line's, later ones win.
    settings: Vec<Setting>,
}

impl<'a> Source<'a> {
    fn new(args: &'a SimArgs) -> Result<Self, Stop> {
        let file = args.config.as_deref().map(read_file).transpose()?;
        Ok(Self { args, file, settings: settings(args) })
    }

    fn run(&self, index: usize, swept: &[Setting]) -> Result<PlannedRun, Stop> {
        let config = self.config(swept)?;
        let seeds = self.args.runs.unwrap_or_else(|| preset::runs(&config.workload));
        if seeds > 1 && swept.iter().any(|setting| setting.key == "seed") {
            let why = format!("--sweep seed: each run has {seeds} seeds already; give --runs 1");
            return Err(Stop::Usage(why));
        }
        let tree = serde_json::to_value(&config).expect("configurations are plain values");
        let value = |key: &str| tree.pointer(&format!("/{}", key.replace('.', "/"))).cloned();
        let set =
            swept.iter().map(|Setting { key, .. }| (key.clone(), value(key).unwrap_or_default()));
        Ok(PlannedRun { index, set: set.collect(), config, seeds })
    }

    /// The configuration with these settings beside those of the command line.
    fn config(&self, swept: &[Setting]) -> Result<SimConfig, Stop> {
        let workload = self.workload(swept)?;
        let config = self.args.preset.config(&workload);
        let mut tree = serde_json::to_value(config).expect("configurations are plain values");
        if let Some(file) = self.file.clone() {
            setting::overlay(&mut tree, file);
        }
        if let Some(hosts) = self.args.hosts {
            set_hosts(&mut tree, hosts)?;
        }
        self.settings.iter().chain(swept).for_each(|given| setting::set(&mut tree, given));
        let read = setting::read(tree).map_err(Stop::Usage)?;
        let config = SimConfig { workload, ..read };
        config.validate().map_err(|error| match error {
            SimError::Replay(ReplayError::Unreadable { .. }) => Stop::Failed(error.to_string()),
            _ => Stop::Usage(format!("{error}{}", at(swept))),
        })?;
        Ok(config)
    }

    /// The name of the workload that the last one to speak of it says.
    fn workload(&self, swept: &[Setting]) -> Result<String, Stop> {
        let given = self.settings.iter().chain(swept).rfind(|setting| setting.key == "workload");
        let given = given.map(|setting| setting.text.as_str());
        let in_file = || self.file.as_ref()?.get("workload")?.as_str();
        let default = if self.args.replay.is_some() { preset::REPLAY } else { WORKLOAD };
        let text = given.or_else(in_file).unwrap_or(default);
        if text == preset::REPLAY {
            return Ok(text.into());
        }
        let workload: Workload =
            text.parse().map_err(|error| Stop::Usage(format!("workload: {error}")))?;
        Ok(workload.name().into())
    }
}

/// What the command line's options say, as settings.
fn settings(args: &SimArgs) -> Vec<Setting> {
    let size = |size: crate::units::Size| size.0.to_string();
    let options = [
        ("workload", args.workload.clone()),
        ("load", args.load.map(|load| load.to_string())),
        ("replay", args.replay.as_deref().map(json_text)),
        ("messages", args.messages.map(|count| count.to_string())),
        ("seed", args.seed.map(|seed| seed.to_string())),
        ("homa.priorities", args.priorities.map(|count| count.to_string())),
        ("homa.overcommit", args.overcommit.map(|count| count.to_string())),
        ("homa.unscheduled_bytes", args.unsched.map(size)),
        ("homa.rtt_bytes", args.rtt_bytes.map(size)),
    ];
    let options = options.into_iter().filter_map(|(key, value)| Some(Setting::new(key, value?)));
    options.chain(args.settings.iter().cloned()).collect()
}

/// A path in quotes, lest it be taken for a number.
fn json_text(path: &Path) -> String {
    Value::from(path.to_string_lossy()).to_string()
}

fn read_file(path: &Path) -> Result<Value, Stop> {
    let name = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Stop::Failed(format!("cannot read {name}: {error}")))?;
    toml::from_str(&text).map_err(|error| Stop::Usage(format!("{name}: {error}")))
}

fn set_hosts(tree: &mut Value, hosts: u32) -> Result<(), Stop> {
    let topology = &mut tree["network"]["topology"];
    let usage = |why: String| Stop::Usage(format!("--hosts: {why}"));
    let shape: Shape =
        serde_json::from_value(topology.take()).map_err(|error| usage(error.to_string()))?;
    let shape = shape.with_hosts(hosts).map_err(|error| usage(error.to_string()))?;
    *topology = serde_json::to_value(shape).expect("shapes are plain values");
    Ok(())
}

/// Where in a sweep something is wrong.
fn at(swept: &[Setting]) -> String {
    let parts: Vec<_> = swept.iter().map(|Setting { key, text }| format!("{key}={text}")).collect();
    if parts.is_empty() { String::new() } else { format!(" (at {})", parts.join(", ")) }
}
