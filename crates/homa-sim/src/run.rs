//! From a configuration to a report.

use crate::cluster::{Cluster, Finished, Plan, Progress};
use crate::config::{Protocol, SimConfig, SimError};
use crate::homa::HomaHost;
use crate::ideal::IdealTimes;
use crate::measure::{Measurement, Window};
use crate::network::Network;
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
    config.validate()?;
    match config.protocol {
        Protocol::Homa => run_homa(config, progress),
    }
}

fn run_homa(config: &SimConfig, progress: Progress<'_>) -> Result<RunReport, SimError> {
    let workload = config.workload()?;
    let longest = longest(config, &workload);
    let proto = config.proto(longest);
    let hosts = config.network.topology.hosts();
    let transports: Result<Vec<_>, _> = (0..hosts)
        .map(|host| HomaHost::new(HostId(host), proto.clone(), config.framing, config.exchange))
        .collect();
    finish(config, workload, transports?, progress)
}

/// The longest message that occurs, at least a full packet.
fn longest(config: &SimConfig, workload: &Workload) -> u32 {
    let incast = config.incast.map_or(0, |incast| incast.bytes);
    workload.longest().max(incast).max(config.framing.payload_bytes)
}

fn finish<T: Transport>(
    config: &SimConfig,
    workload: Workload,
    transports: Vec<T>,
    progress: Progress<'_>,
) -> Result<RunReport, SimError> {
    let seed = config.seed;
    let network = Network::new(&config.network, Random::new(seed, "network", 0))?;
    let framing = config.framing;
    let unscheduled = config.homa.unscheduled_bytes;
    let link = crate::port::ByteTime::of_gbps(config.network.host_gbps);
    let link_time = |bytes: f64| SimTime((bytes * link.times(1 << 20).0 as f64 / f64::from(1 << 20)) as u64);
    let mean_bytes = workload.expectation(|length| framing.message_with_grants(length, unscheduled));
    let incast_bytes = config
        .incast
        .map_or(0.0, |incast| framing.message_with_grants(incast.bytes, unscheduled));
    let traffic = Traffic::new(
        config.traffic,
        config.incast,
        network.hosts(),
        config.load,
        link_time(mean_bytes),
        link_time(incast_bytes),
        seed,
    );
    let bins = SlowdownBins::new(workload.bins());
    let measurement = Measurement::new(
        Window {
            warmup: (config.messages as f64 * config.warmup) as u64,
            messages: config.messages,
        },
        bins.clone(),
        bins,
    );
    let plan = Plan {
        workload,
        traffic,
        ideal: IdealTimes::new(framing, unscheduled),
        seed,
        time_limit: SimTime::from_secs_f64(config.seconds_max),
    };
    let finished: Finished<T> = Cluster::new(network, transports, plan, measurement).run(progress);
    Ok(RunReport::new(config, &finished))
}
