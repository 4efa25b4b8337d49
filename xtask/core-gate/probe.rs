//! Calls every entry point of the core, so that all of its code is compiled for the target.
#![no_std]

use homa_proto::*;

pub fn probe(endpoint: &mut Endpoint, now: Instant, peer: PeerAddr, bytes: &[u8], out: &mut [u8]) {
    let Ok(socket) = endpoint.open_client() else { return };
    let Ok(server) = endpoint.open_server(1) else { return };
    endpoint.set_encapsulation(Encapsulation::Raw);
    endpoint.set_default_mtu(1500);
    endpoint.set_link_mbps(1);
    endpoint.set_serving(server, false);
    endpoint.set_draining(server);
    if let Ok((header, payload)) = Header::parse(bytes, endpoint.config().wire_version) {
        let meta = PacketMeta { peer, local: LocalAddr::ANY };
        let _ = endpoint.handle_packet(now, meta, &header, payload.len());
    }
    let options = CallOptions::default();
    if let Ok(key) = endpoint.send_request(now, socket, peer, 1, 1, options) {
        endpoint.finish(now, key);
        endpoint.accept(now, key);
        let _ = endpoint.send_reply(now, key, 1);
        endpoint.refuse(now, key, RefuseReason::NoPort);
        endpoint.abort(now, key);
        endpoint.handle_send_error(now, key);
        let _ = endpoint.info(key);
    }
    endpoint.handle_unreachable(now, peer, None, Unreachable::Port);
    endpoint.handle_path_mtu(peer, 1500);
    endpoint.handle_tx_backlog(now, 0);
    endpoint.handle_timeout(now);
    while let Some(transmit) = endpoint.poll_transmit(now) {
        let _ = transmit.header.emit(endpoint.config().wire_version, out);
    }
    while endpoint.poll_event().is_some() {}
    let _ = (endpoint.poll_timeout(), endpoint.stats().iter().count(), endpoint.is_idle());
    endpoint.close(now, socket);
}

pub fn new(config: Config, now: Instant) -> Option<Endpoint> {
    Endpoint::new(config, now).ok()
}
