//! Numbers with units, as written on the command line.

use std::str::FromStr;
use std::time::Duration;

/// What `--help` says about units.
pub(crate) const HELP: &str = "Units: sizes take K, M and G (decimal: 1K = 1,000 bytes) and Ki, Mi and Gi (binary: \
1Ki = 1,024 bytes); times take ns, us, ms, s and m; Gbps are 10^9 bits of message data per second in the direction \
of the requests.";

/// Suffixes of sizes and what they multiply by; longer ones first, as `Ki` also ends in `i`.
const SIZE_SUFFIXES: [(&str, u64); 6] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("K", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
];

/// Suffixes of times, in seconds; `ms` before `s` and so on.
const TIME_SUFFIXES: [(&str, f64); 5] =
    [("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0)];

/// A number of bytes, such as `1500`, `64Ki`, `1M` or `1MB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Size(pub(crate) u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not a size such as 1500, 64Ki or 1M");
        let bare = text.strip_suffix('B').unwrap_or(text);
        let (digits, factor) = SIZE_SUFFIXES
            .iter()
            .find_map(|&(suffix, factor)| Some((strip_suffix_any_case(bare, suffix)?, factor)))
            .unwrap_or((bare, 1));
        let number = parse_non_negative(digits).ok_or_else(wrong)?;
        let bytes = number * factor as f64;
        // Sizes beyond 2^53 would no longer be exact, and nothing here is as long.
        if bytes.fract() != 0.0 || bytes > (1_u64 << 53) as f64 {
            return Err(wrong());
        }
        Ok(Self(bytes as u64))
    }
}

/// A number of things, such as `1500`, `20K` or `1.5M`: factors are decimal.
pub(crate) fn parse_count(text: &str) -> Result<u64, String> {
    let wrong = |_| format!("'{text}' is not a number such as 1500, 20K or 1.5M");
    let is_count = !text.ends_with(['B', 'b', 'i', 'I']);
    if is_count {
        text.parse().map(|Size(count)| count).map_err(wrong)
    } else {
        Err(wrong(String::new()))
    }
}

/// A time such as `50us`, `500ms`, `3s` or `1.5s`; `0` needs no unit.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is not a time such as 50us, 500ms or 3s");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let (digits, seconds) = TIME_SUFFIXES
        .iter()
        .find_map(|&(suffix, seconds)| Some((text.strip_suffix(suffix)?, seconds)))
        .ok_or_else(wrong)?;
    let number = parse_non_negative(digits).ok_or_else(wrong)?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| wrong())
}

/// Half of what servers bear.
const TIMEOUT_MAX: Duration = Duration::from_secs(5);

/// How long to run: not 0.
pub(crate) fn parse_run_time(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err("there is nothing to measure in no time".into()),
        time => Ok(time),
    }
}

/// How long somebody may be silent: not 0, and less than a server bears of its clients.
pub(crate) fn parse_timeout(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err("nobody answers in no time".into()),
        time if time > TIMEOUT_MAX => Err("the longest is 5s".into()),
        time => Ok(time),
    }
}

/// More calls per second than can be told apart, and fewer than one in ten days.
const RATE_MAX: f64 = 1e9;
const RATE_MIN: f64 = 1e-6;

/// A positive rate, in whatever unit the option says.
pub(crate) fn parse_rate(text: &str) -> Result<f64, String> {
    match parse_non_negative(text) {
        Some(rate) if (RATE_MIN..=RATE_MAX).contains(&rate) => Ok(rate),
        _ => Err(format!(
            "'{text}' is not a rate from {RATE_MIN} to {RATE_MAX}, in plain decimals such as 1000 or 0.5"
        )),
    }
}

/// Suffixes of rates of links, and the bits per second they stand for; longer ones first.
const BIT_RATE_SUFFIXES: [(&str, f64); 4] =
    [("kbit", 1e3), ("mbit", 1e6), ("gbit", 1e9), ("bit", 1.0)];

/// The rate of a link in bits per second, such as `200mbit` or `25gbit`, as `tc` takes it.
pub(crate) fn parse_bit_rate(text: &str) -> Result<f64, String> {
    let wrong = || format!("'{text}' is not the rate of a link such as 200mbit or 25gbit");
    let (digits, factor) = BIT_RATE_SUFFIXES
        .iter()
        .find_map(|&(suffix, factor)| Some((strip_suffix_any_case(text, suffix)?, factor)))
        .ok_or_else(wrong)?;
    let rate = parse_non_negative(digits).ok_or_else(wrong)? * factor;
    // Less than a packet in a minute, and more than any link has.
    if (200.0..=1e13).contains(&rate) { Ok(rate) } else { Err(wrong()) }
}

/// A duration with three digits or so, in the unit that suits it.
pub(crate) fn format_duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    let (value, unit) = match seconds {
        0.0 => return "0".into(),
        s if s < 1e-3 => (s * 1e6, "us"),
        s if s < 1.0 => (s * 1e3, "ms"),
        s => (s, "s"),
    };
    format!("{}{unit}", (value * 1e3).round() / 1e3)
}

/// Plain decimal notation only: Rust's parser would also take `inf`, `nan`, signs and exponents.
fn parse_non_negative(digits: &str) -> Option<f64> {
    let plain = digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if plain && digits.bytes().any(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None }
}

fn strip_suffix_any_case<'a>(text: &'a str, suffix: &str) -> Option<&'a str> {
    let at = text.len().checked_sub(suffix.len())?;
    let tail = text.get(at..)?;
    if tail.eq_ignore_ascii_case(suffix) { text.get(..at) } else { None }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;

    fn size(text: &str) -> Result<u64, String> {
        text.parse::<Size>().map(|s| s.0)
    }

    #[test]
    fn size__suffixes_are_decimal_and_binary() {
        assert_eq!(size("1500"), Ok(1500));
        assert_eq!(size("64K"), Ok(64_000));
        assert_eq!(size("64k"), Ok(64_000));
        assert_eq!(size("64Ki"), Ok(65_536));
        assert_eq!(size("1M"), Ok(1_000_000));
        assert_eq!(size("1MB"), Ok(1_000_000));
        assert_eq!(size("64MiB"), Ok(64 << 20));
        assert_eq!(size("1.5K"), Ok(1500));
    }

    #[test]
    fn size__nonsense_is_refused() {
        for text in ["", "K", "-1", "1X", "1.5", "nan", "inf", "1e3", "1K1", "99999999999G"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn parse_count__takes_decimal_factors_only() {
        assert_eq!(parse_count("1500"), Ok(1500));
        assert_eq!(parse_count("20K"), Ok(20_000));
        assert_eq!(parse_count("1.5M"), Ok(1_500_000));
        for wrong in ["", "K", "-1", "0.5", "1KB", "1Ki", "1500B", "1e3"] {
            assert!(parse_count(wrong).unwrap_err().contains(&format!("'{wrong}'")), "{wrong}");
        }
    }

    #[test]
    fn parse_duration__units() {
        assert_eq!(parse_duration("50us"), Ok(Duration::from_micros(50)));
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(parse_duration("7ns"), Ok(Duration::from_nanos(7)));
        assert_eq!(parse_duration("0"), Ok(Duration::ZERO));
    }

    #[test]
    fn parse_duration__nonsense_is_refused() {
        for text in ["", "5", "s", "-1s", "1 h", "nans", "infs"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn parse_run_time__must_be_positive() {
        assert_eq!(parse_run_time("3s"), Ok(Duration::from_secs(3)));
        assert!(parse_run_time("0").is_err() && parse_run_time("0ms").is_err());
    }

    #[test]
    fn parse_rate__must_be_positive() {
        assert_eq!(parse_rate("2.5"), Ok(2.5));
        assert_eq!(parse_rate("1000000000"), Ok(1e9));
        for text in ["0", "fast", "1e3", "0.0000000000000000001", "1000000000000"] {
            let why = parse_rate(text).unwrap_err();
            assert!(why.contains("from 0.000001 to 1000000000, in plain decimals"), "{why}");
        }
    }

    #[test]
    fn parse_bit_rate__units() {
        assert_eq!(parse_bit_rate("200mbit"), Ok(200e6));
        assert_eq!(parse_bit_rate("2.5Gbit"), Ok(2.5e9));
        assert_eq!(parse_bit_rate("64000bit"), Ok(64e3));
        for text in ["", "0mbit", "200", "mbit", "-1mbit", "200mbps", "1000000gbit"] {
            assert!(parse_bit_rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn format_duration__picks_a_unit() {
        assert_eq!(format_duration(Duration::from_micros(50)), "50us");
        assert_eq!(format_duration(Duration::from_millis(1500)), "1.5s");
        assert_eq!(format_duration(Duration::ZERO), "0");
    }
}
