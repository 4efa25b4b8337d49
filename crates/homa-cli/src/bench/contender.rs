//! The transports that are compared.

use std::fmt;
use std::str::FromStr;

use crate::transport::Protocol;
use crate::transport::tcp::Variant;

/// A transport in one of its variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Contender {
    /// Homa over UDP.
    Homa,
    /// Homa over raw IP.
    Raw,
    /// TCP with one connection per outstanding call.
    TcpConnections,
    /// TCP with one connection, pipelined.
    TcpPipelined,
}

impl Contender {
    /// All of them, in the order of the table.
    pub(crate) const ALL: [Self; 4] =
        [Self::Homa, Self::Raw, Self::TcpConnections, Self::TcpPipelined];

    pub(crate) fn protocol(self) -> Protocol {
        match self {
            Self::Homa => Protocol::Homa,
            Self::Raw => Protocol::Raw,
            Self::TcpConnections | Self::TcpPipelined => Protocol::Tcp,
        }
    }

    /// TCP's variant.
    pub(crate) fn variant(self) -> Option<Variant> {
        match self {
            Self::Homa | Self::Raw => None,
            Self::TcpConnections => Some(Variant::Connections),
            Self::TcpPipelined => Some(Variant::Pipelined),
        }
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Homa => "homa",
            Self::Raw => "raw",
            Self::TcpConnections => "tcp",
            Self::TcpPipelined => "tcp-pipelined",
        })
    }
}

/// A choice of transports, such as `homa,tcp`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Contenders(Vec<Contender>);

impl Contenders {
    /// Those chosen, each once, in the order of the table.
    pub(crate) fn list(&self) -> &[Contender] {
        &self.0
    }
}

impl FromStr for Contenders {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut chosen = Vec::new();
        for name in text.split(',') {
            match name.trim() {
                "homa" => chosen.push(Contender::Homa),
                "raw" => chosen.push(Contender::Raw),
                "tcp" => chosen.extend([Contender::TcpConnections, Contender::TcpPipelined]),
                "tcp-connections" => chosen.push(Contender::TcpConnections),
                "tcp-pipelined" => chosen.push(Contender::TcpPipelined),
                other => {
                    return Err(format!(
                        "'{other}' is none of homa, raw, tcp, tcp-connections and tcp-pipelined"
                    ));
                }
            }
        }
        chosen.sort_unstable();
        chosen.dedup();
        Ok(Self(chosen))
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;

    #[test]
    fn from_str__tcp_means_both_variants() {
        assert_eq!("tcp,raw,homa".parse(), Ok(Contenders(Contender::ALL.into())));
        assert_eq!(
            "tcp-pipelined,tcp".parse(),
            Ok(Contenders(vec![Contender::TcpConnections, Contender::TcpPipelined]))
        );
        assert!("homa,quic".parse::<Contenders>().is_err());
        assert!("".parse::<Contenders>().is_err());
    }
}
