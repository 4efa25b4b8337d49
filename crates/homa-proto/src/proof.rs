//! Whether a peer has shown that it receives what is sent to its address, and what may be sent to it
//! before that.
//!
//! An address in a packet proves nothing. The only nonce that the wire has is the version of our
//! cutoffs, which peers echo in DATA (WIRE section 4): each peer is told another, random one. Until
//! it echoes that one, it draws little more than it sends, lest others make us flood it in its name.

use crate::config::Amplification;
use crate::random::Stream;
use crate::slab::RpcKey;
use crate::time::{Duration, Instant};
use alloc::collections::VecDeque;

/// Over this time the allowance of a peer that has shown nothing is renewed, and guesses counted.
const WINDOW: Duration = Duration::from_secs(1);

/// Entries of ended RPCs that the queue of held ones may have besides as many as are open.
const HELD_SLACK: usize = 64;

/// What a peer has shown of its address.
#[derive(Debug)]
pub(crate) struct AddressProof {
    /// What this peer is told in CUTOFFS; never 0.
    version: u16,
    /// The number of our table that it stands for.
    table: u16,
    valid: bool,
    /// The wrong echo seen last: senders repeat an outdated one often.
    wrong: u16,
    /// Distinct wrong echoes in the present window.
    guesses: u32,
    guesses_end: Instant,
    /// Bytes that it may draw for those it sent.
    earned: u64,
    /// Bytes that it may draw besides; negative after a packet that exceeds a whole window.
    allowance: i64,
    /// When the allowance grows again.
    renewal: Instant,
    /// Responses that wait for credit, in order.
    held: VecDeque<RpcKey>,
}

impl AddressProof {
    pub(crate) fn new(now: Instant, table: u16, versions: &mut Stream) -> Self {
        Self {
            version: draw(versions, 0),
            table,
            valid: false,
            wrong: 0,
            guesses: 0,
            guesses_end: now,
            earned: 0,
            allowance: 0,
            renewal: now,
            held: VecDeque::new(),
        }
    }

    /// The version to tell this peer with table number `table`: another one when the table changed.
    pub(crate) fn version_for(&mut self, table: u16, versions: &mut Stream) -> u16 {
        if self.table != table {
            self.table = table;
            self.version = draw(versions, self.version);
        }
        self.version
    }

    /// Takes in an echo other than 0. Returns whether it is the first right one. After
    /// `guesses_max` distinct wrong ones no echo counts for the rest of a second.
    pub(crate) fn echoed(&mut self, now: Instant, echo: u16, guesses_max: u32) -> bool {
        if self.valid {
            return false;
        }
        if now >= self.guesses_end {
            (self.guesses, self.guesses_end) = (0, now + WINDOW);
        }
        if self.guesses >= guesses_max {
            return false;
        }
        if echo == self.version {
            self.valid = true;
        } else if echo != self.wrong {
            self.wrong = echo;
            self.guesses += 1;
        }
        self.valid
    }

    /// The address may have passed to another host: it must show anew that it is the peer's.
    pub(crate) fn expire(&mut self) {
        self.valid = false;
    }

    /// The peer sent a packet of `bytes`.
    pub(crate) fn earn(&mut self, bytes: u64, limit: Amplification) {
        if !self.valid {
            self.earned = self.earned.saturating_add(bytes.saturating_mul(limit.factor.into()));
        }
    }

    /// Whether a packet of `bytes` may be drawn, `window` being the allowance per second.
    pub(crate) fn may_draw(&mut self, now: Instant, bytes: u64, window: u32) -> bool {
        // More than a whole window is never at hand.
        self.valid || self.credit(now, window) >= bytes.min(window.into())
    }

    /// Bytes that may be drawn now.
    pub(crate) fn credit(&mut self, now: Instant, window: u32) -> u64 {
        self.renew(now, window);
        // A debt is paid by what comes later, not by what was earned.
        u64::try_from(self.allowance).map_or(0, |allowance| allowance.saturating_add(self.earned))
    }

    /// Bytes were drawn: first those earned.
    pub(crate) fn draw(&mut self, bytes: u64) {
        if self.valid {
            return;
        }
        let earned = bytes.min(self.earned);
        self.earned -= earned;
        self.allowance -= i64::try_from(bytes - earned).unwrap_or(i64::MAX);
    }

    /// A response that is not in the queue waits for credit. False if memory is short. `open_rpcs` is
    /// the number of the peer's RPCs, `is_open` tells which those are.
    pub(crate) fn hold(
        &mut self,
        key: RpcKey,
        open_rpcs: u32,
        is_open: impl Fn(RpcKey) -> bool,
    ) -> bool {
        if self.held.len() > 2 * open_rpcs as usize + HELD_SLACK {
            self.held.retain(|&key| is_open(key));
        }
        let room = self.held.try_reserve(1).is_ok();
        if room {
            self.held.push_back(key);
        }
        room
    }

    /// The response that has waited longest; it may have ended, or gone on, since.
    pub(crate) fn next_held(&mut self) -> Option<RpcKey> {
        self.held.pop_front()
    }

    /// Whether any may wait.
    pub(crate) fn holds_any(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether the peer has echoed what only it was told.
    pub(crate) fn is_valid(&self) -> bool {
        self.valid
    }

    /// When the allowance grows again.
    pub(crate) fn renewal(&self) -> Instant {
        self.renewal
    }

    fn renew(&mut self, now: Instant, window: u32) {
        if now < self.renewal {
            return;
        }
        // What was not used is lost; a debt is paid window by window.
        let windows = 1 + now.saturating_since(self.renewal).as_nanos() / WINDOW.as_nanos();
        let windows = i64::try_from(windows).unwrap_or(i64::MAX);
        let window = i64::from(window);
        let more = window.saturating_mul(windows);
        self.allowance = self.allowance.saturating_add(more).min(window);
        self.renewal = now + WINDOW;
    }
}

/// A random version, neither 0 nor the one before.
fn draw(versions: &mut Stream, before: u16) -> u16 {
    loop {
        let version = versions.next_u64() as u16;
        if version != 0 && version != before {
            return version;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;
    use crate::random::Purpose;

    const LIMIT: Amplification = Amplification { factor: 3, challenges: 3, guesses_max: 8 };

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    fn proof() -> (AddressProof, Stream) {
        let mut versions = Stream::new(1, Purpose::CutoffVersion);
        (AddressProof::new(at(0), 1, &mut versions), versions)
    }

    #[test]
    fn version_for__changes_with_the_table() {
        let (mut proof, mut versions) = proof();
        let first = proof.version_for(1, &mut versions);
        assert_eq!(proof.version_for(1, &mut versions), first);
        assert_ne!(proof.version_for(2, &mut versions), first);
    }

    #[test]
    fn echoed__counts_distinct_guesses() {
        let (mut proof, _) = proof();
        let right = proof.version;
        let wrong = |n: u16| right.wrapping_add(n).max(1);
        for n in 1..=7 {
            assert!(!proof.echoed(at(0), wrong(n), 8));
            assert!(!proof.echoed(at(0), wrong(n), 8), "the same counts once");
        }
        assert!(!proof.echoed(at(0), wrong(8), 8));
        assert!(!proof.echoed(at(999), right, 8), "too many guesses");
        assert!(proof.echoed(at(1_000), right, 8));
        assert!(!proof.echoed(at(1_000), right, 8), "the first time only");
        proof.expire();
        assert!(proof.echoed(at(2_000), right, 8));
    }

    #[test]
    fn draw__takes_what_was_earned_before_the_allowance() {
        let (mut proof, _) = proof();
        proof.earn(100, LIMIT);
        assert_eq!(proof.credit(at(0), 1_000), 1_300);
        proof.draw(1_200);
        assert_eq!(proof.credit(at(999), 1_000), 100);
        assert!(proof.may_draw(at(999), 100, 1_000) && !proof.may_draw(at(999), 101, 1_000));
        assert_eq!(proof.credit(at(1_000), 1_000), 1_000, "nothing is saved up");
    }

    /// A packet longer than a window leaves once a window, and what it owes is paid first.
    #[test]
    fn may_draw__packet_longer_than_the_window() {
        let (mut proof, _) = proof();
        assert!(proof.may_draw(at(0), 2_500, 1_000));
        proof.draw(2_500);
        assert!(!proof.may_draw(at(1_000), 2_500, 1_000));
        assert!(!proof.may_draw(at(2_000), 2_500, 1_000));
        assert!(proof.may_draw(at(3_000), 400, 1_000));
    }
}
