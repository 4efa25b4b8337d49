//! The header `grpc-timeout`: how long a call may take.

use std::time::Duration;

use http::{HeaderMap, HeaderName};

/// The header's name.
const NAME: HeaderName = HeaderName::from_static("grpc-timeout");
/// The most digits that gRPC allows.
const DIGITS_MAX: usize = 8;

/// The header is not what gRPC says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("grpc-timeout must be 1 to 8 digits and one of H, M, S, m, u, n")]
pub(crate) struct MalformedTimeout;

/// The timeout of a call; `None` if it has none.
pub(crate) fn of_headers(headers: &HeaderMap) -> Result<Option<Duration>, MalformedTimeout> {
    headers.get(NAME).map(|value| parse(value.as_bytes())).transpose()
}

fn parse(value: &[u8]) -> Result<Duration, MalformedTimeout> {
    let (unit, digits) = value.split_last().ok_or(MalformedTimeout)?;
    let is_number = digits.iter().all(u8::is_ascii_digit);
    if digits.is_empty() || digits.len() > DIGITS_MAX || !is_number {
        return Err(MalformedTimeout);
    }
    let number = digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
    match unit {
        b'H' => Ok(Duration::from_secs(number * 3600)),
        b'M' => Ok(Duration::from_secs(number * 60)),
        b'S' => Ok(Duration::from_secs(number)),
        b'm' => Ok(Duration::from_millis(number)),
        b'u' => Ok(Duration::from_micros(number)),
        b'n' => Ok(Duration::from_nanos(number)),
        _ => Err(MalformedTimeout),
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    #[test]
    fn parse__all_units() {
        for (text, duration) in [
            ("0n", Duration::ZERO),
            ("99999999n", Duration::from_nanos(99_999_999)),
            ("12u", Duration::from_micros(12)),
            ("1m", Duration::from_millis(1)),
            ("07S", Duration::from_secs(7)),
            ("2M", Duration::from_secs(120)),
            ("99999999H", Duration::from_secs(99_999_999 * 3600)),
        ] {
            assert_eq!(parse(text.as_bytes()), Ok(duration), "{text}");
        }
    }

    #[test]
    fn parse__what_grpc_does_not_allow() {
        for text in
            ["", "S", "1", "1s", "-1S", "+1S", "1.5S", "123456789n", " 1S", "1S ", "1\u{b5}"]
        {
            assert_eq!(parse(text.as_bytes()), Err(MalformedTimeout), "{text:?}");
        }
    }

    #[test]
    fn of_headers__none_is_none() {
        assert_eq!(of_headers(&HeaderMap::new()), Ok(None));
        let mut request = tonic::Request::new(());
        request.set_timeout(Duration::from_millis(1500));
        let headers = request.metadata().clone().into_headers();
        assert_eq!(of_headers(&headers), Ok(Some(Duration::from_millis(1500))));
    }
}
