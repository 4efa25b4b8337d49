//! Endpoints over raw IP, between hosts made of network namespaces. Needs root; each test says why
//! it is skipped otherwise.

#![allow(non_snake_case, reason = "tests are named function__case")]

mod common;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use common::contents;
use homa::blocking::Endpoint;
use homa::proto::Unreachable;
use homa::{Addr, BindError, CallError, Config, RawConfig, RefuseReason};
use homa_netns::{Host, Lab, LabOptions, Namespace, skip};

const PORT: u16 = 4000;
const LENGTHS: [usize; 6] = [1, 100, 1424, 1425, 40_001, 1_000_000];

/// All addresses of both families.
const ANY: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0);

/// What silence is told after: machines are busy.
const TIMEOUT: Duration = Duration::from_secs(5);

fn config(raw: RawConfig) -> Config {
    let mut config = Config::default();
    config.raw = Some(raw);
    config.proto.timing.timeout = homa::proto::Duration::from_secs(TIMEOUT.as_secs());
    config
}

fn over_raw_ip() -> Config {
    config(RawConfig::default())
}

fn sharing(ports: &[u16]) -> Config {
    let mut raw = RawConfig::default();
    raw.shared_ports = Some(ports.to_vec());
    config(raw)
}

fn bind(namespace: &Namespace, config: Config) -> Result<Endpoint, BindError> {
    namespace.enter(|| Endpoint::bind(ANY, config)).unwrap()
}

/// Opens an endpoint in a namespace that echoes on a port until it is closed.
fn echoing(namespace: &Namespace, port: u16, config: Config) -> Endpoint {
    let endpoint = bind(namespace, config).unwrap();
    let server = endpoint.serve(port).unwrap();
    let echo = move || {
        while let Some(mut request) = server.accept() {
            let message = request.take_message();
            // The client may have given up.
            let _ = request.reply(message);
        }
    };
    // Whoever drives asks the kernel for routes, and so must be in the namespace.
    drop(namespace.spawn(echo).unwrap());
    endpoint
}

fn addr(ip: IpAddr, port: u16) -> Addr {
    Addr::new(SocketAddr::new(ip, port), port).unwrap()
}

fn both(host: &Host) -> [IpAddr; 2] {
    [host.ipv4().into(), host.ipv6().into()]
}

/// Calls an echo server with messages of all lengths, from a namespace.
fn check_echo(namespace: &Namespace, client: &Endpoint, server: Addr) {
    let calls = || {
        for (seed, length) in LENGTHS.into_iter().enumerate() {
            let request = contents(seed as u64, length);
            let response = client.call(server, request.clone());
            assert!(response.unwrap() == request[..], "{length} bytes to {server}");
        }
    };
    namespace.enter(calls).unwrap();
}

/// The second host echoes what the first sends to these addresses of it.
fn check_pair(lab: &Lab, client: Config, ips: [IpAddr; 2]) {
    let server = echoing(lab.host(1), PORT, over_raw_ip());
    let client = bind(lab.host(0), client).unwrap();
    for ip in ips {
        check_echo(lab.host(0), &client, addr(ip, PORT));
    }
    server.close();
}

fn lab(options: &LabOptions) -> Option<Lab> {
    if skip(&[]) { None } else { Some(Lab::new(2, options).unwrap()) }
}

/// A call that must fail, and how long that took.
fn failure(namespace: &Namespace, client: &Endpoint, server: Addr) -> (CallError, Duration) {
    let begin = Instant::now();
    let outcome = namespace.enter(|| client.call(server, "x")).unwrap();
    (outcome.unwrap_err(), begin.elapsed())
}

#[track_caller]
fn assert_unreachable(host: &Host, client: &Endpoint, server: Addr, expected: Unreachable) {
    let (error, _) = failure(host, client, server);
    let CallError::Unreachable { kind, .. } = error else { panic!("{error:?}") };
    assert_eq!(kind, expected);
}

#[test]
fn call__all_lengths_in_both_families() {
    let Some(lab) = lab(&LabOptions::default()) else { return };
    check_pair(&lab, over_raw_ip(), both(lab.host(1)));
}

/// Either side may look like TCP: receivers take both (WIRE section 7).
#[test]
fn call__in_the_guise_of_tcp() {
    let Some(lab) = lab(&LabOptions::default()) else { return };
    let mut hijacking = RawConfig::default();
    hijacking.hijack = true;
    check_pair(&lab, config(hijacking), both(lab.host(1)));
}

/// Checksums that are required cover the packet alone, as over UDP.
#[test]
fn call__with_required_checksums() {
    let Some(lab) = lab(&LabOptions::default()) else { return };
    let mut config = over_raw_ip();
    config.checksums = true;
    let server = echoing(lab.host(1), PORT, config.clone());
    let client = bind(lab.host(0), config).unwrap();
    check_echo(lab.host(0), &client, addr(lab.host(1).ipv4().into(), PORT));
    assert_eq!(server.stats().drive.bad_checksums, 0);
    server.close();
}

/// The response must come from the address that was called, though another is the route's choice.
#[test]
fn call__of_a_second_address() {
    let Some(lab) = lab(&LabOptions::default()) else { return };
    let host = lab.host(1);
    let spare = [IpAddr::from(host.spare_ipv4(1)), host.spare_ipv6(1).into()];
    for ip in spare {
        host.add_address(ip).unwrap();
    }
    check_pair(&lab, over_raw_ip(), spare);
}

/// Senders learn of the narrow link from ICMP alone, and send on in smaller pieces.
#[test]
fn call__over_a_path_with_a_smaller_mtu() {
    let mut options = LabOptions::default();
    options.path_mtu = Some(1300);
    let Some(lab) = lab(&options) else { return };
    check_pair(&lab, over_raw_ip(), both(lab.host(1)));
}

/// Our own peers get a REFUSE and ICMP, whichever comes first: at once in any case.
#[test]
fn call__of_a_port_that_nobody_serves() {
    let Some(lab) = lab(&LabOptions::default()) else { return };
    let server = echoing(lab.host(1), PORT, over_raw_ip());
    let client = bind(lab.host(0), over_raw_ip()).unwrap();
    for ip in both(lab.host(1)) {
        let (error, took) = failure(lab.host(0), &client, addr(ip, PORT + 1));
        let refused = matches!(error, CallError::Refused { reason: RefuseReason::NoPort, .. });
        let unreachable = matches!(error, CallError::Unreachable { kind: Unreachable::Port, .. });
        assert!(refused || unreachable, "{error:?}");
        assert!(took < TIMEOUT, "no sooner than silence would tell: {took:?}");
    }
    server.close();
}

/// What a kernel peer gets, which drops REFUSE: ICMP alone (WIRE section 9).
#[test]
fn call__of_a_port_that_nobody_serves_is_told_by_icmp() {
    let Some(lab) = lab(&LabOptions::default()) else { return };
    let mut config = over_raw_ip();
    config.proto.refuse = false;
    let server = echoing(lab.host(1), PORT, config);
    let client = bind(lab.host(0), over_raw_ip()).unwrap();
    for ip in both(lab.host(1)) {
        assert_unreachable(lab.host(0), &client, addr(ip, PORT + 1), Unreachable::Port);
    }
    server.close();
}

/// A host without Homa has its kernel answer (PROTOCOL section 12, EPROTONOSUPPORT).
#[test]
fn call__of_a_host_without_homa() {
    let Some(lab) = lab(&LabOptions::default()) else { return };
    let client = bind(lab.host(0), over_raw_ip()).unwrap();
    for ip in both(lab.host(1)) {
        assert_unreachable(lab.host(0), &client, addr(ip, PORT), Unreachable::Protocol);
    }
}

#[test]
fn bind__one_endpoint_has_the_protocol() {
    if skip(&[]) {
        return;
    }
    let host = Namespace::new("raw").unwrap();
    let denied = |config| {
        let BindError::Raw(error) = bind(&host, config).unwrap_err() else {
            panic!("not about raw IP")
        };
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{error}");
    };
    let owner = bind(&host, over_raw_ip()).unwrap();
    denied(over_raw_ip());
    denied(sharing(&[PORT]));
    drop(owner);

    let sharer = bind(&host, sharing(&[PORT])).unwrap();
    denied(over_raw_ip());
    denied(sharing(&[PORT + 1, PORT]));
    let other = bind(&host, sharing(&[PORT + 1])).unwrap();
    drop((sharer, other));
    bind(&host, over_raw_ip()).unwrap();
}

/// The kernel gives each what is for its ports: nobody refuses what is meant for another.
#[test]
fn call__of_endpoints_that_share_a_host() {
    if skip(&[]) {
        return;
    }
    let host = Namespace::new("raw").unwrap();
    let first = echoing(&host, PORT, sharing(&[PORT]));
    let second = echoing(&host, PORT + 1, sharing(&[PORT + 1]));
    let clients = [(); 2].map(|()| bind(&host, sharing(&[])).unwrap());
    for client in &clients {
        for ip in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
            check_echo(&host, client, addr(ip, PORT));
            check_echo(&host, client, addr(ip, PORT + 1));
        }
    }
    for endpoint in clients.iter().chain([&first, &second]) {
        assert_eq!(endpoint.stats().protocol.unknown_ports, 0);
    }
    first.close();
    second.close();
}

/// The asynchronous API waits on the same descriptor in other ways.
#[test]
fn call__on_tokio() {
    let Some(lab) = lab(&LabOptions::default()) else { return };
    let server = echoing(lab.host(1), PORT, over_raw_ip());
    let to = addr(lab.host(1).ipv4().into(), PORT);
    let calls = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let client = homa::Endpoint::bind(ANY, over_raw_ip()).await.unwrap();
            for (seed, length) in LENGTHS.into_iter().enumerate() {
                let request = contents(seed as u64, length);
                let response = client.call(to, request.clone()).await.unwrap();
                assert!(response == request[..], "{length} bytes");
            }
        });
    };
    lab.host(0).enter(calls).unwrap();
    server.close();
}
