//! Making the client and the server of whichever transport is asked for.

use super::homa::{HomaClient, HomaServer};
use super::tcp::{TcpClient, TcpServer, Variant};
use super::udp::{UdpClient, UdpServer};
use super::{HomaOptions, LoadClient, LoadServer, Protocol, Regime};
use crate::address::ServerAddress;
use crate::exit::Stop;

/// A client to be made.
#[derive(Debug, Clone)]
pub(crate) struct Dial<'a> {
    pub(crate) protocol: Protocol,
    /// How calls are spread over connections, where the protocol leaves that open.
    pub(crate) variant: Option<Variant>,
    pub(crate) server: &'a ServerAddress,
    /// The only certificate that the server may have; `None`: any.
    #[cfg_attr(not(feature = "peers"), expect(dead_code, reason = "of QUIC alone"))]
    pub(crate) certificate: Option<&'a [u8]>,
    /// Calls under way at once, at most.
    pub(crate) slots: usize,
    pub(crate) regime: Regime,
    /// For Homa.
    pub(crate) homa: HomaOptions,
}

impl Dial<'_> {
    /// # Errors
    ///
    /// The address has no meaning, or a system call failed. Whether anybody is there shows in calls.
    pub(crate) fn client(&self) -> Result<Box<dyn LoadClient>, Stop> {
        let homa_port = homa_port(self.protocol, self.server)?;
        let server = self.server.resolve().map_err(Stop::Failed)?;
        let (slots, regime) = (self.slots, self.regime);
        Ok(match self.protocol {
            Protocol::Homa | Protocol::Raw => {
                let client = HomaClient::new(server, homa_port, slots, regime, &self.homa);
                Box::new(client.map_err(Stop::Failed)?)
            }
            #[cfg(feature = "peers")]
            Protocol::HomaTokio => {
                let client = super::homa_tokio::homa_tokio_client(
                    server, homa_port, slots, regime, &self.homa,
                );
                Box::new(client.map_err(Stop::Failed)?)
            }
            Protocol::Tcp => {
                let variant = self.variant.unwrap_or(Variant::Connections);
                Box::new(TcpClient::new(server, variant, slots, regime)?)
            }
            Protocol::Udp => Box::new(UdpClient::new(server, slots, regime)?),
            #[cfg(feature = "peers")]
            Protocol::Quic => {
                Box::new(super::peers::quic_client(server, self.certificate, regime)?)
            }
            #[cfg(feature = "peers")]
            Protocol::Grpc => {
                let connections =
                    if self.variant == Some(Variant::Connections) { slots } else { 1 };
                Box::new(super::peers::grpc_client(server, connections, regime)?)
            }
            #[cfg(feature = "peers")]
            Protocol::GrpcHoma => {
                let client =
                    super::peers::grpc_homa_client(server, homa_port, slots, regime, &self.homa);
                Box::new(client.map_err(Stop::Failed)?)
            }
            #[cfg(not(feature = "peers"))]
            Protocol::HomaTokio | Protocol::Quic | Protocol::Grpc | Protocol::GrpcHoma => {
                return Err(absent(self.protocol));
            }
        })
    }
}

/// A server to be made.
#[derive(Debug, Clone)]
pub(crate) struct Listen<'a> {
    pub(crate) protocol: Protocol,
    pub(crate) address: &'a ServerAddress,
    pub(crate) regime: Regime,
    /// For Homa.
    pub(crate) homa: HomaOptions,
}

impl Listen<'_> {
    /// # Errors
    ///
    /// The address has no meaning, or can't be listened at.
    pub(crate) fn server(&self) -> Result<Box<dyn LoadServer>, Stop> {
        let address = self.address;
        let cannot = |why: String| Stop::Failed(format!("cannot listen on {address}: {why}"));
        let failed = |error: std::io::Error| cannot(error.to_string());
        let regime = self.regime;
        let homa_port = homa_port(self.protocol, address)?;
        let resolved = address.resolve().map_err(cannot)?;
        Ok(match self.protocol {
            Protocol::Homa | Protocol::HomaTokio | Protocol::Raw => {
                let server = HomaServer::bind(resolved, homa_port, regime, &self.homa);
                Box::new(server.map_err(cannot)?)
            }
            Protocol::Tcp => Box::new(TcpServer::bind(resolved, regime).map_err(failed)?),
            Protocol::Udp => Box::new(UdpServer::bind(resolved, regime).map_err(failed)?),
            #[cfg(feature = "peers")]
            Protocol::Quic => {
                Box::new(super::peers::quic_server(resolved, regime).map_err(failed)?)
            }
            #[cfg(feature = "peers")]
            Protocol::Grpc => {
                Box::new(super::peers::grpc_server(resolved, regime).map_err(failed)?)
            }
            #[cfg(feature = "peers")]
            Protocol::GrpcHoma => {
                let server =
                    super::peers::grpc_homa_server(resolved, homa_port, regime, &self.homa);
                Box::new(server.map_err(cannot)?)
            }
            #[cfg(not(feature = "peers"))]
            Protocol::Quic | Protocol::Grpc | Protocol::GrpcHoma => {
                return Err(absent(self.protocol));
            }
        })
    }
}

/// The Homa port of an address; protocols that are not Homa have none, and don't look at it.
fn homa_port(protocol: Protocol, address: &ServerAddress) -> Result<u16, Stop> {
    if protocol.is_homa() { address.homa_port().map_err(Stop::Usage) } else { Ok(0) }
}

#[cfg(not(feature = "peers"))]
fn absent(protocol: Protocol) -> Stop {
    Stop::Usage(protocol.check_present().expect_err("this build has no peers"))
}
