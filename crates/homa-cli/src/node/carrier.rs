//! The transport of a node: a server, and a client for all others.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::args::NodeArgs;
use super::identity::Identity;
use crate::exit::Stop;
use crate::keys;
use crate::transport::tcp::{TcpClient, TcpServer};
use crate::transport::{
    HomaLink, HomaOptions, HomaServer, LoadClient, LoadServer, Protocol, Regime, Served,
};

/// The longest wait, so that the end is noticed.
const LONGEST_WAIT: Duration = Duration::from_millis(50);

/// Both sides of a transport.
pub(super) struct Carrier {
    pub(super) server: Box<dyn LoadServer + Send>,
    /// Its servers are the other nodes, in the order of their ranks.
    pub(super) client: Box<dyn LoadClient>,
}

impl Carrier {
    /// # Errors
    ///
    /// The address can't be bound, and the like.
    pub(super) fn open(
        args: &NodeArgs,
        link: HomaLink,
        identity: &Identity,
        addresses: &[SocketAddr],
    ) -> Result<Self, Stop> {
        let at = listening_address(args, identity, addresses)?;
        let cannot = |why: String| Stop::Failed(format!("cannot listen on {at}: {why}"));
        let others = identity.others();
        let (slots, regime) = (args.outstanding, Regime::from(args.regime));
        if args.transport == Protocol::Tcp {
            allow_many_files();
            let server = TcpServer::bind(at, regime).map_err(|error| cannot(error.to_string()))?;
            let peers = others.map(|rank| addresses[rank]).collect();
            let client = TcpClient::of_servers(peers, args.variant(), slots, regime)?;
            return Ok(Self { server: Box::new(server), client: Box::new(client) });
        }
        let options = HomaOptions::for_messages_of(u64::from(args.workload.max_len()))
            .with_checksums(args.homa.checksums)
            .with_timeout(args.homa.timeout)
            .on_link(link)
            .with_auth(keys::read(args.homa.key_file.as_deref())?);
        let port = |rank: usize| identity.nodes[rank].homa_port().map_err(Stop::Usage);
        let peers: Vec<_> =
            others.map(|rank| Ok((addresses[rank], port(rank)?))).collect::<Result<_, Stop>>()?;
        let at_port = (at, port(identity.rank)?);
        let (server, client) =
            HomaServer::bind_with_client(at_port, &peers, slots, regime, &options)
                .map_err(cannot)?;
        Ok(Self { server: Box::new(server), client: Box::new(client) })
    }
}

/// A server at work in a thread of its own.
#[derive(Debug)]
pub(super) struct Serving {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<Served>>,
}

impl Serving {
    pub(super) fn start(mut server: Box<dyn LoadServer + Send>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut served = Served::default();
            while !stopped.load(Ordering::Relaxed) {
                server.serve(LONGEST_WAIT, &mut served)?;
            }
            server.shut_down(&mut served);
            Ok(served)
        });
        Self { stop, thread }
    }

    /// Serves no longer.
    ///
    /// # Errors
    ///
    /// The server had not worked to the end.
    pub(super) fn stop(self) -> io::Result<Served> {
        self.stop.store(true, Ordering::Relaxed);
        let panicked = |_| io::Error::other("the server has panicked");
        self.thread.join().map_err(panicked)?
    }
}

/// Where this node listens. Its name may stand for an address that others do not reach it at (that of loopback, in
/// the files of some distributions), so a name means all addresses.
pub(super) fn listening_address(
    args: &NodeArgs,
    identity: &Identity,
    addresses: &[SocketAddr],
) -> Result<SocketAddr, Stop> {
    if let Some(listen) = &args.listen {
        return listen.resolve().map_err(Stop::Failed);
    }
    let own = addresses[identity.rank];
    if identity.nodes[identity.rank].is_literal() {
        return Ok(own);
    }
    // The family that others are reached by.
    let any = match identity.others().next().map(|rank| addresses[rank]) {
        Some(SocketAddr::V6(_)) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    };
    Ok(SocketAddr::new(any, own.port()))
}

/// Each call under way may have a connection of its own with each node, and theirs come beside them.
fn allow_many_files() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        // If this fails, connections will, and say so.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}
