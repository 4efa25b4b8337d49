//! The same for programs without an asynchronous runtime.
//!
//! Endpoints and servers have the same methods as their asynchronous twins; those that wait block
//! the calling thread, most with an optional time limit. The thread that waits drives the endpoint:
//! a short call to an idle server crosses no other thread of either process. Any number of threads
//! may share an endpoint and a server.
//!
//! ```
//! use homa::blocking::Endpoint;
//! use homa::{Addr, Config};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let endpoint = Endpoint::bind("127.0.0.1:0", Config::default())?;
//! let addr = Addr::new(endpoint.local_addr(), 7)?;
//! let server = endpoint.serve(7)?;
//! std::thread::spawn(move || {
//!     while let Some(mut request) = server.accept() {
//!         let echo = request.take_message();
//!         let _ = request.reply(echo);
//!     }
//! });
//!
//! let client = Endpoint::client(Config::default())?;
//! let response = client.call(addr, "hello")?;
//! assert_eq!(response, b"hello"[..]);
//! # endpoint.close();
//! # Ok(())
//! # }
//! ```

mod endpoint;
mod server;

pub use crate::request::Request;
pub use endpoint::Endpoint;
pub use server::{Server, StreamRequest, StreamServer};
