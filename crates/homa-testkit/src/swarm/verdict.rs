//! Runs a world to its end and says whether all held.

use super::book::Ending;
use super::mix::{Classes, Mix};
use super::world::{Wishes, World};
use homa_proto::{Duration, Limits};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A world in which all held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Depends on every packet and every outcome.
    pub fingerprint: u64,
    /// Packets sent.
    pub packets: u64,
    /// Calls started, those after healing included.
    pub calls: usize,
    /// Those of them that got their response.
    pub responses: usize,
}

/// A world in which something did not hold.
#[derive(Clone, Debug)]
pub struct Failed {
    /// What was drawn.
    pub mix: Box<Mix>,
    /// What did not hold.
    pub reason: String,
}

/// Longest time until a healed world is quiet: the longest silence that a server bears, and more.
const QUIET_MAX: Duration = Duration::from_secs(300);

/// Longest time that a call may take in a quiet, healed world.
const CALL_MAX: Duration = Duration::from_secs(2);

/// Runs the world of `seed`, without some classes. With `is_verbose` all that happens is printed.
///
/// # Errors
///
/// What did not hold.
pub fn run(seed: u64, without: Classes, is_verbose: bool) -> Result<Passed, Failed> {
    let mix = Mix::draw(seed, without);
    let outcome = catch_unwind(AssertUnwindSafe(|| live(mix.clone(), is_verbose)));
    outcome.map_err(|panic| Failed { mix: Box::new(mix), reason: message(&*panic) })
}

/// Takes classes away from a failing world as long as it still fails, whatever the reason; the
/// smallest that was found.
#[must_use]
pub fn shrink(seed: u64, without: Classes, failed: Failed) -> (Classes, Failed) {
    let (mut without, mut smallest) = (without, failed);
    for class in smallest.mix.classes.iter() {
        if let Err(failed) = run(seed, without.with(class), false) {
            without = without.with(class);
            smallest = failed;
        }
    }
    (without, smallest)
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned()
}

fn live(mix: Mix, is_verbose: bool) -> Passed {
    let span = Duration::from_micros(mix.span_micros);
    let mut world = World::new(mix, is_verbose);
    world.plan();
    world.run_until(world.now + span);
    world.heal();
    assert!(world.run_until_quiet(QUIET_MAX), "the world does not come to rest");
    assert_quiet(&world);
    probe(&mut world);
    judge(&world);
    let responses = world.book.calls.iter().filter(|call| call.ending == Some(Ending::Response));
    Passed {
        fingerprint: world.fingerprint(),
        packets: world.packets,
        calls: world.book.calls.len(),
        responses: responses.count(),
    }
}

fn assert_quiet(world: &World) {
    for station in &world.stations {
        station.endpoint.check_invariants();
        station.assert_within_limits();
        station.assert_quiet();
    }
}

/// Every host calls another one, and is answered in time.
fn probe(world: &mut World) {
    world.mix.refusals = 0;
    world.mix.streams = 0;
    for from in 0..world.stations.len() {
        for length in [1, world.mix.length_max.min(50_000)] {
            // A damaged header may have named a call that was still to come, which then counts as
            // executed. Not for many calls, though.
            let tries = if world.book.is_garbled { 20 } else { 1 };
            let mut endings = (0..tries).map(|_| probe_call(world, from, length));
            let is_answered = endings.any(|ending| ending == Some(Ending::Response));
            assert!(is_answered, "host {from} gets no answer of a healed world");
        }
    }
    assert_quiet(world);
}

/// Makes a call in a quiet, healed world; how it ended.
fn probe_call(world: &mut World, from: usize, length: u32) -> Option<Ending> {
    if world.mix.config.limits.peers_max < Limits::default().peers_max {
        // Peers make room when they have been idle.
        let idle = world.mix.config.timing.peer_idle_min.saturating_mul(2);
        world.run_until(world.now + idle);
    }
    let hosts = world.stations.len();
    let to = (from + 1 + length as usize % (hosts - 1)) % hosts;
    let call = world.call(from, to, length, Wishes::default());
    let call = call.expect("a quiet host has room");
    let began = world.now;
    world.settle(from);
    assert!(world.run_until_quiet(QUIET_MAX), "the healed world does not come to rest");
    let ending = world.book.calls[call].ending;
    let took = world.ended_at.unwrap_or(world.now).saturating_since(began);
    let is_late = ending == Some(Ending::Response) && took > CALL_MAX;
    assert!(!is_late, "call {call} of a healed world took {took:?}");
    ending
}

/// Every call has one ending, with a cause.
fn judge(world: &World) {
    for (number, call) in world.book.calls.iter().enumerate() {
        let ending = call.ending.unwrap_or_else(|| panic!("call {number} has no ending"));
        let from_crash = world.stations[call.client].life > 0;
        assert!(ending != Ending::Lost || from_crash, "call {number} was lost without a crash");
        let fine = matches!(ending, Ending::Response) || !world.mix.is_harmless();
        assert!(fine, "call {number} ended without a cause as {ending:?}");
    }
}
