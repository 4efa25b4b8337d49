//! Conditions under which a benchmark counts as failed: `TRANSPORT.TEST.METRIC<VALUE`, or `>`.

use std::fmt;
use std::str::FromStr;

use crate::bench::{Contender, TestName};
use crate::report::{Report, TestResult};
use crate::units::parse_duration;

/// A condition on the results of a benchmark.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Condition {
    subject: Subject,
    /// The test that it is about.
    pub(crate) test: TestName,
    metric: Metric,
    comparison: Comparison,
    value: f64,
    text: String,
}

/// What a condition is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Of(Contender),
    /// Homa's figure divided by that of another transport.
    RatioTo(Contender),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Below,
    Above,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Metric {
    Min,
    P50,
    P99,
    P999,
    Max,
    Kops,
    Gbps,
    Errors,
    CpuClient,
    CpuServer,
}

/// The conditions that hold, each with the figure that was measured.
pub(crate) fn true_ones(conditions: &[Condition], report: &Report) -> Vec<String> {
    conditions.iter().filter_map(|condition| condition.evaluate(report)).collect()
}

impl Condition {
    /// The transports that must be measured to judge it.
    pub(crate) fn contenders(&self) -> Vec<Contender> {
        match self.subject {
            Subject::Of(contender) => vec![contender],
            Subject::RatioTo(other) => vec![Contender::Homa, other],
        }
    }

    /// Whether it is about the CPU time of the server, which is known only of our own.
    pub(crate) fn needs_server_cpu(&self) -> bool {
        self.metric == Metric::CpuServer
    }

    /// If it holds, what to tell. A figure that is missing, since nothing succeeded, fails too:
    /// otherwise a broken transport would pass every threshold.
    fn evaluate(&self, report: &Report) -> Option<String> {
        let Some(measured) = self.measured(report) else {
            return Some(format!("{self}: there is no such figure"));
        };
        let holds = match self.comparison {
            Comparison::Below => measured < self.value,
            Comparison::Above => measured > self.value,
        };
        holds.then(|| format!("{self}: measured {measured:.3}"))
    }

    fn measured(&self, report: &Report) -> Option<f64> {
        match self.subject {
            Subject::RatioTo(other) => report.ratio(self.test.as_str(), self.metric.name(), other),
            Subject::Of(contender) => {
                let result = report.result(self.test.as_str(), contender)?;
                self.metric.of(result)
            }
        }
    }
}

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let at = text.find(['<', '>']).ok_or("expected TRANSPORT.TEST.METRIC<VALUE or >VALUE")?;
        let comparison =
            if text[at..].starts_with('<') { Comparison::Below } else { Comparison::Above };
        let mut parts = text[..at].trim().splitn(3, '.');
        let (Some(subject), Some(test), Some(metric)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err("expected TRANSPORT.TEST.METRIC before the comparison".into());
        };
        let subject: Subject = subject.parse()?;
        let metric: Metric = metric.parse()?;
        let value = text[at + 1..].trim();
        if value.is_empty() || value.starts_with('=') {
            return Err(format!(
                "expected a number after '{}' ('<=' and '>=' are not offered)",
                &text[at..=at]
            ));
        }
        let value = match subject {
            Subject::RatioTo(_) if !metric.is_compared() => {
                return Err(format!("there is no ratio of {}", metric.name()));
            }
            Subject::Of(_) if metric.is_latency() => parse_us(value)?,
            _ => value
                .parse()
                .ok()
                .filter(|number: &f64| number.is_finite())
                .ok_or_else(|| format!("'{value}' is not a number"))?,
        };
        Ok(Self { subject, test: test.parse()?, metric, comparison, value, text: text.into() })
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Subject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("ratio") {
            Some("") => Ok(Self::RatioTo(Contender::TcpConnections)),
            Some(other) => match contender(other.strip_prefix('-').unwrap_or_default()) {
                Some(other) if !other.protocol().is_homa() => Ok(Self::RatioTo(other)),
                _ => Err(format!("'{text}' is no ratio: such are ratio (to tcp) and ratio-quic")),
            },
            None => contender(text).map(Self::Of).ok_or_else(|| {
                let names = Contender::ALL.map(|contender| contender.to_string()).join(", ");
                format!("'{text}' is none of {names} and ratio")
            }),
        }
    }
}

fn contender(name: &str) -> Option<Contender> {
    let found = Contender::ALL.into_iter().find(|contender| contender.to_string() == name);
    found.or((name == "tcp-connections").then_some(Contender::TcpConnections))
}

impl Metric {
    const ALL: [Self; 10] = [
        Self::Min,
        Self::P50,
        Self::P99,
        Self::P999,
        Self::Max,
        Self::Kops,
        Self::Gbps,
        Self::Errors,
        Self::CpuClient,
        Self::CpuServer,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Min => "min",
            Self::P50 => "p50",
            Self::P99 => "p99",
            Self::P999 => "p99_9",
            Self::Max => "max",
            Self::Kops => "kops",
            Self::Gbps => "gbps",
            Self::Errors => "errors",
            Self::CpuClient => "cpu_client",
            Self::CpuServer => "cpu_server",
        }
    }

    fn is_latency(self) -> bool {
        matches!(self, Self::Min | Self::P50 | Self::P99 | Self::P999 | Self::Max)
    }

    fn is_compared(self) -> bool {
        matches!(self, Self::P50 | Self::P99 | Self::P999 | Self::Kops | Self::Gbps)
    }

    fn of(self, result: &TestResult) -> Option<f64> {
        Some(match self {
            Self::Min => result.rtt_us?.min,
            Self::P50 => result.rtt_us?.p50,
            Self::P99 => result.rtt_us?.p99,
            Self::P999 => result.rtt_us?.p99_9,
            Self::Max => result.rtt_us?.max,
            Self::Kops => result.kops,
            Self::Gbps => result.gbps,
            Self::Errors => result.errors as f64,
            Self::CpuClient => result.cpu.client?,
            Self::CpuServer => result.cpu.server?,
        })
    }
}

impl FromStr for Metric {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = if text == "p99.9" { "p99_9" } else { text };
        Self::ALL.into_iter().find(|metric| metric.name() == name).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|metric| metric.name()).collect();
            format!("'{text}' is none of {}", names.join(", "))
        })
    }
}

/// A time in microseconds; a bare number is one already.
fn parse_us(text: &str) -> Result<f64, String> {
    let bare = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let text = if bare { format!("{text}us") } else { text.into() };
    parse_duration(&text).map(|time| time.as_secs_f64() * 1e6)
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]

    use super::*;
    use crate::report::tests::{report, result};

    fn holds(text: &str, report: &Report) -> bool {
        !true_ones(&[text.parse().expect(text)], report).is_empty()
    }

    #[test]
    fn evaluate__each_direction_and_unit() {
        let report = report(4.0, 5.0);
        assert!(holds("homa.latency.p50<20us", &report));
        assert!(!holds("homa.latency.p50>20us", &report));
        assert!(!holds("homa.latency.p50<3.9", &report));
        assert!(holds("tcp.latency.p50>0.004ms", &report));
        assert!(holds("homa.latency.kops<101", &report));
        assert!(!holds("homa.latency.errors>0", &report));
        assert!(holds("tcp-pipelined.latency.kops>399", &report));
        assert!(holds("homa.latency.cpu_server<0.6", &report));
        assert!(holds("homa.latency.p99.9 > 15us", &report));
    }

    #[test]
    fn evaluate__ratios() {
        let report = report(9.0, 5.0);
        assert!(holds("ratio.latency.p50>1.5", &report));
        assert!(!holds("ratio.latency.kops<1", &report));
        assert!(holds("ratio-tcp.latency.p50>1.5", &report));
        assert!(holds("ratio-tcp-pipelined.latency.kops<0.3", &report));
        assert!(!holds("ratio-tcp-pipelined.latency.kops<0.2", &report));
    }

    #[test]
    fn evaluate__a_missing_figure_is_a_failure() {
        let mut none = result("latency", Contender::Homa, 0.0, 0.0);
        (none.rpcs, none.rtt_us) = (0, None);
        let report = Report::new(vec![none], Vec::new());
        assert!(holds("homa.latency.p50>20us", &report));
        assert!(holds("tcp.latency.p50>20us", &report));
    }

    #[test]
    fn from_str__nonsense_is_refused() {
        for text in [
            "",
            "homa.latency.p50",
            "homa.latency<1",
            "sctp.latency.p50<1us",
            "ratio-homa.latency.p50<1",
            "ratio-raw.latency.p50<1",
            "ratio-sctp.latency.p50<1",
            "ratiotcp.latency.p50<1",
            "homa.speed.p50<1us",
            "homa.latency.p51<1us",
            "homa.latency.p50<fast",
            "homa.latency.p50<-1",
            "homa.rate.kops<1us",
            "homa.rate.kops<nan",
            "ratio.latency.min<1",
            "homa.rate.kops<",
            "homa.rate.kops<=5",
        ] {
            assert!(text.parse::<Condition>().is_err(), "{text}");
        }
    }

    #[test]
    fn contenders__a_ratio_needs_both() {
        let condition: Condition = "ratio.rate.kops<1".parse().unwrap();
        assert_eq!(condition.contenders(), [Contender::Homa, Contender::TcpConnections]);
        assert!(!condition.needs_server_cpu());
        let condition: Condition = "ratio-quic.rate.kops<15".parse().unwrap();
        assert_eq!(condition.contenders(), [Contender::Homa, Contender::Quic]);
    }
}
