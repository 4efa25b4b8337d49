//! The server's side of TCP.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::time::Duration;

use super::MAX_POLLED_DIRECTLY;
use super::inbox::{Fill, Inbox, is_transient};
use crate::message::make_response;
use crate::transport::poller::{Poller, Ready};
use crate::transport::{LoadServer, Regime, Served};

/// The listening socket's number in the poller; those of connections are below.
const LISTENER: u64 = u64::MAX;
/// While connections are polled directly, the listener is looked at once in so many times.
const ACCEPT_INTERVAL: u32 = 64;
/// How many pieces go into one system call.
const MAX_PIECES: usize = 64;

/// Answers requests of any number of connections.
#[derive(Debug)]
pub(crate) struct TcpServer {
    listener: TcpListener,
    address: SocketAddr,
    regime: Regime,
    poller: Poller,
    connections: Vec<Option<Connection>>,
    /// Places in `connections` that are free.
    free: Vec<usize>,
    attempts: u32,
}

/// A connection with a client. Requests are turned into responses in the buffer they arrived in.
#[derive(Debug)]
struct Connection {
    socket: TcpStream,
    inbox: Inbox,
    /// Where in the inbox the responses lie that are still to be written.
    responses: VecDeque<Range<usize>>,
}

impl TcpServer {
    pub(crate) fn bind(address: SocketAddr, regime: Regime) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let poller = Poller::new()?;
        poller.add(&listener, LISTENER)?;
        Ok(Self {
            address: listener.local_addr()?,
            listener,
            regime,
            poller,
            connections: Vec::new(),
            free: Vec::new(),
            attempts: 0,
        })
    }

    /// Does what can be done now, or within `sleep`; whether any request was answered.
    fn attempt(&mut self, sleep: Duration, served: &mut Served) -> io::Result<bool> {
        let before = served.requests;
        self.attempts = self.attempts.wrapping_add(1);
        let few = self.connections.len() - self.free.len() <= MAX_POLLED_DIRECTLY;
        if sleep.is_zero() && few && !self.attempts.is_multiple_of(ACCEPT_INTERVAL) {
            for index in 0..self.connections.len() {
                self.advance(index, false, served);
            }
        } else {
            let ready: Vec<_> = self.poller.wait(sleep)?.collect();
            for Ready { token, closing } in ready {
                if token == LISTENER {
                    self.accept(served);
                } else {
                    self.advance(token as usize, closing, served);
                }
            }
        }
        Ok(served.requests > before)
    }

    fn accept(&mut self, served: &mut Served) {
        loop {
            match self.listener.accept() {
                Ok((socket, _)) => {
                    if self.admit(socket).is_err() {
                        served.errors += 1;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    // A connection that was aborted while waiting, or no free descriptor: neither
                    // is a reason to end.
                    served.errors += u64::from(!is_transient(&error));
                    return;
                }
            }
        }
    }

    fn admit(&mut self, socket: TcpStream) -> io::Result<()> {
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let index = self.free.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        self.poller.add(&socket, index as u64)?;
        let responses = VecDeque::new();
        self.connections[index] = Some(Connection { socket, inbox: Inbox::default(), responses });
        Ok(())
    }

    fn advance(&mut self, index: usize, closing: bool, served: &mut Served) {
        let Some(connection) = &mut self.connections[index] else { return };
        match connection.advance(closing, served) {
            Ok(State::Open) => {}
            ended => {
                // That clients go away is no error; that they send something else is.
                let nonsense =
                    matches!(ended, Err(error) if error.kind() == io::ErrorKind::InvalidData);
                served.errors += u64::from(nonsense);
                self.connections[index] = None;
                self.free.push(index);
            }
        }
    }
}

impl LoadServer for TcpServer {
    fn address(&self) -> String {
        self.address.to_string()
    }

    fn serve(&mut self, timeout: Duration, served: &mut Served) -> io::Result<()> {
        let regime = self.regime;
        regime.wait(timeout, |sleep| self.attempt(sleep, served))
    }
}

/// Whether a connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Closed,
}

impl Connection {
    /// Reads, answers and writes until there is nothing to read, or no room to write to.
    fn advance(&mut self, closing: bool, served: &mut Served) -> io::Result<State> {
        loop {
            self.write_responses()?;
            if !self.responses.is_empty() {
                return Ok(State::Open);
            }
            self.inbox.compact();
            let fill = self.inbox.fill(&self.socket)?;
            self.answer(served)?;
            self.write_responses()?;
            match fill {
                Fill::Closed => return Ok(State::Closed),
                Fill::Read { drained } if !drained || closing => {}
                Fill::Read { .. } | Fill::Nothing => return Ok(State::Open),
            }
        }
    }

    /// Turns all whole requests in the inbox into responses.
    fn answer(&mut self, served: &mut Served) -> io::Result<()> {
        while let Some(request) = self.inbox.take_message()? {
            let length = make_response(self.inbox.header_mut(&request)) as usize;
            served.requests += 1;
            served.bytes_in += request.len() as u64;
            served.bytes_out += length as u64;
            let response = request.start..request.start + length;
            match self.responses.back_mut() {
                Some(last) if last.end == response.start => last.end = response.end,
                _ => self.responses.push_back(response),
            }
        }
        Ok(())
    }

    fn write_responses(&mut self) -> io::Result<()> {
        while !self.responses.is_empty() {
            let written = match self.responses.make_contiguous() {
                [response] => (&self.socket).write(self.inbox.message(response.clone())),
                responses => {
                    let mut slices = [IoSlice::new(&[]); MAX_PIECES];
                    let count = responses.len().min(MAX_PIECES);
                    for (slice, response) in slices.iter_mut().zip(responses) {
                        *slice = IoSlice::new(self.inbox.message(response.clone()));
                    }
                    (&self.socket).write_vectored(&slices[..count])
                }
            };
            match written {
                Ok(written) => self.consume(written),
                Err(error) if is_transient(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn consume(&mut self, mut written: usize) {
        while let Some(response) = self.responses.front_mut() {
            let count = written.min(response.len());
            response.start += count;
            written -= count;
            if response.start < response.end {
                return;
            }
            self.responses.pop_front();
        }
    }
}
