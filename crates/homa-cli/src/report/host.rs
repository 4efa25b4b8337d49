//! The machine that results are from.

use std::fs;
use std::thread;

use nix::sys::utsname::uname;
use serde::Serialize;

/// Facts about a machine that results depend on.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Host {
    os: String,
    kernel: String,
    arch: String,
    cpus: usize,
    cpu_model: Option<String>,
    /// TCP's congestion control, which its throughput depends on.
    tcp_congestion_control: Option<String>,
    /// The version of this program.
    homa: &'static str,
}

impl Host {
    /// This machine.
    pub(crate) fn detect() -> Self {
        let (os, kernel, arch) = match uname() {
            Ok(name) => (
                name.sysname().to_string_lossy().into_owned(),
                name.release().to_string_lossy().into_owned(),
                name.machine().to_string_lossy().into_owned(),
            ),
            Err(_) => (std::env::consts::OS.into(), String::new(), std::env::consts::ARCH.into()),
        };
        Self {
            os,
            kernel,
            arch,
            cpus: thread::available_parallelism().map_or(1, |count| count.get()),
            cpu_model: cpu_model(),
            tcp_congestion_control: congestion_control(),
            homa: env!("CARGO_PKG_VERSION"),
        }
    }
}

fn cpu_model() -> Option<String> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn congestion_control() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control").ok()?;
    Some(name.trim().to_owned())
}
