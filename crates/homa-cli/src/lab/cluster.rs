//! The hosts and the switch, made of network namespaces.

use std::fs;
use std::io;
use std::path::Path;

use homa_netns::{Host, Lab, LabOptions, Shaping, unavailable};

use super::args::LabArgs;
use crate::exit::Stop;

/// What is needed besides what all labs need.
const PROGRAMS: [&str; 1] = ["tc"];
const CONGESTION: &str = "net/ipv4/tcp_congestion_control";

/// Makes a cluster whose switch has such buffers.
pub(super) fn make(args: &LabArgs, buffer_bytes: u64) -> Result<Lab, Stop> {
    let mut options = LabOptions::default();
    options.ipv6 = false;
    options.shaping = Some(Shaping {
        bits_per_second: args.rate as u64,
        buffer_bytes,
        priorities: args.priorities,
    });
    let cannot = |error| Stop::Failed(format!("cannot make the cluster: {error}"));
    let lab = Lab::new(usize::from(args.hosts), &options).map_err(cannot)?;
    if let Some(name) = &args.congestion {
        let set = |host: &Host| host.set_parameter(CONGESTION, name);
        lab.hosts().iter().try_for_each(set).map_err(|error| refused(name, &error))?;
    }
    Ok(lab)
}

/// Why hosts can't have a congestion control.
fn refused(name: &str, error: &io::Error) -> Stop {
    let why = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "namespaces may have it only if 'sysctl net.ipv4.tcp_allowed_congestion_control' names it".into()
        }
        io::ErrorKind::NotFound => {
            "'sysctl net.ipv4.tcp_available_congestion_control' has no such name".into()
        }
        _ => error.to_string(),
    };
    Stop::Failed(format!("--congestion {name}: {why}"))
}

/// The congestion control of TCP on the hosts, if that can be found out.
pub(super) fn congestion(lab: &Lab) -> Option<String> {
    let read = || fs::read_to_string(Path::new("/proc/sys").join(CONGESTION));
    let name = lab.host(0).enter(read).and_then(|name| name).ok()?;
    Some(name.trim().to_owned())
}

/// An error if this machine has no namespaces for this user.
pub(super) fn check() -> Result<(), Stop> {
    let needs = "homa lab makes a cluster of network namespaces, for which it needs root and the programs ip, tc and \
                 ethtool";
    match unavailable(&PROGRAMS) {
        Some(why) => Err(Stop::Failed(format!("{needs}: {why}"))),
        None => Ok(()),
    }
}
