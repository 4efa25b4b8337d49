//! What a lab promises, seen through plain UDP sockets.

#![allow(non_snake_case, reason = "tests are named function__case")]

use std::fs;
use std::net::{IpAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use homa_netns::{Capture, Disorder, Host, Lab, LabOptions, Shaping, skip};

/// After so long nothing more is expected to arrive.
const PATIENCE: Duration = Duration::from_millis(200);

fn socket(host: &Host, address: impl Into<IpAddr>) -> UdpSocket {
    let address = address.into();
    let socket = host.enter(|| UdpSocket::bind((address, 0))).unwrap().unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Sends numbered packets from one to the other, a few at a time; those that arrived, in order.
fn send(from: &UdpSocket, to: &UdpSocket, count: u8) -> Vec<u8> {
    let mut arrived = Vec::new();
    let mut receive = |patience| {
        let mut bytes = [0; 10];
        to.set_read_timeout(Some(patience)).unwrap();
        while let Ok(len) = to.recv(&mut bytes) {
            arrived.push(bytes[len - 1]);
        }
    };
    for number in 0..count {
        // With the cable pulled this may fail.
        let _ = from.send_to(&[number], to.local_addr().unwrap());
        receive(Duration::from_millis(1));
    }
    receive(PATIENCE);
    arrived
}

fn in_order(count: u8) -> Vec<u8> {
    (0..count).collect()
}

fn lab(hosts: usize, options: &LabOptions, programs: &[&str]) -> Option<Lab> {
    (!skip(programs)).then(|| Lab::new(hosts, options).unwrap())
}

#[test]
fn lab__joins_hosts_and_leaves_this_one_alone() {
    let interfaces = || {
        let entries = fs::read_dir("/sys/class/net").unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = interfaces();
    let Some(lab) = lab(3, &LabOptions::default(), &[]) else { return };
    assert_eq!(interfaces(), before);
    let to = [socket(lab.host(2), lab.host(2).ipv4()), socket(lab.host(2), lab.host(2).ipv6())];
    for from in &lab.hosts()[..2] {
        assert_eq!(send(&socket(from, from.ipv4()), &to[0], 5), in_order(5));
        assert_eq!(send(&socket(from, from.ipv6()), &to[1], 5), in_order(5));
    }
    assert!(UdpSocket::bind((lab.host(0).ipv4(), 0)).is_err(), "it is not an address of ours");
}

#[test]
fn lab__paths_lead_through_routers() {
    let mut options = LabOptions::default();
    options.path_mtu = Some(1300);
    let Some(lab) = lab(3, &options, &[]) else { return };
    let [a, b, c] = [0, 1, 2].map(|index| lab.host(index));
    let [v4, v6] = [socket(b, b.ipv4()), socket(b, b.ipv6())];
    assert_eq!(send(&socket(a, a.ipv4()), &v4, 5), in_order(5));
    assert_eq!(send(&socket(c, c.ipv6()), &v6, 5), in_order(5));
    // Linux cuts what is too long, once it knows.
    let from = socket(a, a.ipv6());
    for _ in 0..2 {
        from.send_to(&[0; 1400], v6.local_addr().unwrap()).unwrap();
    }
    let mut bytes = [0; 2000];
    assert_eq!(v6.recv(&mut bytes).unwrap(), 1400);
    lab.set_path_mtu(1500).unwrap();
}

#[test]
fn set_loss__loses_the_share_that_was_asked_for() {
    let Some(lab) = lab(2, &LabOptions::default(), &["nft"]) else { return };
    let [a, b] = [socket(lab.host(0), lab.host(0).ipv4()), socket(lab.host(1), lab.host(1).ipv4())];
    lab.host(0).set_loss(500).unwrap();
    for (from, to) in [(&a, &b), (&b, &a)] {
        let arrived = send(from, to, 200).len();
        assert!((50..150).contains(&arrived), "{arrived} of 200");
    }
    lab.host(0).set_loss(0).unwrap();
    assert_eq!(send(&a, &b, 100), in_order(100));
}

#[test]
fn pull_cable__nothing_crosses_until_it_is_plugged() {
    let Some(lab) = lab(2, &LabOptions::default(), &[]) else { return };
    let [a, b] = [socket(lab.host(0), lab.host(0).ipv6()), socket(lab.host(1), lab.host(1).ipv6())];
    assert_eq!(send(&a, &b, 3), in_order(3));
    lab.host(1).pull_cable().unwrap();
    assert_eq!(send(&a, &b, 3), []);
    lab.host(1).plug_cable().unwrap();
    // Linux may keep what it could not deliver while it looks for the neighbour.
    assert!(send(&a, &b, 100).ends_with(&[98, 99]));
}

#[test]
fn disorder__duplicates_and_reorders_and_loses_nothing() {
    let Some(lab) = lab(2, &LabOptions::default(), &[]) else { return };
    let [a, b] = [socket(lab.host(0), lab.host(0).ipv4()), socket(lab.host(1), lab.host(1).ipv4())];
    let disorder = Disorder {
        duplicate_permille: 200,
        reorder_permille: 200,
        hold_max: Duration::from_millis(10),
        seed: 1,
    };
    let forwarder = lab.host(1).disorder(disorder).unwrap();
    let mut arrived = send(&a, &b, 200);
    assert!(arrived.len() > 210 && !arrived.is_sorted(), "{arrived:?}");
    arrived.sort_unstable();
    arrived.dedup();
    assert_eq!(arrived, in_order(200));
    let counts = forwarder.counts();
    assert!(counts.packets >= 200 && counts.duplicated > 10 && counts.reordered > 2, "{counts:?}");
    drop(forwarder);
    assert_eq!(send(&a, &b, 3), []);
}

#[test]
fn capture__has_everything_that_crossed() {
    let Some(lab) = lab(2, &LabOptions::default(), &["tcpdump"]) else { return };
    let [a, b] = [socket(lab.host(0), lab.host(0).ipv4()), socket(lab.host(1), lab.host(1).ipv4())];
    let file = std::env::temp_dir().join(format!("{}.pcap", lab.network().name()));
    let capture = Capture::start(lab.network(), "br0", 100, &file).unwrap();
    assert_eq!(send(&a, &b, 100), in_order(100));
    capture.stop().unwrap();
    let len = fs::metadata(&file).unwrap().len();
    fs::remove_file(&file).unwrap();
    // 24 bytes, and per packet 16 and a frame of 43 bytes; what hosts say of themselves comes on
    // top. No packet is there twice.
    assert!((5_924..10_000).contains(&len), "{len} bytes");
    assert!(Capture::start(lab.network(), "nothing", 100, &file).is_err());
}

/// The address type of service that names a level.
fn with_level(socket: UdpSocket, level: u32) -> UdpSocket {
    socket2::SockRef::from(&socket).set_tos_v4(level << 5).unwrap();
    socket
}

/// While one host fills another's port with packets of the lowest level, a third one's packets of that level wait for
/// all the port's buffer, and those of the highest for next to nothing; and what comes through has the port's rate.
#[test]
fn shaping__limits_the_rate_and_lets_higher_levels_overtake() {
    if skip(&["tc"]) {
        return;
    }
    let shaping = Shaping { bits_per_second: 20_000_000, buffer_bytes: 128_000, priorities: 8 };
    let mut options = LabOptions::default();
    options.shaping = Some(shaping);
    let lab = Lab::new(4, &options).unwrap();
    let target = socket(lab.host(3), lab.host(3).ipv4());
    let to = target.local_addr().unwrap();
    let stop = AtomicBool::new(false);
    let flood = |host| {
        let socket = with_level(socket(lab.host(host), lab.host(host).ipv4()), 0);
        socket.connect(to).unwrap();
        // Twice what the port carries, as there are two of them.
        while !stop.load(Ordering::Relaxed) {
            socket.send(&[0; 1400]).unwrap();
        }
    };
    let (mut bytes, mut delays) = (0, [Duration::ZERO; 2]);
    thread::scope(|scope| {
        scope.spawn(|| flood(0));
        scope.spawn(|| flood(1));
        let mut buffer = [0; 1500];
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(500) {
            target.recv(&mut buffer).unwrap();
        }
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(1) {
            bytes += target.recv(&mut buffer).unwrap() + 42;
        }
        for (level, delay) in [0, 7].into_iter().zip(&mut delays) {
            let probe = with_level(socket(lab.host(2), lab.host(2).ipv4()), level);
            // Some are dropped where the buffer is full.
            'sent: loop {
                let sent = Instant::now();
                probe.send_to(&[1; 10], to).unwrap();
                while sent.elapsed() < PATIENCE {
                    if target.recv(&mut buffer).unwrap() == 10 {
                        *delay = sent.elapsed();
                        break 'sent;
                    }
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    let rate = bytes as f64 * 8.0 / 20e6;
    assert!((0.9..1.1).contains(&rate), "{rate} of the rate");
    // 128 kB at 20 Mb/s are 51 ms.
    assert!(delays[0] > Duration::from_millis(35), "{delays:?}");
    assert!(delays[1] < delays[0] / 4, "{delays:?}");
    assert!(lab.dropped_packets().unwrap() > 0);
}
