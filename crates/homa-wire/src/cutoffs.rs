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
