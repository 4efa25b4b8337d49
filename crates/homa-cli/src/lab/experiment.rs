//! The phases of a measurement: without load, then each transport under load, then the simulator.

use std::time::Duration;

use homa_netns::Lab;

use super::args::LabArgs;
use super::cluster;
use super::joined::{LabReport, Run, Setting};
use super::nodes::Nodes;
use super::prediction::predict;
use super::unloaded::Unloaded;
use crate::exit::Stop;
use crate::interrupt::Interrupt;
use crate::node::wire_bytes;
use crate::transport::Protocol;
use crate::units::Size;

/// The port of all nodes; another transport at the same time has the one that many further on.
const PORT: u16 = 4000;
const PORT_STEP: u16 = 10;
/// Without load hosts make so many calls per second each, of so many bytes, for so long.
const UNLOADED_CALLS: f64 = 50.0;
const UNLOADED_BYTES: u32 = 100;
const UNLOADED_DURATION: Duration = Duration::from_secs(2);
const UNLOADED_WARMUP: Duration = Duration::from_millis(500);
/// The least that is sent unasked, and the most: what the kernel implementation sends.
const RTT_BYTES_MIN: u64 = 3_000;
const RTT_BYTES_MAX: u64 = 40_000;

/// What nodes are told of one run.
#[derive(Debug, Clone)]
struct Offered {
    transport: Protocol,
    workload: String,
    load: f64,
    duration: Duration,
    warmup: Duration,
    rtt_bytes: u64,
    incast: Option<u16>,
}

/// Measures all that is asked for.
pub(super) fn run(args: &LabArgs, interrupt: &Interrupt) -> Result<LabReport, Stop> {
    check(args)?;
    cluster::check()?;
    let mut runs = Vec::new();
    let mut predictions = Vec::new();
    let mut unloaded = None;
    let mut congestion = None;
    for &Size(buffer_bytes) in &args.buffers {
        let lab = cluster::make(args, buffer_bytes)?;
        congestion = cluster::congestion(&lab);
        let unloaded = match unloaded {
            Some(unloaded) => unloaded,
            None => *unloaded.insert(measure_unloaded(args, &lab, interrupt)?),
        };
        let rtt_bytes = rtt_bytes(args, unloaded);
        let offered = |transport, load| Offered {
            transport,
            workload: args.workload.to_string(),
            load,
            duration: args.duration,
            warmup: args.warmup,
            rtt_bytes,
            incast: args.incast,
        };
        for &transport in &args.transports {
            let offered = [offered(transport, args.load)];
            runs.extend(measure(args, &lab, buffer_bytes, &offered, interrupt)?);
            let run = runs.last().filter(|_| transport == Protocol::Homa && !args.no_prediction);
            if let Some(run) = run {
                tell!("homa lab: the same, simulated");
                predictions.push(predict(run, &args.workload, buffer_bytes, unloaded)?);
            }
        }
        if args.mixed {
            let load = args.load / args.transports.len() as f64;
            let offered: Vec<_> =
                args.transports.iter().map(|&transport| offered(transport, load)).collect();
            runs.extend(measure(args, &lab, buffer_bytes, &offered, interrupt)?);
        }
    }
    Ok(LabReport::of(&runs, unloaded, predictions).with_congestion(congestion))
}

fn check(args: &LabArgs) -> Result<(), Stop> {
    let usage = |why: &str| Err(Stop::Usage(why.into()));
    let is_twice = |at: usize| args.transports[..at].contains(&args.transports[at]);
    if (0..args.transports.len()).any(is_twice) {
        return usage("--transports has one of them twice");
    }
    let is_known = |&transport: &Protocol| matches!(transport, Protocol::Homa | Protocol::Tcp);
    if !args.transports.iter().all(is_known) {
        return usage("--transports: nodes speak homa and tcp");
    }
    if args.mixed && args.transports.len() < 2 {
        return usage("--mixed needs several transports");
    }
    if args.incast.is_some_and(|senders| senders == 0 || senders >= args.hosts) {
        return usage("--incast: at least one host, and fewer than there are");
    }
    if args.buffers.iter().any(|&Size(bytes)| !(3_000..=1_000_000_000).contains(&bytes)) {
        return usage("--buffers: from 3K, two packets, to 1G");
    }
    Ok(())
}

/// What hosts and switch take of a call.
fn measure_unloaded(args: &LabArgs, lab: &Lab, interrupt: &Interrupt) -> Result<Unloaded, Stop> {
    let bits = 2.0 * wire_bytes(UNLOADED_BYTES) as f64 * 8.0;
    let mut runs = Vec::new();
    for &transport in &args.transports {
        tell!("homa lab: {} without load", transport.name());
        let offered = Offered {
            transport,
            workload: UNLOADED_BYTES.to_string(),
            load: (UNLOADED_CALLS * bits / args.rate).clamp(0.0001, 0.05),
            duration: UNLOADED_DURATION,
            warmup: UNLOADED_WARMUP,
            rtt_bytes: RTT_BYTES_MAX,
            incast: None,
        };
        let nodes = Nodes::start(lab, PORT, &options(args, &offered))?;
        runs.extend(Run::in_network(nodes.wait(interrupt)?, Setting::default()));
    }
    Unloaded::of(&runs, args.rate)
}

/// Runs one transport, or several at the same time.
fn measure(
    args: &LabArgs,
    lab: &Lab,
    buffer_bytes: u64,
    offered: &[Offered],
    interrupt: &Interrupt,
) -> Result<Vec<Run>, Stop> {
    let names: Vec<_> = offered.iter().map(|offered| offered.transport.name()).collect();
    tell!(
        "homa lab: {}, buffers of {} KB, {} s",
        names.join(" and "),
        buffer_bytes as f64 / 1e3,
        (args.warmup + args.duration).as_secs_f64()
    );
    let before = lab.dropped_packets()?;
    let ports = (PORT..).step_by(PORT_STEP.into());
    let start = |(offered, port)| Nodes::start(lab, port, &options(args, offered));
    let nodes = offered.iter().zip(ports).map(start).collect::<Result<Vec<_>, Stop>>()?;
    let reports = nodes.into_iter().map(|nodes| nodes.wait(interrupt));
    let reports = reports.collect::<Result<Vec<_>, Stop>>()?;
    let setting = Setting {
        buffer_bytes: Some(buffer_bytes),
        is_mixed: offered.len() > 1,
        dropped_packets: Some(lab.dropped_packets()? - before),
    };
    Ok(reports.into_iter().filter_map(|reports| Run::in_network(reports, setting)).collect())
}

fn rtt_bytes(args: &LabArgs, unloaded: Unloaded) -> u64 {
    let measured = unloaded.rtt_bytes().clamp(RTT_BYTES_MIN, RTT_BYTES_MAX);
    args.rtt_bytes.map_or(measured, u64::from)
}

/// The options of `homa node`.
fn options(args: &LabArgs, offered: &Offered) -> Vec<String> {
    let nanos = |duration: Duration| format!("{}ns", duration.as_nanos());
    let options = [
        ("--transport", offered.transport.name().to_owned()),
        ("--workload", offered.workload.clone()),
        ("--load", offered.load.to_string()),
        ("--rate", format!("{}bit", args.rate)),
        ("--rtt-bytes", offered.rtt_bytes.to_string()),
        ("--priorities", args.priorities.to_string()),
        ("--outstanding", args.outstanding.to_string()),
        ("--duration", nanos(offered.duration)),
        ("--warmup", nanos(offered.warmup)),
        ("--seed", args.seed.to_string()),
        ("--poll", nanos(args.regime.poll)),
    ];
    let incast = offered.incast.map(|senders| ("--incast", senders.to_string()));
    let options = options.into_iter().chain(incast);
    options.flat_map(|(name, value)| [name.to_owned(), value]).collect()
}
