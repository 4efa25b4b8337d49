//! What people are told while a command runs.

/// Writes a line to standard error. That nobody reads it any more, as behind `2>&1 | head`, stops nothing,
/// where `eprintln!` panics.
macro_rules! tell {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        // What can't be said can't be said.
        let _ = writeln!(std::io::stderr(), $($text)*);
    }};
}
