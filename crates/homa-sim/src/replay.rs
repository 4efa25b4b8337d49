//! Messages of a file, sent again: who sends how much to whom, and when.

use std::collections::HashMap;
use std::num::NonZero;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::packet::HostId;
use crate::time::SimTime;
use crate::traffic::Order;

/// The latest time that a file may name, in microseconds.
const MICROS_MAX: f64 = 1e12;

/// Why a file can't be replayed.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// It can't be read.
    #[error("cannot read {path}: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// A line is wrong.
    #[error("{path}, line {line}: {reason}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The file as a whole is wrong.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// The messages of a file, by time.
#[derive(Debug)]
pub(crate) struct Replay {
    messages: Vec<(SimTime, Order)>,
    /// How many have been sent.
    sent: usize,
}

/// A line, and what is wrong with it.
type Wrong = (usize, String);

/// Where a line has what.
struct Columns {
    time: usize,
    /// Microseconds in the unit of times.
    unit_us: f64,
    from: usize,
    to: usize,
    bytes: usize,
}

/// A line whose hosts have no numbers yet.
struct Row<'a> {
    line: usize,
    at: SimTime,
    hosts: [&'a str; 2],
    bytes: u32,
}

impl Replay {
    /// Reads a file for a network of so many hosts.
    pub(crate) fn read(path: &Path, hosts: u32) -> Result<Self, ReplayError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ReplayError::Unreadable { path: path.into(), error })?;
        let wrong = |(line, reason): Wrong| match NonZero::new(line) {
            Some(line) => ReplayError::Line { path: path.into(), line: line.get(), reason },
            None => ReplayError::File { path: path.into(), reason },
        };
        let messages = parse(&text, hosts).map_err(wrong)?;
        Ok(Self { messages, sent: 0 })
    }

    /// The messages that start next, all at one time.
    pub(crate) fn orders(&mut self) -> Vec<Order> {
        let left = &self.messages[self.sent..];
        let now = left.first().map(|(at, _)| *at);
        let due: Vec<Order> =
            left.iter().take_while(|(at, _)| Some(*at) == now).map(|(_, order)| *order).collect();
        self.sent += due.len();
        due
    }

    /// When the next ones start.
    pub(crate) fn next_time(&self) -> Option<SimTime> {
        self.messages.get(self.sent).map(|(at, _)| *at)
    }

    /// How many start at some time or later.
    pub(crate) fn count_since(&self, begin: SimTime) -> u64 {
        let earlier = self.messages.partition_point(|(at, _)| *at < begin);
        (self.messages.len() - earlier) as u64
    }

    /// Their lengths, in bytes.
    pub(crate) fn lengths(&self) -> impl Iterator<Item = u32> {
        self.messages.iter().filter_map(|(_, order)| order.length)
    }
}

/// All messages by time; line 0 stands for the whole text.
fn parse(text: &str, hosts: u32) -> Result<Vec<(SimTime, Order)>, Wrong> {
    let lines = (1..).zip(text.lines()).map(|(line, row)| (line, row.trim()));
    let mut lines = lines.filter(|(_, row)| !row.is_empty() && !row.starts_with('#'));
    let (line, header) = lines.next().ok_or((0, "there is nothing in it".into()))?;
    let columns = Columns::of(header).map_err(|reason| (line, reason))?;
    let rows: Result<Vec<_>, _> =
        lines.map(|(line, row)| columns.row(line, row).map_err(|reason| (line, reason))).collect();
    let rows = rows?;
    if rows.is_empty() {
        return Err((0, "there are no messages in it".into()));
    }
    let mut numbers = Numbers::of(&rows, hosts);
    let mut messages = Vec::with_capacity(rows.len());
    for row in &rows {
        let order = numbers.order(row).map_err(|reason| (row.line, reason))?;
        messages.push((row.at, order));
    }
    // Stable: what comes first in the file starts first.
    messages.sort_by_key(|(at, _)| *at);
    Ok(messages)
}

impl Columns {
    fn of(header: &str) -> Result<Self, String> {
        let names: Vec<_> = header.split(',').map(str::trim).collect();
        let place = |name: &str| names.iter().position(|column| *column == name);
        let column = |name: &str| place(name).ok_or_else(|| format!("no column is named {name}"));
        let (time, unit_us) = match (place("time_us"), place("start_ns")) {
            (Some(time), None) => (time, 1.0),
            (None, Some(time)) => (time, 1e-3),
            _ => return Err("one column is named time_us, or start_ns".into()),
        };
        let [from, to, bytes] = ["from", "to", "bytes"].map(column);
        Ok(Self { time, unit_us, from: from?, to: to?, bytes: bytes? })
    }

    fn row<'a>(&self, line: usize, row: &'a str) -> Result<Row<'a>, String> {
        let fields: Vec<_> = row.split(',').map(str::trim).collect();
        let field = |place: usize| match fields.get(place) {
            Some(&field) if !field.is_empty() => Ok(field),
            _ => Err(format!("field {} is missing", place + 1)),
        };
        let (time, bytes) = (field(self.time)?, field(self.bytes)?);
        let micros = time.parse::<f64>().ok().map(|time| time * self.unit_us);
        let micros =
            micros.filter(|micros| (0.0..=MICROS_MAX).contains(micros)).ok_or_else(|| {
                format!("'{time}' is no time from the start of the run, at most 10^12 us")
            })?;
        let limit = homa_proto::MESSAGE_LENGTH_LIMIT;
        let length = bytes.parse().ok().filter(|length| (1..=limit).contains(length));
        let bytes = length.ok_or_else(|| format!("'{bytes}' is no length from 1 to {limit}"))?;
        let hosts = [field(self.from)?, field(self.to)?];
        Ok(Row { line, at: SimTime::from_micros_f64(micros), hosts, bytes })
    }
}

/// Which host is which.
struct Numbers<'a> {
    hosts: u32,
    /// If not all hosts are numbers: by name, in order of appearance.
    names: Option<HashMap<&'a str, u32>>,
}

impl<'a> Numbers<'a> {
    fn of(rows: &[Row<'a>], hosts: u32) -> Self {
        let mut all = rows.iter().flat_map(|row| row.hosts);
        let are_numbers = all.all(|host| host.parse::<u32>().is_ok());
        Self { hosts, names: (!are_numbers).then(HashMap::new) }
    }

    fn order(&mut self, row: &Row<'a>) -> Result<Order, String> {
        let [from, to] = row.hosts.map(|host| self.number(host));
        let (from, to) = (from?, to?);
        if from == to {
            return Err(format!("host '{}' sends to itself", row.hosts[0]));
        }
        Ok(Order { from, to, length: Some(row.bytes), is_overlay: false })
    }

    fn number(&mut self, host: &'a str) -> Result<HostId, String> {
        let number = match &mut self.names {
            Some(names) => {
                let next = names.len() as u32;
                *names.entry(host).or_insert(next)
            }
            None => host.parse().unwrap_or(u32::MAX),
        };
        if number < self.hosts {
            return Ok(HostId(number));
        }
        match &self.names {
            Some(_) => Err(format!("'{host}' is one host too many: there are {}", self.hosts)),
            None => Err(format!("there is no host {host}: hosts are 0 to {}", self.hosts - 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    fn parsed(text: &str) -> Vec<(u64, u32, u32, u32)> {
        let flat =
            |(at, order): (SimTime, Order)| (at.0, order.from.0, order.to.0, order.length.unwrap());
        parse(text, 4).unwrap().into_iter().map(flat).collect()
    }

    #[test]
    fn parse__numbers_and_names_in_any_order_of_columns_and_times() {
        let numbers = "# of a run\n\nbytes,to,x,from,time_us\n10,1,,3,2.000001\n20,0,y,2, 1\n";
        assert_eq!(parsed(numbers), [(1_000_000, 2, 0, 20), (2_000_001, 3, 1, 10)]);
        let names = "start_ns,from,to,bytes\n1.5,10.0.0.9,7,1\n1.5,7,b,2\n1000,10.0.0.9,b,3\n";
        assert_eq!(parsed(names), [(1500, 0, 1, 1), (1500, 1, 2, 2), (1_000_000, 0, 2, 3)]);
    }

    #[test]
    fn parse__errors_say_where() {
        for (text, line, what) in [
            ("", 0, "nothing"),
            ("time_us,from,to,bytes\n", 0, "no messages"),
            ("1,0,1,10\n", 1, "time_us, or start_ns"),
            ("time_us,start_ns,from,to,bytes\n", 1, "time_us, or start_ns"),
            ("time_us,from,bytes\n", 1, "no column is named to"),
            ("time_us,from,to,bytes\n1,0,1,9\n\n1,0,1\n", 4, "field 4 is missing"),
            ("time_us,from,to,bytes\n-1,0,1,9\n", 2, "'-1' is no time"),
            ("time_us,from,to,bytes\n1e13,0,1,9\n", 2, "'1e13' is no time"),
            ("time_us,from,to,bytes\nNaN,0,1,9\n", 2, "'NaN' is no time"),
            ("time_us,from,to,bytes\n1,0,1,0\n", 2, "'0' is no length from 1"),
            ("time_us,from,to,bytes\n1,0,1,1K\n", 2, "'1K' is no length"),
            ("time_us,from,to,bytes\n1,0,4,9\n", 2, "no host 4: hosts are 0 to 3"),
            ("time_us,from,to,bytes\n1,2,2,9\n", 2, "host '2' sends to itself"),
            ("time_us,from,to,bytes\n1,a,b,9\n1,c,d,9\n2,a,e,9\n", 4, "'e' is one host too many"),
        ] {
            let (at, why) = parse(text, 4).unwrap_err();
            assert_eq!(at, line, "{text}: {why}");
            assert!(why.contains(what), "{text}: {why}");
        }
    }

    #[test]
    fn orders__all_of_one_time_together() {
        let text = "time_us,from,to,bytes\n1,0,1,1\n2,0,1,2\n2,0,1,3\n";
        let mut replay = Replay { messages: parse(text, 2).unwrap(), sent: 0 };
        assert_eq!(replay.count_since(SimTime::from_micros_f64(2.0)), 2);
        assert_eq!(replay.lengths().collect::<Vec<_>>(), [1, 2, 3]);
        let mut times = Vec::new();
        while let Some(at) = replay.next_time() {
            times.push((at.as_micros_f64(), replay.orders().len()));
        }
        assert_eq!(times, [(1.0, 1), (2.0, 2)]);
        assert!(replay.orders().is_empty());
    }
}
