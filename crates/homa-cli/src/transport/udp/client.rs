//! The client's side of bare UDP.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::{BATCH, MAX_DATAGRAM, PREFIX_LEN, Prefix};
use crate::message::HEADER_LEN;
use crate::transport::poller::Poller;
use crate::transport::{Failure, LoadClient, Outcome, Regime, Request};

/// After how long without a response a datagram counts as lost: far longer than any answer takes.
const PATIENCE: Duration = Duration::from_millis(500);

/// Makes calls to one server.
#[derive(Debug)]
pub(crate) struct UdpClient {
    /// Connected, so that ICMP errors come back.
    socket: UdpSocket,
    regime: Regime,
    poller: Poller,
    /// The numbers of the calls under way, by slot.
    calls: Vec<Option<u64>>,
    /// The same calls in the order they began in, with those that have ended since.
    begun: VecDeque<(Instant, Prefix)>,
    next_number: u64,
    /// Calls that failed and were not yet reported.
    failed: Vec<(u32, Failure)>,
    buffer: Vec<u8>,
}

impl UdpClient {
    /// A client for up to `slots` calls at once.
    pub(crate) fn new(server: SocketAddr, slots: usize, regime: Regime) -> io::Result<Self> {
        let any: SocketAddr = match server {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any)?;
        socket.connect(server)?;
        socket.set_nonblocking(true)?;
        let poller = Poller::new()?;
        poller.add(&socket, 0)?;
        Ok(Self {
            socket,
            regime,
            poller,
            calls: vec![None; slots],
            begun: VecDeque::new(),
            next_number: 0,
            failed: Vec::new(),
            buffer: vec![0; MAX_DATAGRAM],
        })
    }

    /// Does what can be done now, or within `sleep`; whether any call ended.
    fn attempt(
        &mut self,
        sleep: Duration,
        sink: &mut dyn FnMut(u32, Outcome<'_>),
    ) -> io::Result<bool> {
        if !sleep.is_zero() {
            self.poller.wait(sleep)?.for_each(drop);
        }
        let mut ended = false;
        // Taken before the socket is asked: who is stopped in between must not count that time.
        let asked = Instant::now();
        for _ in 0..BATCH {
            match self.socket.recv(&mut self.buffer) {
                Ok(length) => ended |= self.take_response(length, sink),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.give_up_lost(asked);
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => self.refuse_all(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        ended |= !self.failed.is_empty();
        self.failed.drain(..).for_each(|(slot, failure)| sink(slot, Err(failure)));
        Ok(ended)
    }

    /// Whether the datagram of `length` bytes in the buffer is the response to a call under way. Others,
    /// such as those of calls given up, mean nothing.
    fn take_response(&mut self, length: usize, sink: &mut dyn FnMut(u32, Outcome<'_>)) -> bool {
        let datagram = &self.buffer[..length];
        let Some((prefix, mut message)) = datagram.split_first_chunk::<PREFIX_LEN>() else {
            return false;
        };
        let prefix = Prefix::decode(prefix);
        if self.calls.get(prefix.slot as usize) != Some(&Some(prefix.number)) {
            return false;
        }
        self.calls[prefix.slot as usize] = None;
        sink(prefix.slot, Ok(&mut message));
        true
    }

    /// Ends the calls that had waited for too long when the socket was `asked`, which had nothing more.
    fn give_up_lost(&mut self, asked: Instant) {
        while let Some(&(begin, Prefix { number, slot })) = self.begun.front() {
            let open = self.calls[slot as usize] == Some(number);
            if open && asked.saturating_duration_since(begin) < PATIENCE {
                return;
            }
            self.begun.pop_front();
            if open {
                self.calls[slot as usize] = None;
                let reason = "no response within 500 ms: a datagram was lost";
                self.failed.push((slot, Failure::new(reason)));
            }
        }
    }

    /// Ends all calls, as nobody is there.
    fn refuse_all(&mut self) {
        for (_, Prefix { number, slot }) in self.begun.drain(..) {
            if self.calls[slot as usize].take_if(|open| *open == number).is_some() {
                self.failed.push((slot, nobody()));
            }
        }
    }

    fn send_datagram(&mut self, prefix: Prefix, request: &Request) -> Result<(), Failure> {
        let length = PREFIX_LEN + HEADER_LEN + request.body.len();
        if length > MAX_DATAGRAM {
            return Err(Failure::new("longer than the 65,451 bytes that a datagram carries"));
        }
        let datagram = &mut self.buffer[..length];
        let (first, message) = datagram.split_at_mut(PREFIX_LEN);
        let (header, body) = message.split_at_mut(HEADER_LEN);
        first.copy_from_slice(&prefix.encode());
        header.copy_from_slice(&request.header.encode());
        body.copy_from_slice(&request.body);
        match self.socket.send(datagram) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Err(nobody()),
            Err(error) => Err(Failure::new(format!("cannot send: {error}"))),
        }
    }
}

impl LoadClient for UdpClient {
    fn send(&mut self, request: Request) {
        let prefix = Prefix { number: self.next_number, slot: request.slot };
        self.next_number += 1;
        match self.send_datagram(prefix, &request) {
            Ok(()) => {
                self.calls[request.slot as usize] = Some(prefix.number);
                self.begun.push_back((Instant::now(), prefix));
            }
            Err(failure) => {
                // The host's answer to an earlier datagram, which then is lost as well.
                if failure.nothing_listens {
                    self.refuse_all();
                }
                self.failed.push((request.slot, failure));
            }
        }
    }

    fn receive(
        &mut self,
        timeout: Duration,
        sink: &mut dyn FnMut(u32, Outcome<'_>),
    ) -> io::Result<()> {
        let regime = self.regime;
        regime.wait(timeout, |sleep| self.attempt(sleep, sink))
    }
}

fn nobody() -> Failure {
    Failure::nothing_listens("port unreachable: nothing listens there")
}
