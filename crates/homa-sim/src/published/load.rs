//! What the network bears (SIGCOMM 2018): queue lengths, the highest load, wasted bandwidth, the use
//! of priorities, incast.

use super::ParameterCurve;
use super::csv::{base_workload, curves, is_same, number, rows};

const QUEUES: &str = include_str!("../../data/published/sigcomm18_table1_queue_kb.csv");
const MAX_LOAD: &str = include_str!("../../data/published/sigcomm18_fig15_max_load.csv");
const WASTED: &str = include_str!("../../data/published/sigcomm18_fig16_wasted_bandwidth_W4.csv");
const PRIORITIES: &str = include_str!("../../data/published/sigcomm18_fig21_priority_usage_W3.csv");
const INCAST: &str = include_str!("../../data/published/sigcomm18_fig10_incast_throughput.csv");

/// The length of the queues at a place, in units of 1000 bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QueueLength {
    /// Over time and ports.
    pub mean_kb: f64,
    /// Of all ports.
    pub max_kb: f64,
}

/// The highest load that a protocol sustains, in percent of the bandwidth of the hosts' links.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MaxLoad {
    /// Bytes of messages alone.
    pub application_percent: f64,
    /// With headers and control packets.
    pub total_percent: f64,
}

/// How much of the network's bandwidth one priority carries.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PriorityShare {
    /// From 0, the lowest, to 7.
    pub priority: u8,
    /// The load at which this was measured.
    pub load_percent: f64,
    /// The share of all bandwidth.
    pub bandwidth_percent: f64,
}

/// Throughput of one client with many concurrent RPCs, whose responses of 10,000 bytes collide.
#[derive(Debug, Clone, PartialEq)]
pub struct IncastThroughput {
    /// (RPCs, Gb/s) with the optimisation that marks RPCs of a client that has many.
    pub with_control: Vec<(f64, f64)>,
    /// (RPCs, Gb/s) without.
    pub without_control: Vec<(f64, f64)>,
}

/// The lengths of Homa's queues at 80 % load, W1 to W5 (table 1), by their place as
/// [`RunReport::queues`](crate::RunReport::queues) names it: `tor_to_aggr`, `aggr_to_tor`, `tor_to_host`.
pub fn queue_length(place: &str, workload: &str) -> Option<QueueLength> {
    // Two columns for each workload, in their order.
    let workloads = ["W1", "W2", "W3", "W4", "W5"];
    let index = workloads.iter().position(|known| is_same(known, base_workload(workload)))?;
    let fields = rows(QUEUES).find(|fields| fields[0] == place)?;
    let [mean, max] = [1, 2].map(|column| number(fields[2 * index + column]));
    Some(QueueLength { mean_kb: mean, max_kb: max })
}

/// The highest load that Homa, pFabric, pHost and PIAS sustain under W1 to W5, and NDP under W5
/// (figure 15).
pub fn max_load(protocol: &str, workload: &str) -> Option<MaxLoad> {
    let workload = base_workload(workload);
    rows(MAX_LOAD).find(|fields| is_same(fields[0], workload) && is_same(fields[1], protocol)).map(
        |fields| MaxLoad {
            application_percent: number(fields[2]),
            total_percent: number(fields[3]),
        },
    )
}

/// For each number of scheduled priorities (which is the degree of overcommitment) the percentage
/// of bandwidth wasted by network load in percent: for how much of the time a receiver's link is
/// idle while it withholds a grant. W4 (figure 16).
pub fn wasted_bandwidth() -> Vec<ParameterCurve> {
    curves(rows(WASTED).map(|fields| {
        let priorities = number(fields[0]);
        (priorities, (number(fields[1]), number(fields[2])))
    }))
}

/// What each priority carries at 50, 80 and 90 % load, W3 (figure 21): 0 to 3 are for scheduled
/// packets, 4 to 7 for unscheduled ones.
pub fn priority_shares() -> Vec<PriorityShare> {
    rows(PRIORITIES)
        .map(|fields| PriorityShare {
            priority: number(&fields[0][1..]),
            load_percent: number(fields[1]),
            bandwidth_percent: number(fields[2]),
        })
        .collect()
}

/// Incast, measured with the implementation in RAMCloud at 10 Gb/s (figure 10).
pub fn incast_throughput() -> IncastThroughput {
    let points = |curve: &str| {
        rows(INCAST)
            .filter(|fields| fields[0] == curve)
            .map(|fields| (number(fields[1]), number(fields[2])))
            .collect()
    };
    IncastThroughput {
        with_control: points("incast_control"),
        without_control: points("no_incast_control"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;

    #[test]
    fn queue_length__of_table_1() {
        let queue = |place, workload| queue_length(place, workload).map(|q| (q.mean_kb, q.max_kb));
        assert_eq!(queue("tor_to_aggr", "w1"), Some((0.7, 21.1)));
        assert_eq!(queue("aggr_to_tor", "w4"), Some((1.7, 92.2)));
        assert_eq!(queue("tor_to_host", "W5"), Some((17.3, 126.4)));
        assert_eq!(queue("tor_to_host", "starve"), None);
        assert_eq!(queue("host_to_tor", "W5"), None);
    }

    #[test]
    fn max_load__of_figure_15() {
        let load = |protocol, workload| {
            max_load(protocol, workload).map(|load| (load.application_percent, load.total_percent))
        };
        assert_eq!(load("homa", "w4"), Some((79.0, 89.0)));
        assert_eq!(load("NDP", "W5"), Some((67.0, 73.0)));
        assert_eq!(load("NDP", "W4"), None);
        assert_eq!(load("Homa", "w1-pareto"), Some((60.0, 92.0)));
    }

    #[test]
    fn wasted_bandwidth__one_ascending_curve_per_number_of_priorities() {
        let curves = wasted_bandwidth();
        let priorities: Vec<_> = curves.iter().map(|curve| curve.parameter).collect();
        assert_eq!(priorities, [1, 2, 3, 4, 5, 7]);
        for curve in &curves {
            assert!(curve.points.windows(2).all(|pair| pair[0].0 < pair[1].0), "{curve:?}");
        }
        assert_eq!(curves[0].points[8], (49.75, 9.53));
    }

    #[test]
    fn priority_shares__add_up_to_the_load() {
        let shares = priority_shares();
        assert_eq!(shares.len(), 24);
        for (load, sum) in [(50.0, 50.1), (80.0, 79.9), (90.0, 87.9)] {
            let of_load = shares.iter().filter(|share| share.load_percent == load);
            let total: f64 = of_load.map(|share| share.bandwidth_percent).sum();
            assert!((total - sum).abs() < 0.1, "{load}: {total}");
        }
    }

    #[test]
    fn incast_throughput__collapses_without_control() {
        let incast = incast_throughput();
        assert_eq!((incast.with_control.len(), incast.without_control.len()), (50, 50));
        assert!(incast.with_control.iter().all(|&(_, gbps)| gbps > 9.4));
        assert!(incast.without_control.iter().any(|&(_, gbps)| gbps < 2.5));
    }
}
