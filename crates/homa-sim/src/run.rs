//! From a configuration to a report.

use crate::cluster::{Cluster, Plan, Progress};
use crate::config::{Exchange, Protocol, SimConfig, SimError};
use crate::dctcp::{self, DctcpHost};
use crate::homa::HomaHost;
use crate::ideal::IdealTimes;
use crate::measure::{Measurement, Window};
use crate::network::{Network, Routing};
use crate::oracle::Oracle;
use crate::outcome::Outcome;
use crate::packet::HostId;
use crate::random::Random;
use crate::report::RunReport;
use crate::stats::SlowdownBins;
use crate::time::SimTime;
use crate::traffic::Traffic;
use crate::transport::Transport;
use crate::workload::Workload;

/// Runs a simulation, telling `progress` now and then how far it is.
///
/// # Errors
///
/// The configuration is not possible.
pub fn run(config: &SimConfig, progress: Progress<'_>) -> Result<RunReport, SimError> {
    Ok(run_detailed(config, progress)?.report())
}

/// The same, with all that was measured, to be merged with that of other seeds.
///
/// # Errors
///
/// The configuration is not possible.
pub fn run_detailed(config: &SimConfig, progress: Progress<'_>) -> Result<Outcome, SimError> {
    match config.protocol {
        Protocol::Homa => {
            let proto = config.homa_config()?;
            let host =
                |host| Ok(HomaHost::new(host, proto.clone(), config.framing, config.exchange)?);
            measure(config, config.homa.unscheduled_bytes, host, progress)
        }
        Protocol::Dctcp => run_dctcp(config, progress),
        Protocol::Oracle => run_oracle(config, progress),
    }
}

/// Runs a simulation of any transport, of which `host` makes each host's side; what the configuration
/// says of protocols is then only used for load and best times.
///
/// # Errors
///
/// The configuration is not possible, or `host` fails.
pub fn run_with<T: Transport>(
    config: &SimConfig,
    host: impl FnMut(HostId) -> Result<T, SimError>,
    progress: Progress<'_>,
) -> Result<RunReport, SimError> {
    Ok(measure(config, config.homa.unscheduled_bytes, host, progress)?.report())
}

/// So many bytes of a message go without a grant: best times depend on it.
fn measure<T: Transport>(
    config: &SimConfig,
    unscheduled_bytes: u32,
    host: impl FnMut(HostId) -> Result<T, SimError>,
    progress: Progress<'_>,
) -> Result<Outcome, SimError> {
    config.check_ranges()?;
    let network = Network::new(&config.network, Random::new(config.seed, "network", 0))?;
    let transports: Result<Vec<_>, _> = (0..network.hosts()).map(HostId).map(host).collect();
    let (plan, measurement) = prepare(config, network.hosts(), unscheduled_bytes)?;
    let finished = Cluster::new(network, transports?, plan, measurement).run(progress);
    Ok(Outcome::new(config, finished))
}

fn run_dctcp(config: &SimConfig, progress: Progress<'_>) -> Result<Outcome, SimError> {
    let mut network = config.network.clone();
    // Packets that overtake each other would look like loss.
    network.routing = Routing::Flow;
    if network.mark_bytes == 0 {
        let packet = config.framing.data(config.framing.payload_bytes, false);
        network.mark_bytes = u64::from(dctcp::MARK_PACKETS * packet);
    }
    let config = SimConfig { network, ..config.clone() };
    let host = |_| Ok(DctcpHost::new(config.dctcp, config.framing));
    measure(&config, u32::MAX, host, progress)
}

fn run_oracle(config: &SimConfig, progress: Progress<'_>) -> Result<Outcome, SimError> {
    config.check_ranges()?;
    let network = Network::new(&config.network, Random::new(config.seed, "network", 0))?;
    // It grants nothing, so all its packets are of one kind.
    let (plan, measurement) = prepare(config, network.hosts(), u32::MAX)?;
    let finished = Oracle::new(config, network, plan, measurement).run(progress);
    Ok(Outcome::new(config, finished))
}

/// Traffic, best times for messages of which so many bytes need no grant, and what is measured.
fn prepare(
    config: &SimConfig,
    hosts: u32,
    unscheduled_bytes: u32,
) -> Result<(Plan, Measurement), SimError> {
    let workload = config.workload()?;
    let traffic = traffic(config, &workload, hosts);
    let bins = SlowdownBins::new(workload.bins());
    let begin = SimTime::from_secs_f64(config.warmup_ms * 1e-3);
    let window = Window { begin, messages: config.messages };
    let plan = Plan {
        workload,
        traffic,
        ideal: IdealTimes::new(config.framing, unscheduled_bytes),
        seed: config.seed,
        time_limit: SimTime::from_secs_f64(config.seconds_max),
    };
    Ok((plan, Measurement::new(window, bins.clone(), bins)))
}

/// Messages at a rate that gives the links the load that is asked for.
fn traffic(config: &SimConfig, workload: &Workload, hosts: u32) -> Traffic {
    let one_way =
        |length| config.framing.message_with_grants(length, config.homa.unscheduled_bytes);
    // A host that sends as many requests as others gets as many responses as requests.
    let bytes = |length| match config.exchange {
        Exchange::OneWay => one_way(length),
        Exchange::Echo => 2.0 * one_way(length),
        Exchange::Reply(reply) => one_way(length) + one_way(reply),
    };
    let seconds_per_byte = 8e-9 / config.network.host_gbps;
    let time = |bytes: f64| SimTime::from_secs_f64(bytes * seconds_per_byte);
    let incast_bytes = config.incast.map_or(0.0, |incast| bytes(incast.bytes));
    Traffic::new(
        config.traffic,
        config.incast,
        hosts,
        config.load,
        time(workload.expectation(bytes)),
        time(incast_bytes),
        config.seed,
    )
}
