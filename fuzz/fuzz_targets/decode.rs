#![no_main]

use homa_testkit::fuzz;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    fuzz::decode(input);
});
