//! Throughput across a network with an MTU of 1500 bytes: Homa beside TCP over a veth pair.

use std::io;
use std::path::Path;

use homa_netns::Namespace;

use crate::Findings;
use crate::measured::{Client, Process, binary, build, median};

const MESSAGE_BYTES: u32 = 1_000_000;
const OUTSTANDING: &str = "8";
const SECONDS: u64 = 2;
const SERVER: &str = "10.77.0.2";
const CONGESTION_CONTROLS: [&str; 2] = ["bbr", "cubic"];

/// What packets that a host sends as one are on the way.
#[derive(Clone, Copy)]
enum Segments {
    /// As one: a veth pair carries whatever the hosts give it.
    Whole,
    /// Cut by the sender's kernel, and put together by the receiver's.
    Cut,
}

/// Two hosts, joined by a cable.
struct Hosts {
    client: Namespace,
    server: Namespace,
}

/// Homa, or TCP with a congestion control.
struct Contender {
    name: String,
    congestion: Option<&'static str>,
    gbps: Vec<f64>,
}

/// Runs all contenders in turn, `rounds` times, over either kind of cable, and prints the medians.
pub(crate) fn run(root: &Path, rounds: usize) -> io::Result<Findings> {
    if let Some(reason) = homa_netns::unavailable(&[]) {
        return Err(io::Error::other(format!("there are no network namespaces here: {reason}")));
    }
    build(root, &["-p", "homa-cli"])?;
    println!(
        "{MESSAGE_BYTES} B each way, {OUTSTANDING} outstanding, MTU 1500, median of {rounds} (least to most)"
    );
    for segments in [Segments::Whole, Segments::Cut] {
        let hosts = Hosts::new(segments)?;
        let mut contenders = contenders()?;
        for round in 1..=rounds {
            eprintln!("segments {}: round {round} of {rounds}", segments.name());
            for contender in &mut contenders {
                contender.gbps.push(hosts.measure(root, contender.congestion)?);
            }
        }
        let homa = median(contenders[0].gbps.clone());
        for Contender { name, gbps, .. } in contenders {
            let least = gbps.iter().copied().fold(f64::INFINITY, f64::min);
            let most = gbps.iter().copied().fold(0.0, f64::max);
            let middle = median(gbps);
            println!(
                "segments {}: {name:10} {middle:5.1} Gb/s each way ({least:.1} to {most:.1}), Homa has {:.2} of it",
                segments.name(),
                homa / middle,
            );
        }
    }
    Ok(Findings::new())
}

impl Segments {
    fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Cut => "cut",
        }
    }
}

/// Homa, and TCP with each congestion control that this kernel has.
fn contenders() -> io::Result<Vec<Contender>> {
    let available = "/proc/sys/net/ipv4/tcp_available_congestion_control";
    let available = std::fs::read_to_string(available)?;
    let is_there = |name: &&str| available.split_whitespace().any(|other| other == *name);
    let of_tcp = CONGESTION_CONTROLS.into_iter().filter(is_there).map(Some);
    let contender = |congestion: Option<&'static str>| {
        let name = congestion.map_or("homa".into(), |congestion| format!("tcp {congestion}"));
        Contender { name, congestion, gbps: Vec::new() }
    };
    Ok(std::iter::once(None).chain(of_tcp).map(contender).collect())
}

impl Hosts {
    fn new(segments: Segments) -> io::Result<Self> {
        let (client, server) = (Namespace::new("client")?, Namespace::new("server")?);
        client.ip(&format!(
            "link add eth0 mtu 1500 type veth peer name eth0 mtu 1500 netns {}",
            server.name()
        ))?;
        for (host, address) in [(&client, "10.77.0.1"), (&server, SERVER)] {
            host.ip(&format!("address add {address}/24 dev eth0\nlink set eth0 up"))?;
            if let Segments::Cut = segments {
                let offload =
                    ["gso", "off", "tso", "off", "tx-udp-segmentation", "off", "gro", "on"];
                host.set_features("eth0", &offload)?;
            }
        }
        Ok(Self { client, server })
    }

    /// Gb/s each way over Homa, or over TCP with a congestion control.
    fn measure(&self, root: &Path, congestion: Option<&str>) -> io::Result<f64> {
        let (transport, address) = match congestion {
            None => ("homa", format!("{SERVER}:4000")),
            Some(name) => {
                for host in [&self.client, &self.server] {
                    host.set_parameter("net/ipv4/tcp_congestion_control", name)?;
                }
                ("tcp", format!("{SERVER}:4001"))
            }
        };
        let homa = binary(root, "homa");
        let mut server = self.server.command(&homa);
        server.args(["server", "--transport", transport, "--listen", &address]);
        let _server = Process::start_server(&mut server)?;
        let mut client = self.client.command(&homa);
        client.args(["client", &address, "--transport", transport]);
        let workload = MESSAGE_BYTES.to_string();
        let options = ["--workload", &workload, "--outstanding", OUTSTANDING];
        let Client { calls, failed, seconds, .. } = Client::measure(client, SECONDS, &options)?;
        if failed > 0 {
            return Err(io::Error::other(format!("{failed} calls over {transport} failed")));
        }
        Ok(calls as f64 * f64::from(MESSAGE_BYTES) * 8.0 / 1e9 / seconds)
    }
}
