//! Messages as they are, instead of protocol buffers.

use ::homa::Message;
use bytes::{Buf, BufMut};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// What a gRPC message holds is one message of the load generator.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Plain;

impl Codec for Plain {
    type Encode = Message;
    type Decode = Message;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Plain {
    type Item = Message;
    type Error = Status;

    fn encode(&mut self, message: Message, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.reserve(message.len());
        to.put(message);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Message;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Message>, Status> {
        let length = from.remaining();
        Ok(Some(Message::from(from.copy_to_bytes(length))))
    }
}
