//! What a server of the benchmark tells the process that started it, in its first line of output.

use std::fmt;

use crate::address::ServerAddress;
use crate::exit::Stop;
use crate::transport::LoadServer;

const LISTENING: &str = "listening on ";
const CERTIFICATE: &str = " certificate ";

/// Where a server listens, and how it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ready {
    pub(crate) address: ServerAddress,
    /// Its certificate (DER), if its transport encrypts.
    pub(crate) certificate: Option<Vec<u8>>,
}

impl Ready {
    /// # Errors
    ///
    /// The server's address is none.
    pub(crate) fn of_server(server: &dyn LoadServer) -> Result<Self, Stop> {
        let address = server.address().parse().map_err(Stop::Failed)?;
        Ok(Self { address, certificate: server.certificate().map(<[u8]>::to_vec) })
    }

    /// What a server's first line says; `None` if it is something else.
    pub(crate) fn of_line(line: &str) -> Option<Self> {
        let rest = line.strip_prefix(LISTENING)?;
        let (address, certificate) = match rest.split_once(CERTIFICATE) {
            Some((address, digits)) => (address, Some(bytes_of(digits)?)),
            None => (rest, None),
        };
        Some(Self { address: address.parse().ok()?, certificate })
    }
}

impl fmt::Display for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{LISTENING}{}", self.address)?;
        if let Some(certificate) = &self.certificate {
            f.write_str(CERTIFICATE)?;
            certificate.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        }
        Ok(())
    }
}

fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;

    #[test]
    fn of_line__is_what_display_writes() {
        for certificate in [None, Some(vec![0x30, 0x82, 0, 0xff])] {
            let ready = Ready { address: "127.0.0.1:5/4000".parse().unwrap(), certificate };
            assert_eq!(Ready::of_line(&ready.to_string()), Some(ready));
        }
        for nonsense in ["", "listening on", "listening on x", "listening on h:1 certificate 3g"] {
            assert_eq!(Ready::of_line(nonsense), None, "{nonsense}");
        }
    }
}
