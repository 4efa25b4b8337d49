//! `homa node`: one host of a cluster whose nodes call each other, all to all, and measure it.
//!
//! In the order of a run: who this is ([`identity`]), where the others are and whether they answer ([`meet`]), when it
//! begins ([`leader`], [`member`]), the load ([`crate::load`]), and what came of it ([`report`]).

mod args;
mod carrier;
mod config;
mod control;
mod ending;
mod hostlist;
mod identity;
mod leader;
mod meet;
mod member;
mod offered;
mod report;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::utsname::uname;

pub(crate) use self::args::{NodeArgs, parse_load, parse_rtt_bytes};
pub(crate) use self::config::NodeConfig;
pub(crate) use self::offered::{HEADERS_BYTES, PACKET_DATA_BYTES, wire_bytes};
pub(crate) use self::report::NodeReport;

use self::carrier::{Carrier, Serving, listening_address};
use self::ending::Broken;
use self::identity::Identity;
use self::leader::Leader;
use self::meet::Greeter;
use self::member::Member;
use crate::engine::Variables;
use crate::exit::Stop;
use crate::interrupt::Interrupt;
use crate::load::{Load, Outcome, Plan, Progress, Watcher};
use crate::output_file::OutputFile;

/// The longest wait, so that Ctrl-C is noticed.
const LONGEST_WAIT: Duration = Duration::from_millis(50);

/// Meets the others, runs with them, and writes what was measured.
pub(crate) fn run(args: &NodeArgs, interrupt: &Interrupt) -> Result<(), Stop> {
    let identity = find_identity(args)?;
    if args.incast.is_some_and(|callers| !(1..identity.nodes.len()).contains(&callers)) {
        return Err(Stop::Usage("--incast: at least one node, and fewer than there are".into()));
    }
    let config = NodeConfig::new(args, identity.nodes.len());
    let json = OutputFile::open(json_path(args, identity.rank).as_deref())?;
    let end = Instant::now() + args.meet;
    let addresses = meet::resolve(&identity, end, interrupt)?;
    let control = control_port(args, &identity)?;
    let leader = match identity.rank {
        0 => Some(start_leader(args, &identity, &config, &addresses, control)?),
        _ => None,
    };
    let node = Node { args, identity: &identity, config: &config, addresses: &addresses, end };
    let measured = node.measure(control, interrupt);
    if let Some(leader) = leader {
        leader.join();
    }
    let (report, broken) = measured?;
    let mut people = json.for_people();
    // Like other programs that feed pipes: with nobody reading there is nobody to tell.
    let _ = writeln!(people, "{}", report.line());
    json.write(|| report.to_json())?;
    match broken {
        Some(broken) => Err(broken.into()),
        None => report.verdict(),
    }
}

/// A node that is about to meet the others.
struct Node<'a> {
    args: &'a NodeArgs,
    identity: &'a Identity,
    config: &'a NodeConfig,
    addresses: &'a [SocketAddr],
    /// Until when it waits for them.
    end: Instant,
}

impl Node<'_> {
    /// Measures, and says what came of it, and why that is not all if it isn't.
    fn measure(
        &self,
        control: u16,
        interrupt: &Interrupt,
    ) -> Result<(NodeReport, Option<Broken>), Stop> {
        let leader = SocketAddr::new(self.addresses[0].ip(), control);
        let this = (self.identity.rank, self.config);
        let member = Member::join(leader, self.identity.name(0), this, self.end, interrupt)?;
        // The others are to hear why this node can't go on, if it can't.
        let Carrier { server, mut client } =
            match Carrier::open(self.args, self.config.link(), self.identity, self.addresses) {
                Ok(carrier) => carrier,
                Err(stop) => {
                    member.leave(Some(&Broken::Because(stop.to_string())));
                    return Err(stop);
                }
            };
        let serving = Serving::start(server);
        let slots = self.args.outstanding;
        if let Err(broken) =
            Greeter::new(&mut *client, &member, slots, self.end).greet_all(self.identity)
        {
            return give_up(member, serving, broken);
        }
        // Before the agreed moment, since making the messages takes time.
        let servers = self.config.servers();
        let mut unwatched = Unwatched;
        let load = Load::new(self.plan(), &mut *client, &mut unwatched, interrupt).among(servers);
        if let Err(broken) = self.await_begin(&member) {
            return give_up(member, serving, broken);
        }
        let outcome = load.run();
        let broken = match &outcome {
            Ok(_) => member.check().and_then(|()| member.await_others()).err(),
            Err(error) => Some(Broken::Because(error.to_string())),
        };
        member.leave(broken.as_ref());
        let served = serving.stop()?;
        let outcome: Outcome = outcome?;
        let why = broken.as_ref().map(Broken::reason);
        let node = (self.identity.rank, self.identity.nodes[self.identity.rank].to_string());
        Ok((NodeReport::new(node, self.config, &outcome, served, why), broken))
    }

    /// Waits for the agreed moment.
    fn await_begin(&self, member: &Member) -> Result<(), Broken> {
        let begin = member.await_start()?;
        loop {
            let left = begin.saturating_duration_since(Instant::now());
            if left.is_zero() {
                if self.identity.rank == 0 {
                    tell!("homa: {} nodes have met, and begin", self.config.size);
                }
                return Ok(());
            }
            thread::sleep(left.min(LONGEST_WAIT));
            member.check()?;
        }
    }

    fn plan(&self) -> Plan {
        self.config.plan(self.args.workload.clone(), self.identity.rank)
    }
}

/// A run that nobody sees before it has ended.
struct Unwatched;

impl Watcher for Unwatched {
    fn measuring(&mut self, _begins: bool) {}

    fn progress(&mut self, _now: Instant, progress: &mut Progress<'_>) {
        progress.recent.clear();
    }
}

/// Leaves before anything was measured.
fn give_up<T>(member: Member, serving: Serving, broken: Broken) -> Result<T, Stop> {
    member.leave(Some(&broken));
    // What the server says now is of no interest beside that.
    let _ = serving.stop();
    Err(broken.into())
}

fn find_identity(args: &NodeArgs) -> Result<Identity, Stop> {
    let host = uname().map_err(std::io::Error::from)?;
    let variables = Variables::of_this_process("homa node");
    Identity::find(&args.place, &variables, &host.nodename().to_string_lossy()).map_err(Stop::Usage)
}

/// The file of this node.
fn json_path(args: &NodeArgs, rank: usize) -> Option<PathBuf> {
    let path = args.json.as_deref().map(Path::to_string_lossy)?;
    Some(path.replace("{rank}", &rank.to_string()).into())
}

/// Where nodes meet: the first port after rank 0's own that no node has, as nodes may share a host.
fn control_port(args: &NodeArgs, identity: &Identity) -> Result<u16, Stop> {
    let is_free = |port: &u16| identity.nodes.iter().all(|node| node.port() != *port);
    let next = || (identity.nodes[0].port().checked_add(1)?..=u16::MAX).find(is_free);
    let port = args.control_port.or_else(next);
    port.ok_or_else(|| Stop::Usage("no port is left for nodes to meet: give --control-port".into()))
}

fn start_leader(
    args: &NodeArgs,
    identity: &Identity,
    config: &NodeConfig,
    addresses: &[SocketAddr],
    control: u16,
) -> Result<Leader, Stop> {
    let mut at = listening_address(args, identity, addresses)?;
    at.set_port(control);
    let cannot = |error| Stop::Failed(format!("cannot listen on {at}, where nodes meet: {error}"));
    Leader::start(at, identity, config, args.meet).map_err(cannot)
}
