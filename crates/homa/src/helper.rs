//! The helper: a thread that drives an endpoint while nobody else does.
//!
//! It must cost nothing while others drive, so nobody signals to it when they stop. It looks at a
//! counter of turns every [`LOOK_INTERVAL`] instead, without the lock; a counter that stands still
//! says that nobody drives, and the helper takes a turn. When nobody has driven for
//! [`LOOKS_UNTIL_SLEEP`] looks, it sleeps: on the socket, as a leader would, or, if a leader sleeps
//! there already, until it is called. The first who drives again, or has something to send, rings
//! its bell: once per such sleep, which only ends a quiet time.
//!
//! Packets that a cork holds back leave at the helper's next look at the latest, whoever drives, and
//! though a leader sleeps.
//!
//! So nothing waits for longer than one look if a thread computes between two calls, and a quiet
//! endpoint wakes nobody.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::lead::time_until;
use crate::shared::{Locked, Shared};
use crate::sync::thread::{self, JoinHandle};
use crate::sync::wait;

/// How often the helper looks whether others drive.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// After so many looks without a turn of others the helper drives by itself, or sleeps. (The model
/// checker, to which time is nothing, is to see that often.)
const LOOKS_UNTIL_SLEEP: u32 = if cfg!(shuttle) { 1 } else { 10 };

/// Starts the helper of an endpoint; it ends when the endpoint closes.
///
/// # Errors
///
/// The system has no more threads to give.
pub(crate) fn spawn(shared: Arc<Shared>) -> io::Result<JoinHandle<()>> {
    let builder = thread::Builder::new().name("homa-helper".to_owned());
    builder.spawn(move || help(&shared))
}

fn help(shared: &Shared) {
    let mut turns_seen = shared.turns();
    let mut quiet_looks = 0;
    loop {
        let woken = wait(None, false, &shared.helper_bell, Some(LOOK_INTERVAL));
        let turns = shared.turns();
        let others_drive = std::mem::replace(&mut turns_seen, turns) != turns;
        if others_drive && !woken.bell {
            quiet_looks = 0;
            if shared.holds_back() {
                let Some(mut locked) = shared.lock_by_helper() else { return };
                locked.flush_now();
            }
            continue;
        }
        shared.helper_bell.silence();
        let Some(mut locked) = shared.lock_by_helper() else { return };
        if locked.is_closed() {
            return;
        }
        quiet_looks += 1;
        if drive(&mut locked) {
            // There is work and nobody else to do it: the next look would be late.
            quiet_looks = LOOKS_UNTIL_SLEEP;
        }
        if quiet_looks >= LOOKS_UNTIL_SLEEP {
            stand_in(shared, locked);
            quiet_looks = 0;
        }
    }
}

/// Drives, asleep while there is nothing to do, until it is called off.
fn stand_in<'a>(shared: &'a Shared, mut locked: Locked<'a>) {
    loop {
        let leader_sleeps = locked.seats.is_leader_asleep();
        let (io, want_room, until) = if leader_sleeps {
            (None, false, None)
        } else {
            let (io, want_room) = locked.sleep_on();
            (io, want_room, locked.next_due())
        };
        let timeout = if locked.has_more() { Some(Duration::ZERO) } else { until.map(time_until) };
        locked.seats.helper_asleep = true;
        drop(locked);
        if wait(io, want_room, &shared.helper_bell, timeout).bell {
            shared.helper_bell.silence();
        }
        let Some(relocked) = shared.lock_by_helper() else { return };
        locked = relocked;
        // Whoever rings has cleared it: others are at work.
        if !std::mem::take(&mut locked.seats.helper_asleep) || locked.is_closed() {
            return;
        }
        drive(&mut locked);
    }
}

/// Takes a turn, and says whether it found anything. While a leader sleeps on the socket, and will
/// take the turns itself, only what a cork holds back is sent.
fn drive(locked: &mut Locked<'_>) -> bool {
    if locked.seats.is_leader_asleep() {
        locked.flush_now();
        return false;
    }
    locked.drive().progress
}
