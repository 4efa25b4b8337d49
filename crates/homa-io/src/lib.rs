//! Packet I/O for Homa: UDP driver, message store, drive loop.
