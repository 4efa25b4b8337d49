//! What can be served at.

use homa::{BindError, Endpoint};

/// Where a [`Server`](crate::Server) serves, and no other at the same time, by a clone of the same
/// [`homa::Server`], for streams are known to one only: a Homa port that an endpoint serves already
/// ([`Endpoint::serve`]), or an endpoint, whose Homa port then is the number of its UDP port, as
/// clients mean it that write `host:P`.
pub trait Listen: sealed::Sealed {
    /// The port, which is served from now on.
    ///
    /// # Errors
    ///
    /// The port is in use at the endpoint, or no Homa port: those are 1 to 32767.
    fn listen(self) -> Result<homa::Server, BindError>;
}

impl Listen for homa::Server {
    fn listen(self) -> Result<homa::Server, BindError> {
        Ok(self)
    }
}

impl Listen for &Endpoint {
    fn listen(self) -> Result<homa::Server, BindError> {
        self.serve(self.local_addr().port())
    }
}

impl Listen for Endpoint {
    fn listen(self) -> Result<homa::Server, BindError> {
        (&self).listen()
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for homa::Server {}
    impl Sealed for &homa::Endpoint {}
    impl Sealed for homa::Endpoint {}
}
