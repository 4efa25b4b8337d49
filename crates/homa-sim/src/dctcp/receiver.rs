//! The receiving end of a connection.

use std::collections::BTreeMap;

/// What has arrived of a stream.
#[derive(Debug, Default)]
pub(super) struct Receiver {
    /// All before this.
    next: u64,
    /// And these parts: ends by beginnings, apart from each other.
    parts: BTreeMap<u64, u64>,
    /// Ends of messages that have begun to arrive, and their tokens.
    ends: BTreeMap<u64, u64>,
}

impl Receiver {
    /// Takes bytes of a message that ends at `message_end`.
    pub(super) fn take(&mut self, offset: u64, len: u32, message_end: u64, token: u64) {
        let end = offset + u64::from(len);
        if end <= self.next {
            return;
        }
        self.ends.insert(message_end, token);
        let longest = self.parts.entry(offset).or_insert(end);
        *longest = end.max(*longest);
        while let Some(first) = self.parts.first_entry()
            && *first.key() <= self.next
        {
            self.next = self.next.max(first.remove());
        }
    }

    /// Messages that have arrived whole since the last call.
    pub(super) fn arrived(&mut self) -> impl Iterator<Item = u64> + use<> {
        let unfinished = self.ends.split_off(&(self.next + 1));
        std::mem::replace(&mut self.ends, unfinished).into_values()
    }

    /// The first byte that is missing.
    pub(super) fn next(&self) -> u64 {
        self.next
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    #[test]
    fn arrived__in_the_order_of_the_stream_whatever_comes_first() {
        let mut receiver = Receiver::default();
        // The second message is whole, the first one is not.
        receiver.take(1000, 500, 1500, 8);
        receiver.take(400, 600, 1000, 7);
        assert_eq!((receiver.next(), receiver.arrived().count()), (0, 0));
        receiver.take(0, 400, 1000, 7);
        assert_eq!(receiver.next(), 1500);
        assert_eq!(receiver.arrived().collect::<Vec<_>>(), [7, 8]);
        // A copy changes nothing.
        receiver.take(400, 600, 1000, 7);
        assert_eq!((receiver.next(), receiver.arrived().count()), (1500, 0));
    }
}
