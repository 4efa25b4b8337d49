//! The Homa transport protocol as a state machine without I/O.
