//! What became of each message of a run.

use serde::Serialize;

use crate::plan::Message;
use crate::time::SimTime;

/// A message, as a trace has it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TracedMessage {
    /// When it was handed to its sender's transport, in ns.
    pub start_ns: f64,
    /// Number of its sender, from 0.
    pub from: u32,
    /// Number of its receiver.
    pub to: u32,
    /// Its length.
    pub bytes: u32,
    /// The shortest time in which one of its length can get there, in ns.
    pub best_ns: f64,
    /// The time that it took, in ns; `None` if it had not arrived when the run ended.
    pub time_ns: Option<f64>,
    /// Whether the run's figures count it.
    pub is_measured: bool,
}

/// The messages of a run, by the time of their start.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace(Vec<TracedMessage>);

impl Trace {
    /// Adds a message that starts. Returns its place.
    pub(crate) fn start(&mut self, message: &Message, best: SimTime) -> usize {
        self.0.push(TracedMessage {
            start_ns: nanos(message.started),
            from: message.from.0,
            to: message.to.0,
            bytes: message.length,
            best_ns: nanos(best),
            time_ns: None,
            is_measured: message.is_measured,
        });
        self.0.len() - 1
    }

    /// The message at a place has arrived.
    pub(crate) fn complete(&mut self, place: usize, time: SimTime) {
        self.0[place].time_ns = Some(nanos(time));
    }

    pub(crate) fn into_messages(self) -> Vec<TracedMessage> {
        self.0
    }
}

fn nanos(time: SimTime) -> f64 {
    time.0 as f64 / 1000.0
}
