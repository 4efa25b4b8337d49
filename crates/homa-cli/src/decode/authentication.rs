//! What stands in front of an authenticated packet (ADR 0010). The packet behind it is not encrypted.

/// The fields that can be told without the key, and are not verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Authentication {
    /// Names the key.
    pub(super) key: [u8; 3],
    /// The sender's session: one run of its endpoint.
    pub(super) session: u64,
    /// Counts the packets of a session.
    pub(super) number: u64,
}

impl Authentication {
    /// Length of what stands in front, in bytes.
    pub(super) const LEN: usize = 44;

    /// Where Homa packets have their type, which is never [`Self::MARK`].
    const MARK_AT: usize = 11;
    const MARK: u8 = 0xA1;

    /// The fields, if there are any, and the Homa packet. Both as far as captured: of a packet that
    /// was cut within what stands in front, nothing is behind.
    pub(super) fn strip(packet: &[u8]) -> (Option<Self>, &[u8]) {
        match packet.first_chunk() {
            Some(header) if packet.get(Self::MARK_AT) == Some(&Self::MARK) => {
                (Some(Self::parse(header)), packet.get(Self::LEN..).unwrap_or_default())
            }
            _ => (None, packet),
        }
    }

    fn parse(header: &[u8; 20]) -> Self {
        let number = |at: usize| {
            header[at..at + 8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
        };
        let [.., a, b, c] = *header.first_chunk::<{ Self::MARK_AT }>().expect("the mark is behind");
        Self { key: [a, b, c], session: number(12), number: number(0) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;

    /// The bytes of the known answer in `homa-io`'s own test.
    #[test]
    fn strip__known_answer() {
        let fields = [
            0, 0, 0, 0, 0, 0, 0, 5, 0x03, 0x98, 0xa2, 0xa1, 0, 0, 0, 0, 1, 2, 3, 4, 0, 0, 1, 0x8b,
            0xcf, 0xe5, 0x68, 0,
        ];
        let packet = [&fields[..], &[9; 16], b"Homa"].concat();
        let expected = Authentication { key: [3, 0x98, 0xa2], session: 0x0102_0304, number: 5 };
        assert_eq!(Authentication::strip(&packet), (Some(expected), &b"Homa"[..]));
        assert_eq!(Authentication::strip(&packet[..30]), (Some(expected), &b""[..]));
        assert_eq!(Authentication::strip(&packet[..19]), (None, &packet[..19]));
        let mut plain = packet.clone();
        plain[11] = 0x10;
        assert_eq!(Authentication::strip(&plain), (None, &plain[..]));
    }
}
