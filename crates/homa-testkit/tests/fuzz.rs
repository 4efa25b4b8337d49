//! The fuzz targets with random bytes, and with the inputs that fuzzing found worth keeping: each
//! that once made something fail, and a set that reaches what can be reached.
#![allow(non_snake_case, reason = "tests are named function__case")]

use homa_testkit::fuzz;
use proptest::prelude::*;

type Target = fn(&[u8]);

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..600)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(100), ..ProptestConfig::default() })]

    /// HOMA-HDR-1: any bytes parse or not, without a panic; any header survives the wire.
    #[test]
    fn decode__random_bytes(input in bytes()) {
        fuzz::decode(&input);
    }

    /// KNOWN_ISSUES 1.5 to 1.9, 2.3; HOMA-HDR-5, HOMA-MODEL-6: whatever comes, an endpoint keeps its
    /// invariants and its limits, and comes to rest with nothing left.
    #[test]
    fn soup__random_bytes(input in bytes()) {
        fuzz::soup(&input);
    }

    /// HOMA-MODEL-1, HOMA-ONCE-1, HOMA-ONCE-3: between two hosts every call ends once, no request is
    /// executed twice, nothing is left.
    #[test]
    fn pair__random_bytes(input in bytes()) {
        fuzz::pair(&input);
    }
}

/// What once failed holds, and so does a set that reaches much of the code.
#[test]
fn kept_inputs__hold() {
    let targets: [(&str, Target); 3] = [
        ("decode", fuzz::decode),
        ("soup", |input| {
            fuzz::soup(input);
        }),
        ("pair", |input| {
            fuzz::pair(input);
        }),
    ];
    for (name, target) in targets {
        let inputs = fuzz::inputs(name);
        assert!(!inputs.is_empty(), "{name}");
        inputs.iter().for_each(|input| target(&input.bytes));
    }
}

/// As many cases as `PROPTEST_CASES` says, or else `default`.
fn cases(default: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(default)
}
