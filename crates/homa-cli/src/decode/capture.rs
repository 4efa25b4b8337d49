//! Frames of a capture file, in pcap or pcapng format.

use std::io::{Chain, Cursor, Read};
use std::time::Duration;

use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::{Block, PcapNgReader};
use pcap_file::{DataLink, TsResolution};

/// What every pcapng file begins with.
const PCAPNG_MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// The file, whose first bytes were read to tell the formats apart.
type Input = Chain<Cursor<[u8; 4]>, Box<dyn Read>>;

/// A capture that is read frame by frame.
pub(super) struct Capture {
    reader: Reader,
    bytes: Vec<u8>,
}

enum Reader {
    Pcap(PcapReader<Input>),
    PcapNg(PcapNgReader<Input>),
}

/// A frame as captured; its end may be missing.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    /// Since the epoch.
    pub(super) time: Duration,
    /// What `bytes` begins with.
    pub(super) link: DataLink,
    pub(super) bytes: &'a [u8],
}

impl Capture {
    /// Reads the beginning, which tells the format.
    pub(super) fn new(mut file: Box<dyn Read>) -> Result<Self, String> {
        let mut magic = [0; 4];
        file.read_exact(&mut magic).map_err(|_| "not a capture: it is too short")?;
        let input = Cursor::new(magic).chain(file);
        let reader = if magic == PCAPNG_MAGIC {
            PcapNgReader::new(input).map(Reader::PcapNg)
        } else {
            PcapReader::new(input).map(Reader::Pcap)
        };
        let reader = reader.map_err(|_| "not a capture in pcap or pcapng format")?;
        Ok(Self { reader, bytes: Vec::new() })
    }

    /// The next frame; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Frame<'_>>, String> {
        let next = match &mut self.reader {
            Reader::Pcap(reader) => next_pcap(reader, &mut self.bytes),
            Reader::PcapNg(reader) => next_pcapng(reader, &mut self.bytes),
        };
        let next = next.map_err(|error| format!("the capture is damaged: {error}"))?;
        Ok(next.map(|(time, link)| Frame { time, link, bytes: &self.bytes }))
    }
}

type Next = Result<Option<(Duration, DataLink)>, pcap_file::PcapError>;

fn next_pcap(reader: &mut PcapReader<Input>, bytes: &mut Vec<u8>) -> Next {
    let header = reader.header();
    // The raw form, as the checked one refuses packets that are longer than what was captured.
    let Some(packet) = reader.next_raw_packet().transpose()? else { return Ok(None) };
    copy_to(bytes, &packet.data);
    let nanos_per_unit = match header.ts_resolution {
        TsResolution::MicroSecond => 1_000,
        TsResolution::NanoSecond => 1,
    };
    let fraction = packet.ts_frac.saturating_mul(nanos_per_unit);
    let time = Duration::from_secs(packet.ts_sec.into()) + Duration::from_nanos(fraction.into());
    Ok(Some((time, header.datalink)))
}

fn next_pcapng(reader: &mut PcapNgReader<Input>, bytes: &mut Vec<u8>) -> Next {
    loop {
        let Some(block) = reader.next_block().transpose()? else { return Ok(None) };
        let (interface, units) = match block {
            Block::EnhancedPacket(packet) => {
                copy_to(bytes, &packet.data);
                // The reader takes the units of time for nanoseconds, whatever they are.
                (packet.interface_id, packet.timestamp.as_nanos())
            }
            Block::SimplePacket(packet) => {
                copy_to(bytes, &packet.data);
                (0, 0)
            }
            _ => continue,
        };
        if let Some(interface) = reader.interfaces().get(interface as usize) {
            return Ok(Some((time(units, interface), interface.linktype)));
        }
    }
}

fn copy_to(bytes: &mut Vec<u8>, data: &[u8]) {
    bytes.clear();
    bytes.extend_from_slice(data);
}

/// A time in units of an interface: microseconds unless it says otherwise.
fn time(units: u128, interface: &InterfaceDescriptionBlock<'_>) -> Duration {
    let resolution = interface.options.iter().find_map(|option| match option {
        InterfaceDescriptionOption::IfTsResol(resolution) => Some(*resolution),
        _ => None,
    });
    let resolution = resolution.unwrap_or(6);
    let exponent = u32::from(resolution & 0x7f);
    let per_second = if resolution & 0x80 == 0 {
        10_u128.checked_pow(exponent)
    } else {
        2_u128.checked_pow(exponent)
    };
    let nanos = per_second.and_then(|per_second| {
        let whole = (units / per_second).checked_mul(1_000_000_000)?;
        let rest = (units % per_second).checked_mul(1_000_000_000)? / per_second;
        u64::try_from(whole + rest).ok()
    });
    Duration::from_nanos(nanos.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;

    #[test]
    fn next__accepts_packets_longer_than_what_was_captured() {
        let mut file = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        // At most 4 bytes a packet were captured, of Ethernet.
        file.extend([4, 0, 0, 0, 1, 0, 0, 0]);
        // At 3.000007 s, 4 of 1500 bytes.
        file.extend([3, 0, 0, 0, 7, 0, 0, 0, 4, 0, 0, 0, 0xdc, 5, 0, 0, 1, 2, 3, 4]);
        let mut capture = Capture::new(Box::new(Cursor::new(file))).unwrap();
        let frame = capture.next().unwrap().unwrap();
        assert_eq!(
            (frame.time, frame.bytes),
            (Duration::from_micros(3_000_007), &[1, 2, 3, 4][..])
        );
        assert!(capture.next().unwrap().is_none());
    }

    fn interface(resolution: Option<u8>) -> InterfaceDescriptionBlock<'static> {
        let options = resolution.map(InterfaceDescriptionOption::IfTsResol).into_iter().collect();
        InterfaceDescriptionBlock { linktype: DataLink::ETHERNET, snaplen: 0, options }
    }

    #[test]
    fn time__in_the_interfaces_units() {
        let us = Duration::from_micros(1_500_000);
        assert_eq!(time(1_500_000, &interface(None)), us);
        assert_eq!(time(1_500_000_000, &interface(Some(9))), us);
        assert_eq!(time(3, &interface(Some(0x81))), us);
        assert_eq!(time(1, &interface(Some(0x7f))), Duration::ZERO, "absurd units");
    }
}
