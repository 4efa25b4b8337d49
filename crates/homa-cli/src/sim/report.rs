//! The results as JSON: schema `homa-sim/1`.

use std::path::{Path, PathBuf};

use homa_sim::{RunReport, SimConfig};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::shard::Shard;
use super::swept::Swept;
use crate::exit::Stop;

const SCHEMA: &str = "homa-sim/1";

/// All results of a command, or of several that shared a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct SimReport {
    schema: String,
    /// The configuration without the sweep's values.
    pub(super) config: SimConfig,
    /// Points of the whole sweep.
    points: usize,
    /// The share of it that is here, if it is not all.
    shard: Option<Shard>,
    /// In the order of the sweep.
    pub(super) runs: Vec<Run>,
}

/// The results at one point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Run {
    /// Its number in the sweep, from 0.
    pub(super) index: usize,
    /// The sweep's values here.
    pub(super) set: Swept,
    /// All values here, of the first seed.
    pub(super) config: SimConfig,
    #[serde(flatten)]
    pub(super) report: RunReport,
}

impl SimReport {
    /// Of runs in the order of the sweep.
    pub(super) fn new(
        config: SimConfig,
        points: usize,
        shard: Option<Shard>,
        runs: Vec<Run>,
    ) -> Self {
        Self { schema: SCHEMA.into(), config, points, shard, runs }
    }

    /// Joins the reports of shares of one sweep, in these files.
    ///
    /// # Errors
    ///
    /// They are not such, or not all.
    pub(super) fn join(paths: &[PathBuf]) -> Result<Self, Stop> {
        let mut whole: Option<Self> = None;
        for path in paths {
            let part = Self::read(path)?;
            match &mut whole {
                None => whole = Some(part),
                Some(whole) => whole.add(path, part)?,
            }
        }
        let mut whole = whole.ok_or_else(|| Stop::Usage("--merge needs files".into()))?;
        whole.shard = None;
        whole.runs.sort_by_key(|run| run.index);
        whole.check_completeness()?;
        Ok(whole)
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("reports are plain values")
    }

    /// Measured messages that never arrived.
    pub(super) fn unfinished(&self) -> u64 {
        self.runs.iter().map(|run| run.report.unfinished).sum()
    }

    fn read(path: &Path) -> Result<Self, Stop> {
        let cannot = |why: String| Stop::Failed(format!("cannot use {}: {why}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| cannot(error.to_string()))?;
        let any: Value = serde_json::from_str(&text).map_err(|error| cannot(error.to_string()))?;
        if any.get("schema").and_then(Value::as_str) != Some(SCHEMA) {
            return Err(cannot(format!("its schema is not {SCHEMA}")));
        }
        serde_json::from_str(&text).map_err(|error| cannot(error.to_string()))
    }

    fn add(&mut self, path: &Path, part: Self) -> Result<(), Stop> {
        let differs = |what: &str| Err(Stop::Failed(format!("{}: {what}", path.display())));
        if (&self.config, self.points) != (&part.config, part.points) {
            return differs("this is not of the same sweep as the first file");
        }
        let is_known = |run: &Run| self.runs.iter().any(|known| known.index == run.index);
        if let Some(run) = part.runs.iter().find(|run| is_known(run)) {
            return differs(&format!("run {} is in an earlier file too", run.index));
        }
        self.runs.extend(part.runs);
        Ok(())
    }

    fn check_completeness(&self) -> Result<(), Stop> {
        let is_missing =
            |index: &usize| self.runs.binary_search_by_key(index, |run| run.index).is_err();
        let missing: Vec<_> =
            (0..self.points).filter(is_missing).map(|index| index.to_string()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let why = format!("of {} runs these are missing: {}", self.points, missing.join(", "));
        Err(Stop::Failed(why))
    }
}
