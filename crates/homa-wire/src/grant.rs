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
