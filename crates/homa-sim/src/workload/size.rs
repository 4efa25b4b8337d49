//! Numbers of bytes with units, as people write them.

/// Suffixes and what they multiply by; binary ones first, as the others are their beginning.
const SUFFIXES: [(&str, u64); 6] = [
    ("ki", 1 << 10),
    ("mi", 1 << 20),
    ("gi", 1 << 30),
    ("k", 1_000),
    ("m", 1_000_000),
    ("g", 1_000_000_000),
];

/// The number of bytes that a text such as `1500`, `64Ki`, `1M` or `1MB` says: decimal `K`, `M`
/// and `G`, binary `Ki`, `Mi` and `Gi`, in upper or lower case, with or without a `B`. `None` if
/// it is none such or 2^64 or more.
pub fn parse_size_bytes(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let bare = lower.strip_suffix('b').unwrap_or(&lower);
    let (digits, factor) = SUFFIXES
        .into_iter()
        .find_map(|(suffix, factor)| Some((bare.strip_suffix(suffix)?, factor)))
        .unwrap_or((bare, 1));
    // The standard library's parser would also take a sign.
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;

    #[test]
    fn parse_size_bytes__units() {
        for (text, bytes) in [
            ("0", 0),
            ("1500", 1500),
            ("1500B", 1500),
            ("64K", 64_000),
            ("64Ki", 65_536),
            ("1MB", 1_000_000),
            ("1mib", 1 << 20),
            ("2G", 2_000_000_000),
        ] {
            assert_eq!(parse_size_bytes(text), Some(bytes), "{text}");
        }
    }

    #[test]
    fn parse_size_bytes__nonsense_is_refused() {
        for text in ["", "B", "K", "-1", "+1", "1.5", "1X", "w4", "1KK", "18446744073709551616"] {
            assert_eq!(parse_size_bytes(text), None, "{text}");
        }
        assert_eq!(parse_size_bytes("18446744073709551615G"), None);
    }
}
