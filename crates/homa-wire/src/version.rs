//! Which layout of the packets is spoken.

/// The version of the packet layout.
///
/// Nothing on the wire announces it: it is configured, equal on both sides, and never guessed from
/// a packet's bytes (WIRE section 11, last paragraph).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Version {
    /// HomaModule at commit 9edb958 (July 2026); interoperates with its branches since
    /// `linux_6.10.6` as listed in WIRE section 10.
    #[default]
    V1,
}
