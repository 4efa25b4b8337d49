//! No request is executed twice, and none is lost that can be kept (PROTOCOL section 6).
#![allow(non_snake_case, reason = "tests are named function__case")]

use homa_proto::{
    Config, Duration, Event, Failure, Limit, RefuseReason, ReplyError, Resource, RpcId, Unreachable,
};
use homa_testkit::{Application, FaultPlan, Network, Outcome, Probe, Remote, data};
use homa_wire::{Ack, AckList, Body, Data, Header, Priority, Refuse, Resend};

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn whole() -> Body {
    Body::Data(data(100, 0, 100))
}

fn ack() -> Body {
    Body::Ack(AckList::new())
}

/// Serves request `id` to its end.
fn serve(probe: &mut Probe, from: Remote, id: u64) {
    let key = probe.accept_request(from, id, 100);
    probe.reply(key, 100);
    probe.request(from, id, ack(), 0);
    assert!(probe.endpoint.info(key).is_none());
}

/// KNOWN_ISSUES 1.1, HOMA-ONCE-3, HOMA-ONCE-7: a copy of an acknowledged request that was stuck on
/// the way is dropped, for at least `finished_memory`; it does not stop newer requests.
#[test]
fn late_duplicate__of_an_acknowledged_request_is_dropped() {
    let mut probe = Probe::new(&Config::default());
    let client = Remote::client(1);
    for id in [10, 4, 6] {
        serve(&mut probe, client, id);
    }
    for _ in 0..99 {
        probe.advance(millis(100));
        for id in [10, 4, 6] {
            probe.request(client, id, whole(), 100);
        }
    }
    assert_eq!(probe.complete_request(), None);
    assert_eq!(probe.endpoint.stats().finished_rpc_packets, 297);
    // Finished out of order: the ids between are new.
    probe.request(client, 8, whole(), 100);
    assert!(probe.complete_request().is_some());
    // Another client's id is another RPC.
    probe.request(Remote::client(2), 10, whole(), 100);
    assert!(probe.complete_request().is_some());
}

/// HOMA-ONCE-3: a client that still sends a request which was executed, and whose response was given
/// up here, is told so, and the id is remembered for as long as it goes on.
#[test]
fn retransmission__of_a_request_given_up_after_its_execution() {
    let mut probe = Probe::new(&Config::default());
    let client = Remote::client(1);
    let key = probe.accept_request(client, 10, 100);
    probe.reply(key, 100);
    probe.endpoint.handle_unreachable(probe.now, client.addr, None, Unreachable::Host);
    probe.drain();
    assert!(probe.endpoint.info(key).is_none());
    probe.take_bodies();
    let again = Body::Data(Data { retransmit: true, ..data(100, 0, 100) });
    for _ in 0..100 {
        probe.advance(millis(100));
        probe.request(client, 10, again, 100);
        let reason = RefuseReason::DroppedUnanswered;
        assert_eq!(probe.take_bodies(), [Body::Refuse(Refuse { reason, detail: 0 })]);
    }
    assert_eq!(probe.complete_request(), None);
}

/// The memory is bounded: it ends.
#[test]
fn late_duplicate__is_remembered_for_a_bounded_time() {
    let mut probe = Probe::new(&Config::default());
    serve(&mut probe, Remote::client(1), 10);
    probe.advance(Duration::from_secs(21));
    probe.request(Remote::client(1), 10, whole(), 100);
    assert!(probe.complete_request().is_some());
}

/// HOMA-ONCE-6: while the RPC exists its duplicates are dropped, whatever its state.
#[test]
fn duplicate__of_an_open_request_is_dropped() {
    let mut probe = Probe::new(&Config::default());
    let client = Remote::client(1);
    let key = probe.accept_request(client, 10, 100);
    probe.request(client, 10, whole(), 100);
    probe.reply(key, 100);
    probe.request(client, 10, whole(), 100);
    assert_eq!(probe.complete_request(), None);
    assert_eq!(probe.endpoint.stats().server_requests_started, 1);
}

/// A request that its client gave up does not come back; nor does one that was refused.
#[test]
fn duplicate__of_a_cancelled_or_refused_request_is_dropped() {
    let mut probe = Probe::new(&Config::default());
    let client = Remote::client(1);
    probe.accept_request(client, 10, 100);
    probe.request(client, 10, Body::RpcUnknown, 0);
    probe.request(client, 10, whole(), 100);
    assert_eq!(probe.complete_request(), None);
    let refused = probe.accept_request(client, 12, 100);
    let reason = homa_proto::RefuseReason::DroppedUnanswered;
    probe.endpoint.refuse(probe.now, refused, reason);
    probe.advance(millis(2100));
    assert!(probe.endpoint.is_idle(), "the refusal is forgotten");
    probe.request(client, 12, whole(), 100);
    assert_eq!(probe.complete_request(), None, "its id is not");
}

/// KNOWN_ISSUES 1.2: a reply that fails keeps the RPC answerable, and the client waiting.
#[test]
fn failed_reply__keeps_the_rpc_answerable() {
    let mut config = Config::default();
    config.pacing = false;
    config.message_length_max = 10_000;
    config.limits.incoming_bytes_max = 20_000;
    config.limits.outgoing_bytes_max = 15_000;
    let mut probe = Probe::new(&config);
    let key = probe.accept_request(Remote::client(1), 10, 100);
    let blocker = probe.call(Remote::server(2), 10_000);
    let now = probe.now;
    assert_eq!(probe.endpoint.send_reply(now, key, 0), Err(ReplyError::Empty));
    assert_eq!(probe.endpoint.send_reply(now, key, 10_001), Err(ReplyError::TooLong(10_000)));
    let full = ReplyError::Full(Limit::of_host(Resource::OutgoingBytes, 15_000));
    assert_eq!(probe.endpoint.send_reply(now, key, 9_000), Err(full));
    let resend = Body::Resend(Resend::all(Priority::HIGHEST));
    probe.take_sent();
    probe.request(Remote::client(1), 10, resend, 0);
    assert_eq!(probe.take_bodies(), [Body::Busy], "it is still in service");
    probe.endpoint.abort(now, blocker);
    probe.reply(key, 9_000);
    assert_eq!(probe.endpoint.send_reply(now, key, 5), Err(ReplyError::NotInService));
    assert_eq!(probe.take_data().len(), 7);
}

/// KNOWN_ISSUES 1.3, HOMA-MODEL-9: a client host that restarts numbers its RPCs from elsewhere, so
/// its requests are not taken for those of its former life.
#[test]
fn restarted_client__is_served() {
    let mut config = Config::default();
    let mut network = Network::new(2, &config, FaultPlan::perfect(Duration::from_micros(5)));
    network.host_mut(1).application = Application::Hold;
    for _ in 0..10 {
        network.call(0, 1, 100).unwrap();
    }
    network.run_for(millis(1));
    config.seed = 99;
    network.restart(0, &config);
    network.host_mut(1).application = Application::Echo;
    let key = network.call(0, 1, 100).unwrap();
    let outcome = network.run_until_outcome(0, key, millis(10));
    assert_eq!(outcome, Some(Outcome::Response(100)));
    // The server learns that nobody waits for the others when it asks for their acks.
    while network.reply_to_held(1, 100).is_some() {}
    assert!(network.run_until_quiet(Duration::from_secs(1)));
    network.assert_quiet();
}

/// HOMA-MODEL-8, HOMA-HDR-11, HOMA-DATA-1: ids are even, grow in order of creation, and are nobody's guess.
#[test]
fn ids__are_even_and_grow() {
    let ids = |seed| {
        let mut config = Config::default();
        config.seed = seed;
        let mut probe = Probe::new(&config);
        let keys = [0; 5].map(|_| probe.call(Remote::server(1), 100));
        keys.map(|key| probe.endpoint.info(key).unwrap().id)
    };
    let (one, other) = (ids(1), ids(2));
    assert!(one.iter().all(|id| id.is_client() && *id != RpcId(0)));
    assert!(one.windows(2).all(|pair| pair[0] < pair[1]));
    assert_ne!(one[0], other[0]);
}

/// KNOWN_ISSUES 1.10, DRAFT section 3 "server's key": one request under one id per address, from
/// whatever port its copies come.
#[test]
fn duplicate__from_another_port_is_dropped() {
    let mut probe = Probe::new(&Config::default());
    let client = Remote::client(1);
    probe.accept_request(client, 10, 100);
    probe.request(client.with_port(50_000), 10, whole(), 100);
    assert_eq!(probe.complete_request(), None);
    assert_eq!(probe.endpoint.stats().wrong_port_packets, 1);
}

/// HOMA-ONCE-1, HOMA-ONCE-3: duplicates of every packet, up to a second late, execute nothing twice
/// (the harness panics if a request is executed twice).
#[test]
fn duplicates_of_everything__execute_nothing_twice() {
    let mut network =
        Network::new(2, &Config::default(), FaultPlan::perfect(Duration::from_micros(5)));
    let sent: std::rc::Rc<std::cell::RefCell<Vec<Header>>> = std::rc::Rc::default();
    let log = sent.clone();
    network.set_filter(move |_, from, header| {
        if from.0 == 0 {
            log.borrow_mut().push(*header);
        }
        true
    });
    for n in 1..40 {
        network.call(0, 1, n * 200).unwrap();
        network.run_for(Duration::from_micros(300));
    }
    network.run_for(millis(100));
    network.clear_filter();
    let client = network.host(0).addr;
    for delay in [1, 300, 600] {
        network.run_for(millis(delay));
        let packets = sent.borrow().clone();
        for header in packets {
            let payload_len = match header.body {
                Body::Data(Data { message_length, offset, .. }) => {
                    (message_length - offset).min(1416)
                }
                _ => 0,
            };
            network.inject(client, 1, &header, payload_len);
        }
    }
    assert!(network.run_until_quiet(Duration::from_secs(20)));
    network.assert_quiet();
    assert_eq!(network.host(1).executions.len(), 39);
}

/// A finished id is remembered though its peer stays idle, and only an idle peer makes room.
#[test]
fn eviction__does_not_forget_finished_ids_too_early() {
    let mut config = Config::default();
    config.limits.peers_max = 1;
    let mut probe = Probe::new(&config);
    serve(&mut probe, Remote::client(1), 10);
    probe.advance(millis(9_900));
    probe.request(Remote::client(2), 10, whole(), 100);
    assert_eq!(probe.endpoint.stats().server_cant_create_rpcs, 1, "no room yet");
    probe.request(Remote::client(1), 10, whole(), 100);
    assert_eq!(probe.complete_request(), None);
    // Peers must be idle for as long as ids are remembered.
    config.timing.peer_idle_min = millis(9_999);
    assert_eq!(config.validate().unwrap_err().field, "timing.peer_idle_min");
}

/// An id that finishes long after its client fell silent is remembered from then on.
#[test]
fn eviction__counts_from_when_the_last_rpc_finished() {
    let mut config = Config::default();
    config.limits.peers_max = 1;
    let mut probe = Probe::new(&config);
    let key = probe.accept_request(Remote::client(1), 10, 100);
    probe.reply(key, 100);
    probe.advance(millis(10_500));
    assert!(probe.endpoint.info(key).is_none(), "its client is silent");
    probe.request(Remote::client(2), 10, whole(), 100);
    assert_eq!(probe.endpoint.stats().server_cant_create_rpcs, 1, "no room yet");
    probe.request(Remote::client(1), 10, whole(), 100);
    assert_eq!(probe.complete_request(), None);
}

/// HOMA-ONCE-5: a request that never came whole is forgotten, and may come again.
#[test]
fn incomplete_request__may_come_again() {
    let mut probe = Probe::new(&Config::default());
    let client = Remote::client(1);
    probe.request(client, 10, Body::Data(data(3000, 0, 3000)), 1416);
    probe.advance(millis(300));
    assert!(probe.endpoint.is_idle());
    let cancelled = |e: &Event| matches!(e, Event::Cancelled { .. });
    assert!(probe.take_events().iter().any(cancelled));
    for offset in [0, 1416, 2832] {
        let length = 1416.min(3000 - offset);
        probe.request(client, 10, Body::Data(data(3000, offset, 3000)), length);
    }
    assert!(probe.complete_request().is_some());
}

/// HOMA-DATA-7, HOMA-DATA-8, HOMA-ACK-4: an ack in DATA of another RPC ends the RPC it names, if the
/// port is that RPC's, and the payload is taken.
#[test]
fn piggybacked_ack__ends_the_rpc_it_names() {
    let mut probe = Probe::new(&Config::default());
    let client = Remote::client(1);
    let key = probe.accept_request(client, 10, 100);
    probe.reply(key, 100);
    for (id, server_port, open) in [(10, 5, true), (11, 4000, true), (10, 4000, false)] {
        let ack = Some(Ack { client_id: RpcId(10), server_port }).filter(|_| id == 10);
        let body = Body::Data(Data { ack, ..data(100, 0, 100) });
        probe.request(client, 100 + u64::from(server_port) * 2 + id % 2 * 2, body, 100);
        assert_eq!(probe.endpoint.info(key).is_some(), open, "{id} {server_port}");
        assert!(probe.complete_request().is_some());
    }
}

/// HOMA-ONCE-1: the server executed the request and gave the response up, since the network said that
/// the client is not there; the client stood still until that was forgotten. It must not ask again.
/// Found by fuzzing.
#[test]
fn restart__not_when_the_server_may_have_forgotten() {
    let mut config = Config::default();
    config.timing.call_deadline = Duration::from_secs(60);
    let mut network = Network::new(2, &config, FaultPlan::perfect(Duration::from_micros(5)));
    let client = network.host(0).addr;
    network.set_filter(|_, from, header| from.0 == 0 || !matches!(header.body, Body::Data(_)));
    let call = network.call(0, 1, 100).unwrap();
    network.run_for(millis(1));
    network.set_stopped(0, true);
    let now = network.now;
    network.host_mut(1).endpoint.handle_unreachable(now, client, None, Unreachable::Host);
    network.run_for(Duration::from_secs(25));
    network.clear_filter();
    network.set_stopped(0, false);
    let outcome = network.run_until_outcome(0, call, Duration::from_secs(5));
    let dropped = Failure::Refused { reason: RefuseReason::DroppedUnanswered, detail: 0 };
    assert_eq!(outcome, Some(Outcome::Failed(dropped)));
    assert!(network.host(1).executions.values().all(|count| *count == 1));
}
