//! Which protocols there are, and in which builds.

use clap::ValueEnum;

/// Which protocol carries the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    /// Homa over UDP
    Homa,
    /// Homa over UDP; one thread of the client awaits all calls, on tokio; in builds with the cargo feature 'peers'
    HomaTokio,
    /// Homa over raw IP, as the Linux kernel implementation speaks it; needs CAP_NET_RAW
    Raw,
    /// TCP, for comparison
    Tcp,
    /// QUIC, for comparison; in builds with the cargo feature 'peers'
    Quic,
    /// gRPC over HTTP/2, for comparison; in builds with the cargo feature 'peers'
    Grpc,
    /// gRPC over Homa over UDP; in builds with the cargo feature 'peers'
    GrpcHoma,
    /// One bare datagram each way, for comparison: no protocol at all
    Udp,
}

impl Protocol {
    /// Its name on the command line and in JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Homa => "homa",
            Self::HomaTokio => "homa-tokio",
            Self::Raw => "raw",
            Self::Tcp => "tcp",
            Self::Quic => "quic",
            Self::Grpc => "grpc",
            Self::GrpcHoma => "grpc-homa",
            Self::Udp => "udp",
        }
    }

    /// Its name in sentences.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Homa => "Homa",
            Self::HomaTokio => "Homa on tokio",
            Self::Raw => "Homa over raw IP",
            Self::Tcp => "TCP",
            Self::Quic => "QUIC",
            Self::Grpc => "gRPC",
            Self::GrpcHoma => "gRPC over Homa",
            Self::Udp => "UDP",
        }
    }

    /// Whether it is Homa, over whatever.
    pub(crate) fn is_homa(self) -> bool {
        matches!(self, Self::Homa | Self::HomaTokio | Self::Raw | Self::GrpcHoma)
    }

    /// # Errors
    ///
    /// This build has been made without it: how to make one that has it.
    pub(crate) fn check_present(self) -> Result<(), String> {
        let needs_tokio =
            matches!(self, Self::HomaTokio | Self::Quic | Self::Grpc | Self::GrpcHoma);
        if needs_tokio && !cfg!(feature = "peers") {
            return Err(format!(
                "this build has no {}: build with 'cargo build --release --features peers'",
                self.name()
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;

    #[test]
    fn check_present__peers_need_the_feature_that_the_error_names() {
        for protocol in Protocol::value_variants() {
            let name = protocol.name();
            let is_missing = matches!(name, "homa-tokio" | "quic" | "grpc" | "grpc-homa")
                && !cfg!(feature = "peers");
            let why = protocol.check_present().err();
            assert_eq!(why.is_some(), is_missing, "{name}");
            if let Some(why) = why {
                assert!(why.contains(&format!("no {name}: ")), "{why}");
                assert!(why.contains("--features peers"), "{why}");
            }
        }
    }
}
