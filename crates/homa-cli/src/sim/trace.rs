//! What became of each message, one line each.

use std::fmt::Write;

use homa_sim::TracedMessage;

const HEADER: &str = "start_ns,from,to,bytes,best_ns,time_ns,measured";

/// All messages by the time of their start; the time of one that has not arrived is empty. The last line
/// has no end.
pub(super) fn render(messages: &[TracedMessage]) -> String {
    messages.iter().fold(HEADER.into(), |mut text, message| {
        let TracedMessage { start_ns, from, to, bytes, best_ns, time_ns, is_measured } = message;
        let time_ns = time_ns.map_or_else(String::new, |time| format!("{time:.3}"));
        let measured = u8::from(*is_measured);
        let _ =
            write!(text, "\n{start_ns:.3},{from},{to},{bytes},{best_ns:.3},{time_ns},{measured}");
        text
    })
}
