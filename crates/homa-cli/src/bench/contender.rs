//! The transports that are compared.

use std::fmt;
use std::str::FromStr;

use crate::transport::Protocol;
use crate::transport::tcp::Variant;
use crate::transport::udp::MAX_MESSAGE;

/// A transport in one of its variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Contender {
    /// Homa over UDP.
    Homa,
    /// Homa over UDP, whose calls one thread awaits.
    HomaTokio,
    /// Homa over raw IP.
    Raw,
    /// TCP with one connection per outstanding call.
    TcpConnections,
    /// TCP with one connection, pipelined.
    TcpPipelined,
    /// QUIC with one connection and a stream per call.
    Quic,
    /// gRPC with one HTTP/2 connection.
    Grpc,
    /// gRPC with one HTTP/2 connection per outstanding call.
    GrpcConnections,
    /// gRPC over Homa.
    GrpcHoma,
    /// One bare datagram each way.
    Udp,
}

impl Contender {
    /// All of them, in the order of the table.
    pub(crate) const ALL: [Self; 10] = [
        Self::Homa,
        Self::HomaTokio,
        Self::Raw,
        Self::TcpConnections,
        Self::TcpPipelined,
        Self::Quic,
        Self::Grpc,
        Self::GrpcConnections,
        Self::GrpcHoma,
        Self::Udp,
    ];

    pub(crate) fn protocol(self) -> Protocol {
        match self {
            Self::Homa => Protocol::Homa,
            Self::HomaTokio => Protocol::HomaTokio,
            Self::Raw => Protocol::Raw,
            Self::TcpConnections | Self::TcpPipelined => Protocol::Tcp,
            Self::Quic => Protocol::Quic,
            Self::Grpc | Self::GrpcConnections => Protocol::Grpc,
            Self::GrpcHoma => Protocol::GrpcHoma,
            Self::Udp => Protocol::Udp,
        }
    }

    /// How calls are spread over connections, unless it is the transport's only way, or its usual one.
    pub(crate) fn variant(self) -> Option<Variant> {
        match self {
            Self::Homa | Self::HomaTokio | Self::Raw | Self::GrpcHoma => None,
            Self::Quic | Self::Grpc | Self::Udp => None,
            Self::TcpConnections | Self::GrpcConnections => Some(Variant::Connections),
            Self::TcpPipelined => Some(Variant::Pipelined),
        }
    }

    /// The head of its column.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Homa => "Homa",
            Self::HomaTokio => "Homa\ntokio",
            Self::Raw => "Homa\nraw IP",
            Self::TcpConnections => "TCP",
            Self::TcpPipelined => "TCP\npipelined",
            Self::Quic => "QUIC",
            Self::Grpc => "gRPC",
            Self::GrpcConnections => "gRPC\nconnections",
            Self::GrpcHoma => "gRPC\nHoma",
            Self::Udp => "UDP",
        }
    }

    /// Why it can't carry messages of such lengths, if so.
    pub(crate) fn cannot_carry(self, longest: u32) -> Option<String> {
        let too_long = self == Self::Udp && longest > MAX_MESSAGE;
        too_long
            .then(|| format!("a datagram holds {MAX_MESSAGE} bytes, messages have up to {longest}"))
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TcpPipelined => "tcp-pipelined",
            Self::GrpcConnections => "grpc-connections",
            _ => self.protocol().name(),
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
                "tcp" => chosen.extend([Contender::TcpConnections, Contender::TcpPipelined]),
                "tcp-connections" => chosen.push(Contender::TcpConnections),
                other => chosen.push(named(other)?),
            }
        }
        for contender in &chosen {
            contender.protocol().check_present()?;
        }
        chosen.sort_unstable();
        chosen.dedup();
        Ok(Self(chosen))
    }
}

fn named(name: &str) -> Result<Contender, String> {
    let found = Contender::ALL.into_iter().find(|contender| contender.to_string() == name);
    found.ok_or_else(|| {
        format!(
            "'{name}' is none of homa, homa-tokio, raw, tcp, tcp-connections, tcp-pipelined, quic, grpc, grpc-connections, grpc-homa and udp"
        )
    })
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;

    #[test]
    fn from_str__tcp_means_both_variants() {
        let all_without_peers = Contender::ALL.into_iter().filter(|contender| {
            !["homa-tokio", "quic", "grpc", "grpc-homa"].contains(&contender.protocol().name())
        });
        assert_eq!("udp,tcp,raw,homa".parse(), Ok(Contenders(all_without_peers.collect())));
        assert_eq!(
            "tcp-pipelined,tcp".parse(),
            Ok(Contenders(vec![Contender::TcpConnections, Contender::TcpPipelined]))
        );
        assert!("homa,sctp".parse::<Contenders>().is_err());
        assert!("".parse::<Contenders>().is_err());
    }

    #[test]
    fn from_str__peers_are_there_or_said_to_be_missing() {
        let chosen = "homa,quic,grpc,grpc-connections".parse::<Contenders>();
        if cfg!(feature = "peers") {
            let peers = [Contender::Quic, Contender::Grpc, Contender::GrpcConnections];
            assert_eq!(chosen.unwrap().list()[1..], peers);
        } else {
            let why = chosen.unwrap_err();
            assert!(why.contains("no quic") && why.contains("--features peers"), "{why}");
        }
    }

    #[test]
    fn cannot_carry__only_datagrams_have_a_limit() {
        for contender in Contender::ALL {
            assert_eq!(contender.cannot_carry(MAX_MESSAGE), None);
            let is_udp = contender == Contender::Udp;
            assert_eq!(contender.cannot_carry(MAX_MESSAGE + 1).is_some(), is_udp);
        }
    }
}
