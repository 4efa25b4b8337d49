//! What a handler can know of its client.

use std::net::SocketAddr;

/// Where a request came from: in the extensions of every request that a [`Server`](crate::Server)
/// hands over.
///
/// ```
/// fn client_of<T>(request: &tonic::Request<T>) -> Option<std::net::SocketAddr> {
///     Some(request.extensions().get::<homa_grpc::HomaConnectInfo>()?.peer_addr())
/// }
/// # assert_eq!(client_of(&tonic::Request::new(())), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HomaConnectInfo {
    peer: SocketAddr,
}

impl HomaConnectInfo {
    pub(crate) fn new(peer: SocketAddr) -> Self {
        Self { peer }
    }

    /// The client's endpoint: IP address and UDP port.
    #[must_use]
    pub fn peer_addr(self) -> SocketAddr {
        self.peer
    }
}
