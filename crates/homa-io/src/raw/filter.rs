//! Which packets the kernel passes to a raw socket: classic BPF programs.

use homa_wire::ip::{HIJACK_FLAGS, HIJACK_URGENT};
use libc::sock_filter;

/// How packets begin for a filter: raw IPv4 sockets see the IP header, raw IPv6 sockets do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    Ipv4Header,
    HomaHeader,
}

/// A program that lets nothing pass.
pub(super) const NOTHING: [sock_filter; 1] =
    [sock_filter { code: libc::BPF_RET as u16, jt: 0, jf: 0, k: 0 }];

/// What a socket wants; everything if neither is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Only packets in the guise of TCP that are Homa's (WIRE section 7).
    pub(super) hijacked: bool,
    /// Only packets to these Homa ports.
    pub(super) ports: Option<Vec<u16>>,
}

const FLAGS_OFFSET: u32 = 13;
const URGENT_OFFSET: u32 = 18;
const DEST_PORT_OFFSET: u32 = 2;

impl Wanted {
    /// The program, or `None` if everything is wanted.
    pub(super) fn program(&self, start: Start) -> Option<Vec<sock_filter>> {
        if *self == Self::default() {
            return None;
        }
        let mut checks: Vec<Check> = Vec::new();
        if self.hijacked {
            checks.push(Check {
                offset: FLAGS_OFFSET,
                bytes: 1,
                values: vec![HIJACK_FLAGS.into()],
            });
            let values = vec![HIJACK_URGENT.into()];
            checks.push(Check { offset: URGENT_OFFSET, bytes: 2, values });
        }
        if let Some(ports) = &self.ports {
            let values = ports.iter().map(|port| u32::from(*port)).collect();
            checks.push(Check { offset: DEST_PORT_OFFSET, bytes: 2, values });
        }
        Some(assemble(start, &checks))
    }
}

/// A field that must have one of some values.
struct Check {
    offset: u32,
    bytes: u8,
    values: Vec<u32>,
}

fn assemble(start: Start, checks: &[Check]) -> Vec<sock_filter> {
    let mut program = Vec::new();
    if start == Start::Ipv4Header {
        // X = 4 * (first byte & 15), the length of the IP header.
        program.push(statement(libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH, 0));
    }
    for check in checks {
        let mode = if start == Start::Ipv4Header { libc::BPF_IND } else { libc::BPF_ABS };
        let size = if check.bytes == 1 { libc::BPF_B } else { libc::BPF_H };
        program.push(statement(libc::BPF_LD | size | mode, check.offset));
        // At a match over the remaining comparisons and over the rejection behind them.
        for (index, value) in check.values.iter().enumerate() {
            let left = (check.values.len() - index) as u8;
            program.push(jump_if_equal(*value, left, 0));
        }
        program.push(statement(libc::BPF_RET | libc::BPF_K, 0));
    }
    program.push(statement(libc::BPF_RET | libc::BPF_K, u32::MAX));
    program
}

fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

fn jump_if_equal(k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16, jt, jf, k }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    /// What the kernel would do: whether a program lets a packet pass.
    fn passes(program: &[sock_filter], packet: &[u8]) -> bool {
        let (mut a, mut x, mut at) = (0, 0, 0);
        let load = |offset: u32, bytes: usize| {
            let field = packet.get(offset as usize..offset as usize + bytes)?;
            Some(field.iter().fold(0, |value, byte| value << 8 | u32::from(*byte)))
        };
        loop {
            let sock_filter { code, jt, jf, k } = program[at];
            at += 1;
            let size = if u32::from(code) & 0x18 == libc::BPF_B { 1 } else { 2 };
            let loaded = match u32::from(code) & !0x18 {
                code if code == libc::BPF_LDX | libc::BPF_MSH => {
                    let Some(byte) = load(k, 1) else { return false };
                    x = 4 * (byte & 15);
                    continue;
                }
                code if code == libc::BPF_LD | libc::BPF_IND => load(x + k, size),
                code if code == libc::BPF_LD | libc::BPF_ABS => load(k, size),
                _ => {
                    if u32::from(code) == libc::BPF_RET | libc::BPF_K {
                        return k != 0;
                    }
                    at += usize::from(if a == k { jt } else { jf });
                    continue;
                }
            };
            // The kernel rejects a packet that is shorter than what is looked at.
            let Some(value) = loaded else { return false };
            a = value;
        }
    }

    fn homa(dest_port: u16, flags: u8, urgent: u16) -> Vec<u8> {
        let mut bytes = vec![0; 28];
        bytes[2..4].copy_from_slice(&dest_port.to_be_bytes());
        bytes[13] = flags;
        bytes[18..20].copy_from_slice(&urgent.to_be_bytes());
        bytes
    }

    fn in_ipv4(homa: &[u8], options: usize) -> Vec<u8> {
        let mut bytes = vec![0; 20 + options];
        bytes[0] = 0x40 | (5 + options / 4) as u8;
        bytes.extend_from_slice(homa);
        bytes
    }

    fn check(wanted: &Wanted, homa: &[u8]) -> bool {
        let v4 = wanted.program(Start::Ipv4Header).unwrap();
        let v6 = wanted.program(Start::HomaHeader).unwrap();
        let passed = passes(&v6, homa);
        for options in [0, 4, 40] {
            assert_eq!(passes(&v4, &in_ipv4(homa, options)), passed);
        }
        passed
    }

    #[test]
    fn program__passes_the_ports_and_nothing_else() {
        let wanted = Wanted { hijacked: false, ports: Some(vec![4000, 7, 40_000]) };
        for port in [4000, 7, 40_000] {
            assert!(check(&wanted, &homa(port, 0, 0)));
        }
        for port in [0, 8, 3999, 4001, u16::MAX] {
            assert!(!check(&wanted, &homa(port, 0, 0)));
        }
        assert!(!check(&wanted, &homa(4000, 0, 0)[..3]), "too short to have a port");
        let none = Wanted { hijacked: false, ports: Some(vec![]) };
        assert!(!check(&none, &homa(4000, 0, 0)));
        let most = Wanted { hijacked: false, ports: Some((1..=66).collect()) };
        assert!(check(&most, &homa(1, 0, 0)) && check(&most, &homa(66, 0, 0)));
        assert!(!check(&most, &homa(67, 0, 0)));
    }

    /// WIRE section 7.
    #[test]
    fn program__tells_hijacked_packets_from_tcp() {
        let wanted = Wanted { hijacked: true, ports: None };
        assert!(check(&wanted, &homa(4000, 0x06, 0xB97D)));
        for (flags, urgent) in [(0x02, 0xB97D), (0x16, 0xB97D), (0x06, 0), (0x04, 0xB97D)] {
            assert!(!check(&wanted, &homa(4000, flags, urgent)));
        }
        let both = Wanted { hijacked: true, ports: Some(vec![4000]) };
        assert!(check(&both, &homa(4000, 0x06, 0xB97D)));
        assert!(!check(&both, &homa(4001, 0x06, 0xB97D)));
        assert!(!check(&both, &homa(4000, 0x10, 0)));
    }

    #[test]
    fn nothing__passes_nothing() {
        assert!(!passes(&NOTHING, &homa(4000, 0x06, 0xB97D)));
    }

    #[test]
    fn program__is_not_needed_for_everything() {
        assert!(Wanted::default().program(Start::HomaHeader).is_none());
    }
}
