//! RESEND packets (WIRE section 5): requests to send a range again.

use crate::Priority;
use crate::field;

/// The fields of a RESEND packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Resend {
    /// First byte wanted (HOMA-RESEND-2).
    pub offset: u32,
    /// Number of bytes wanted, or [`Resend::ALL`].
    pub length: u32,
    /// The priority of the packets sent in answer (HOMA-RESEND-3). `None` is the form of 36 bytes
    /// without this field, which upstream Linux proposals send and which is to be served at the
    /// highest priority.
    pub priority: Option<Priority>,
}

impl Resend {
    /// The length that means "nothing has arrived yet: send again whatever was sent so far". The
    /// offset is then 0.
    pub const ALL: u32 = u32::MAX;

    /// Length of the shorter form.
    pub(crate) const LEN_MIN: usize = 36;

    /// Length of the form with a priority.
    pub(crate) const LEN_FULL: usize = 37;

    /// A request for `length` bytes from `offset` on.
    pub const fn new(offset: u32, length: u32, priority: Priority) -> Self {
        Self { offset, length, priority: Some(priority) }
    }

    /// A request for everything sent so far, because nothing of the message has arrived.
    pub const fn all(priority: Priority) -> Self {
        Self::new(0, Self::ALL, priority)
    }

    /// Whether everything sent so far is wanted.
    pub const fn is_all(&self) -> bool {
        self.length == Self::ALL
    }

    pub(crate) const fn emitted_len(&self) -> usize {
        if self.priority.is_some() { Self::LEN_FULL } else { Self::LEN_MIN }
    }

    /// Writes the fields of the shorter form.
    pub(crate) fn emit<const N: usize>(&self, out: &mut [u8; N]) {
        field::RESEND_OFFSET.set(out, self.offset);
        field::RESEND_LENGTH.set(out, self.length);
    }

    /// Writes the fields of the longer form.
    pub(crate) fn emit_full(&self, priority: Priority, out: &mut [u8; Self::LEN_FULL]) {
        self.emit(out);
        field::RESEND_PRIORITY.set(out, priority.level());
    }
}

/// A RESEND packet in place.
#[derive(Clone, Copy, Debug)]
pub struct ResendView<'a> {
    header: &'a [u8; Resend::LEN_MIN],
    full: Option<&'a [u8; Resend::LEN_FULL]>,
}

impl<'a> ResendView<'a> {
    pub(crate) fn new(packet: &'a [u8]) -> Option<Self> {
        Some(Self { header: packet.first_chunk()?, full: packet.first_chunk() })
    }

    /// See [`Resend::offset`].
    pub fn offset(&self) -> u32 {
        field::RESEND_OFFSET.value(self.header)
    }

    /// See [`Resend::length`].
    pub fn length(&self) -> u32 {
        field::RESEND_LENGTH.value(self.header)
    }

    /// See [`Resend::priority`]; levels beyond the highest are read as the highest.
    pub fn priority(&self) -> Option<Priority> {
        self.full.map(|packet| Priority::clamped(field::RESEND_PRIORITY.value(packet)))
    }

    /// All fields, as a value.
    pub fn value(&self) -> Resend {
        Resend { offset: self.offset(), length: self.length(), priority: self.priority() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::Resend;
    use crate::testing::{assert_shortest, body, packet};
    use crate::{Body, Priority};

    /// HOMA-RESEND-2, HOMA-RESEND-3: each field at its place.
    #[test]
    fn emit__37_bytes() {
        let resend = Resend::new(1424, 576, Priority::HIGHEST);
        let packet = packet(Body::Resend(resend), &[]);
        assert_eq!(packet.len(), 37);
        assert_eq!(packet[28..], [0, 0, 0x05, 0x90, 0, 0, 0x02, 0x40, 7]);
        assert!(!resend.is_all());
    }

    #[test]
    fn all__offset_0_and_length_all_ones() {
        let resend = Resend::all(Priority::HIGHEST);
        let packet = packet(Body::Resend(resend), &[]);
        assert_eq!(packet[28..], [0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 7]);
        assert!(resend.is_all());
    }

    /// WIRE section 10: upstream Linux proposals have no priority.
    #[test]
    fn parse__36_bytes() {
        let full = Resend::new(1424, 576, Priority::HIGHEST);
        let short = Resend { priority: None, ..full };
        let full_packet = packet(Body::Resend(full), &[]);
        assert_eq!(body(&full_packet[..36]), Ok(Body::Resend(short)));
        assert_eq!(packet(Body::Resend(short), &[]), full_packet[..36]);
    }

    /// HOMA-PRIO-2: WIRE section 5 wants levels that do not exist clamped.
    #[test]
    fn priority__clamped() {
        let mut packet = packet(Body::Resend(Resend::all(Priority::LOWEST)), &[]);
        packet[36] = 8;
        assert_eq!(body(&packet), Ok(Body::Resend(Resend::all(Priority::HIGHEST))));
    }

    #[test]
    fn parse__shortest() {
        assert_shortest(Body::Resend(Resend::all(Priority::LOWEST)), 36);
    }

    #[test]
    fn parse__trailing_bytes_are_ignored() {
        let resend = Resend::all(Priority::LOWEST);
        assert_eq!(body(&packet(Body::Resend(resend), &[0xFF; 9])), Ok(Body::Resend(resend)));
    }
}
