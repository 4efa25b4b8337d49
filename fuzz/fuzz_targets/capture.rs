#![no_main]

#[path = "../../crates/homa-cli/tests/fuzz/target.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    target::capture(input);
});
