//! Packet format of the Homa transport protocol: checked parsing and emitting, without allocation.
