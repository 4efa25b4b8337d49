//! The client's side of TCP.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::inbox::{Fill, Inbox};
use super::outbox::Outbox;
use super::{MAX_POLLED_DIRECTLY, Variant};
use crate::transport::poller::Poller;
use crate::transport::{Failure, LoadClient, Outcome, Regime, Request};

/// How long to wait for a connection to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);

/// Makes calls to one server, or several. Connections are made when first needed, and again after they broke.
#[derive(Debug)]
pub(crate) struct TcpClient {
    servers: Vec<SocketAddr>,
    regime: Regime,
    /// Those to one server are neighbours.
    links: Vec<Option<Link>>,
    links_per_server: usize,
    poller: Poller,
    /// Links that have something to send.
    unsent: Vec<usize>,
    /// Calls that failed and were not yet reported.
    failed: Vec<(u32, Failure)>,
}

/// A connection.
#[derive(Debug)]
struct Link {
    socket: TcpStream,
    inbox: Inbox,
    outbox: Outbox,
    /// Calls under way; responses come in the order of the requests.
    calls: VecDeque<u32>,
}

impl TcpClient {
    /// A client for up to `slots` calls at once.
    pub(crate) fn new(
        server: SocketAddr,
        variant: Variant,
        slots: usize,
        regime: Regime,
    ) -> io::Result<Self> {
        Self::of_servers(vec![server], variant, slots, regime)
    }

    /// The same for several servers: each has as many connections as one alone would have.
    pub(crate) fn of_servers(
        servers: Vec<SocketAddr>,
        variant: Variant,
        slots: usize,
        regime: Regime,
    ) -> io::Result<Self> {
        let links_per_server = match variant {
            Variant::Connections => slots,
            Variant::Pipelined => 1,
        };
        let links = links_per_server * servers.len();
        Ok(Self {
            servers,
            regime,
            links: std::iter::repeat_with(|| None).take(links).collect(),
            links_per_server,
            poller: Poller::new()?,
            unsent: Vec::new(),
            failed: Vec::new(),
        })
    }

    /// Does what can be done now, or within `sleep`; whether any call ended.
    fn attempt(
        &mut self,
        sleep: Duration,
        sink: &mut dyn FnMut(u32, Outcome<'_>),
    ) -> io::Result<bool> {
        let mut ended = false;
        if sleep.is_zero() && self.links.len() <= MAX_POLLED_DIRECTLY {
            for index in 0..self.links.len() {
                ended |= self.advance(index, false, sink);
            }
        } else {
            let ready: Vec<_> = self.poller.wait(sleep)?.collect();
            for event in ready {
                ended |= self.advance(event.token as usize, event.closing, sink);
            }
        }
        Ok(ended | self.report_failures(sink))
    }

    /// Reads and writes what one link can; whether any call ended with a response.
    fn advance(
        &mut self,
        index: usize,
        closing: bool,
        sink: &mut dyn FnMut(u32, Outcome<'_>),
    ) -> bool {
        let Some(link) = &mut self.links[index] else { return false };
        let mut ended = false;
        if let Err(error) = link.advance(closing, &mut ended, sink) {
            self.break_link(index, &error);
        }
        ended
    }

    fn flush(&mut self) {
        while let Some(index) = self.unsent.pop() {
            if let Some(link) = &mut self.links[index]
                && let Err(error) = link.outbox.write_to(&link.socket)
            {
                self.break_link(index, &error);
            }
        }
    }

    fn break_link(&mut self, index: usize, error: &io::Error) {
        if let Some(link) = self.links[index].take() {
            let failure = failure_of(error);
            self.failed.extend(link.calls.into_iter().map(|slot| (slot, failure.clone())));
        }
    }

    fn report_failures(&mut self, sink: &mut dyn FnMut(u32, Outcome<'_>)) -> bool {
        let any = !self.failed.is_empty();
        for (slot, failure) in self.failed.drain(..) {
            sink(slot, Err(failure));
        }
        any
    }

    /// The link with this index, which is connected if it isn't.
    fn link(&mut self, index: usize) -> io::Result<&mut Link> {
        let link = match self.links[index].take() {
            Some(link) => link,
            None => {
                let server = &self.servers[index / self.links_per_server];
                let socket = TcpStream::connect_timeout(server, CONNECT_TIMEOUT)?;
                socket.set_nodelay(true)?;
                socket.set_nonblocking(true)?;
                self.poller.add(&socket, index as u64)?;
                Link {
                    socket,
                    inbox: Inbox::default(),
                    outbox: Outbox::default(),
                    calls: VecDeque::new(),
                }
            }
        };
        Ok(self.links[index].insert(link))
    }
}

impl LoadClient for TcpClient {
    fn send(&mut self, request: Request) {
        self.send_to(0, request);
    }

    fn send_to(&mut self, server: u32, request: Request) {
        let among = self.links_per_server;
        let index = server as usize * among + request.slot as usize % among;
        match self.link(index) {
            Ok(link) => {
                let idle = link.outbox.is_empty();
                link.outbox.push(request.header, request.body);
                link.calls.push_back(request.slot);
                if idle {
                    self.unsent.push(index);
                }
            }
            Err(error) => self.failed.push((request.slot, failure_of(&error))),
        }
    }

    fn receive(
        &mut self,
        timeout: Duration,
        sink: &mut dyn FnMut(u32, Outcome<'_>),
    ) -> io::Result<()> {
        self.flush();
        let regime = self.regime;
        regime.wait(timeout, |sleep| self.attempt(sleep, sink))
    }
}

impl Link {
    fn advance(
        &mut self,
        closing: bool,
        ended: &mut bool,
        sink: &mut dyn FnMut(u32, Outcome<'_>),
    ) -> io::Result<()> {
        loop {
            let fill = self.inbox.fill(&self.socket)?;
            while let Some(message) = self.inbox.take_message()? {
                let slot = self.calls.pop_front().ok_or(io::ErrorKind::InvalidData)?;
                sink(slot, Ok(&mut self.inbox.message(message)));
                *ended = true;
            }
            self.inbox.compact();
            match fill {
                Fill::Closed => return Err(io::ErrorKind::UnexpectedEof.into()),
                Fill::Read { drained } if !drained || closing => {}
                Fill::Read { .. } | Fill::Nothing => break,
            }
        }
        self.outbox.write_to(&self.socket)
    }
}

fn failure_of(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            Failure::nothing_listens("connection refused: nothing listens there")
        }
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => {
            Failure::new("connection closed by the server")
        }
        io::ErrorKind::ConnectionReset => Failure::new("connection reset by the server"),
        io::ErrorKind::InvalidData => {
            Failure::new("the server sent something else than a response")
        }
        io::ErrorKind::TimedOut => Failure::new("no connection within 500 ms"),
        _ => Failure::new(error.to_string()),
    }
}
