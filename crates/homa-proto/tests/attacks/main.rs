//! What hostile hosts try, and that it fails. Each test fails when the defence it is about is taken out.
#![allow(non_snake_case, reason = "tests are named function__case")]

mod amplification;
mod contradiction;
mod floods;
mod proof;
mod ratios;
mod replays;
mod retransmission;
mod spoofing;
mod stories;

use homa_proto::{Header, Transmit};
use homa_testkit::{Probe, Remote};
use homa_wire::{Body, Cutoffs, Data, Version};

/// Bytes of Homa header and payload.
fn bytes(transmit: &Transmit) -> u64 {
    let payload = transmit.payload.map_or(0, |(_, payload)| payload.len());
    header_bytes(&transmit.header) + u64::from(payload)
}

fn header_bytes(header: &Header) -> u64 {
    header.emitted_len(Version::V1) as u64
}

/// All bytes but those of ACKs.
fn drawn(sent: &[Transmit]) -> u64 {
    sent.iter().filter(|t| !matches!(t.header.body, Body::Ack(_))).map(bytes).sum()
}

/// A request of one packet that echoes a version.
fn request(length: u32, version: u16) -> Body {
    Body::Data(Data { cutoff_version: version, ..homa_testkit::data(length, 0, length) })
}

/// What a peer is told, which is taken out with all else that was sent.
fn told(probe: &mut Probe) -> Option<Cutoffs> {
    let cutoffs = |body: Body| if let Body::Cutoffs(cutoffs) = body { Some(cutoffs) } else { None };
    probe.take_bodies().into_iter().filter_map(cutoffs).next_back()
}

/// A client that has shown that its address is its own.
fn proven_client(probe: &mut Probe, host: u8) -> Remote {
    let client = Remote::client(host);
    probe.request(client, 1_000_000, request(100, 0), 100);
    let version = told(probe).expect("a new peer is told our cutoffs").version;
    probe.request(client, 1_000_002, request(100, version), 100);
    while let Some(key) = probe.complete_request() {
        probe.endpoint.accept(probe.now, key);
    }
    client
}
