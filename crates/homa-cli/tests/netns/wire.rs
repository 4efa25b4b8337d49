//! What is on the wire, captured at the bridge.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use homa_netns::{Capture, Lab, LabOptions};

use crate::dialogue::{Dialogue, Packet, hexadecimal};
use crate::network::Network;
use crate::processes::{Client, Server, load, output};

/// Enough for all headers of a packet.
const SNAP_BYTES: u32 = 200;

/// A capture file, removed when dropped.
struct Record {
    file: PathBuf,
    network: Network,
}

impl Record {
    /// What crosses the bridge while `traffic` runs.
    fn of(network: Network, lab: &Lab, traffic: impl FnOnce()) -> Self {
        let file = std::env::temp_dir().join(format!("{}.pcap", lab.network().name()));
        let record = Self { file, network };
        let capture = Capture::start(lab.network(), "br0", SNAP_BYTES, &record.file).unwrap();
        traffic();
        capture.stop().unwrap();
        record
    }

    /// What `homa decode` prints of it, line by line.
    fn decoded(&self, options: &[&str]) -> Vec<String> {
        let file = self.file.to_str().expect("text");
        let options = [&["decode", file, "--json"], &self.network.decode_options()[..], options];
        output(&options.concat()).lines().map(str::to_owned).collect()
    }

    fn packets(&self) -> Vec<Packet> {
        self.decoded(&[]).iter().map(|line| Packet::parse(line)).collect()
    }

    /// The traffic classes of Homa's packets as tshark reads them; `None` if it is not installed.
    fn classes_by_tshark(&self) -> Option<Vec<u64>> {
        let mut command = Command::new("tshark");
        command.arg("-r").arg(&self.file).args(["-n", "-Y", self.network.tshark_filter()]);
        command.args(["-T", "fields", "-e", "ip.dsfield", "-e", "ipv6.tclass"]);
        let output = command.output().ok()?;
        let text = String::from_utf8(output.stdout).expect("text");
        Some(text.lines().map(|line| hexadecimal(line.trim())).collect())
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}

/// HOMA-PRIO-2, HOMA-PRIO-4: the classes on the wire are those that the protocol decided, for what
/// it decides by message length, by grants, and when asked again; as our own decoder reads them, and
/// as another does.
fn traffic_classes_are_those_decided(network: Network) {
    let Some(lab) = network.lab(4, &LabOptions::default(), &["nft", "tcpdump"]) else { return };
    let _server = Server::start(network, lab.host(0));
    let record = Record::of(network, &lab, || {
        lab.host(0).set_loss(20).unwrap();
        let clients = [("w3", "8"), ("1M", "2"), ("200000", "2")];
        let clients =
            lab.hosts()[1..].iter().zip(clients).map(|(host, (workload, outstanding))| {
                let args = load(workload, outstanding, "600ms");
                Client::start(network, host, network.address(lab.host(0)), &args)
            });
        for client in clients.collect::<Vec<_>>() {
            client.finish().assert_flawless();
        }
    });
    let packets = record.packets();
    let mut dialogue = Dialogue::default();
    packets.iter().for_each(|packet| dialogue.follow(packet));
    let tally = &dialogue.tally;
    assert!(tally.unscheduled_levels.len() >= 3, "{tally:?}");
    assert!(tally.scheduled_levels.len() >= 3, "{tally:?}");
    assert!(tally.retransmitted > 20 && tally.versions_echoed > 100, "{tally:?}");
    for kind in ["GRANT", "RESEND", "CUTOFFS", "ACK"] {
        assert!(tally.by_kind.contains_key(kind), "no {kind}: {tally:?}");
    }
    if let Some(classes) = record.classes_by_tshark() {
        let ours: Vec<_> = packets.iter().map(Packet::traffic_class).collect();
        assert!(classes == ours, "tshark reads {} packets, we {}", classes.len(), ours.len());
    }
}
every_network!(traffic_classes_are_those_decided);

/// Sparse calls, one after the other and some long: what passes is what two kernels would say.
fn the_dialogue_conforms_to_the_kernels(network: Network) {
    let Some(lab) = network.lab(2, &LabOptions::default(), &["tcpdump"]) else { return };
    let _server = Server::start(network, lab.host(1));
    let record = Record::of(network, &lab, || {
        for (workload, rps) in [("100", "50"), ("300000", "20")] {
            let args = ["--workload", workload, "--rps", rps, "--duration", "500ms"];
            let address = network.address(lab.host(1));
            Client::start(network, lab.host(0), address, &args).finish().assert_flawless();
        }
    });
    let mut dialogue = Dialogue::default();
    record.packets().iter().for_each(|packet| dialogue.follow(packet));
    let tally = &dialogue.tally;
    for kind in ["DATA", "GRANT", "CUTOFFS", "NEED_ACK", "ACK"] {
        assert!(tally.by_kind.contains_key(kind), "no {kind}: {tally:?}");
    }
    assert!(tally.versions_echoed > 10, "{tally:?}");
    // The ACKs of a client's last calls are asked for when its process has ended.
    assert!(dialogue.acks_missing() as u64 <= tally.by_kind["NEED_ACK"] / 2, "{tally:?}");
    let rpcs = record.decoded(&["--rpcs"]);
    assert!(rpcs.len() > 10 && rpcs.iter().all(|rpc| rpc.contains(r#""state":"complete""#)));
}
every_network!(the_dialogue_conforms_to_the_kernels);
