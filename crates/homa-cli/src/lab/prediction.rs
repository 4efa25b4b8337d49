//! What the simulator says of the same calls in the same network.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use homa_sim::{Exchange, Framing, Shape, SimConfig, run_traced};

use super::joined::{Prediction, Run};
use super::unloaded::Unloaded;
use crate::exit::Stop;
use crate::node::{HEADERS_BYTES, NodeConfig, PACKET_DATA_BYTES};
use crate::stats::ByLength;
use crate::workload::Workload;

/// A control packet on the link.
const CONTROL_BYTES: u32 = 64 + 14;
/// How long after the last call the simulation may go on, in times of the run.
const PATIENCE: f64 = 10.0;

/// The messages of a run in a file, as the simulator reads them; removed when dropped.
struct CallsFile(PathBuf);

impl CallsFile {
    fn write(config: &NodeConfig, workload: &Workload) -> std::io::Result<Self> {
        let mut text = String::from("time_us,from,to,bytes\n");
        for call in config.calls(workload) {
            let micros = call.after.as_secs_f64() * 1e6;
            // Writing to a string does not fail.
            let _ = writeln!(text, "{micros:.3},{},{},{}", call.from, call.to, call.length);
        }
        let name = format!("homa-lab-{}.csv", std::process::id());
        let file = Self(std::env::temp_dir().join(name));
        std::fs::write(&file.0, text)?;
        Ok(file)
    }
}

impl Drop for CallsFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Has the simulator run the calls of a run again, on hosts with the delay that was measured.
pub(super) fn predict(
    run: &Run,
    workload: &Workload,
    buffer_bytes: u64,
    unloaded: Unloaded,
) -> Result<Prediction, Stop> {
    let calls = CallsFile::write(run.config(), workload)?;
    let mut config = config(run.config(), buffer_bytes, unloaded.host_delay_us);
    config.replay = Some(calls.0.clone());
    let cannot = |error| Stop::Failed(format!("cannot simulate this: {error}"));
    let (_, messages) = run_traced(&config, &|_| {}).map_err(cannot)?;
    let mut lengths = ByLength::default();
    for message in messages.iter().filter(|message| message.is_measured) {
        if let Some(nanos) = message.time_ns {
            lengths.record(message.bytes, Duration::from_nanos(nanos as u64));
        }
    }
    Ok(Prediction {
        transport: run.config().transport.clone(),
        buffer_bytes,
        rpcs: lengths.count(),
        by_size: lengths.tenths(),
        slowdown: unloaded.slowdown(&lengths),
    })
}

fn config(nodes: &NodeConfig, buffer_bytes: u64, host_delay_us: f64) -> SimConfig {
    let mut config = SimConfig::kernel(&nodes.workload);
    config.exchange = Exchange::Echo;
    // All that there are.
    config.messages = u64::MAX;
    config.warmup_ms = nodes.warmup_seconds * 1e3;
    config.seconds_max = PATIENCE * (nodes.warmup_seconds + nodes.duration_seconds);
    config.seed = nodes.seed;
    config.network.topology = Shape::SingleSwitch { hosts: nodes.size as u32 };
    config.network.host_gbps = nodes.rate_bps / 1e9;
    // Both ways of a call, each from one host to another.
    let host_ns = (host_delay_us * 1e3 / 4.0) as u64;
    config.network.host_send_ns = host_ns;
    config.network.host_receive_ns = host_ns;
    config.network.switch_ns = 0;
    config.network.buffer_bytes = buffer_bytes;
    config.framing = Framing {
        payload_bytes: PACKET_DATA_BYTES,
        unscheduled_overhead_bytes: HEADERS_BYTES,
        scheduled_overhead_bytes: HEADERS_BYTES,
        control_bytes: CONTROL_BYTES,
    };
    nodes.link().apply_to_simulation(&mut config.homa);
    config
}
