//! The results as JSON: schema `homa-bench/1`.

mod host;

use serde::Serialize;

pub(crate) use self::host::Host;
use crate::bench::Contender;
use crate::stats::{LatencySummary, SizeClass};

/// All results of a benchmark.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    schema: &'static str,
    host: Host,
    pub(crate) results: Vec<TestResult>,
    pub(crate) ratios: Vec<Ratio>,
}

/// The result of one test with one transport. Figures are medians over the rounds; `rpcs`, `errors`
/// and `seconds` are sums, and `by_size` is of all rounds together.
/// Figures that do not exist, such as the latency of a transport without a single success, are null.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct TestResult {
    pub(crate) test: String,
    pub(crate) transport: String,
    /// TCP's variant.
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
    pub(crate) fn new(results: Vec<TestResult>) -> Self {
        let ratios = ratios(&results);
        Self { schema: "homa-bench/1", host: Host::detect(), results, ratios }
    }

    /// The result of a test with a transport, if it was measured.
    pub(crate) fn result(&self, test: &str, contender: Contender) -> Option<&TestResult> {
        self.results.iter().find(|result| result.test == test && result.is_of(contender))
    }

    /// Homa's figure divided by that of TCP, if both were measured.
    pub(crate) fn ratio(&self, test: &str, metric: &str) -> Option<f64> {
        let mut ratios = self.ratios.iter();
        ratios.find(|r| r.test == test && r.metric == metric).map(|r| r.homa_over_tcp)
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("numbers and strings can be written")
    }
}

impl TestResult {
    pub(crate) fn is_of(&self, contender: Contender) -> bool {
        self.transport == contender.protocol().name()
            && self.variant.as_deref() == contender.variant().map(|variant| variant.name())
    }
}

fn ratios(results: &[TestResult]) -> Vec<Ratio> {
    let mut ratios = Vec::new();
    for homa in results.iter().filter(|result| result.is_of(Contender::Homa)) {
        let tcp = results
            .iter()
            .find(|result| result.test == homa.test && result.is_of(Contender::TcpConnections));
        let Some(tcp) = tcp else { continue };
        for (metric, figure) in COMPARED {
            // Nothing can be said of a transport that got nothing done.
            if let (Some(of_homa), Some(of_tcp)) = (figure(homa), figure(tcp))
                && of_tcp > 0.0
            {
                let homa_over_tcp = of_homa / of_tcp;
                ratios.push(Ratio { test: homa.test.clone(), metric, homa_over_tcp });
            }
        }
    }
    ratios
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use serde_json::Value;

    use super::*;

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
        Report::new(vec![
            result("latency", Contender::Homa, homa, 100.0),
            result("latency", Contender::TcpConnections, tcp, 50.0),
            result("latency", Contender::TcpPipelined, tcp, 400.0),
        ])
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
        assert_eq!(keys(&json), sorted(vec!["schema", "host", "results", "ratios"]));
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
    }

    #[test]
    fn ratios__homa_over_tcp_on_connections() {
        let report = report(4.0, 5.0);
        assert_eq!(report.ratio("latency", "p50"), Some(0.8));
        assert_eq!(report.ratio("latency", "kops"), Some(2.0));
        assert_eq!(report.ratio("rate", "p50"), None);
        let alone = Report::new(vec![result("latency", Contender::Homa, 4.0, 1.0)]);
        assert!(alone.ratios.is_empty());
    }
}
