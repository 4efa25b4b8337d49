//! GRANT packets (WIRE section 5): permission to send more.

use crate::Priority;
use crate::field;

/// The fields of a GRANT packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Grant {
    /// Bytes 0 to `offset` (exclusive) of the message may be sent (HOMA-GRANT-3). May exceed the
    /// message's length, and is then to be clamped.
    pub offset: u32,
    /// The priority of scheduled bytes from now on.
    pub priority: Priority,
    /// Whether all bytes before `offset` are to be sent again (HOMA-GRANT-4), if the packet says:
    /// `None` is the form of 33 bytes without this field, which HomaModule sends. We send
    /// `Some(false)`, because `linux_6.10.6` drops the short form.
    pub resend_all: Option<bool>,
}

impl Grant {
    /// Length of the shorter form.
    pub(crate) const LEN_MIN: usize = 33;

    /// Length of the form with `resend_all`.
    pub(crate) const LEN_FULL: usize = 34;

    /// A grant as we send it.
    pub const fn new(offset: u32, priority: Priority) -> Self {
        Self { offset, priority, resend_all: Some(false) }
    }

    /// Whether all bytes before `offset` are to be sent again.
    pub const fn wants_resend_all(&self) -> bool {
        matches!(self.resend_all, Some(true))
    }

    pub(crate) const fn emitted_len(&self) -> usize {
        if self.resend_all.is_some() { Self::LEN_FULL } else { Self::LEN_MIN }
    }

    /// Writes the fields of the shorter form.
    pub(crate) fn emit<const N: usize>(&self, out: &mut [u8; N]) {
        field::GRANT_OFFSET.set(out, self.offset);
        field::GRANT_PRIORITY.set(out, self.priority.level());
    }

    /// Writes the fields of the longer form.
    pub(crate) fn emit_full(&self, resend_all: bool, out: &mut [u8; Self::LEN_FULL]) {
        self.emit(out);
        field::GRANT_RESEND_ALL.set(out, resend_all.into());
    }
}

/// A GRANT packet in place.
#[derive(Clone, Copy, Debug)]
pub struct GrantView<'a> {
    header: &'a [u8; Grant::LEN_MIN],
    full: Option<&'a [u8; Grant::LEN_FULL]>,
}

impl<'a> GrantView<'a> {
    pub(crate) fn new(packet: &'a [u8]) -> Option<Self> {
        Some(Self { header: packet.first_chunk()?, full: packet.first_chunk() })
    }

    /// See [`Grant::offset`].
    pub fn offset(&self) -> u32 {
        field::GRANT_OFFSET.value(self.header)
    }

    /// See [`Grant::priority`]; levels beyond the highest are read as the highest.
    pub fn priority(&self) -> Priority {
        Priority::clamped(field::GRANT_PRIORITY.value(self.header))
    }

    /// See [`Grant::resend_all`]; any value but 0 is true.
    pub fn resend_all(&self) -> Option<bool> {
        self.full.map(|packet| field::GRANT_RESEND_ALL.value(packet) != 0)
    }

    /// All fields, as a value.
    pub fn value(&self) -> Grant {
        Grant { offset: self.offset(), priority: self.priority(), resend_all: self.resend_all() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::Grant;
    use crate::testing::{assert_shortest, body, packet};
    use crate::{Body, Priority};

    /// HOMA-GRANT-3: the longer form, of which the last byte says "no". Without that byte
    /// `linux_6.10.6` would drop the packet (WIRE section 10).
    #[test]
    fn emit__34_bytes() {
        let packet = packet(Body::Grant(Grant::new(80_000, Priority::clamped(3))), &[]);
        assert_eq!(packet.len(), 34);
        assert_eq!(packet[28..], [0x00, 0x01, 0x38, 0x80, 3, 0]);
    }

    /// The form that HomaModule sends.
    #[test]
    fn parse__33_bytes() {
        let full = Grant::new(80_000, Priority::clamped(3));
        let short = Grant { resend_all: None, ..full };
        let full_packet = packet(Body::Grant(full), &[]);
        assert_eq!(body(&full_packet[..33]), Ok(Body::Grant(short)));
        assert_eq!(packet(Body::Grant(short), &[]), full_packet[..33]);
        assert!(!short.wants_resend_all());
    }

    /// HOMA-GRANT-4.
    #[test]
    fn resend_all__anything_but_0() {
        let mut packet = packet(Body::Grant(Grant::new(80_000, Priority::LOWEST)), &[]);
        for value in 0..=u8::MAX {
            packet[33] = value;
            let Ok(Body::Grant(grant)) = body(&packet) else { panic!("GRANT") };
            assert_eq!(grant.resend_all, Some(value != 0));
            assert_eq!(grant.wants_resend_all(), value != 0);
        }
    }

    /// HOMA-PRIO-2: WIRE section 5 wants levels that do not exist clamped.
    #[test]
    fn priority__clamped() {
        let mut packet = packet(Body::Grant(Grant::new(1, Priority::LOWEST)), &[]);
        packet[32] = 200;
        assert_eq!(body(&packet), Ok(Body::Grant(Grant::new(1, Priority::HIGHEST))));
    }

    #[test]
    fn parse__shortest() {
        assert_shortest(Body::Grant(Grant::new(1, Priority::LOWEST)), 33);
    }

    #[test]
    fn parse__trailing_bytes_are_ignored() {
        let grant = Grant::new(1, Priority::LOWEST);
        assert_eq!(body(&packet(Body::Grant(grant), &[0xFF; 9])), Ok(Body::Grant(grant)));
    }
}
