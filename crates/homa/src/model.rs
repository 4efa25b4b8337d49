//! The handing over between threads under a model checker (`cargo xtask model`).
//!
//! Two endpoints, joined by a wire in memory, with several threads waiting in each; the checker
//! decides at every lock, atomic and sleep who runs next. Nobody is driven by timers here, since
//! those are set to hours: a wake-up that is lost leaves threads asleep, and the run reaches its limit
//! of steps. What ought to hold in every interleaving: each call gets its own response, each request
//! is accepted once, and everybody comes home.
#![allow(non_snake_case, reason = "tests are named function__case")]

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use homa_io::{Clock, Driver, MemoryIo, Message};
use homa_proto::{Config, Endpoint};
use shuttle::scheduler::{PctScheduler, RandomScheduler};

use crate::awaited::{CallDone, Idle, NextRequests, Outcomes, ReplySent, Started};
use crate::calls::{CallId, Owner};
use crate::error::CallError;
use crate::requests::ServerIndex;
use crate::shared::{Handle, Shared};
use crate::state::{Accepted, Replied, State};
use crate::sync::thread::{self, JoinHandle, Thread};
use crate::sync::{AtomicBool, Ordering};
use crate::wait::wait;
use crate::{Addr, CallOptions, WhenFull};

const PORT: u16 = 7;

/// Runs a test under many schedules: such as give everybody the same chance at each step, and such
/// as let some threads be far behind the others.
fn check(test: impl Fn() + Send + Sync + 'static) {
    let runs = std::env::var("HOMA_MODEL_RUNS").ok().and_then(|runs| runs.parse().ok());
    let runs = runs.unwrap_or(1000);
    let mut config = shuttle::Config::new();
    config.max_steps = shuttle::MaxSteps::FailAfter(100_000);
    config.stack_size = 1 << 20;
    let test = Arc::new(test);
    let even = (Arc::clone(&test), RandomScheduler::new(runs));
    shuttle::Runner::new(even.1, config.clone()).run(move || even.0());
    shuttle::Runner::new(PctScheduler::new(3, runs), config).run(move || test());
}

/// Two endpoints on one wire; the second serves [`PORT`].
struct World {
    client: Arc<Shared>,
    server: Arc<Shared>,
    service: ServerIndex,
    addr: Addr,
}

impl World {
    fn new() -> Self {
        Self::with(config(), config())
    }

    /// The client may have so many calls at once; more wait.
    fn with_room_for(calls: u32) -> Self {
        let mut client = config();
        client.limits.client_rpcs_max = calls;
        let world = Self::with(client, config());
        world.client.lock().when_full = WhenFull::Wait;
        world
    }

    fn with(client: Config, server: Config) -> Self {
        let [here, there] = [1000, 2000].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let (a, b) = MemoryIo::pair(here, there, 64).unwrap();
        let (client, server) = (Arc::new(shared(a, client)), Arc::new(shared(b, server)));
        let service = server.lock().serve(PORT, false).unwrap();
        Self { client, server, service, addr: Addr::new(there, PORT).unwrap() }
    }

    /// A thread that answers requests until the endpoint closes, and returns their number.
    fn echo(&self) -> JoinHandle<u32> {
        let (server, service) = (Arc::clone(&self.server), self.service);
        thread::spawn(move || {
            let mut answered = 0;
            while let Some(request) = next_request(&server, service) {
                // Fails if the client has closed its endpoint meanwhile.
                let replied = server.lock().reply(request.key, &mut request.message.unwrap());
                answered += u32::from(replied.is_ok());
            }
            answered
        })
    }

    /// The same, but replies wait for room.
    fn echo_when_room(&self) -> JoinHandle<u32> {
        let (server, service) = (Arc::clone(&self.server), self.service);
        thread::spawn(move || {
            let mut answered = 0;
            while let Some(request) = next_request(&server, service) {
                let mut locked = server.lock();
                let replied = locked.reply_or_wait(request.key, request.message.unwrap());
                if let Replied::Waits(ticket) = replied.unwrap() {
                    let sent = server.wait_on_thread(locked, &mut ReplySent(ticket), None);
                    assert_eq!(sent, Some(Ok(())));
                    server.lock().tables.waiting.forget_reply(ticket);
                }
                answered += 1;
            }
            answered
        })
    }

    /// A thread that makes calls, one after the other.
    fn calls(&self, name: u8, count: u8) -> JoinHandle<()> {
        let (client, addr) = (Arc::clone(&self.client), self.addr);
        thread::spawn(move || {
            for number in 0..count {
                let mut locked = client.lock();
                let call = start(&mut locked, addr, [name, number], Owner::Caller);
                let outcome = client.wait_on_thread(locked, &mut CallDone(call), None);
                assert_eq!(bytes(outcome), [name, number]);
                computes();
            }
        })
    }

    /// Has so many threads make calls, and returns when all of them are home.
    fn calls_of(&self, threads: u8, count: u8) {
        let clients: Vec<_> = (0..threads).map(|name| self.calls(name, count)).collect();
        clients.into_iter().for_each(|client| client.join().unwrap());
    }

    /// A thread that receives so many outcomes of calls started with `send`.
    fn receiver(&self, count: usize) -> JoinHandle<Vec<u8>> {
        let client = Arc::clone(&self.client);
        thread::spawn(move || {
            let mut names = Vec::new();
            while names.len() < count {
                let each = |_, outcome| names.push(bytes(Some(outcome))[0]);
                client.wait_on_thread(client.lock(), &mut Outcomes::new(1, each), None);
            }
            names
        })
    }

    /// Ends both sides, and returns how many requests were answered.
    fn close(self, servers: Vec<JoinHandle<u32>>) -> u32 {
        self.server.close();
        let answered = servers.into_iter().map(|server| server.join().unwrap()).sum();
        self.client.close();
        answered
    }

    /// Ends both sides, of which the servers must have answered `calls` in all.
    fn end(self, servers: Vec<JoinHandle<u32>>, calls: u32) {
        assert_eq!(self.close(servers), calls, "each request is accepted once");
    }
}

fn config() -> Config {
    let hours = homa_proto::Duration::from_secs(10_000);
    let mut config = Config::default();
    let timing = &mut config.timing;
    (timing.resend_interval, timing.resend_interval_max) = (hours, hours);
    (timing.need_ack_delay, timing.need_ack_delay_max) = (hours, hours);
    timing.call_deadline = hours;
    config
}

fn shared(io: MemoryIo, config: Config) -> Shared {
    let endpoint = Endpoint::new(config, Clock::now()).unwrap();
    let mut driver = Driver::new(endpoint, Box::new(io) as _);
    let client = driver.open_client().unwrap();
    let state = State::new(driver, client);
    Shared::new(state, Duration::ZERO, Duration::ZERO).unwrap()
}

fn start(state: &mut State, addr: Addr, bytes: [u8; 2], owner: Owner) -> CallId {
    state.start_call(addr, bytes.to_vec().into(), CallOptions::default(), owner).unwrap()
}

fn bytes(outcome: Option<Result<Message, CallError>>) -> Vec<u8> {
    outcome.expect("no deadline").expect("a response").into_bytes().to_vec()
}

/// Takes a request, or none if the endpoint closes.
fn next_request(server: &Shared, service: ServerIndex) -> Option<Accepted> {
    let mut accepted = None;
    let mut next = NextRequests::new(service, 1, |one| accepted = Some(one));
    server.wait_on_thread(server.lock(), &mut next, None);
    accepted
}

/// All that these threads have received, in order of names.
fn received<const N: usize>(receivers: [JoinHandle<Vec<u8>>; N]) -> Vec<u8> {
    let mut names: Vec<_> =
        receivers.into_iter().flat_map(|receiver| receiver.join().unwrap()).collect();
    names.sort_unstable();
    names
}

/// The client's endpoint as its users hold it, with its helper.
fn with_helper(world: &World) -> Arc<Handle> {
    Handle::new(Arc::clone(&world.client)).unwrap()
}

/// Receives one outcome as a task would that gives up once it was looked at `looks` times.
fn receive_as_task(handle: &Handle, looks: u32) -> Option<u8> {
    struct Unpark(Thread, AtomicBool);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.1.store(true, Ordering::Release);
            self.0.unpark();
        }
    }

    let mut name = None;
    {
        let each = |_, outcome| name = Some(bytes(Some(outcome))[0]);
        let mut task = pin!(wait(handle, Outcomes::new(1, each)));
        for _ in 0..looks {
            let unpark = Arc::new(Unpark(thread::current(), AtomicBool::new(false)));
            let waker = Waker::from(Arc::clone(&unpark));
            if task.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                break;
            }
            while !unpark.1.load(Ordering::Acquire) {
                thread::park();
            }
        }
    }
    name
}

/// Looks for a response now and then, without driving.
fn look_for(handle: &Handle, call: CallId) -> Vec<u8> {
    loop {
        let outcome = handle.lock().take_outcome(call);
        if outcome.is_some() {
            return bytes(outcome);
        }
        thread::yield_now();
    }
}

/// The application is away for a while.
fn computes() {
    for _ in 0..4 {
        thread::yield_now();
    }
}

#[test]
fn wait_on_thread__everybody_comes_home() {
    check(|| {
        let world = World::new();
        let servers = vec![world.echo(), world.echo()];
        world.calls_of(3, 2);
        world.end(servers, 6);
    });
}

#[test]
fn wait_on_thread__each_outcome_goes_to_one_receiver() {
    check(|| {
        let world = World::new();
        let servers = vec![world.echo()];
        let receivers = [world.receiver(1), world.receiver(2)];
        let caller = world.calls(9, 1);
        for name in 0..3 {
            start(&mut world.client.lock(), world.addr, [name, 0], Owner::Queue);
        }
        assert_eq!(received(receivers), [0, 1, 2]);
        caller.join().unwrap();
        world.end(servers, 4);
    });
}

/// Nobody waits in the client's endpoint: its helper takes what arrives.
#[test]
fn help__drives_while_nobody_else_does() {
    check(|| {
        let world = World::new();
        let servers = vec![world.echo()];
        let handle = with_helper(&world);
        let call = start(&mut handle.lock(), world.addr, [1, 0], Owner::Caller);
        assert_eq!(look_for(&handle, call), [1, 0]);
        handle.close();
        world.end(servers, 1);
    });
}

/// Threads that wait now and then, and the helper that stands in for them meanwhile.
#[test]
fn help__makes_way_for_threads_and_comes_back() {
    check(|| {
        let world = World::new();
        let servers = vec![world.echo()];
        let handle = with_helper(&world);
        world.calls_of(2, 3);
        handle.close();
        world.end(servers, 6);
    });
}

/// The helper slept because a leader did; the leader went, and now nobody waits.
#[test]
fn help__is_called_back_when_the_leader_leaves() {
    check(|| {
        let world = World::new();
        let servers = vec![world.echo()];
        let handle = with_helper(&world);
        let mut locked = handle.lock();
        let call = start(&mut locked, world.addr, [1, 0], Owner::Caller);
        let outcome = handle.shared.wait_on_thread(locked, &mut CallDone(call), None);
        assert_eq!(bytes(outcome), [1, 0]);
        let call = start(&mut handle.lock(), world.addr, [2, 0], Owner::Caller);
        assert_eq!(look_for(&handle, call), [2, 0]);
        handle.close();
        world.end(servers, 2);
    });
}

/// A thread gives up calls whose outcomes others wait for, one of whom sleeps on the socket.
#[test]
fn abort__wakes_who_waits_for_outcomes() {
    check(|| {
        let world = World::new();
        let calls =
            [1, 2].map(|name| start(&mut world.client.lock(), world.addr, [name, 0], Owner::Queue));
        let waiting = [1, 2].map(|_| {
            let client = Arc::clone(&world.client);
            thread::spawn(move || {
                let each = |_, outcome| assert_eq!(outcome, Err(CallError::Aborted));
                client.wait_on_thread(client.lock(), &mut Outcomes::new(1, each), None)
            })
        });
        computes();
        for call in calls {
            assert!(world.client.lock().abort_call(call));
        }
        assert_eq!(waiting.map(|thread| thread.join().unwrap()), [Some(1), Some(1)]);
    });
}

/// Of two tasks the one that is woken may be the one that gives up: the other must be woken then.
#[test]
fn wait__a_task_that_gives_up_passes_its_wake_up_on() {
    check(|| {
        let world = World::new();
        let servers = vec![world.echo()];
        let handle = with_helper(&world);
        let is_done = Arc::new([1, u32::MAX].map(|_| AtomicBool::new(false)));
        let tasks = [(0, 1), (1, u32::MAX)].map(|(task, looks)| {
            let (handle, is_done) = (Arc::clone(&handle), Arc::clone(&is_done));
            thread::spawn(move || {
                let received = receive_as_task(&handle, looks);
                is_done[task].store(true, Ordering::SeqCst);
                received
            })
        });
        let [hasty, patient] = tasks;
        let call = |name| start(&mut handle.lock(), world.addr, [name, 0], Owner::Queue);
        call(1);
        while !is_done.iter().any(|done| done.load(Ordering::SeqCst)) {
            thread::yield_now();
        }
        // If the patient one has it, the hasty one may still wait.
        let by_patient = is_done[1].load(Ordering::SeqCst);
        if by_patient {
            call(2);
        }
        let by_hasty = hasty.join().unwrap();
        if by_hasty.is_some() && !by_patient {
            call(2);
        }
        let all = [by_hasty, patient.join().unwrap()];
        assert!(
            [[None, Some(1)], [Some(1), Some(2)], [Some(2), Some(1)]].contains(&all),
            "{all:?}"
        );
        handle.close();
        world.close(servers);
    });
}

/// More threads call than there is room for: whoever makes room starts the next one's call, which
/// finds its outcome though it had been asleep.
#[test]
fn admit__everybody_gets_room() {
    check(|| {
        let world = World::with_room_for(1);
        let servers = vec![world.echo()];
        world.calls_of(3, 2);
        world.end(servers, 6);
    });
}

/// The same for calls whose outcomes others take, which is what makes room.
#[test]
fn admit__who_sends_waits_for_who_receives() {
    check(|| {
        let world = World::with_room_for(1);
        let servers = vec![world.echo()];
        let receiver = world.receiver(4);
        let senders = [1, 2].map(|name| {
            let (client, addr) = (Arc::clone(&world.client), world.addr);
            thread::spawn(move || {
                for number in 0..2 {
                    let mut locked = client.lock();
                    let call = start(&mut locked, addr, [name, number], Owner::Starter);
                    let started = client.wait_on_thread(locked, &mut Started(call), None);
                    assert_eq!(started, Some(Ok(call)));
                    computes();
                }
            })
        });
        for sender in senders {
            sender.join().unwrap();
        }
        assert_eq!(received([receiver]), [1, 1, 2, 2]);
        world.end(servers, 4);
    });
}

/// One that waits for room is dropped at any moment: who waits behind it goes all the same.
#[test]
fn admit__goes_past_those_who_gave_up() {
    check(|| {
        let world = World::with_room_for(1);
        let servers = vec![world.echo()];
        let first = world.calls(1, 1);
        let hasty = {
            let (client, addr) = (Arc::clone(&world.client), world.addr);
            thread::spawn(move || {
                let call = start(&mut client.lock(), addr, [2, 0], Owner::Caller);
                computes();
                client.lock().drop_call(call);
            })
        };
        let patient = world.calls(3, 1);
        [first, hasty, patient].into_iter().for_each(|thread| thread.join().unwrap());
        assert!(matches!(world.close(servers), 2 | 3));
    });
}

/// Threads wait for room for their replies, which is made when another is acknowledged: at any moment,
/// for that is asked for when a while is over.
#[test]
fn admit__replies_get_room() {
    check(|| {
        let mut server = config();
        (server.message_length_max, server.limits.outgoing_bytes_max) = (2, 2);
        let timing = Config::default().timing;
        server.timing.need_ack_delay = timing.need_ack_delay;
        server.timing.need_ack_delay_max = timing.need_ack_delay_max;
        let world = World::with(config(), server);
        let servers = [1, 2].map(|_| world.echo_when_room());
        world.calls_of(2, 2);
        world.end(servers.into(), 4);
    });
}

/// The endpoint closes over calls that wait for room.
#[test]
fn close__sends_home_who_waits_for_room() {
    check(|| {
        let world = World::with_room_for(1);
        let waiting = [1, 2, 3].map(|name| {
            let (client, addr) = (Arc::clone(&world.client), world.addr);
            thread::spawn(move || {
                let mut locked = client.lock();
                let request = vec![name].into();
                let call = locked.start_call(addr, request, CallOptions::new(), Owner::Caller);
                let Ok(call) = call else { return };
                let outcome = client.wait_on_thread(locked, &mut CallDone(call), None);
                assert_eq!(outcome, Some(Err(CallError::ShutDown)));
            })
        });
        computes();
        world.client.close();
        waiting.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn close__sends_everybody_home() {
    check(|| {
        let world = World::new();
        start(&mut world.client.lock(), world.addr, [1, 0], Owner::Queue);
        let waiting = [1, 2].map(|count| {
            let client = Arc::clone(&world.client);
            thread::spawn(move || {
                let mut outcomes = 0;
                let each = |_, outcome: Result<_, _>| {
                    assert_eq!(outcome, Err(CallError::ShutDown));
                    outcomes += 1;
                };
                client.wait_on_thread(client.lock(), &mut Outcomes::new(count, each), None);
                outcomes
            })
        });
        let client = Arc::clone(&world.client);
        let idle = thread::spawn(move || {
            client.lock().drain();
            client.wait_on_thread(client.lock(), &mut Idle::default(), None);
        });
        computes();
        world.client.close();
        assert_eq!(waiting.map(|thread| thread.join().unwrap()).iter().sum::<u32>(), 1);
        idle.join().unwrap();
    });
}
