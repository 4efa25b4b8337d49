//! Simulated clusters: the protocol that runs in production, unchanged, in a network of priority
//! switches.
