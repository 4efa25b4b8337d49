//! The `homa` command as its users see it.

#![allow(non_snake_case, reason = "tests are named function__case")]

mod bench;
mod client;
mod common;
mod node;
mod peers;
mod server;
mod sim;
mod usage;
