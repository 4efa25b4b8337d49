//! What slowdown is measured with: messages alone, and the central scheduler.

use homa_sim::published;

use super::command::Command;
use super::markdown::{table, two};
use super::slowdown::comparison_table;
use super::{Experiment, Rendered, Results};

/// Messages that meet no other.
pub(super) const UNLOADED: Experiment = Experiment {
    name: "unloaded",
    title: "Slowdown without load",
    about: "\
Messages of one length that meet no others: their slowdown is 1.00, within 1 %, whatever their length, or the yardstick were wrong.",
    commands: unloaded_commands,
    render: render_unloaded,
};

/// The lower bound.
pub(super) const ORACLE: Experiment = Experiment {
    name: "oracle",
    title: "The oracle at 80 % load",
    about: "\
A central scheduler that knows all messages and always has the shortest remaining sent, beside the authors' SRPT-Oracle. Bar: within \
10 %.",
    commands: oracle_commands,
    render: render_oracle,
};

const WORKLOADS: [&str; 4] = ["w1", "w1-pareto", "w3", "w4"];
const ORACLE_RATIOS: std::ops::RangeInclusive<f64> = 0.90..=1.10;
const SLOWDOWN_ERROR_MAX: f64 = 0.01;

fn unloaded_commands() -> Vec<Command> {
    let arguments = "--load 0.000001 --messages 200 --set warmup_ms=0 --set seconds_max=1000000 --runs 1 \
                     --sweep workload=1,10,100,1000,1442,1443,5000,9328,9329,20000,100000,1000000,10000000";
    vec![Command::new("all", arguments).quick("messages=30")]
}

fn render_unloaded(results: &Results) -> Rendered {
    let mut rendered = Rendered::default();
    let runs = results.runs("all");
    if runs.is_empty() {
        return rendered;
    }
    let mut rows = Vec::new();
    for run in runs {
        let mean = run.slowdown.mean_by_message;
        if mean.is_none_or(|mean| (mean - 1.0).abs() > SLOWDOWN_ERROR_MAX) {
            rendered.findings.push(format!("{} bytes alone: slowdown {}", run.workload, two(mean)));
        }
        let three =
            |value: Option<f64>| value.map_or_else(|| "-".into(), |value| format!("{value:.3}"));
        rows.push(vec![
            run.workload.clone(),
            run.messages.to_string(),
            three(mean),
            three(run.slowdown.p50),
            three(run.slowdown.p99),
        ]);
    }
    rendered.text = table(&["bytes", "messages", "mean", "P50", "P99"], &rows);
    rendered
}

fn oracle_commands() -> Vec<Command> {
    let command = |&workload: &&str| {
        let arguments = format!("--set protocol=oracle --workload {workload} --load 0.8");
        Command::new(workload, arguments).quick("messages=20K warmup_ms=5")
    };
    WORKLOADS.iter().map(command).collect()
}

fn render_oracle(results: &Results) -> Rendered {
    let mut rendered = Rendered::default();
    for run in WORKLOADS.into_iter().filter_map(|workload| results.runs(workload).first()) {
        let rows = published::comparison("SRPT-Oracle", &run.workload, &run.bins);
        let rows = rows.unwrap_or_default();
        let name = run.workload.to_uppercase();
        rendered.text += &format!("## {name}\n\n{}\n", comparison_table(&rows));
        for row in rows {
            for (figure, ratio) in [("P50", row.p50_ratio()), ("P99", row.p99_ratio())] {
                if !ratio.is_some_and(|ratio| ORACLE_RATIOS.contains(&ratio)) {
                    let percent = row.percent;
                    let ratio = two(ratio);
                    let text = format!(
                        "oracle, {name} at {percent:.0} %: {figure} is {ratio} times the published"
                    );
                    rendered.findings.push(text);
                }
            }
        }
    }
    rendered
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::super::figures::Figures;
    use super::super::figures::tests::small;
    use super::*;

    #[test]
    fn render_unloaded__finds_what_is_not_1() {
        let commands = unloaded_commands();
        let mut figures = Figures::default();
        let with = |mean| {
            let mut run = small("w3");
            run.slowdown.mean_by_message = Some(mean);
            run
        };
        figures.put(&commands[0], vec![with(1.005), with(1.02)]);
        let rendered = render_unloaded(&Results { commands, figures });
        assert_eq!(rendered.findings, ["w3 bytes alone: slowdown 1.02"]);
        assert!(rendered.text.contains("| w3 | 300 | 1.005 |"));
    }

    #[test]
    fn render_oracle__finds_what_is_elsewhere() {
        let commands = oracle_commands();
        let mut figures = Figures::default();
        let mut run = small("w4");
        for (bin, row) in run.bins.iter_mut().zip(published::slowdown("SRPT-Oracle", "w4").unwrap())
        {
            (bin.p50, bin.p99) = (Some(row.p50 * 1.05), Some(row.p99));
        }
        figures.put(&commands[3], vec![run.clone()]);
        let rendered =
            render_oracle(&Results { commands: commands.clone(), figures: figures.clone() });
        assert!(rendered.findings.is_empty(), "{:?}", rendered.findings);
        run.bins.iter_mut().for_each(|bin| bin.p50 = bin.p50.map(|p50| 0.5 * p50));
        figures.put(&commands[3], vec![run]);
        let rendered = render_oracle(&Results { commands, figures });
        assert_eq!(rendered.findings.len(), 10);
    }
}
