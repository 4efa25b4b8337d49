//! The results as JSON: schema `homa-bench/1`.

mod host;

use serde::Serialize;

pub(crate) use self::host::Host;
use crate::bench::{Contender, Test};
use crate::stats::{LatencySummary, SizeClass};

/// All results of a benchmark.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    schema: &'static str,
    host: Host,
    pub(crate) results: Vec<TestResult>,
    pub(crate) ratios: Vec<Ratio>,
    pub(crate) comparisons: Vec<Comparison>,
    pub(crate) skipped: Vec<Skipped>,
}

/// The result of one test with one transport. Figures are medians over the rounds; `rpcs`, `errors`
/// and `seconds` are sums, and `by_size` is of all rounds together.
/// Figures that do not exist, such as the latency of a transport without a single success, are null.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct TestResult {
    pub(crate) test: String,
    pub(crate) transport: String,
    /// How calls are spread over connections, unless it is the transport's only way, or its usual one.
    pub(crate) variant: Option<String>,
    /// How both sides wait.
    pub(crate) regime: String,
    pub(crate) workload: String,
    pub(crate) outstanding: usize,
    pub(crate) rounds: usize,
    pub(crate) seconds: f64,
    pub(crate) rpcs: u64,
    pub(crate) errors: u64,
    /// Thousands of calls per second.
    pub(crate) kops: f64,
    /// Gigabits of requests per second.
    pub(crate) gbps: f64,
    /// From the intended begin of a call to its response.
    pub(crate) rtt_us: Option<LatencySummary>,
    /// From the release of the request to the response.
    pub(crate) rtt_release_us: Option<LatencySummary>,
    pub(crate) spread: Spread,
    pub(crate) cpu: Cpu,
    pub(crate) by_size: Vec<SizeClass>,
    /// The shorter half of the requests, where lengths differ: what Homa is for.
    pub(crate) shorter_half: Option<SizeClass>,
}

/// How far the rounds lay apart.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Spread {
    pub(crate) kops: Range,
    pub(crate) gbps: Range,
    pub(crate) p50: Option<Range>,
    pub(crate) p99: Option<Range>,
    pub(crate) p99_9: Option<Range>,
}

/// The least and the greatest value of any round.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Range {
    pub(crate) min: f64,
    pub(crate) max: f64,
}

/// Cores in use on average.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Cpu {
    /// Unknown if no time was measured.
    pub(crate) client: Option<f64>,
    /// Unknown also of a server that somebody else started.
    pub(crate) server: Option<f64>,
}

/// Homa compared with TCP on one connection per outstanding call.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Ratio {
    pub(crate) test: String,
    pub(crate) metric: &'static str,
    pub(crate) homa_over_tcp: f64,
}

/// Homa compared with any other transport.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Comparison {
    pub(crate) test: String,
    pub(crate) metric: &'static str,
    transport: &'static str,
    variant: Option<&'static str>,
    pub(crate) homa_over: f64,
}

/// A test that a transport was not measured in.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Skipped {
    pub(crate) test: String,
    /// Of its messages.
    pub(crate) workload: String,
    pub(crate) outstanding: usize,
    transport: &'static str,
    variant: Option<&'static str>,
    pub(crate) reason: String,
}

/// A figure that is compared, and how to find it.
type ComparedMetric = (&'static str, fn(&TestResult) -> Option<f64>);

const COMPARED: [ComparedMetric; 6] = [
    ("p50", |result| Some(result.rtt_us?.p50)),
    ("p99", |result| Some(result.rtt_us?.p99)),
    ("p99_9", |result| Some(result.rtt_us?.p99_9)),
    ("shorter_half_p99", |result| Some(result.shorter_half?.p99)),
    ("kops", |result| Some(result.kops)),
    ("gbps", |result| Some(result.gbps)),
];

impl Report {
    pub(crate) fn new(results: Vec<TestResult>, skipped: Vec<Skipped>) -> Self {
        let comparisons = comparisons(&results);
        let ratios = comparisons
            .iter()
            .filter(|c| c.is_with(Contender::TcpConnections))
            .map(|c| Ratio { test: c.test.clone(), metric: c.metric, homa_over_tcp: c.homa_over });
        let ratios = ratios.collect();
        let (schema, host) = ("homa-bench/1", Host::detect());
        Self { schema, host, results, ratios, comparisons, skipped }
    }

    /// The result of a test with a transport, if it was measured.
    pub(crate) fn result(&self, test: &str, contender: Contender) -> Option<&TestResult> {
        self.results.iter().find(|result| result.test == test && result.is_of(contender))
    }

    /// Homa's figure divided by that of another transport, if both were measured.
    pub(crate) fn ratio(&self, test: &str, metric: &str, other: Contender) -> Option<f64> {
        let mut found = self.comparisons.iter().filter(|c| c.test == test && c.metric == metric);
        found.find(|c| c.is_with(other)).map(|c| c.homa_over)
    }

    /// Why a transport was not measured in a test, if so.
    pub(crate) fn skipped(&self, test: &str, contender: Contender) -> Option<&Skipped> {
        self.skipped.iter().find(|skipped| skipped.test == test && skipped.is_of(contender))
    }

    /// What was measured, or would have been, in the order of the table.
    pub(crate) fn contenders(&self) -> Vec<Contender> {
        let is_here = |contender: &Contender| {
            self.results.iter().any(|result| result.is_of(*contender))
                || self.skipped.iter().any(|skipped| skipped.is_of(*contender))
        };
        Contender::ALL.into_iter().filter(is_here).collect()
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("numbers and strings can be written")
    }
}

impl TestResult {
    pub(crate) fn is_of(&self, contender: Contender) -> bool {
        (self.transport.as_str(), self.variant.as_deref()) == names(contender)
    }
}

impl Comparison {
    pub(crate) fn is_with(&self, contender: Contender) -> bool {
        (self.transport, self.variant) == names(contender)
    }
}

impl Skipped {
    pub(crate) fn new(test: &Test, contender: Contender, reason: String) -> Self {
        let (transport, variant) = names(contender);
        let (workload, outstanding) = (test.workload.to_string(), test.outstanding);
        Self { test: test.name.to_string(), workload, outstanding, transport, variant, reason }
    }

    pub(crate) fn is_of(&self, contender: Contender) -> bool {
        (self.transport, self.variant) == names(contender)
    }
}

/// Transport and variant as they stand in JSON.
fn names(contender: Contender) -> (&'static str, Option<&'static str>) {
    (contender.protocol().name(), contender.variant().map(|variant| variant.name()))
}

fn comparisons(results: &[TestResult]) -> Vec<Comparison> {
    let mut comparisons = Vec::new();
    let others: Vec<_> = Contender::ALL
        .into_iter()
        .filter(|c| ![Contender::Homa, Contender::Raw].contains(c))
        .collect();
    for homa in results.iter().filter(|result| result.is_of(Contender::Homa)) {
        for other in &others {
            let mut of_test = results.iter().filter(|result| result.test == homa.test);
            if let Some(result) = of_test.find(|result| result.is_of(*other)) {
                comparisons.extend(compare(homa, result, *other));
            }
        }
    }
    comparisons
}

/// Those figures that both have. Nothing can be said of a transport that got nothing done.
fn compare<'a>(
    homa: &'a TestResult,
    other: &'a TestResult,
    contender: Contender,
) -> impl Iterator<Item = Comparison> + 'a {
    let (transport, variant) = names(contender);
    COMPARED.into_iter().filter_map(move |(metric, figure)| {
        let of_other = figure(other).filter(|figure| *figure > 0.0)?;
        let homa_over = figure(homa)? / of_other;
        Some(Comparison { test: homa.test.clone(), metric, transport, variant, homa_over })
    })
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use serde_json::Value;

    use super::*;
    use crate::bench::TestName;
    use crate::load::Pace;

    /// A result with the given median latency and rate.
    pub(crate) fn result(test: &str, contender: Contender, p50: f64, kops: f64) -> TestResult {
        let range = Range { min: 0.5, max: 2.0 };
        let latency =
            LatencySummary { min: 1.0, p50, p99: 2.0 * p50, p99_9: 4.0 * p50, max: 900.0 };
        TestResult {
            test: test.into(),
            transport: contender.protocol().name().into(),
            variant: contender.variant().map(|variant| variant.name().into()),
            regime: "poll 50us then sleep".into(),
            workload: "100".into(),
            outstanding: 1,
            rounds: 3,
            seconds: 3.0,
            rpcs: 12345,
            errors: 0,
            kops,
            gbps: kops * 0.0008,
            rtt_us: Some(latency),
            rtt_release_us: Some(latency),
            spread: Spread {
                kops: range,
                gbps: range,
                p50: Some(range),
                p99: Some(range),
                p99_9: Some(range),
            },
            cpu: Cpu { client: Some(1.0), server: Some(0.5) },
            by_size: vec![SizeClass { upper_bytes: 128, count: 12345, p50, p99: 2.0 * p50 }],
            shorter_half: None,
        }
    }

    /// A report in which Homa takes `homa` us and TCP `tcp` us.
    pub(crate) fn report(homa: f64, tcp: f64) -> Report {
        let contenders = [
            result("latency", Contender::Homa, homa, 100.0),
            result("latency", Contender::TcpConnections, tcp, 50.0),
            result("latency", Contender::TcpPipelined, tcp, 400.0),
        ];
        Report::new(contenders.into(), Vec::new())
    }

    /// A report of two tests with all transports, of which UDP can't do the second.
    pub(crate) fn full_report() -> Report {
        let mut results = Vec::new();
        for contender in Contender::ALL {
            results.push(result("latency", contender, 4.0, 100.0));
        }
        for contender in Contender::ALL.into_iter().filter(|c| *c != Contender::Udp) {
            results.push(result("workload", contender, 123_456.78, 50.0));
        }
        let test = Test {
            name: TestName::Workload,
            workload: "w4".parse().unwrap(),
            outstanding: 64,
            pace: Pace::Closed,
        };
        Report::new(results, vec![Skipped::new(&test, Contender::Udp, "too long".into())])
    }

    fn keys(value: &Value) -> Vec<&str> {
        value.as_object().expect("an object").keys().map(String::as_str).collect()
    }

    #[test]
    fn to_json__has_the_shape_of_the_schema() {
        let json: Value = serde_json::from_str(&report(4.0, 5.0).to_json()).unwrap();
        let sorted = |mut names: Vec<&'static str>| {
            names.sort_unstable();
            names
        };
        assert_eq!(
            keys(&json),
            sorted(vec!["schema", "host", "results", "ratios", "comparisons", "skipped"])
        );
        assert_eq!(json["schema"], "homa-bench/1");
        assert!(json["host"]["cpus"].as_u64().unwrap() > 0);
        let result = &json["results"][0];
        assert_eq!(
            keys(result),
            sorted(vec![
                "test",
                "transport",
                "variant",
                "regime",
                "workload",
                "outstanding",
                "rounds",
                "seconds",
                "rpcs",
                "errors",
                "kops",
                "gbps",
                "rtt_us",
                "rtt_release_us",
                "spread",
                "cpu",
                "by_size",
                "shorter_half",
            ])
        );
        assert_eq!(result["variant"], Value::Null);
        assert_eq!(json["results"][1]["variant"], "connections");
        assert_eq!(json["results"][2]["variant"], "pipelined");
        for latency in ["rtt_us", "rtt_release_us"] {
            assert_eq!(keys(&result[latency]), sorted(vec!["min", "p50", "p99", "p99_9", "max"]));
        }
        assert_eq!(keys(&result["cpu"]), ["client", "server"]);
        assert_eq!(keys(&result["by_size"][0]), ["count", "p50", "p99", "upper_bytes"]);
        assert_eq!(keys(&json["ratios"][0]), ["homa_over_tcp", "metric", "test"]);
        let names = sorted(vec!["homa_over", "metric", "test", "transport", "variant"]);
        assert_eq!(keys(&json["comparisons"][0]), names);
        let json: Value = serde_json::from_str(&full_report().to_json()).unwrap();
        let names = ["outstanding", "reason", "test", "transport", "variant", "workload"];
        assert_eq!(keys(&json["skipped"][0]), names);
    }

    #[test]
    fn ratio__homa_over_each_other_transport() {
        let report = report(4.0, 5.0);
        let (connections, pipelined) = (Contender::TcpConnections, Contender::TcpPipelined);
        assert_eq!(report.ratio("latency", "p50", connections), Some(0.8));
        assert_eq!(report.ratio("latency", "kops", connections), Some(2.0));
        assert_eq!(report.ratio("latency", "kops", pipelined), Some(0.25));
        assert_eq!(report.ratio("rate", "p50", connections), None);
        assert!(report.ratios.iter().all(|ratio| ratio.homa_over_tcp != 0.25), "of one variant");
        let alone = Report::new(vec![result("latency", Contender::Homa, 4.0, 1.0)], Vec::new());
        assert!(alone.ratios.is_empty() && alone.comparisons.is_empty());
    }

    #[test]
    fn skipped__is_no_result_but_a_contender() {
        let report = full_report();
        assert!(report.result("workload", Contender::Udp).is_none());
        assert_eq!(report.skipped("workload", Contender::Udp).unwrap().reason, "too long");
        assert_eq!(report.skipped("latency", Contender::Udp), None);
        assert_eq!(report.contenders(), Contender::ALL);
        let skipped = Report::new(Vec::new(), report.skipped);
        assert_eq!(skipped.contenders(), [Contender::Udp]);
    }
}
