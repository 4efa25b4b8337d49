//! The server's side of bare UDP.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use super::{BATCH, MAX_DATAGRAM, PREFIX_LEN};
use crate::message::{HEADER_LEN, Header, make_response};
use crate::transport::poller::Poller;
use crate::transport::{LoadServer, Regime, Served};

/// Answers datagrams of any number of clients.
#[derive(Debug)]
pub(crate) struct UdpServer {
    socket: UdpSocket,
    address: SocketAddr,
    regime: Regime,
    poller: Poller,
    buffer: Vec<u8>,
}

impl UdpServer {
    pub(crate) fn bind(address: SocketAddr, regime: Regime) -> io::Result<Self> {
        let socket = UdpSocket::bind(address)?;
        socket.set_nonblocking(true)?;
        let poller = Poller::new()?;
        poller.add(&socket, 0)?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address, regime, poller, buffer: vec![0; MAX_DATAGRAM] })
    }

    /// Does what can be done now, or within `sleep`; whether any request was answered.
    fn attempt(&mut self, sleep: Duration, served: &mut Served) -> io::Result<bool> {
        if !sleep.is_zero() {
            self.poller.wait(sleep)?.for_each(drop);
        }
        let before = served.requests;
        for _ in 0..BATCH {
            match self.socket.recv_from(&mut self.buffer) {
                Ok((length, from)) => self.answer(length, from, served),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(served.requests > before)
    }

    /// Answers the datagram of `length` bytes in the buffer.
    fn answer(&mut self, length: usize, from: SocketAddr, served: &mut Served) {
        let message = self.buffer[..length].get_mut(PREFIX_LEN..).unwrap_or_default();
        let message_length = message.len();
        let header = message.first_chunk_mut::<HEADER_LEN>();
        let header = header.filter(|bytes| Header::decode(bytes).length as usize == message_length);
        let Some(header) = header else {
            served.errors += 1;
            return;
        };
        let response_length = make_response(header) as usize;
        match self.socket.send_to(&self.buffer[..PREFIX_LEN + response_length], from) {
            Ok(_) => {
                served.requests += 1;
                served.bytes_in += message_length as u64;
                served.bytes_out += response_length as u64;
            }
            // A response that finds no room is lost, as datagrams are.
            Err(_) => served.errors += 1,
        }
    }
}

impl LoadServer for UdpServer {
    fn address(&self) -> String {
        self.address.to_string()
    }

    fn serve(&mut self, timeout: Duration, served: &mut Served) -> io::Result<()> {
        let regime = self.regime;
        regime.wait(timeout, |sleep| self.attempt(sleep, served))
    }
}
