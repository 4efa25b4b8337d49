//! Control messages: what a packet carries beside its bytes (traffic class, addresses, errors).

use std::mem::offset_of;

/// Up to [`ControlMessages::CAPACITY`] bytes of control messages, to send or as received.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub(crate) struct ControlMessages {
    bytes: [u8; ControlMessages::CAPACITY],
    len: u16,
}

const HEADER_LEN: usize = align(size_of::<libc::cmsghdr>());

// The layout written and read below: a length, a level and a type, then data, all aligned.
const _: () = {
    assert!(offset_of!(libc::cmsghdr, cmsg_len) == 0);
    assert!(offset_of!(libc::cmsghdr, cmsg_level) == size_of::<usize>());
    assert!(offset_of!(libc::cmsghdr, cmsg_type) == size_of::<usize>() + 4);
    assert!(align_of::<ControlMessages>() >= align_of::<libc::cmsghdr>());
};

/// As `CMSG_ALIGN`.
const fn align(len: usize) -> usize {
    len.next_multiple_of(size_of::<usize>())
}

impl ControlMessages {
    /// Room for every combination that this crate sends or asks for, in bytes.
    pub(crate) const CAPACITY: usize = 120;

    /// No messages.
    pub(crate) const EMPTY: Self = Self { bytes: [0; Self::CAPACITY], len: 0 };

    /// Appends a message.
    ///
    /// # Panics
    ///
    /// If there is no room: the messages that this crate sends all fit together.
    pub(crate) fn push(&mut self, level: libc::c_int, kind: libc::c_int, data: &[u8]) {
        let start = self.len();
        let message = &mut self.bytes[start..start + HEADER_LEN + align(data.len())];
        let word = size_of::<usize>();
        message[..word].copy_from_slice(&(HEADER_LEN + data.len()).to_ne_bytes());
        message[word..word + 4].copy_from_slice(&level.to_ne_bytes());
        message[word + 4..word + 8].copy_from_slice(&kind.to_ne_bytes());
        message[HEADER_LEN..HEADER_LEN + data.len()].copy_from_slice(data);
        self.len += message.len() as u16;
    }

    /// Forgets all messages.
    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    /// Says how much the kernel wrote through [`as_mut_ptr`](Self::as_mut_ptr).
    pub(crate) fn set_len(&mut self, len: usize) {
        self.len = len.min(Self::CAPACITY) as u16;
    }

    /// Where the kernel may write [`CAPACITY`](Self::CAPACITY) bytes.
    pub(crate) fn as_mut_ptr(&mut self) -> *mut u8 {
        self.bytes.as_mut_ptr()
    }

    pub(crate) fn as_ptr(&self) -> *const u8 {
        self.bytes.as_ptr()
    }

    /// Bytes in use.
    pub(crate) fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// The data of the first message of this level and type.
    pub(crate) fn find(&self, level: libc::c_int, kind: libc::c_int) -> Option<&[u8]> {
        let mut rest = &self.bytes[..self.len()];
        loop {
            let word = size_of::<usize>();
            let (header, _) = rest.split_at_checked(HEADER_LEN)?;
            let len = usize::from_ne_bytes(header[..word].try_into().ok()?);
            let data = rest.get(HEADER_LEN..len)?;
            let this_level = libc::c_int::from_ne_bytes(header[word..word + 4].try_into().ok()?);
            let this_kind = libc::c_int::from_ne_bytes(header[word + 4..word + 8].try_into().ok()?);
            if (this_level, this_kind) == (level, kind) {
                return Some(data);
            }
            rest = rest.get(align(len)..)?;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    #[test]
    fn push__is_found_again() {
        let mut messages = ControlMessages::EMPTY;
        messages.push(libc::SOL_IP, libc::IP_TOS, &[0xE0]);
        messages.push(libc::SOL_IPV6, libc::IPV6_PKTINFO, &[7; 20]);
        messages.push(libc::SOL_IP, libc::IP_PKTINFO, &[8; 12]);
        assert_eq!(messages.find(libc::SOL_IP, libc::IP_TOS), Some(&[0xE0][..]));
        assert_eq!(messages.find(libc::SOL_IPV6, libc::IPV6_PKTINFO), Some(&[7; 20][..]));
        assert_eq!(messages.find(libc::SOL_IP, libc::IP_PKTINFO), Some(&[8; 12][..]));
        assert_eq!(messages.find(libc::SOL_IP, libc::IP_TTL), None);
        messages.clear();
        assert_eq!(messages.find(libc::SOL_IP, libc::IP_TOS), None);
    }

    #[test]
    fn find__in_truncated_messages_ends() {
        let mut messages = ControlMessages::EMPTY;
        messages.push(libc::SOL_IP, libc::IP_TOS, &[1, 2, 3, 4]);
        for len in 0..HEADER_LEN + 4 {
            messages.set_len(len);
            assert_eq!(messages.find(libc::SOL_IP, libc::IP_TOS), None);
        }
        messages.set_len(usize::MAX);
        assert_eq!(messages.len(), ControlMessages::CAPACITY);
        assert_eq!(messages.find(libc::SOL_IP, libc::IP_TTL), None);
    }
}
