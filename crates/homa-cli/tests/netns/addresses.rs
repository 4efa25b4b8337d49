//! Hosts with several addresses, and with others than before.

use crate::calls::{assert_fails, wait_for_success};
use crate::network::{Network, SHORT_PATIENCE_MS};
use crate::processes::{Client, PATIENCE, Server, load};

/// A client takes answers from where it sent its request only, so each of these calls shows where
/// the response came from.
fn replies_leave_from_the_address_reached(network: Network) {
    let Some(lab) = network.pair() else { return };
    let (client, server) = (lab.host(0), lab.host(1));
    let mut addresses = vec![network.address(server)];
    for number in 1..4 {
        let address = network.spare_address(server, number);
        server.add_address(address).unwrap();
        addresses.push(address);
    }
    let _server = Server::start(network, server);
    let args = load("w3", "4", "700ms");
    let clients = addresses.iter().map(|to| Client::start(network, client, *to, &args));
    for client in clients.collect::<Vec<_>>() {
        client.finish().assert_flawless();
    }
    // One endpoint sees them as four peers.
    network.call_from(client, SHORT_PATIENCE_MS, |endpoint| {
        for round in 0..3 {
            for to in &addresses {
                let request = vec![round; 50_000];
                let response = endpoint.call(network.server_addr(*to), request.clone());
                assert_eq!(response.unwrap().into_bytes(), request);
            }
        }
    });
}
every_network!(replies_leave_from_the_address_reached);

fn a_server_that_moves_is_found_at_its_new_address(network: Network) {
    let Some(lab) = network.pair() else { return };
    let (client, server) = (lab.host(0), lab.host(1));
    let _server = Server::start(network, server);
    let (old, new) = (network.address(server), network.spare_address(server, 1));
    network.call_from(client, SHORT_PATIENCE_MS, |endpoint| {
        wait_for_success(endpoint, network.server_addr(old));
        server.add_address(new).unwrap();
        server.remove_address(old).unwrap();
        assert_fails(endpoint, network.server_addr(old));
        wait_for_success(endpoint, network.server_addr(new));
        assert_fails(endpoint, network.server_addr(old));
        endpoint.call(network.server_addr(new), "still there?").unwrap();
    });
}
every_network!(a_server_that_moves_is_found_at_its_new_address);

/// A client's endpoint on all addresses sends from those that the host has.
fn a_client_that_moves_goes_on(network: Network) {
    let Some(lab) = network.pair() else { return };
    let (client, server) = (lab.host(0), lab.host(1));
    let _server = Server::start(network, server);
    let (old, new) = (network.address(client), network.spare_address(client, 1));
    let server = network.server_on(server);
    network.call_from(client, SHORT_PATIENCE_MS, |endpoint| {
        wait_for_success(endpoint, server);
        client.remove_address(old).unwrap();
        client.add_address(new).unwrap();
        wait_for_success(endpoint, server);
        endpoint.call(server, vec![7; 200_000]).unwrap();
    });
}
every_network!(a_client_that_moves_goes_on);

/// Addresses that are good on one link only, with their interface: of a server that has all addresses, and
/// over UDP also of one that has this one only.
fn link_local_addresses_work_with_their_interface(network: Network) {
    let Some(lab) = network.pair() else { return };
    let (client, server) = (lab.host(0), lab.host(1));
    server.add_address("fe80::9".parse().unwrap()).unwrap();
    let ports = if network.is_raw() { "99" } else { "4000/99" };
    let address = format!("[fe80::9%eth0]:{ports}");
    let args = [&load("w4", "4", "500ms")[..], &PATIENCE].concat();
    let all = network.listen();
    for listen in [&all, &address].into_iter().take(if network.is_raw() { 1 } else { 2 }) {
        let server = Server::start_at(network, server, listen);
        Client::start_to(network, client, &address, &args).finish().assert_flawless();
        server.stop();
    }
}

#[test]
fn link_local_addresses_work_with_their_interface__udp() {
    link_local_addresses_work_with_their_interface(Network::UDP_IPV6);
}

#[test]
fn link_local_addresses_work_with_their_interface__raw() {
    link_local_addresses_work_with_their_interface(Network::RAW_IPV6);
}

/// One server on all addresses is reached over both versions of IP at once.
#[test]
fn a_server_on_all_addresses_is_reached_over_ipv4_and_ipv6() {
    let Some(lab) = Network::UDP_IPV6.pair() else { return };
    let _server = Server::start(Network::UDP_IPV6, lab.host(1));
    let args = load("w4", "4", "700ms");
    let clients = [Network::UDP_IPV4, Network::UDP_IPV6]
        .map(|network| Client::start(network, lab.host(0), network.address(lab.host(1)), &args));
    for client in clients {
        client.finish().assert_flawless();
    }
}
