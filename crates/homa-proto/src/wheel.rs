//! Deadlines for slots: a hierarchical timing wheel.
//!
//! Almost every deadline is moved or cancelled before it comes, so arming must be cheap and order
//! matters only when time has passed. Time is counted in ticks of the wheel's granularity. Read a
//! tick as a number of base 64, one digit a level: a deadline waits at the level of the highest
//! digit in which it differs from the current tick, in the bucket of that digit's value. When the
//! current tick reaches the bucket, what waits there moves to lower levels, or is due at level 0.
//! Eleven levels of six bits cover every 64-bit tick, so no deadline is too far away.

use alloc::vec::Vec;

use crate::error::NoMemory;
use crate::time::{Duration, Instant};

const DIGIT_BITS: u32 = 6;
const DIGITS: usize = 1 << DIGIT_BITS;
const LEVELS: usize = u64::BITS.div_ceil(DIGIT_BITS) as usize;
/// No slot: the slot number that a [`Slab`](crate::slab::Slab) never uses.
const NIL: u32 = u32::MAX;

/// At most one deadline for each slot.
///
/// Deadlines are rounded up to the granularity: they come up to one tick late, never early. Arming
/// and disarming take constant time; each deadline is moved at most once a level before it expires.
#[derive(Debug)]
pub(crate) struct TimerWheel {
    /// By slot.
    nodes: Vec<Node>,
    /// The first slot of each bucket's circular list; of meaning only if `occupied` says so.
    heads: [u32; LEVELS * DIGITS],
    /// One bit for each bucket that is not empty, by level.
    occupied: [u64; LEVELS],
    /// One bit for each level that is not empty.
    levels: u16,
    /// Everything up to this tick has been expired. No bucket lies before it.
    now_tick: u64,
    /// Log2 of the granularity in nanoseconds.
    tick_bits: u32,
    len: u32,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    at: Instant,
    /// Neighbours in the bucket's list.
    next: u32,
    prev: u32,
    bucket: u16,
    /// Whether the slot has a deadline.
    armed: bool,
}

/// The bucket that comes first, and the tick at which it does.
#[derive(Clone, Copy)]
struct Earliest {
    bucket: usize,
    start: u64,
}

impl TimerWheel {
    /// A wheel whose ticks are `granularity` long, rounded up to a power of two nanoseconds
    /// (64 us become 65,536 ns; zero becomes 1 ns; at most 2^63 ns). Allocates nothing yet.
    pub(crate) fn new(granularity: Duration) -> Self {
        let nanos = granularity.as_nanos().checked_next_power_of_two().unwrap_or(1 << 63);
        Self {
            nodes: Vec::new(),
            heads: [NIL; LEVELS * DIGITS],
            occupied: [0; LEVELS],
            levels: 0,
            now_tick: 0,
            tick_bits: nanos.trailing_zeros(),
            len: 0,
        }
    }

    /// Sets the deadline of `slot`, in place of the one that it may have. A deadline in the past
    /// comes at the next [`expire`](Self::expire).
    ///
    /// # Errors
    /// [`NoMemory`] if `slot` is the highest so far and there is no memory for it; then it has no
    /// deadline. Slots that were armed before never fail.
    pub(crate) fn arm(&mut self, slot: u32, at: Instant) -> Result<(), NoMemory> {
        if slot as usize >= self.nodes.len() {
            self.make_node(slot)?;
        }
        let bucket = self.bucket_for(at);
        let node = &mut self.nodes[slot as usize];
        node.at = at;
        match core::mem::replace(&mut node.armed, true) {
            true if node.bucket == bucket => return Ok(()),
            true => self.unlink(slot),
            false => self.len += 1,
        }
        self.link(slot, bucket);
        Ok(())
    }

    /// Makes sure that `slot` can be armed without allocating.
    ///
    /// # Errors
    /// [`NoMemory`] if there is no memory for it.
    pub(crate) fn reserve_slot(&mut self, slot: u32) -> Result<(), NoMemory> {
        self.make_node(slot)
    }

    /// Takes away the deadline of `slot`, if it has one.
    pub(crate) fn disarm(&mut self, slot: u32) {
        let Some(node) = self.nodes.get_mut(slot as usize) else { return };
        if core::mem::take(&mut node.armed) {
            self.len -= 1;
            self.unlink(slot);
        }
    }

    /// Takes out one deadline that has come by `now`, as it was given: its slot and instant. Call until
    /// `None`, and before other deadlines are armed in terms of `now`.
    ///
    /// Deadlines come in order of their ticks; within one tick the order depends only on the
    /// history of calls. Should `now` be earlier than in an earlier call, nothing expires.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<(u32, Instant)> {
        let now_tick = now.as_nanos() >> self.tick_bits;
        if now_tick < self.now_tick {
            return None;
        }
        while let Some(Earliest { bucket, start }) = self.earliest()
            && start <= now_tick
        {
            self.now_tick = start;
            if bucket < DIGITS {
                return self.pop(bucket);
            }
            self.cascade(bucket);
        }
        self.now_tick = now_tick;
        None
    }

    /// When [`expire`](Self::expire) should be called next; `None` if no deadline is armed.
    ///
    /// This is the earliest deadline rounded up to the granularity, or an earlier instant at which
    /// deadlines have to be moved to a lower level. Calling `expire` at the instants given here
    /// reaches the earliest deadline in at most as many calls as there are levels (four if it is
    /// within a second, at 64 us), each of them at a later instant. Deadlines that round up beyond
    /// the last instant are reported as [`Instant::FAR_FUTURE`] and never come.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let Earliest { bucket, start } = self.earliest()?;
        let head = self.heads[bucket];
        let node = &self.nodes[head as usize];
        // A sole deadline needs no moving: a quiet host is woken once, when it comes.
        let tick = if node.next == head { self.tick_of(node.at).max(start) } else { start };
        let fits = tick <= u64::MAX >> self.tick_bits;
        Some(if fits { Instant::from_nanos(tick << self.tick_bits) } else { Instant::FAR_FUTURE })
    }

    /// The deadline of `slot` as it was given.
    pub(crate) fn armed(&self, slot: u32) -> Option<Instant> {
        self.nodes.get(slot as usize).filter(|node| node.armed).map(|node| node.at)
    }

    /// How many slots have a deadline.
    #[cfg(test)]
    pub(crate) const fn len(&self) -> u32 {
        self.len
    }

    /// The first tick that does not begin before `at`.
    fn tick_of(&self, at: Instant) -> u64 {
        let nanos = at.as_nanos();
        let floor = nanos >> self.tick_bits;
        // With ticks of 1 ns there is nothing to round, and the addition cannot overflow otherwise.
        if floor << self.tick_bits == nanos { floor } else { floor + 1 }
    }

    /// Where a deadline waits, seen from the current tick. The past counts as the current tick.
    fn bucket_for(&self, at: Instant) -> u16 {
        let tick = self.tick_of(at).max(self.now_tick);
        let differing_bits = u64::BITS - (tick ^ self.now_tick).leading_zeros();
        let level = differing_bits.saturating_sub(1) / DIGIT_BITS;
        let digit = (tick >> (level * DIGIT_BITS)) as usize % DIGITS;
        (level as usize * DIGITS + digit) as u16
    }

    /// The first bucket of the lowest level that has any: deadlines at a higher level differ from
    /// the current tick in a higher digit, hence come later.
    fn earliest(&self) -> Option<Earliest> {
        if self.levels == 0 {
            return None;
        }
        let level = self.levels.trailing_zeros();
        let digit = self.occupied[level as usize].trailing_zeros();
        let shift = level * DIGIT_BITS;
        // The current tick with this digit in place of its own, and zeros below.
        let above = self.now_tick.checked_shr(shift + DIGIT_BITS).unwrap_or(0);
        let start = (above << DIGIT_BITS | u64::from(digit)) << shift;
        Some(Earliest { bucket: (level * DIGITS as u32 + digit) as usize, start })
    }

    /// Takes the first deadline out of a bucket of level 0 that has been reached.
    fn pop(&mut self, bucket: usize) -> Option<(u32, Instant)> {
        let slot = self.heads[bucket];
        let at = self.armed(slot)?;
        self.disarm(slot);
        Some((slot, at))
    }

    /// Moves everything in a bucket that has been reached to lower levels.
    fn cascade(&mut self, bucket: usize) {
        let (level, bit) = place_of(bucket);
        while self.occupied[level] & bit != 0 {
            let slot = self.heads[bucket];
            self.unlink(slot);
            self.link(slot, self.bucket_for(self.nodes[slot as usize].at));
        }
    }

    /// Appends `slot` to the list of `bucket`.
    fn link(&mut self, slot: u32, bucket: u16) {
        let (level, bit) = place_of(bucket.into());
        let head = &mut self.heads[usize::from(bucket)];
        let (next, prev) = if self.occupied[level] & bit == 0 {
            self.occupied[level] |= bit;
            self.levels |= 1 << level;
            *head = slot;
            (slot, slot)
        } else {
            (*head, self.nodes[*head as usize].prev)
        };
        let node = &mut self.nodes[slot as usize];
        (node.next, node.prev, node.bucket) = (next, prev, bucket);
        self.nodes[prev as usize].next = slot;
        self.nodes[next as usize].prev = slot;
    }

    /// Takes `slot` out of the list that it is in.
    fn unlink(&mut self, slot: u32) {
        let Node { next, prev, bucket, .. } = self.nodes[slot as usize];
        let (level, bit) = place_of(bucket.into());
        if next == slot {
            self.occupied[level] &= !bit;
            if self.occupied[level] == 0 {
                self.levels &= !(1 << level);
            }
            return;
        }
        self.nodes[prev as usize].next = next;
        self.nodes[next as usize].prev = prev;
        let head = &mut self.heads[usize::from(bucket)];
        if *head == slot {
            *head = next;
        }
    }

    /// Makes sure that there is a node for `slot`.
    fn make_node(&mut self, slot: u32) -> Result<(), NoMemory> {
        let count = slot as usize + 1;
        if let Some(more) = count.checked_sub(self.nodes.len()).filter(|more| *more > 0) {
            self.nodes.try_reserve(more).map_err(|_| NoMemory)?;
            let vacant = Node { at: Instant::ZERO, next: NIL, prev: NIL, bucket: 0, armed: false };
            self.nodes.resize(count, vacant);
        }
        Ok(())
    }
}

/// The level of a bucket, and its bit in the level's bitmap.
const fn place_of(bucket: usize) -> (usize, u64) {
    (bucket / DIGITS, 1 << (bucket % DIGITS))
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    fn micros(micros: u64) -> Instant {
        at(micros * 1_000)
    }

    fn wheel() -> TimerWheel {
        TimerWheel::new(Duration::from_micros(64))
    }

    /// How many calls at `next_deadline` it takes until something expires, and what does.
    fn drive(wheel: &mut TimerWheel) -> (usize, Option<(u32, Instant)>) {
        let mut before = None;
        for calls in 1..=LEVELS {
            let now = wheel.next_deadline().expect("something is armed");
            assert!(before < Some(now), "no progress: {before:?} {now:?}");
            before = Some(now);
            if let Some(fired) = wheel.expire(now) {
                return (calls, Some(fired));
            }
        }
        (LEVELS, None)
    }

    #[test]
    fn new__rounds_the_granularity_up_to_a_power_of_two() {
        let tick_bits = |granularity| TimerWheel::new(granularity).tick_bits;
        assert_eq!(tick_bits(Duration::from_micros(64)), 16);
        assert_eq!(tick_bits(Duration::from_nanos(65_536)), 16);
        assert_eq!(tick_bits(Duration::ZERO), 0);
        assert_eq!(tick_bits(Duration::MAX), 63);
    }

    #[test]
    fn expire__is_up_to_a_tick_late_and_never_early() {
        let mut wheel = wheel();
        wheel.arm(3, at(65_537)).unwrap();
        assert_eq!(wheel.next_deadline(), Some(at(131_072)));
        assert_eq!(wheel.expire(at(131_071)), None);
        assert_eq!(wheel.expire(at(131_072)), Some((3, at(65_537))));
        assert_eq!((wheel.expire(at(131_072)), wheel.next_deadline()), (None, None));
    }

    #[test]
    fn expire__takes_a_deadline_on_a_tick_exactly_then() {
        let mut wheel = wheel();
        wheel.arm(0, at(65_536)).unwrap();
        assert_eq!(wheel.expire(at(65_535)), None);
        assert!(wheel.expire(at(65_536)).is_some());
    }

    #[test]
    fn expire__takes_past_deadlines_at_once() {
        let mut wheel = wheel();
        assert_eq!(wheel.expire(micros(1_000_000)), None);
        wheel.arm(1, micros(5)).unwrap();
        assert!(wheel.next_deadline() <= Some(micros(1_000_000)));
        assert_eq!(wheel.expire(micros(1_000_000)), Some((1, micros(5))));
    }

    #[test]
    fn expire__does_nothing_when_time_runs_backwards() {
        let mut wheel = wheel();
        wheel.expire(at(100 << 16));
        wheel.arm(1, at(90 << 16)).unwrap();
        wheel.arm(2, at(101 << 16)).unwrap();
        for ticks in [10, 40, 99] {
            assert_eq!(wheel.expire(at(ticks << 16)), None);
        }
        assert_eq!(wheel.expire(at(100 << 16)), Some((1, at(90 << 16))));
        assert_eq!(wheel.expire(at(100 << 16)), None);
        assert_eq!(wheel.expire(at(101 << 16)), Some((2, at(101 << 16))));
    }

    /// However late in the life of the wheel, the next ticks are at its lowest level.
    #[test]
    fn expire__keeps_near_deadlines_near() {
        let mut wheel = wheel();
        wheel.expire(at(0x1234_5678 << 16));
        for (slot, ticks) in [(0, 1), (1, 1), (2, 2)] {
            wheel.arm(slot, at((0x1234_5678 + ticks) << 16)).unwrap();
        }
        assert_eq!(wheel.levels, 1);
        assert_eq!(drive(&mut wheel), (1, Some((0, at(0x1234_5679 << 16)))));
    }

    #[test]
    fn arm__replaces_the_deadline_of_the_slot() {
        let mut wheel = wheel();
        wheel.arm(7, micros(1_000)).unwrap();
        wheel.arm(7, micros(500_000)).unwrap();
        wheel.arm(7, micros(500_001)).unwrap();
        assert_eq!((wheel.len(), wheel.armed(7)), (1, Some(micros(500_001))));
        assert_eq!(wheel.expire(micros(400_000)), None);
        assert_eq!(wheel.expire(micros(600_000)), Some((7, micros(500_001))));
        assert_eq!((wheel.len(), wheel.armed(7)), (0, None));
    }

    #[test]
    fn disarm__of_unknown_and_unarmed_slots_does_nothing() {
        let mut wheel = wheel();
        wheel.disarm(9);
        wheel.arm(9, micros(1)).unwrap();
        wheel.disarm(2);
        wheel.disarm(9);
        wheel.disarm(9);
        assert_eq!((wheel.len(), wheel.next_deadline()), (0, None));
        assert_eq!(wheel.expire(Instant::FAR_FUTURE), None);
    }

    #[test]
    fn next_deadline__wakes_a_quiet_host_once() {
        let mut wheel = wheel();
        wheel.expire(micros(123_456_789));
        let deadline = micros(133_456_789);
        wheel.arm(0, deadline).unwrap();
        assert_eq!(drive(&mut wheel), (1, Some((0, deadline))));
    }

    #[test]
    fn next_deadline__reaches_close_neighbours_in_few_calls() {
        let mut wheel = wheel();
        wheel.arm(0, micros(900_001)).unwrap();
        wheel.arm(1, micros(900_100)).unwrap();
        let (calls, fired) = drive(&mut wheel);
        assert!(calls <= 3);
        assert_eq!(fired, Some((0, micros(900_001))));
    }

    #[test]
    fn next_deadline__of_never_is_the_far_future() {
        let mut wheel = wheel();
        wheel.arm(0, Instant::FAR_FUTURE).unwrap();
        assert_eq!(wheel.next_deadline(), Some(Instant::FAR_FUTURE));
        assert_eq!(wheel.expire(at(u64::MAX)), None);
        wheel.arm(0, at(u64::MAX - 65_535)).unwrap();
        assert!(wheel.expire(at(u64::MAX)).is_some());
    }

    #[test]
    fn arm__covers_all_of_time_at_the_finest_granularity() {
        let mut wheel = TimerWheel::new(Duration::ZERO);
        for (slot, nanos) in [0, 1, 63, 64, 1 << 40, u64::MAX - 1, u64::MAX].iter().enumerate() {
            wheel.arm(slot as u32, at(*nanos)).unwrap();
            wheel.arm(slot as u32 + 100, at(*nanos)).unwrap();
        }
        let mut fired = Vec::new();
        while wheel.len() > 0 {
            fired.push(drive(&mut wheel).1.unwrap().0);
            let now = wheel.next_deadline().map_or(at(u64::MAX), |next| next.min(at(u64::MAX)));
            // The twin of the same instant is due at once.
            fired.push(wheel.expire(now).unwrap().0);
        }
        assert_eq!(fired, [0, 100, 1, 101, 2, 102, 3, 103, 4, 104, 5, 105, 6, 106]);
    }

    #[derive(Clone, Debug)]
    enum Op {
        /// Arm a slot so many nanoseconds from now, some of them in the past.
        Arm(u32, i64),
        Disarm(u32),
        /// Let so many nanoseconds pass, then expire everything that is due.
        Pass(u64),
        /// Sleep until the wheel asks for it.
        Sleep,
    }

    /// Spans from nothing to about 36 years, every magnitude equally likely.
    fn span() -> impl Strategy<Value = u64> {
        (0u32..60, any::<u64>()).prop_map(|(bits, random)| random & ((1 << bits) - 1))
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            6 => (0u32..24, span()).prop_map(|(slot, after)| Op::Arm(slot, after as i64)),
            1 => (0u32..24, span()).prop_map(|(slot, ago)| Op::Arm(slot, -(ago as i64))),
            2 => (0u32..26).prop_map(Op::Disarm),
            2 => span().prop_map(Op::Pass),
            4 => Just(Op::Sleep),
        ]
    }

    /// The wheel beside a map of all deadlines.
    struct Checked {
        wheel: TimerWheel,
        model: BTreeMap<u32, Deadline>,
        tick_nanos: u64,
        now: Instant,
        /// The latest tick at which everything due was taken out.
        expired_to: Instant,
    }

    #[derive(Clone, Copy)]
    struct Deadline {
        at: Instant,
        /// When it has to come.
        due: Instant,
    }

    impl Checked {
        fn new(tick_bits: u32, start: Instant) -> Self {
            Self {
                wheel: TimerWheel::new(Duration::from_nanos(1 << tick_bits)),
                model: BTreeMap::new(),
                tick_nanos: 1 << tick_bits,
                now: start,
                expired_to: Instant::ZERO,
            }
        }

        /// `at` rounded up to a tick; the past is due at the tick that was reached last.
        fn due_at(&self, deadline: Instant) -> Instant {
            let up = deadline.as_nanos().checked_next_multiple_of(self.tick_nanos);
            up.map_or(Instant::FAR_FUTURE, at).max(self.expired_to)
        }

        fn earliest_due(&self) -> Option<Instant> {
            self.model.values().map(|deadline| deadline.due).min()
        }

        /// Takes out everything that is due now. Returns how many deadlines came.
        fn expire_all(&mut self) -> usize {
            let mut fired = 0;
            while let Some((slot, at)) = self.wheel.expire(self.now) {
                assert!(at <= self.now, "early");
                assert_eq!(self.model.get(&slot).map(|d| d.at), Some(at));
                assert_eq!(Some(self.model[&slot].due), self.earliest_due(), "out of order");
                self.model.remove(&slot);
                fired += 1;
            }
            assert!(self.earliest_due().is_none_or(|due| due > self.now), "missed");
            self.expired_to = at(self.now.as_nanos() & !(self.tick_nanos - 1));
            fired
        }

        /// Sleeping until asked always reaches the earliest deadline within a few calls.
        fn sleep(&mut self) {
            for _ in 0..LEVELS {
                let Some(next) = self.wheel.next_deadline() else { return };
                if next == Instant::FAR_FUTURE {
                    return;
                }
                let due = self.earliest_due().unwrap();
                assert!(next <= due.max(self.now), "the driver would oversleep");
                self.now = self.now.max(next);
                if self.expire_all() > 0 {
                    return;
                }
                assert!(self.wheel.next_deadline() > Some(next), "the driver would spin");
            }
            panic!("nothing came within {LEVELS} calls");
        }

        fn apply(&mut self, op: &Op) {
            match *op {
                Op::Arm(slot, after) => {
                    let at = at(self.now.as_nanos().saturating_add_signed(after));
                    self.wheel.arm(slot, at).unwrap();
                    self.model.insert(slot, Deadline { at, due: self.due_at(at) });
                }
                Op::Disarm(slot) => {
                    self.wheel.disarm(slot);
                    self.model.remove(&slot);
                }
                Op::Pass(nanos) => {
                    self.now += Duration::from_nanos(nanos);
                    self.expire_all();
                }
                Op::Sleep => self.sleep(),
            }
        }

        fn check(&self) {
            assert_eq!(self.wheel.len() as usize, self.model.len());
            for slot in 0..26 {
                let expected = self.model.get(&slot).map(|deadline| deadline.at);
                assert_eq!(self.wheel.armed(slot), expected);
            }
            assert_eq!(self.wheel.next_deadline().is_none(), self.model.is_empty());
        }
    }

    proptest! {
        /// Bursts of operations with idle jumps of up to years between them.
        #[test]
        fn wheel__agrees_with_a_map(
            tick_bits in prop::sample::select(std::vec![0u32, 6, 16, 20]),
            start in span(),
            ops in prop::collection::vec(op(), 1..200),
        ) {
            let mut checked = Checked::new(tick_bits, at(start));
            for op in &ops {
                checked.apply(op);
                checked.check();
            }
        }
    }
}
