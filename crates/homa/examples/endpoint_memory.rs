//! How much memory a whole endpoint takes: just opened, per idle peer, and per open call of 100 bytes on
//! either side, everything that the process asks its allocator for included.
//!
//!     cargo run --release -p homa-rpc --example endpoint_memory [MOST]
//!
//! Prints what, how many there were (1,000, 10,000, up to MOST, else 100,000), and bytes of each. Client and
//! server are two processes that talk over loopback.

use std::io::{BufRead, BufReader, Lines, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use homa::blocking::{Endpoint, Request};
use homa::proto::{Duration as ProtoDuration, Resource};
use homa::{Addr, Config};
use homa_testkit::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

type Failure = Box<dyn std::error::Error>;

const HOMA_PORT: u16 = 7;
static BODY: [u8; 100] = [b'x'; 100];
/// How long a call lasts in which a peer becomes known.
const CALL: Duration = Duration::from_secs(5);
/// How long it takes at most until nothing moves any more: the last acknowledgements have gone.
const REST: Duration = Duration::from_millis(500);
/// Clients that a server is shown, of a socket and a thread each; and servers that a client is shown, of an
/// address each.
const PEERS: [u32; 2] = [1_000, 10_000];

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["hold", count] => hold(count.parse()?),
        ["answer"] => answer(),
        [] => measure(100_000),
        [most] => measure(most.parse()?),
        _ => Err("usage: endpoint_memory [MOST]".into()),
    }
}

fn measure(most: u32) -> Result<(), Failure> {
    let before = CountingAllocator::live_bytes();
    let endpoint = Endpoint::client(config())?;
    print("host (client)", 1, before);
    let before_server = CountingAllocator::live_bytes();
    let server = Endpoint::bind("127.0.0.1:0", config())?;
    let service = server.serve(HOMA_PORT)?;
    print("host (server)", 1, before_server);
    drop((service, server, endpoint));
    let counts = std::iter::successors(Some(1_000), |count| Some(10 * count));
    for count in counts.take_while(|count| *count <= most) {
        open_calls(count)?;
    }
    for count in PEERS.into_iter().filter(|count| *count <= most) {
        servers_of_a_client(count)?;
    }
    clients_of_a_server(PEERS[0].min(most))
}

/// Opens calls that nobody answers, and has the server say what they take there.
fn open_calls(count: u32) -> Result<(), Failure> {
    let mut server = Other::start(&["hold", &count.to_string()])?;
    let endpoint = Endpoint::client(config())?;
    let before = CountingAllocator::live_bytes();
    for _ in 0..count {
        endpoint.send(server.addr, BODY.as_slice())?;
    }
    // It prints when it has them all.
    let held = server.line()?;
    print("open RPC (client)", count, before);
    println!("{held}");
    Ok(())
}

/// A server that accepts so many requests, answers none, and says what they take.
fn hold(count: usize) -> Result<(), Failure> {
    let endpoint = Endpoint::bind("127.0.0.1:0", config())?;
    let server = endpoint.serve(HOMA_PORT)?;
    // The application's own list is not what is to be measured.
    let mut requests: Vec<Request> = Vec::with_capacity(count);
    let before = CountingAllocator::live_bytes();
    say(endpoint.local_addr())?;
    while requests.len() < count {
        server.accept_batch(&mut requests, 64, None);
    }
    print("open RPC (server)", count as u32, before);
    std::io::stdout().flush()?;
    wait_for_the_end()
}

/// Calls one server by so many of its addresses.
fn servers_of_a_client(count: u32) -> Result<(), Failure> {
    let server = Other::start(&["answer"])?;
    let endpoint = Endpoint::client(config())?;
    let before = CountingAllocator::live_bytes();
    for number in 0..count {
        let ip = Ipv4Addr::from(u32::from(Ipv4Addr::LOCALHOST) + number);
        let addr = Addr::new(SocketAddr::from((ip, server.addr.socket_addr().port())), HOMA_PORT)?;
        // A second call has what the first one taught.
        for _ in 0..2 {
            endpoint.call(addr, BODY.as_slice())?;
        }
    }
    std::thread::sleep(REST);
    print("idle peer (client)", known_peers(&endpoint, count), before);
    Ok(())
}

/// Calls one server from so many endpoints, one after the other.
fn clients_of_a_server(count: u32) -> Result<(), Failure> {
    let mut server = Other::start(&["answer"])?;
    for _ in 0..count {
        let endpoint = Endpoint::bind("127.0.0.1:0", config())?;
        for _ in 0..2 {
            endpoint.call(server.addr, BODY.as_slice())?;
        }
        endpoint.shutdown(CALL);
    }
    std::thread::sleep(REST);
    writeln!(server.input, "{count}")?;
    println!("{}", server.line()?);
    Ok(())
}

/// A server that answers, and says at the first line of input what its peers take.
fn answer() -> Result<(), Failure> {
    let endpoint = Endpoint::bind("0.0.0.0:0", config())?;
    let server = endpoint.serve(HOMA_PORT)?;
    let before = CountingAllocator::live_bytes();
    say(SocketAddr::from((Ipv4Addr::LOCALHOST, endpoint.local_addr().port())))?;
    std::thread::spawn(move || {
        while let Some(mut request) = server.accept() {
            // A client that has gone does not want it any more.
            let _ = request.reply(BODY.as_slice());
        }
    });
    let mut count = String::new();
    if std::io::stdin().read_line(&mut count)? == 0 {
        return Ok(());
    }
    print("idle peer (server)", known_peers(&endpoint, count.trim().parse()?), before);
    std::io::stdout().flush()?;
    wait_for_the_end()
}

/// How many peers the endpoint knows: of ports that were used twice there is one.
fn known_peers(endpoint: &Endpoint, expected: u32) -> u32 {
    let peers = endpoint.accounts().endpoint.get(Resource::Peers).map_or(0, |account| account.used);
    u32::try_from(peers).unwrap_or(expected).max(1)
}

/// Prints what each of `count` takes besides what there was before.
fn print(what: &str, count: u32, before: usize) {
    let bytes = CountingAllocator::live_bytes().saturating_sub(before);
    println!("{what},{count},{:.0}", bytes as f64 / f64::from(count));
}

fn say(addr: SocketAddr) -> Result<(), Failure> {
    println!("{addr}");
    Ok(std::io::stdout().flush()?)
}

fn wait_for_the_end() -> Result<(), Failure> {
    std::io::stdin().read_line(&mut String::new())?;
    Ok(())
}

/// Calls and peers outlast the measurement.
fn config() -> Config {
    let mut config = Config::default();
    config.proto.timing.call_deadline = ProtoDuration::from_secs(600);
    config.proto.timing.peer_idle_min = ProtoDuration::from_secs(600);
    config
}

/// This program as another process, which ends when its input does.
struct Other {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    addr: Addr,
}

impl Other {
    fn start(args: &[&str]) -> Result<Self, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take().ok_or("no input")?;
        let mut output = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        let addr: SocketAddr = output.next().ok_or("the server ended at once")??.parse()?;
        Ok(Self { child, input, output, addr: Addr::new(addr, HOMA_PORT)? })
    }

    fn line(&mut self) -> Result<String, Failure> {
        Ok(self.output.next().ok_or("the server has ended")??)
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
