//! CUTOFFS packets (WIRE section 5): which priority unscheduled bytes are to use.

use crate::PRIORITY_LEVELS;
use crate::field;

/// The fields of a CUTOFFS packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cutoffs {
    /// Per priority level, the longest message, in bytes, that may use it for its unscheduled
    /// bytes; 0 if the level is not for them. What arrives need not be ordered, and the value for
    /// level 0 is to be taken as infinite.
    pub cutoffs: [u32; PRIORITY_LEVELS],
    /// To be echoed in DATA packets, bit for bit (HOMA-CUTOFFS-4).
    pub version: u16,
}

impl Cutoffs {
    /// Length of the packet.
    pub(crate) const LEN: usize = 62;

    /// Writes the fields of this type.
    pub(crate) fn emit(&self, out: &mut [u8; Self::LEN]) {
        let mut bytes = [0; 4 * PRIORITY_LEVELS];
        let (words, _) = bytes.as_chunks_mut();
        for (word, cutoff) in words.iter_mut().zip(self.cutoffs) {
            *word = cutoff.to_be_bytes();
        }
        field::CUTOFFS_CUTOFFS.write(out, bytes);
        field::CUTOFFS_VERSION.set(out, self.version);
    }
}

/// A CUTOFFS packet in place.
#[derive(Clone, Copy, Debug)]
pub struct CutoffsView<'a> {
    header: &'a [u8; Cutoffs::LEN],
}

impl<'a> CutoffsView<'a> {
    pub(crate) fn new(packet: &'a [u8]) -> Option<Self> {
        Some(Self { header: packet.first_chunk()? })
    }

    /// See [`Cutoffs::cutoffs`].
    pub fn cutoffs(&self) -> [u32; PRIORITY_LEVELS] {
        let bytes = field::CUTOFFS_CUTOFFS.read(self.header);
        let (words, _) = bytes.as_chunks();
        let mut cutoffs = [0; PRIORITY_LEVELS];
        for (cutoff, word) in cutoffs.iter_mut().zip(words) {
            *cutoff = u32::from_be_bytes(*word);
        }
        cutoffs
    }

    /// See [`Cutoffs::version`].
    pub fn version(&self) -> u16 {
        field::CUTOFFS_VERSION.value(self.header)
    }

    /// All fields, as a value.
    pub fn value(&self) -> Cutoffs {
        Cutoffs { cutoffs: self.cutoffs(), version: self.version() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::Cutoffs;
    use crate::Body;
    use crate::testing::{assert_shortest, body, packet};

    const CUTOFFS: Cutoffs = Cutoffs {
        cutoffs: [u32::MAX >> 1, 1_000_000, 1_000_000, 1_000_000, 1_000_000, 15_000, 2_800, 200],
        version: 0x0102,
    };

    /// HOMA-CUTOFFS-1: eight values of 32 bits, the lowest level first.
    #[test]
    fn emit__fields_where_wire_section_5_has_them() {
        let packet = packet(Body::Cutoffs(CUTOFFS), &[]);
        assert_eq!(packet.len(), 62);
        for (level, cutoff) in CUTOFFS.cutoffs.iter().enumerate() {
            assert_eq!(packet[28 + 4 * level..][..4], cutoff.to_be_bytes());
        }
        assert_eq!(packet[60..], [1, 2]);
    }

    /// What HomaModule sends is not in order; the protocol makes sense of it.
    #[test]
    fn parse__any_values() {
        let cutoffs =
            Cutoffs { cutoffs: [0, u32::MAX, 0, 5, 1_000_000, 15_000, 2_800, 200], version: 0 };
        assert_eq!(body(&packet(Body::Cutoffs(cutoffs), &[])), Ok(Body::Cutoffs(cutoffs)));
    }

    #[test]
    fn parse__shortest() {
        assert_shortest(Body::Cutoffs(CUTOFFS), 62);
    }

    #[test]
    fn parse__trailing_bytes_are_ignored() {
        assert_eq!(body(&packet(Body::Cutoffs(CUTOFFS), &[0xFF; 9])), Ok(Body::Cutoffs(CUTOFFS)));
    }
}
