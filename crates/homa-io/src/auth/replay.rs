//! Which packets have been here before.

use std::collections::HashMap;

/// What is remembered of the senders' sessions, so that no packet is accepted twice.
///
/// A session is one run of one sender, with packets numbered from 1. Of a limited number of
/// sessions a [`Window`] is kept. What is forgotten leaves a mark: nothing as old as its latest
/// packet is accepted in sessions that open later. So forgetting never lets a packet in that has
/// been here, and a sender that is still alive comes back with its next packet.
#[derive(Debug)]
pub(super) struct Sessions {
    capacity: usize,
    slots: Vec<Session>,
    /// Places in `slots` by the id of the session.
    index: HashMap<u64, usize>,
    /// The place used last: packets of one sender come in batches.
    last: usize,
    /// What was sent before, in microseconds since 1970, may have been here and been forgotten.
    known_from: u64,
}

#[derive(Debug)]
struct Session {
    id: u64,
    /// [`Sessions::known_from`] when it was opened.
    known_from: u64,
    /// The latest time at which one of its packets was sent, in microseconds since 1970.
    newest_at: u64,
    window: Window,
}

/// Which packets of a session have been here: exactly so for those up to
/// [`Window::LEN`] numbers behind the highest, and none older is accepted.
///
/// The bits are used in turn, as RFC 6479 describes: the window moves by clearing the words ahead.
#[derive(Debug)]
struct Window {
    highest: u64,
    words: Box<[u64; Self::WORDS]>,
}

/// Why a packet with a right MAC is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It has been here, or is too far behind the others of its session to know.
    Replayed,
    /// It was sent before the time from which it is known what has been here.
    Stale,
}

impl Sessions {
    /// Remembers up to `capacity` sessions, of packets sent at `known_from` or later.
    pub(super) fn new(capacity: usize, known_from: u64) -> Self {
        let capacity = capacity.max(1);
        Self { capacity, slots: Vec::new(), index: HashMap::new(), last: 0, known_from }
    }

    /// Accepts packet `number` of session `id`, sent at `sent_at` in microseconds since 1970, if it
    /// was never here before.
    pub(super) fn accept(&mut self, id: u64, number: u64, sent_at: u64) -> Result<(), Refused> {
        let place = match self.slots.get(self.last) {
            Some(session) if session.id == id => Some(self.last),
            _ => self.index.get(&id).copied(),
        };
        let place = match place {
            Some(place) => place,
            None => self.open(id, sent_at)?,
        };
        self.last = place;
        let session = &mut self.slots[place];
        if sent_at < session.known_from {
            return Err(Refused::Stale);
        }
        session.window.accept(number)?;
        session.newest_at = session.newest_at.max(sent_at);
        Ok(())
    }

    /// Opens a session, in place of the one that has been silent longest if there are too many.
    fn open(&mut self, id: u64, sent_at: u64) -> Result<usize, Refused> {
        let known_from = self.known_from;
        if sent_at < known_from {
            return Err(Refused::Stale);
        }
        let session = Session { id, known_from, newest_at: sent_at, window: Window::new() };
        let place = self.slots.len();
        if place < self.capacity {
            self.slots.push(session);
            self.index.insert(id, place);
            return Ok(place);
        }
        let silent = self.slots.iter().enumerate().min_by_key(|(_, session)| session.newest_at);
        let place = silent.map_or(0, |(place, _)| place);
        let forgotten = std::mem::replace(&mut self.slots[place], session);
        self.known_from = self.known_from.max(forgotten.newest_at + 1);
        self.index.remove(&forgotten.id);
        self.index.insert(id, place);
        Ok(place)
    }
}

impl Window {
    const WORDS: usize = 128;

    /// The word in which the highest number lies is partly of the future, hence one less.
    const LEN: u64 = (Self::WORDS as u64 - 1) * u64::BITS as u64;

    fn new() -> Self {
        Self { highest: 0, words: Box::new([0; Self::WORDS]) }
    }

    fn accept(&mut self, number: u64) -> Result<(), Refused> {
        if number == 0 || self.highest.saturating_sub(number) >= Self::LEN {
            return Err(Refused::Replayed);
        }
        if number > self.highest {
            let bits = u64::from(u64::BITS);
            let moved = (number / bits - self.highest / bits).min(Self::WORDS as u64);
            for step in 1..=moved {
                let word = (self.highest / bits).wrapping_add(step) as usize % Self::WORDS;
                self.words[word] = 0;
            }
            self.highest = number;
        }
        let word = &mut self.words[(number / u64::from(u64::BITS)) as usize % Self::WORDS];
        let bit = 1 << (number % u64::from(u64::BITS));
        if *word & bit != 0 {
            return Err(Refused::Replayed);
        }
        *word |= bit;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    const REPLAYED: Result<(), Refused> = Err(Refused::Replayed);
    const STALE: Result<(), Refused> = Err(Refused::Stale);

    #[test]
    fn window__accepts_each_once_in_any_order() {
        let mut window = Window::new();
        for number in [1, 3, 2, 8000, 64, 63, 65] {
            assert_eq!(window.accept(number), Ok(()), "{number}");
            assert_eq!(window.accept(number), REPLAYED, "{number}");
        }
        assert_eq!(window.accept(0), REPLAYED);
    }

    #[test]
    fn window__edges() {
        let mut window = Window::new();
        let top = 1_000_000;
        assert_eq!(window.accept(top), Ok(()));
        assert_eq!(window.accept(top - Window::LEN), REPLAYED, "too far behind to know");
        assert_eq!(window.accept(top - Window::LEN + 1), Ok(()));
        assert_eq!(window.accept(u64::MAX), Ok(()));
        assert_eq!(window.accept(u64::MAX), REPLAYED);
        assert_eq!(window.accept(top + 1), REPLAYED);
        assert_eq!(window.accept(u64::MAX - 1), Ok(()));
    }

    #[test]
    fn sessions__are_independent() {
        let mut sessions = Sessions::new(10, 0);
        for id in [7, 8, 7 << 32] {
            assert_eq!(sessions.accept(id, 1, 100), Ok(()));
            assert_eq!(sessions.accept(id, 1, 100), REPLAYED);
        }
        assert_eq!(sessions.accept(7, 2, 100), Ok(()));
    }

    /// After a restart nothing is known of the sessions before.
    #[test]
    fn sessions__refuse_what_was_sent_before_the_start() {
        let mut sessions = Sessions::new(10, 1000);
        assert_eq!(sessions.accept(1, 5, 999), STALE);
        assert_eq!(sessions.accept(1, 6, 1000), Ok(()));
        assert_eq!(sessions.accept(1, 5, 999), STALE, "nor come in once they are open");
        assert_eq!(sessions.accept(1, 4, 1000), Ok(()));
    }

    #[test]
    fn sessions__forgotten_ones_come_back_only_with_new_packets() {
        let mut sessions = Sessions::new(2, 0);
        sessions.accept(1, 1, 100).unwrap();
        sessions.accept(1, 2, 110).unwrap();
        sessions.accept(2, 1, 105).unwrap();
        assert_eq!(sessions.accept(3, 1, 120), Ok(()), "in place of 2, silent longest");
        assert_eq!(sessions.accept(2, 1, 105), STALE);
        assert_eq!(sessions.accept(1, 2, 110), REPLAYED, "1 is still known");
        assert_eq!(sessions.accept(2, 2, 106), Ok(()), "in place of 1");
        assert_eq!(sessions.accept(1, 2, 110), STALE);
        assert_eq!(sessions.accept(1, 3, 121), Ok(()));
        assert_eq!(sessions.accept(1, 2, 110), STALE, "though 1 is known again");
        assert_eq!((sessions.slots.len(), sessions.index.len()), (2, 2));
    }

    proptest! {
        /// Against a set of all that was ever accepted: nothing twice, and everything new that is
        /// not too far behind.
        #[test]
        fn window__agrees_with_a_set(
            steps in prop::collection::vec((0_u64..20_000, 0_u64..9000), 1..300)
        ) {
            let (mut window, mut seen, mut highest) = (Window::new(), HashSet::new(), 0_u64);
            let mut base = 0;
            for (ahead, behind) in steps {
                base += ahead / 100;
                let number = (base + ahead % 200).saturating_sub(behind);
                let known = number > 0 && number + Window::LEN > highest;
                let expected = known && seen.insert(number);
                prop_assert_eq!(window.accept(number).is_ok(), expected, "{} of {}", number, highest);
                if expected {
                    highest = highest.max(number);
                }
            }
        }

        /// However sessions come, go and are replayed: nothing is accepted twice, memory is bounded.
        #[test]
        fn sessions__never_accept_a_packet_twice(
            capacity in 1_usize..5,
            steps in prop::collection::vec((0_u64..8, 1_u64..40), 1..300)
        ) {
            let (mut sessions, mut seen) = (Sessions::new(capacity, 0), HashSet::new());
            for (id, number) in steps {
                // A packet that comes again was sent at the same time.
                let sent_at = (number * 7 + id * 13) % 97;
                if sessions.accept(id, number, sent_at).is_ok() {
                    prop_assert!(seen.insert((id, number)));
                }
                prop_assert!(sessions.slots.len() <= capacity);
                prop_assert_eq!(sessions.slots.len(), sessions.index.len());
            }
        }
    }
}
