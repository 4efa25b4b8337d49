//! Slowdown by message length (SIGCOMM 2018, figures 12 and 13).

use std::sync::LazyLock;

use super::csv::{base_workload, is_same, number, rows};

const BINS: &str = include_str!("../../data/published/sigcomm18_slowdown_bins.csv");
const TENTHS: &str = include_str!("../../data/published/sigcomm18_slowdown_deciles.csv");

/// The slowdown of messages in one range of lengths, at 80 % load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PublishedSlowdown {
    /// The percentage of messages up to and with this range; for [`tenths`] the tenth.
    pub percent: f64,
    /// The longest length in the range.
    pub upper_bytes: u32,
    /// The mean; missing for the first bins of pFabric and PIAS.
    pub mean: Option<f64>,
    /// The median.
    pub p50: f64,
    /// The 99th percentile.
    pub p99: f64,
}

struct Table {
    protocol: &'static str,
    workload: &'static str,
    rows: Vec<PublishedSlowdown>,
}

/// The slowdown in every bin of W1, W3 or W4 at 80 % load, by ascending length; of Homa, pFabric,
/// pHost, PIAS and SRPT-Oracle (its authors' central scheduler, a lower bound that even falls below
/// 1, as it neglects that switches store and forward).
///
/// W1's bins of Homa reach two further than the others'.
pub fn slowdown(protocol: &str, workload: &str) -> Option<&'static [PublishedSlowdown]> {
    static TABLES: LazyLock<Vec<Table>> = LazyLock::new(|| {
        tables(rows(BINS).map(|fields| (fields[0], fields[2], row([3, 4, 7, 8, 9], &fields))))
    });
    find(&TABLES, protocol, workload)
}

/// Of those the bins at 10 %, 20 % to 100 % of the messages, which
/// [`stats::tenths`](crate::stats::tenths) also chooses.
pub fn tenths(protocol: &str, workload: &str) -> Option<&'static [PublishedSlowdown]> {
    static TABLES: LazyLock<Vec<Table>> = LazyLock::new(|| {
        tables(rows(TENTHS).map(|fields| (fields[0], fields[2], row([3, 4, 5, 6, 7], &fields))))
    });
    find(&TABLES, protocol, workload)
}

fn find(
    tables: &'static [Table],
    protocol: &str,
    workload: &str,
) -> Option<&'static [PublishedSlowdown]> {
    let workload = base_workload(workload);
    tables
        .iter()
        .find(|table| is_same(table.protocol, protocol) && is_same(table.workload, workload))
        .map(|table| table.rows.as_slice())
}

fn row(columns: [usize; 5], fields: &[&str]) -> PublishedSlowdown {
    let [percent, upper_bytes, mean, p50, p99] = columns.map(|column| fields[column]);
    PublishedSlowdown {
        percent: number(percent),
        upper_bytes: number(upper_bytes),
        mean: (!mean.is_empty()).then(|| number(mean)),
        p50: number(p50),
        p99: number(p99),
    }
}

fn tables(
    rows: impl Iterator<Item = (&'static str, &'static str, PublishedSlowdown)>,
) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    for (protocol, workload, row) in rows {
        match tables.last_mut() {
            Some(table) if table.protocol == protocol && table.workload == workload => {
                table.rows.push(row);
            }
            _ => tables.push(Table { protocol, workload, rows: vec![row] }),
        }
    }
    tables
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;
    use crate::Workload;
    use crate::stats::{self, BinReport};

    const PROTOCOLS: [&str; 5] = ["Homa", "pFabric", "pHost", "PIAS", "SRPT-Oracle"];
    const WORKLOADS: [&str; 3] = ["W1", "W3", "W4"];

    #[test]
    fn slowdown__has_the_bins_of_the_workload() {
        for name in WORKLOADS {
            let workload = Workload::named(name).unwrap();
            let bins: Vec<_> = workload
                .bins()
                .iter()
                .map(|bin| (bin.cumulative_percent, bin.upper_bytes))
                .collect();
            let rows = |protocol| slowdown(protocol, name).unwrap().iter();
            let homa: Vec<_> = rows("Homa").map(|row| (row.percent, row.upper_bytes)).collect();
            assert_eq!(homa, bins, "{name}");
            // Others were run with other messages of the same lengths.
            for protocol in PROTOCOLS {
                let pairs = rows(protocol).zip(&bins);
                for (row, &(_, upper_bytes)) in pairs {
                    assert_eq!(row.upper_bytes, upper_bytes, "{protocol} {name}");
                    assert!(row.p50 > 0.8 && row.p99 >= row.p50, "{protocol} {name} {row:?}");
                }
            }
        }
    }

    #[test]
    fn slowdown__of_what_was_not_published_is_none() {
        assert_eq!(slowdown("homa", "w2"), None);
        assert_eq!(slowdown("dctcp", "w4"), None);
        assert_eq!(slowdown("HOMA", "w1-pareto"), slowdown("Homa", "W1"));
    }

    #[test]
    fn tenths__are_the_bins_that_stats_chooses() {
        for protocol in PROTOCOLS {
            for name in WORKLOADS {
                let rows = slowdown(protocol, name).unwrap();
                // Homa's last two bins of W1 hold 0.0 % of the messages.
                let has_messages = |upper_bytes| upper_bytes != 572_511 && upper_bytes != 1_000_000;
                let bins: Vec<BinReport> = rows
                    .iter()
                    .map(|row| BinReport {
                        cum_pct: row.percent,
                        upper_bytes: row.upper_bytes,
                        count: u64::from(has_messages(row.upper_bytes)),
                        mean: row.mean,
                        p50: Some(row.p50),
                        p99: Some(row.p99),
                        p99_9: None,
                    })
                    .collect();
                let chosen = stats::tenths(&bins);
                let published = tenths(protocol, name).unwrap();
                assert_eq!(
                    published.iter().map(|row| row.percent).collect::<Vec<_>>(),
                    stats::TENTHS
                );
                let chosen: Vec<_> = chosen
                    .iter()
                    .map(|bin| (bin.upper_bytes, bin.mean, bin.p50, bin.p99))
                    .collect();
                let published: Vec<_> = published
                    .iter()
                    .map(|row| (row.upper_bytes, row.mean, Some(row.p50), Some(row.p99)))
                    .collect();
                assert_eq!(chosen, published, "{protocol} {name}");
            }
        }
    }

    #[test]
    fn tenths__of_the_paper_s_headline() {
        // PAPER_RESULTS section 1.3: at most 2.2 for the shortest half of every workload.
        for name in WORKLOADS {
            let shortest = &tenths("Homa", name).unwrap()[..5];
            assert!(shortest.iter().all(|row| row.p99 < 2.25), "{name}");
        }
    }
}
