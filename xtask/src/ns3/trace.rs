//! Slowdown in both simulators, message by message.

use std::io;

/// A message of a trace, as `homa sim --trace` writes it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Message {
    pub(super) start_ns: f64,
    pub(super) bytes: u32,
    /// `None` if it had not arrived when the run ended.
    pub(super) slowdown: Option<f64>,
}

/// A tenth of the messages, by length; of each pair of figures the first is ours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tenth {
    /// The longest.
    pub(super) upper_bytes: u32,
    pub(super) count: usize,
    pub(super) p50: (f64, f64),
    pub(super) p99: (f64, f64),
    /// The median of what ours take, divided by what the same take in the other one.
    pub(super) ratio: f64,
}

/// Reads a trace.
pub(super) fn parse(text: &str) -> io::Result<Vec<Message>> {
    let lines = text.lines().skip(1);
    lines.map(|line| message(line).ok_or_else(|| io::Error::other(format!("'{line}'")))).collect()
}

/// Columns: start_ns, from, to, bytes, best_ns, time_ns, measured.
fn message(line: &str) -> Option<Message> {
    let fields: Vec<&str> = line.split(',').collect();
    let &[start_ns, _, _, bytes, best_ns, time_ns, _] = fields.as_slice() else { return None };
    let best_ns: f64 = best_ns.parse().ok()?;
    let slowdown = match time_ns {
        "" => None,
        time_ns => Some(time_ns.parse::<f64>().ok()? / best_ns),
    };
    Some(Message { start_ns: start_ns.parse().ok()?, bytes: bytes.parse().ok()?, slowdown })
}

/// Compares two traces of the same messages: those that start from `warm_up_ns` on and have arrived in
/// both. Empty if there are none.
pub(super) fn compare(ours: &[Message], theirs: &[Message], warm_up_ns: f64) -> Vec<Tenth> {
    let pair = |(ours, theirs): (&Message, &Message)| {
        let counts = ours.start_ns >= warm_up_ns;
        counts.then_some((ours.bytes, ours.slowdown?, theirs.slowdown?))
    };
    let mut pairs: Vec<_> = ours.iter().zip(theirs).filter_map(pair).collect();
    pairs.sort_by_key(|&(bytes, ..)| bytes);
    let tenths = (0..10).map(|part| {
        let at = |part: usize| pairs.len() * part / 10;
        &pairs[at(part)..at(part + 1)]
    });
    tenths.filter_map(tenth).collect()
}

fn tenth(pairs: &[(u32, f64, f64)]) -> Option<Tenth> {
    let percentile = |figure: fn(&(u32, f64, f64)) -> f64, percent: usize| {
        let mut sorted: Vec<f64> = pairs.iter().map(figure).collect();
        sorted.sort_by(f64::total_cmp);
        sorted[(sorted.len() * percent).div_ceil(100).saturating_sub(1)]
    };
    let both = |percent| (percentile(|pair| pair.1, percent), percentile(|pair| pair.2, percent));
    let &(upper_bytes, ..) = pairs.last()?;
    Some(Tenth {
        upper_bytes,
        count: pairs.len(),
        p50: both(50),
        p99: both(99),
        ratio: percentile(|pair| pair.1 / pair.2, 50),
    })
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::*;

    const HEADER: &str = "start_ns,from,to,bytes,best_ns,time_ns,measured";

    #[test]
    fn parse__takes_slowdown_out_of_lines() {
        let text =
            format!("{HEADER}\n521.723,51,78,412,2000.000,3000.000,0\n9.5,7,31,310,2000,,1\n");
        let messages = parse(&text).unwrap();
        assert_eq!(messages[0], Message { start_ns: 521.723, bytes: 412, slowdown: Some(1.5) });
        assert_eq!(messages[1], Message { start_ns: 9.5, bytes: 310, slowdown: None });
        assert_eq!(parse(HEADER).unwrap(), []);
        assert!(parse(&format!("{HEADER}\n1,2,3")).is_err());
        assert!(parse(&format!("{HEADER}\n1,2,3,4,5,soon,1")).is_err());
    }

    #[test]
    fn compare__tenths_by_length() {
        let message = |number: u32, slowdown: f64| Message {
            start_ns: f64::from(number),
            bytes: 1000 - number,
            slowdown: Some(slowdown),
        };
        let ours: Vec<_> = (0..100).map(|n| message(n, f64::from(n + 1))).collect();
        let theirs: Vec<_> = (0..100).map(|n| message(n, 2.0 * f64::from(n + 1))).collect();
        let tenths = compare(&ours, &theirs, 0.0);
        assert_eq!(tenths.len(), 10);
        // The shortest ten are the last ones.
        let expected = Tenth {
            upper_bytes: 910,
            count: 10,
            p50: (95.0, 190.0),
            p99: (100.0, 200.0),
            ratio: 0.5,
        };
        assert_eq!(tenths[0], expected);
        assert_eq!(tenths[9].upper_bytes, 1000);
    }

    #[test]
    fn compare__only_what_has_arrived_in_both_after_the_warm_up() {
        let message = |start_ns, slowdown| Message { start_ns, bytes: 5, slowdown };
        let ours = [message(1.0, Some(1.0)), message(2.0, Some(2.0)), message(3.0, None)];
        let theirs = [message(1.0, Some(1.0)), message(2.0, Some(4.0)), message(3.0, Some(3.0))];
        let tenths = compare(&ours, &theirs, 2.0);
        assert_eq!(tenths.len(), 1);
        assert_eq!((tenths[0].count, tenths[0].p50), (1, (2.0, 4.0)));
        assert_eq!(compare(&ours, &theirs, 3.0), []);
    }
}
