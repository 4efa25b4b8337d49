//! Where each field lies: the one place that knows offsets.
//!
//! A field's offset and width are part of its type, and it is read from arrays, whose length is
//! part of theirs. So the compiler proves that every access is within bounds: reading and writing
//! need no check at run time and cannot fail.

/// A field of `LEN` bytes at offset `AT` from the start of the packet.
#[derive(Clone, Copy)]
pub(crate) struct Field<const AT: usize, const LEN: usize>;

type Byte<const AT: usize> = Field<AT, 1>;
type U16<const AT: usize> = Field<AT, 2>;
type U32<const AT: usize> = Field<AT, 4>;
type U64<const AT: usize> = Field<AT, 8>;

// Common header, WIRE section 2.
pub(crate) const SOURCE_PORT: U16<0> = Field;
pub(crate) const DEST_PORT: U16<2> = Field;
pub(crate) const SEQUENCE: U32<4> = Field;
pub(crate) const TYPE: Byte<11> = Field;
pub(crate) const DOFF: Byte<12> = Field;
pub(crate) const FLAGS: Byte<13> = Field;
pub(crate) const CHECKSUM: U16<16> = Field;
pub(crate) const URGENT: U16<18> = Field;
pub(crate) const SENDER_ID: U64<20> = Field;

// DATA, WIRE section 4.
pub(crate) const DATA_MESSAGE_LENGTH: U32<28> = Field;
pub(crate) const DATA_INCOMING: U32<32> = Field;
pub(crate) const DATA_ACK_CLIENT_ID: U64<36> = Field;
pub(crate) const DATA_ACK_SERVER_PORT: U16<44> = Field;
pub(crate) const DATA_CUTOFF_VERSION: U16<46> = Field;
pub(crate) const DATA_RETRANSMIT: Byte<48> = Field;
pub(crate) const DATA_PAD: Field<49, 3> = Field;
pub(crate) const DATA_SEGMENT_OFFSET: U32<52> = Field;

// Control packets, WIRE section 5.
pub(crate) const GRANT_OFFSET: U32<28> = Field;
pub(crate) const GRANT_PRIORITY: Byte<32> = Field;
pub(crate) const GRANT_RESEND_ALL: Byte<33> = Field;
pub(crate) const RESEND_OFFSET: U32<28> = Field;
pub(crate) const RESEND_LENGTH: U32<32> = Field;
pub(crate) const RESEND_PRIORITY: Byte<36> = Field;
pub(crate) const CUTOFFS_CUTOFFS: Field<28, 32> = Field;
pub(crate) const CUTOFFS_VERSION: U16<60> = Field;
pub(crate) const ACK_COUNT: U16<28> = Field;
pub(crate) const ACK_ENTRIES: Field<30, 50> = Field;

// One entry of an ACK packet, from the start of the entry.
pub(crate) const ACK_ENTRY_LEN: usize = 10;
pub(crate) const ACK_ENTRY_CLIENT_ID: U64<0> = Field;
pub(crate) const ACK_ENTRY_SERVER_PORT: U16<8> = Field;

// REFUSE, our extension.
pub(crate) const REFUSE_VERSION: Byte<28> = Field;
pub(crate) const REFUSE_REASON: Byte<29> = Field;
pub(crate) const REFUSE_DETAIL: U32<32> = Field;

impl<const AT: usize, const LEN: usize> Field<AT, LEN> {
    const END: usize = AT.saturating_add(LEN);

    /// Writes the bytes of this field.
    #[inline]
    pub(crate) fn write<const N: usize>(self, packet: &mut [u8; N], value: [u8; LEN]) {
        const { assert!(Self::END <= N, "the field lies within the header") }
        packet[AT..Self::END].copy_from_slice(&value);
    }

    /// The bytes of this field.
    #[inline]
    pub(crate) fn read<const N: usize>(self, packet: &[u8; N]) -> [u8; LEN] {
        const { assert!(Self::END <= N, "the field lies within the header") }
        let mut value = [0; LEN];
        value.copy_from_slice(&packet[AT..Self::END]);
        value
    }
}

impl<const AT: usize> Byte<AT> {
    /// Writes a field of one byte.
    #[inline]
    pub(crate) fn set<const N: usize>(self, packet: &mut [u8; N], value: u8) {
        self.write(packet, [value]);
    }

    /// The value of a field of one byte.
    #[inline]
    pub(crate) fn value<const N: usize>(self, packet: &[u8; N]) -> u8 {
        u8::from_be_bytes(self.read(packet))
    }
}

impl<const AT: usize> U16<AT> {
    /// Writes a field of two bytes.
    #[inline]
    pub(crate) fn set<const N: usize>(self, packet: &mut [u8; N], value: u16) {
        self.write(packet, value.to_be_bytes());
    }

    /// The value of a field of two bytes.
    #[inline]
    pub(crate) fn value<const N: usize>(self, packet: &[u8; N]) -> u16 {
        u16::from_be_bytes(self.read(packet))
    }
}

impl<const AT: usize> U32<AT> {
    /// Writes a field of four bytes.
    #[inline]
    pub(crate) fn set<const N: usize>(self, packet: &mut [u8; N], value: u32) {
        self.write(packet, value.to_be_bytes());
    }

    /// The value of a field of four bytes.
    #[inline]
    pub(crate) fn value<const N: usize>(self, packet: &[u8; N]) -> u32 {
        u32::from_be_bytes(self.read(packet))
    }
}

impl<const AT: usize> U64<AT> {
    /// Writes a field of eight bytes.
    #[inline]
    pub(crate) fn set<const N: usize>(self, packet: &mut [u8; N], value: u64) {
        self.write(packet, value.to_be_bytes());
    }

    /// The value of a field of eight bytes.
    #[inline]
    pub(crate) fn value<const N: usize>(self, packet: &[u8; N]) -> u64 {
        u64::from_be_bytes(self.read(packet))
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::{SENDER_ID, SOURCE_PORT, TYPE};

    #[test]
    fn set__big_endian_at_its_place_only() {
        let mut header = [0xAA; 28];
        SENDER_ID.set(&mut header, 0x0102_0304_0506_0708);
        SOURCE_PORT.set(&mut header, 0x1112);
        TYPE.set(&mut header, 0x13);
        let mut expected = [0xAA; 28];
        expected[20..28].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]);
        expected[0..2].copy_from_slice(&[0x11, 0x12]);
        expected[11] = 0x13;
        assert_eq!(header, expected);
    }

    #[test]
    fn value__reads_what_set_wrote() {
        let mut header = [0; 28];
        SENDER_ID.set(&mut header, u64::MAX - 1);
        assert_eq!(SENDER_ID.value(&header), u64::MAX - 1);
        assert_eq!(SOURCE_PORT.value(&header), 0);
    }
}
