//! What tests of all transports need.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::{Failure, LoadClient, LoadServer, Outcome, Regime, Request, Served};
use crate::message::{Header, Pattern};

pub(super) const REGIME: Regime = Regime { poll: Duration::from_micros(50) };

/// A server in a thread of its own, until dropped.
pub(super) struct Running {
    pub(super) address: SocketAddr,
    /// That of a server that encrypts.
    #[cfg_attr(not(feature = "peers"), expect(dead_code, reason = "of QUIC alone"))]
    pub(super) certificate: Option<Vec<u8>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Served>>,
}

impl Running {
    /// Starts what `bind` makes for an address on loopback.
    pub(super) fn start(
        bind: impl FnOnce(SocketAddr) -> Box<dyn LoadServer> + Send + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let (tell, told) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut server = bind("127.0.0.1:0".parse().unwrap());
            let address: SocketAddr = server.address().parse().unwrap();
            tell.send((address, server.certificate().map(<[u8]>::to_vec))).unwrap();
            let mut served = Served::default();
            while !stopped.load(Ordering::Relaxed) {
                server.serve(Duration::from_millis(5), &mut served).unwrap();
            }
            served
        });
        let (address, certificate) = told.recv().expect("the server has started");
        Self { address, certificate, stop, thread: Some(thread) }
    }

    pub(super) fn stop(&mut self) -> Served {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.stop();
        }
    }
}

/// Makes one call per length, all at once, and checks every response.
pub(super) fn round_trips(client: &mut dyn LoadClient, lengths: &[u32], short: bool) {
    let pattern = Pattern::new(lengths.iter().copied().max().unwrap_or_default());
    let header = |slot: usize| Header::request(slot as u32, lengths[slot], short);
    for (slot, &length) in lengths.iter().enumerate() {
        let body = pattern.body(slot as u64, length);
        client.send(Request { slot: slot as u32, header: header(slot), body });
    }
    let mut done = vec![0; lengths.len()];
    let begin = Instant::now();
    while done.contains(&0) {
        assert!(begin.elapsed() < Duration::from_secs(20), "responses are missing");
        let mut sink = |slot: u32, outcome: Outcome<'_>| {
            let slot = slot as usize;
            let response = outcome.expect("a response");
            assert_eq!(pattern.verify(header(slot), slot as u64, response), Ok(()));
            done[slot] += 1;
        };
        client.receive(Duration::from_millis(100), &mut sink).unwrap();
    }
    assert!(done.iter().all(|&count| count == 1));
}

/// Begins a call in slot 0.
pub(super) fn send_one(client: &mut dyn LoadClient, length: u32) {
    let body = Pattern::new(length).body(0, length);
    client.send(Request { slot: 0, header: Header::request(0, length, false), body });
}

/// The outcome of the only call under way, which must fail.
pub(super) fn failure(client: &mut dyn LoadClient) -> Failure {
    let begin = Instant::now();
    let mut failures = Vec::new();
    while failures.is_empty() && begin.elapsed() < Duration::from_secs(20) {
        let mut sink = |_, outcome: Outcome<'_>| failures.push(outcome.err().expect("a failure"));
        client.receive(Duration::from_millis(100), &mut sink).unwrap();
    }
    assert_eq!(failures.len(), 1);
    failures.remove(0)
}
