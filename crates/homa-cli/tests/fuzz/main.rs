//! The reader of captures with random bytes, with damaged captures of kernels, and with the inputs
//! that fuzzing found worth keeping.
#![allow(non_snake_case, reason = "tests are named function__case")]

mod target;

use homa_testkit::fuzz::inputs;
use proptest::prelude::*;
use proptest::sample::Index;
use target::capture;

/// The beginnings of captures in both formats, either byte order.
fn beginning() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(vec![]),
        Just(vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0]),
        Just(vec![0xa1, 0xb2, 0x3c, 0x4d, 0, 2, 0, 4]),
        Just(vec![0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn capture__random_bytes(
        mut input in beginning(), rest in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        input.extend(rest);
        capture(&input);
    }

    /// The first packets of a capture of a kernel, with a few bytes changed.
    #[test]
    fn capture__damaged(damage in prop::collection::vec((any::<Index>(), any::<u8>()), 1..8)) {
        let file =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests-data/captures/loss-short.pcap");
        let mut input = std::fs::read(file).expect("a capture");
        input.truncate(4000);
        for (place, value) in damage {
            *place.get_mut(&mut input) = value;
        }
        capture(&input);
    }
}

#[test]
fn capture__kept_inputs() {
    let inputs = inputs("capture");
    assert!(!inputs.is_empty());
    inputs.iter().for_each(|input| capture(&input.bytes));
}
