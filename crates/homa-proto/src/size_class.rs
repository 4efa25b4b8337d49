//! Classes of message lengths, for statistics: 64 bytes wide up to 4096, 1024 wide up to 131,072,
//! and one for all that is longer (PARAMETERS section 2, `msg_bytes_*`).

/// Classes of 64 bytes.
const FINE: usize = 64;

/// Classes of 1024 bytes.
const COARSE: usize = 124;

/// Classes with an upper end.
pub(crate) const BOUNDED: usize = FINE + COARSE;

/// Number of classes. The last has no upper end.
pub(crate) const COUNT: usize = BOUNDED + 1;

/// The class of messages of `length` bytes.
pub(crate) fn of(length: u32) -> usize {
    let length = length as usize;
    match length {
        0..=4_096 => length.div_ceil(64).saturating_sub(1),
        4_097..=131_072 => FINE + length.div_ceil(1_024) - 5,
        _ => BOUNDED,
    }
}

/// The longest length of a class, in bytes; `None` for the last.
pub(crate) fn upper(class: usize) -> Option<u32> {
    match class {
        fine if fine < FINE => Some((fine as u32 + 1) * 64),
        coarse if coarse < BOUNDED => Some(((coarse - FINE) as u32 + 5) * 1_024),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    #[test]
    fn of__is_the_first_class_that_is_long_enough() {
        for length in 1..=140_000 {
            let class = of(length);
            assert!(upper(class).is_none_or(|upper| length <= upper), "{length}");
            let below = class.checked_sub(1).and_then(upper);
            assert!(below.is_none_or(|below| length > below), "{length}");
        }
        assert_eq!(of(u32::MAX), COUNT - 1);
        assert_eq!(of(0), 0);
    }

    #[test]
    fn upper__of_the_widths_change() {
        assert_eq!((upper(63), upper(64)), (Some(4_096), Some(5_120)));
        assert_eq!((upper(BOUNDED - 1), upper(BOUNDED)), (Some(131_072), None));
    }
}
