//! What is to be sent on a connection.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};
use std::net::TcpStream;

use bytes::Bytes;

use super::inbox::is_transient;
use crate::message::Header;

/// Bodies up to this length are copied behind their headers; longer ones are sent from where they
/// are.
const MAX_COPIED: usize = 16 << 10;
/// How long a run of copied messages may become.
const MAX_STAGED: usize = 256 << 10;
/// How many pieces go into one system call.
const MAX_PIECES: usize = 64;

/// A queue of messages to be written.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pieces: VecDeque<Piece>,
    /// An emptied buffer, kept for the next message.
    spare: Vec<u8>,
}

#[derive(Debug)]
enum Piece {
    /// Short messages one after the other, and headers of long ones.
    Staged { bytes: Vec<u8>, sent: usize },
    /// The body of a long message.
    Body(Bytes),
}

impl Outbox {
    pub(super) fn push(&mut self, header: Header, body: Bytes) {
        let staged = self.staging();
        staged.extend_from_slice(&header.encode());
        if body.len() <= MAX_COPIED {
            staged.extend_from_slice(&body);
        } else {
            self.pieces.push_back(Piece::Body(body));
        }
    }

    /// Writes as much as the socket takes.
    pub(super) fn write_to(&mut self, mut socket: &TcpStream) -> io::Result<()> {
        while !self.is_empty() {
            let written = match self.pieces.make_contiguous() {
                [piece] => socket.write(piece.unsent()),
                pieces => {
                    let mut slices = [IoSlice::new(&[]); MAX_PIECES];
                    let count = pieces.len().min(MAX_PIECES);
                    for (slice, piece) in slices.iter_mut().zip(pieces) {
                        *slice = IoSlice::new(piece.unsent());
                    }
                    socket.write_vectored(&slices[..count])
                }
            };
            match written {
                Ok(count) => self.consume(count),
                Err(error) if is_transient(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The buffer to which copied bytes are to be appended.
    fn staging(&mut self) -> &mut Vec<u8> {
        let has_room = match self.pieces.back() {
            Some(Piece::Staged { bytes, .. }) => bytes.len() < MAX_STAGED,
            Some(Piece::Body(_)) | None => false,
        };
        if !has_room {
            self.pieces
                .push_back(Piece::Staged { bytes: std::mem::take(&mut self.spare), sent: 0 });
        }
        match self.pieces.back_mut() {
            Some(Piece::Staged { bytes, .. }) => bytes,
            _ => unreachable!("the last piece is a staged one"),
        }
    }

    fn consume(&mut self, mut written: usize) {
        while let Some(piece) = self.pieces.front_mut() {
            let unsent = piece.unsent().len();
            if written < unsent {
                piece.advance(written);
                return;
            }
            written -= unsent;
            if let Some(Piece::Staged { mut bytes, .. }) = self.pieces.pop_front() {
                bytes.clear();
                self.spare = bytes;
            }
        }
    }
}

impl Piece {
    fn advance(&mut self, count: usize) {
        match self {
            Self::Staged { sent, .. } => *sent += count,
            Self::Body(bytes) => drop(bytes.split_to(count)),
        }
    }

    fn unsent(&self) -> &[u8] {
        match self {
            Self::Staged { bytes, sent } => &bytes[*sent..],
            Self::Body(bytes) => bytes,
        }
    }
}
