#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    homa_grpc::fuzz::decode(input);
});
