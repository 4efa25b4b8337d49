//! Endpoints whose allocations fail: nothing panics or aborts, packets are dropped and counted, calls
//! are errors, and once there is memory again everything goes on. Each call has exactly one outcome,
//! bytes are right, and all tables agree at every step.
#![allow(non_snake_case, reason = "tests are named function__case")]

mod steady;
mod sys;
mod world;

use homa_proto::{Config, Duration, Failure, RefuseReason};
use sys::{Plan, counts, follow};
use world::{Outcome, Wanted, World};

/// Three hosts that call each other with short and long messages, in two waves.
fn wanted() -> Vec<Wanted> {
    let lengths = [1, 1000, 30_000, 70_000, 200_000];
    let calls = (0..18u64).map(|n| Wanted {
        after: Duration::from_micros(n / 9 * 3000 + n % 9 * 7),
        from: n as usize % 3,
        to: (n + 1 + n / 3 % 2) as usize % 3,
        length: lengths[n as usize % lengths.len()],
    });
    calls.collect()
}

/// How the calls of a dialogue ended, and how many allocations were asked for and refused.
struct Dialogue {
    outcomes: Vec<(Wanted, Outcome)>,
    asked: u64,
    refused: u64,
}

fn new_world(loss: u64) -> World {
    world_with(&Config::default(), loss)
}

fn world_with(config: &Config, loss: u64) -> World {
    let mut world = World::new(3, config, loss);
    wanted().into_iter().for_each(|call| world.call(call));
    world
}

fn dialogue(plan: Plan, loss: u64) -> Dialogue {
    dialogue_in(new_world(loss), plan)
}

fn dialogue_in(mut world: World, plan: Plan) -> Dialogue {
    follow(plan);
    let outcomes = world.run();
    let (asked, refused) = counts();
    follow(Plan::Never);
    assert_eq!(outcomes.len(), wanted().len(), "{plan:?}");
    Dialogue { outcomes, asked, refused }
}

/// A server without memory for a request says that it is overloaded.
const OVERLOADED: Outcome =
    Outcome::Failed(Failure::Refused { reason: RefuseReason::Overloaded, detail: 0 });

/// All calls have responses, but for those that the server had no memory for.
fn expect_served(outcomes: &[(Wanted, Outcome)], what: impl Fn() -> String) {
    let bad = |(_, outcome): &&(_, _)| ![Outcome::Response, OVERLOADED].contains(outcome);
    let bad: Vec<_> = outcomes.iter().filter(bad).collect();
    assert!(bad.is_empty(), "{}: {bad:?}", what());
}

#[test]
fn dialogue__with_memory() {
    let all = dialogue(Plan::Never, 11);
    assert!(all.outcomes.iter().all(|(_, outcome)| *outcome == Outcome::Response));
    assert_eq!(all.refused, 0);
    assert!(all.asked > 100, "there is something to refuse: {}", all.asked);
}

/// One allocation after the other fails: what failed is done again, or its client is told.
#[test]
fn dialogue__every_single_allocation_fails_once() {
    let loss = 11;
    for first in 0..dialogue(Plan::Never, loss).asked {
        let run = dialogue(Plan::Run { first, count: 1 }, loss);
        assert_eq!(run.refused, 1);
        expect_served(&run.outcomes, || format!("allocation {first}"));
    }
}

/// Several allocations fail one after the other. A hundred of them may take longer than peers are patient otherwise.
#[test]
fn dialogue__allocations_fail_in_a_row() {
    let mut patient = Config::default();
    patient.timing.timeout = Duration::from_millis(300);
    let asked = dialogue(Plan::Never, 11).asked;
    for count in [3, 30, 100] {
        for first in (0..asked).step_by(7) {
            let run = dialogue_in(world_with(&patient, 11), Plan::Run { first, count });
            assert!(run.refused > 0);
            expect_served(&run.outcomes, || format!("allocations from {first} on, {count}"));
        }
    }
}

/// There is no memory for a time shorter than peers are patient.
#[test]
fn dialogue__no_memory_for_a_time() {
    let mut counted = 0;
    for (step_micros, micros) in [(50, 100), (100, 5000), (500, 60_000)] {
        for after in (0..6000).step_by(step_micros) {
            let mut world = new_world(u64::MAX);
            world.starve(Duration::from_micros(after), Duration::from_micros(micros));
            let outcomes = world.run();
            follow(Plan::Never);
            assert_eq!(outcomes.len(), wanted().len());
            counted += world.counted();
            expect_served(&outcomes, || format!("none for {micros} us from {after} us on"));
        }
    }
    assert!(counted > 0, "packets were dropped, and counted");
}

/// A message whose first bytes need no memory but whose place in the order of granting does: it was
/// never granted the rest.
#[test]
fn dialogue__no_memory_for_grants() {
    for after in (0..1500).step_by(4) {
        let mut world = World::new(2, &Config::default(), u64::MAX);
        for length in [100, 200_000] {
            world.call(Wanted { after: Duration::ZERO, from: 0, to: 1, length });
        }
        world.starve(Duration::from_micros(after), Duration::from_micros(20_000));
        let outcomes = world.run();
        follow(Plan::Never);
        assert_eq!(outcomes.len(), 2);
        let responded = |(_, outcome): &(_, _)| *outcome == Outcome::Response;
        assert!(outcomes.iter().all(responded), "{after}: {outcomes:?}");
    }
}

/// Memory is short all the time: whatever happens has an end.
#[test]
fn dialogue__allocations_fail_by_chance() {
    for permille in [100, 300, 600, 900] {
        let mut responses = 0;
        for state in 1..=20 {
            let run = dialogue(Plan::Chance { permille, state }, 11);
            assert!(run.refused > 0);
            let responded = |(_, outcome): &&(_, _)| *outcome == Outcome::Response;
            responses += run.outcomes.iter().filter(responded).count();
        }
        // It does not take all memory to get something done.
        assert!(responses > 0, "{permille}");
    }
}

/// Whatever many RPCs have to tell at once finds room, though there is no memory: their sockets
/// close, or their peer falls silent.
#[test]
fn ending__of_many_calls_at_once_needs_no_memory() {
    for close in [true, false] {
        let mut world = World::new(2, &Config::default(), u64::MAX);
        for _ in 0..500 {
            world.call(Wanted { after: Duration::ZERO, from: 0, to: 1, length: 100 });
        }
        world.run_until_called(500);
        follow(Plan::Always);
        let failure = if close {
            world.close(0);
            Failure::ShutDown
        } else {
            world.cut();
            Failure::Timeout
        };
        let outcomes = world.run();
        let (_, refused) = counts();
        follow(Plan::Never);
        assert_eq!(outcomes.len(), 500);
        assert!(refused > 0);
        assert!(outcomes.iter().all(|(_, outcome)| *outcome == Outcome::Failed(failure)));
    }
}
