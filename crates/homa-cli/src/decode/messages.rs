//! The messages of a capture, for the simulator to send again.

use std::io::{self, Write};
use std::time::Duration;

use super::fields::micros_since;
use super::rpcs::{Message, RpcTable};

const HEADER: &str = "time_us,from,to,bytes";

/// All messages by the time of their first packet, as CSV.
pub(super) fn write(out: &mut impl Write, rpcs: &RpcTable, start: Duration) -> io::Result<()> {
    let mut messages: Vec<_> = rpcs.messages().collect();
    messages.sort_by_key(|message| message.begin);
    writeln!(out, "{HEADER}")?;
    for Message { begin, from, to, bytes } in messages {
        writeln!(out, "{:.3},{from},{to},{bytes}", micros_since(begin, start))?;
    }
    Ok(())
}
