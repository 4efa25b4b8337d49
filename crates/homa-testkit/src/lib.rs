//! Test harness for the Homa crates: endpoints joined by a simulated network.
