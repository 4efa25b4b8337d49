//! Which bytes of which messages have arrived: the model that deliveries are checked against.

use homa_proto::RpcKey;
use std::collections::HashMap;
use std::ops::Range;

/// What one host has received, by RPC.
#[derive(Debug, Default)]
pub struct Ledger {
    messages: HashMap<RpcKey, Message>,
}

#[derive(Debug)]
struct Message {
    length: u32,
    /// Disjoint ranges that arrived, ascending, merged where they touch.
    ranges: Vec<Range<u32>>,
}

impl Ledger {
    /// Notes bytes of a message.
    ///
    /// # Panics
    ///
    /// If a byte came before, lies outside the message, or the length has changed.
    pub fn deliver(&mut self, key: RpcKey, length: u32, range: Range<u32>) {
        let message =
            self.messages.entry(key).or_insert_with(|| Message { length, ranges: Vec::new() });
        assert_eq!(message.length, length, "the length of {key:?} changed");
        assert!(range.start < range.end && range.end <= length, "{range:?} is not in {length}");
        let at = message.ranges.partition_point(|r| r.start < range.start);
        let overlaps = message.ranges.iter().any(|r| r.start < range.end && range.start < r.end);
        assert!(!overlaps, "bytes {range:?} of {key:?} were delivered twice");
        message.ranges.insert(at, range);
        message.ranges.dedup_by(|next, previous| {
            let touch = previous.end == next.start;
            if touch {
                previous.end = next.end;
            }
            touch
        });
    }

    /// Takes a message out.
    ///
    /// # Panics
    ///
    /// If bytes are missing. Returns the length in bytes.
    pub fn complete(&mut self, key: RpcKey) -> u32 {
        let message = self.messages.remove(&key).expect("a complete message has bytes");
        let whole = 0..message.length;
        assert_eq!(message.ranges, [whole], "bytes of {key:?} are missing");
        message.length
    }

    /// Bytes that arrived without a gap from the start.
    #[must_use]
    pub fn prefix(&self, key: RpcKey) -> u32 {
        let first = self.messages.get(&key).and_then(|message| message.ranges.first());
        first.filter(|range| range.start == 0).map_or(0, |range| range.end)
    }

    /// Drops what is held of a message that will not complete.
    pub fn forget(&mut self, key: RpcKey) {
        self.messages.remove(&key);
    }

    /// Messages partly there.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether nothing is partly there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }
}
