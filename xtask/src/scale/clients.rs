//! Several client processes at one server, over Homa and over TCP.

use std::io;
use std::thread;

use homa_sim::plot::Scale;

use super::Bench;
use super::curve::{Curve, Plot, Row};
use crate::measured::{Client, Server, median};

const PORT: u16 = 4717;
/// Open calls of all clients together.
const OUTSTANDING: usize = 64;

/// By client processes.
pub(super) const CLIENTS: Curve = Curve {
    name: "clients",
    title: "One server, several client processes, 64 open calls of 100 B in all",
    keys: ["transport", "clients"],
    metrics: &["kops", "p50_us", "p99_us", "errors"],
    x: ("client processes", Scale::Logarithmic),
    plots: &[Plot {
        suffix: "",
        title: "Calls of 100 B per second at one server, by client processes",
        metric: 0,
        y: ("thousand calls per second", Scale::Linear),
    }],
    programs: &[&["-p", "homa-cli"]],
    measure,
};

/// A server that runs, and how it is reached.
struct Target {
    transport: &'static str,
    port: u16,
    _server: Server,
}

impl Target {
    fn start(bench: &Bench<'_>, transport: &'static str, port: u16) -> io::Result<Self> {
        let server = Server::start(bench.root, port, &["--transport", transport])?;
        Ok(Self { transport, port, _server: server })
    }
}

/// So many clients at a server, with the figures of each round.
struct Point<'a> {
    target: &'a Target,
    clients: usize,
    rounds: Vec<Vec<f64>>,
}

impl Point<'_> {
    fn row(&self) -> Row {
        let of = |metric: usize| median(self.rounds.iter().map(|round| round[metric]).collect());
        let values = (0..CLIENTS.metrics.len()).map(of).collect();
        Row { series: self.target.transport.into(), x: self.clients as f64, values }
    }
}

fn measure(bench: &Bench<'_>) -> io::Result<Vec<Row>> {
    let targets = [Target::start(bench, "homa", PORT)?, Target::start(bench, "tcp", PORT + 1)?];
    let mut points: Vec<Point<'_>> = Vec::new();
    for clients in [1, 2, 3, 4] {
        points.extend(targets.iter().map(|target| Point { target, clients, rounds: Vec::new() }));
    }
    for round in 1..=bench.rounds() {
        eprintln!("clients: round {round} of {}", bench.rounds());
        for Point { target, clients, rounds } in &mut points {
            rounds.push(together(bench, target.transport, target.port, *clients)?);
        }
    }
    Ok(points.iter().map(Point::row).collect())
}

/// Runs clients at the same time; the sum of their rates, and the worst of their latencies.
fn together(bench: &Bench<'_>, transport: &str, port: u16, count: usize) -> io::Result<Vec<f64>> {
    let seconds = if bench.is_quick { 1 } else { 3 };
    let outstanding = (OUTSTANDING / count).to_string();
    let options = ["--transport", transport, "--outstanding", &outstanding];
    let clients: Vec<io::Result<Client>> = thread::scope(|scope| {
        let run = || scope.spawn(|| Client::run(bench.root, port, seconds, &options));
        let running: Vec<_> = (0..count).map(|_| run()).collect();
        let join = |client: thread::ScopedJoinHandle<'_, _>| {
            client.join().unwrap_or_else(|_| Err(io::Error::other("a client panicked")))
        };
        running.into_iter().map(join).collect()
    });
    let clients: Vec<Client> = clients.into_iter().collect::<io::Result<_>>()?;
    Ok(combined(&clients))
}

/// Thousand calls per second of all, the highest P50 and P99 of any, and failed calls.
fn combined(clients: &[Client]) -> Vec<f64> {
    let kops = clients.iter().map(|client| client.calls as f64 / client.seconds / 1e3).sum();
    let most = |figure: fn(&Client) -> f64| clients.iter().map(figure).fold(f64::NAN, f64::max);
    let failed: u64 = clients.iter().map(|client| client.failed).sum();
    vec![kops, most(|client| client.rtt.p50), most(|client| client.rtt.p99), failed as f64]
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;
    use crate::measured::Latency;

    #[test]
    fn combined__adds_rates_and_takes_the_worst_latency() {
        let client = |calls, p99| Client {
            calls,
            failed: 1,
            seconds: 2.0,
            rtt: Latency { p50: 10.0, p99 },
            failure: Latency { p50: f64::NAN, p99: f64::NAN },
        };
        let figures = combined(&[client(20_000, 30.0), client(40_000, 50.0)]);
        assert_eq!(figures, [30.0, 10.0, 50.0, 2.0]);
    }
}
