//! Requests that are not taken, and how their clients learn of it at once (PROTOCOL section 12; the
//! extension REFUSE).
#![allow(non_snake_case, reason = "tests are named function__case")]

use homa_proto::{CallOptions, Config, Duration, Event, Failure, Priority, RefuseReason};
use homa_testkit::{Application, FaultPlan, HostId, Network, Outcome, Probe, Remote, data};
use homa_wire::{Body, PacketType, Refuse, Resend};

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn pair(config: &Config) -> Network {
    Network::new(2, config, FaultPlan::perfect(Duration::from_micros(5)))
}

fn refused(reason: RefuseReason, detail: u32) -> Option<Outcome> {
    Some(Outcome::Failed(Failure::Refused { reason, detail }))
}

/// Calls port `port` of host 1 and returns how the call ended within a millisecond.
fn outcome_of(network: &mut Network, port: u16, length: u32) -> Option<Outcome> {
    let key = network.call_with(0, 1, port, length, CallOptions::default()).unwrap();
    network.run_until_outcome(0, key, millis(1))
}

/// HOMA-HDR-5.
#[test]
fn no_port__is_refused_at_once() {
    let mut network = pair(&Config::default());
    assert_eq!(outcome_of(&mut network, 999, 100), refused(RefuseReason::NoPort, 0));
    network.assert_quiet();
}

#[test]
fn client_port__is_refused_as_not_serving() {
    let mut network = pair(&Config::default());
    let socket = network.host(1).client_socket;
    let port = network.host(1).endpoint.port(socket).unwrap();
    assert_eq!(outcome_of(&mut network, port, 100), refused(RefuseReason::NotServing, 0));
}

#[test]
fn server_that_stopped_serving__refuses_and_may_serve_again() {
    let mut network = pair(&Config::default());
    let socket = network.host(1).server_socket;
    network.host_mut(1).endpoint.set_serving(socket, false);
    assert_eq!(outcome_of(&mut network, 4000, 100), refused(RefuseReason::NotServing, 0));
    network.host_mut(1).endpoint.set_serving(socket, true);
    assert_eq!(outcome_of(&mut network, 4000, 100), Some(Outcome::Response(100)));
}

/// Graceful shutdown: what is open goes on, what is new is refused.
#[test]
fn draining__finishes_open_requests_and_refuses_new_ones() {
    let mut network = pair(&Config::default());
    network.host_mut(1).application = Application::Hold;
    let open = network.call(0, 1, 100).unwrap();
    network.run_for(millis(1));
    let socket = network.host(1).server_socket;
    network.host_mut(1).endpoint.set_draining(socket);
    assert_eq!(outcome_of(&mut network, 4000, 100), refused(RefuseReason::ShuttingDown, 0));
    network.reply_to_held(1, 50);
    let outcome = network.run_until_outcome(0, open, millis(1));
    assert_eq!(outcome, Some(Outcome::Response(50)));
}

#[test]
fn too_many_requests__are_refused_as_overloaded() {
    let mut config = Config::default();
    config.limits.server_rpcs_max = 3;
    config.overload.peer_share_permille = 1000;
    let mut network = pair(&config);
    network.host_mut(1).application = Application::Hold;
    let keys: Vec<_> = (0..3).map(|_| network.call(0, 1, 100).unwrap()).collect();
    network.run_for(millis(1));
    assert_eq!(outcome_of(&mut network, 4000, 100), refused(RefuseReason::Overloaded, 0));
    while network.reply_to_held(1, 10).is_some() {}
    for key in keys {
        let outcome = network.run_until_outcome(0, key, millis(1));
        assert_eq!(outcome, Some(Outcome::Response(10)));
    }
    network.run_for(millis(10));
    network.host_mut(1).application = Application::Echo;
    assert_eq!(outcome_of(&mut network, 4000, 100), Some(Outcome::Response(100)));
}

#[test]
fn too_long_request__is_refused_with_the_limit() {
    let mut config = Config::default();
    config.message_length_max = 2_000_000;
    let mut network = pair(&config);
    network.restart(1, &Config::default());
    let outcome = outcome_of(&mut network, 4000, 1_500_000);
    assert_eq!(outcome, refused(RefuseReason::TooLong, 1_000_000));
}

#[test]
fn application__may_refuse() {
    let mut network = pair(&Config::default());
    network.host_mut(1).application = Application::Refuse(RefuseReason::DroppedUnanswered);
    assert_eq!(outcome_of(&mut network, 4000, 100), refused(RefuseReason::DroppedUnanswered, 0));
    network.run_for(millis(3000));
    network.assert_quiet();
}

/// A request may be refused while it is still arriving.
#[test]
fn application__may_refuse_an_incomplete_request() {
    let mut probe = Probe::new(&Config::default());
    let client = Remote::client(1);
    probe.request(client, 10, Body::Data(data(500_000, 0, 40_000)), 1416);
    let events = probe.take_events();
    let Some(&homa_proto::Event::RequestStarted { key }) = events.first() else { panic!() };
    probe.endpoint.refuse(probe.now, key, RefuseReason::DroppedUnanswered);
    probe.drain();
    let refuse = Refuse { reason: RefuseReason::DroppedUnanswered, detail: 0 };
    assert_eq!(probe.take_bodies().last(), Some(&Body::Refuse(refuse)));
    assert_eq!(probe.endpoint.incoming_bytes(), 0);
    assert_eq!(probe.endpoint.send_reply(probe.now, key, 5), Err(homa_proto::ReplyError::Gone));
}

/// Whatever the reason, a REFUSE that is lost is sent again when the client asks.
#[test]
fn lost_refuse__is_repeated() {
    let reasons = [
        RefuseReason::NoPort,
        RefuseReason::NotServing,
        RefuseReason::DroppedUnanswered,
        RefuseReason::ShuttingDown,
        RefuseReason::Overloaded,
        RefuseReason::TooLong,
    ];
    for reason in reasons {
        let mut config = Config::default();
        config.message_length_max = 2_000_000;
        let mut network = pair(&config);
        let mut server = Config::default();
        if reason == RefuseReason::Overloaded {
            server.limits.server_rpcs_max = 0;
        }
        network.restart(1, &server);
        let socket = network.host(1).server_socket;
        let host = network.host_mut(1);
        host.application = Application::Refuse(RefuseReason::DroppedUnanswered);
        match reason {
            RefuseReason::NotServing => host.endpoint.set_serving(socket, false),
            RefuseReason::ShuttingDown => host.endpoint.set_draining(socket),
            _ => {}
        }
        let mut lost = false;
        network.set_filter(move |_, from, header| {
            let is_refuse = from == HostId(1) && header.packet_type() == PacketType::Refuse;
            !is_refuse || std::mem::replace(&mut lost, true)
        });
        let port = if reason == RefuseReason::NoPort { 9 } else { 4000 };
        let length = if reason == RefuseReason::TooLong { 1_200_000 } else { 100 };
        let options = CallOptions::default();
        let key = network.call_with(0, 1, port, length, options).unwrap();
        match network.run_until_outcome(0, key, millis(50)) {
            Some(Outcome::Failed(Failure::Refused { reason: told, .. })) => {
                assert_eq!(told, reason);
            }
            other => panic!("{reason}: {other:?}"),
        }
    }
}

/// A server that worked on the request and has no such port now was started anew: nobody knows what the one
/// before it did.
#[test]
fn no_port__of_a_server_that_was_busy_may_have_been_executed() {
    for (busy, expected) in [(false, RefuseReason::NoPort), (true, RefuseReason::DroppedUnanswered)]
    {
        let mut probe = Probe::new(&Config::default());
        let key = probe.call(Remote::server(1), 100);
        probe.drain();
        if busy {
            probe.answer(key, Body::Busy, 0);
        }
        let reason = RefuseReason::NoPort;
        probe.answer(key, Body::Refuse(Refuse { reason, detail: 0 }), 0);
        let failure = Failure::Refused { reason: expected, detail: 0 };
        assert!(probe.take_events().contains(&Event::Failed { key, failure }), "{busy}");
    }
}

/// Towards kernel peers REFUSE may be turned off: the client then runs into its time-out.
#[test]
fn refuse__may_be_turned_off() {
    let mut config = Config::default();
    config.refuse = false;
    let mut probe = Probe::new(&config);
    probe.receive(Remote::client(1), 99, homa_proto::RpcId(2), Body::Data(data(5, 0, 5)), 5);
    assert_eq!(probe.take_bodies(), []);
    assert_eq!(probe.endpoint.stats().server_requests_refused, 1);
}

/// Nothing but a request is refused, and REFUSE is never answered: no two endpoints can keep each
/// other busy.
#[test]
fn unknown_port__refuses_only_requests() {
    let mut probe = Probe::new(&Config::default());
    let (client, server) = (Remote::client(1), Remote::server(1));
    let refuse = Body::Refuse(Refuse { reason: RefuseReason::NoPort, detail: 0 });
    let resend = Body::Resend(Resend::all(Priority::HIGHEST));
    let request = Body::Data(data(5, 0, 5));
    for (from, id, body, answers) in [
        (client, 2, request, vec![refuse]),
        (client, 2, resend, vec![refuse]),
        (client, 2, Body::Busy, vec![]),
        (client, 2, Body::RpcUnknown, vec![]),
        (server, 3, request, vec![]),
        (server, 3, resend, vec![Body::RpcUnknown]),
        (server, 3, refuse, vec![]),
        (server, 3, Body::RpcUnknown, vec![]),
    ] {
        probe.receive(from, 99, homa_proto::RpcId(id), body, 0);
        assert_eq!(probe.take_bodies(), answers, "{body:?} of {id}");
    }
    assert_eq!(probe.endpoint.stats().unknown_ports, 8);
}
