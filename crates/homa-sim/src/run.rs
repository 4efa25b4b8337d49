//! From a configuration to a report.

use crate::cluster::Cluster;
use crate::config::{Inputs, Protocol, SimConfig, SimError};
use crate::dctcp::{self, DctcpHost};
use crate::faults::FaultPlan;
use crate::homa::HomaHost;
use crate::network::{Network, Routing};
use crate::oracle::Oracle;
use crate::outcome::{Finished, Outcome};
use crate::packet::HostId;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::random::Random;
use crate::report::RunReport;
use crate::trace::{Trace, TracedMessage};
use crate::transport::Transport;

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
    Ok(simulate(config, None, progress)?.0)
}

/// The same, and what became of each message, by the time of their start: of all that started before the
/// run ended, those that the report does not count included.
///
/// # Errors
///
/// The configuration is not possible.
pub fn run_traced(
    config: &SimConfig,
    progress: Progress<'_>,
) -> Result<(Outcome, Vec<TracedMessage>), SimError> {
    let (outcome, trace) = simulate(config, Some(Trace::default()), progress)?;
    Ok((outcome, trace.map(Trace::into_messages).unwrap_or_default()))
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
    let inputs = config.inputs()?;
    Ok(measure(config, inputs, config.homa.unscheduled_bytes, host, None, progress)?.0.report())
}

/// What was measured, and the trace, if there was one to begin with.
type Results = (Outcome, Option<Trace>);

fn simulate(
    config: &SimConfig,
    trace: Option<Trace>,
    progress: Progress<'_>,
) -> Result<Results, SimError> {
    let inputs = config.inputs()?;
    match config.protocol {
        Protocol::Homa => {
            let proto = config.homa_config(&inputs);
            let host =
                |host| Ok(HomaHost::new(host, proto.clone(), config.framing, config.exchange)?);
            measure(config, inputs, config.homa.unscheduled_bytes, host, trace, progress)
        }
        Protocol::Dctcp => run_dctcp(config, inputs, trace, progress),
        Protocol::Oracle => run_oracle(config, inputs, trace, progress),
    }
}

/// So many bytes of a message go without a grant: best times depend on it.
fn measure<T: Transport>(
    config: &SimConfig,
    inputs: Inputs,
    unscheduled_bytes: u32,
    host: impl FnMut(HostId) -> Result<T, SimError>,
    trace: Option<Trace>,
    progress: Progress<'_>,
) -> Result<Results, SimError> {
    let network = Network::new(&config.network, Random::new(config.seed, "network", 0))?;
    let transports: Result<Vec<_>, _> = (0..network.hosts()).map(HostId).map(host).collect();
    let plan = Plan::new(config, inputs, network.hosts(), unscheduled_bytes, trace);
    let faults = FaultPlan::new(&config.faults, &config.network)?;
    Ok(results(config, Cluster::new(network, transports?, plan, faults).run(progress)))
}

fn run_dctcp(
    config: &SimConfig,
    inputs: Inputs,
    trace: Option<Trace>,
    progress: Progress<'_>,
) -> Result<Results, SimError> {
    let mut network = config.network.clone();
    // Packets that overtake each other would look like loss.
    network.routing = Routing::Flow;
    if network.mark_bytes == 0 {
        let packet = config.framing.data(config.framing.payload_bytes, false);
        network.mark_bytes = u64::from(dctcp::MARK_PACKETS * packet);
    }
    let config = SimConfig { network, ..config.clone() };
    let host = |_| Ok(DctcpHost::new(config.dctcp, config.framing));
    measure(&config, inputs, u32::MAX, host, trace, progress)
}

fn run_oracle(
    config: &SimConfig,
    inputs: Inputs,
    trace: Option<Trace>,
    progress: Progress<'_>,
) -> Result<Results, SimError> {
    let network = Network::new(&config.network, Random::new(config.seed, "network", 0))?;
    // It grants nothing, so all its packets are of one kind.
    let plan = Plan::new(config, inputs, network.hosts(), u32::MAX, trace);
    Ok(results(config, Oracle::new(config, network, plan).run(progress)))
}

fn results(config: &SimConfig, mut finished: Finished) -> Results {
    let trace = finished.trace.take();
    (Outcome::new(config, finished), trace)
}
