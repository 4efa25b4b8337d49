//! The `homa` command between hosts of their own: network namespaces joined by virtual links.
//!
//! Needs root and the programs that `homa_netns` names; each test says why it is skipped
//! otherwise.

#![allow(non_snake_case, reason = "tests are named function__case")]

/// Makes a test of a function for every network that Homa runs over.
macro_rules! every_network {
    ($check:ident) => {
        mod $check {
            use crate::network::Network;

            #[test]
            fn udp_ipv4() {
                super::$check(Network::UDP_IPV4);
            }

            #[test]
            fn udp_ipv6() {
                super::$check(Network::UDP_IPV6);
            }

            #[test]
            fn raw_ipv4() {
                super::$check(Network::RAW_IPV4);
            }

            #[test]
            fn raw_ipv6() {
                super::$check(Network::RAW_IPV6);
            }
        }
    };
}

mod addresses;
mod calls;
mod dialogue;
mod hosts;
mod lab;
mod links;
mod messages;
mod network;
mod processes;
mod wire;
