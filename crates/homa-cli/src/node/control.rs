//! What nodes tell each other beside the measurement: lines of JSON over a TCP connection of each node with rank 0's
//! [leader](super::leader).

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::config::NodeConfig;

/// How often each side says that it is there.
pub(super) const BEAT: Duration = Duration::from_secs(1);
/// Who says nothing for so long is dead. Long, since a host that measures is a busy one.
pub(super) const SILENCE: Duration = Duration::from_secs(10);
/// The longest line: a configuration is far shorter.
const LINE_MAX: u64 = 64 << 10;

/// A line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub(super) enum Message {
    /// A node comes, with what it was told to do.
    Hello { rank: usize, config: Box<NodeConfig> },
    /// A node has had an answer of all others.
    Ready,
    /// The leader measures how far a node is.
    Ping { number: u32 },
    /// The node's answer.
    Pong { number: u32 },
    /// The run begins so many nanoseconds after this arrives.
    Start { after_ns: u64 },
    /// Nothing but that its sender is there.
    Alive,
    /// A node has measured all that it is to measure, and goes on to serve.
    Done,
    /// A node ends before the others have what they need.
    Quit { why: String },
    /// All have what they need.
    Over,
    /// The run ends early.
    Abort { why: String },
}

impl Message {
    /// Sends it.
    pub(super) fn send(&self, mut to: &TcpStream) -> io::Result<()> {
        let mut line = serde_json::to_string(self).map_err(io::Error::from)?;
        line.push('\n');
        to.write_all(line.as_bytes())
    }
}

/// Makes a connection fit for this: what is sent leaves at once, and silence is an error.
pub(super) fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))
}

/// What comes on a connection.
#[derive(Debug)]
pub(super) struct Incoming(BufReader<TcpStream>);

impl Incoming {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self(BufReader::new(stream))
    }

    /// The next message.
    ///
    /// # Errors
    ///
    /// For people to read: what the other side did instead of sending one.
    pub(super) fn next(&mut self) -> Result<Message, String> {
        let mut line = String::new();
        match (&mut self.0).take(LINE_MAX).read_line(&mut line) {
            Ok(0) => Err("its connection was closed".into()),
            Ok(_) => serde_json::from_str(&line)
                .map_err(|error| format!("it speaks something else ({error})")),
            Err(error) if is_timeout(&error) => {
                Err(format!("nothing was heard of it for {} s", SILENCE.as_secs()))
            }
            Err(error) => Err(format!("its connection broke ({error})")),
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
