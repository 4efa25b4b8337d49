//! Other numbers of priorities, cutoffs and unscheduled bytes (SIGCOMM 2018, figures 17 to 20), and what
//! priorities carry (figure 21).

use homa_sim::plot::{self, Curve, Line};
use homa_sim::published::{self, Parameter, ParameterCurve};
use homa_sim::{Workload, stats};

use super::command::Command;
use super::figures::Run;
use super::markdown::{one, ratio, table, two};
use super::{Experiment, Rendered, Results};

/// Figure 17.
pub(super) const UNSCHEDULED_PRIORITIES: Experiment = Experiment {
    name: "unscheduled-priorities",
    title: "The number of unscheduled priorities, W1",
    about: "\
P99 slowdown at 80 % load with 1, 2, 3 and 7 priorities for unscheduled packets and one for scheduled ones, beside figure 17 of \
SIGCOMM'18.",
    commands: unscheduled_priorities,
    render: |results| render(results, Parameter::UnscheduledPriorities),
};

/// Figure 18.
pub(super) const CUTOFF: Experiment = Experiment {
    name: "cutoff",
    title: "The cutoff between two unscheduled priorities, W3",
    about: "\
P99 slowdown at 80 % load with two priorities for unscheduled packets and four for scheduled ones, by the length that divides the \
former, beside figure 18 of SIGCOMM'18.",
    commands: cutoffs,
    render: |results| render(results, Parameter::CutoffBytes),
};

/// Figure 19.
pub(super) const SCHEDULED_PRIORITIES: Experiment = Experiment {
    name: "scheduled-priorities",
    title: "The number of scheduled priorities, W4",
    about: "\
P99 slowdown at 80 % load with 4 and with 7 priorities for scheduled packets, 7 messages being granted at a time in both, beside figure \
19 of SIGCOMM'18.",
    commands: scheduled_priorities,
    render: |results| render(results, Parameter::ScheduledPriorities),
};

/// Figure 20.
pub(super) const UNSCHEDULED_BYTES: Experiment = Experiment {
    name: "unscheduled-bytes",
    title: "The number of unscheduled bytes, W4",
    about: "P99 slowdown at 80 % load by the bytes of a message that are sent without a grant, beside figure 20 of SIGCOMM'18.",
    commands: unscheduled_bytes,
    render: |results| render(results, Parameter::UnscheduledBytes),
};

/// Figure 21.
pub(super) const PRIORITY_USE: Experiment = Experiment {
    name: "priority-use",
    title: "What each priority carries, W3",
    about: "\
The share of hosts' links that each priority takes, in percent, beside figure 21 of SIGCOMM'18. Priorities 0 to 3 are for scheduled \
packets, 4 to 7 for unscheduled ones; control packets are of the highest.",
    commands: priority_use,
    render: render_priority_use,
};

/// W4 in less time than the main comparison takes: medians are good, a P99 is that of a few hundred messages.
const W4: &str =
    "--workload w4 --load 0.8 --messages 25000 --runs 2 --set warmup_ms=40 --set seconds_max=0.2";
const W3: &str =
    "--workload w3 --load 0.8 --messages 150000 --runs 2 --set warmup_ms=20 --set seconds_max=0.1";
const QUICK: &str = "messages=3000 warmup_ms=5 seconds_max=0.03";
const QUICK_SHORT: &str = "messages=30K warmup_ms=2 seconds_max=0.03";

/// Percentages of messages at which curves are compared.
const PERCENTS: [f64; 10] = [10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 99.0];
/// The loads of figure 21.
const LOADS: [f64; 3] = [50.0, 80.0, 90.0];

fn unscheduled_priorities() -> Vec<Command> {
    let command = |count: &u32| {
        let arguments = format!(
            "--workload w1 --load 0.8 --priorities {} --overcommit 1 --set homa.unscheduled_priorities={count}",
            count + 1
        );
        Command::new(count.to_string(), arguments).quick(QUICK_SHORT)
    };
    [1, 2, 3, 7].iter().map(command).collect()
}

fn cutoffs() -> Vec<Command> {
    let command = |bytes: &u32| {
        // Levels 0 to 3 are for scheduled packets; no message is longer than 20 MB.
        let arguments = format!(
            "{W3} --priorities 6 --overcommit 4 --set homa.unscheduled_priorities=2 \
             --set homa.cutoffs=[20000000,20000000,20000000,20000000,20000000,{bytes},0,0]"
        );
        Command::new(bytes.to_string(), arguments).quick(QUICK_SHORT)
    };
    [100, 400, 1000, 2000, 4000].iter().map(command).collect()
}

fn scheduled_priorities() -> Vec<Command> {
    let command = |count: &u32| {
        let arguments = format!(
            "{W4} --priorities {} --overcommit 7 --set homa.unscheduled_priorities=1",
            count + 1
        );
        Command::new(count.to_string(), arguments).quick(QUICK)
    };
    [4, 7].iter().map(command).collect()
}

fn unscheduled_bytes() -> Vec<Command> {
    let command = |bytes: &u32| {
        Command::new(bytes.to_string(), format!("{W4} --unsched {bytes}")).quick(QUICK)
    };
    [1, 500, 1000, 9328, 18656].iter().map(command).collect()
}

fn render(results: &Results, parameter: Parameter) -> Rendered {
    let published = published::sensitivity(parameter);
    let measured = || {
        published.iter().filter_map(|curve| {
            let label = curve.parameter.to_string();
            Some((curve, results.runs(&label).first()?))
        })
    };
    let Some((_, first)) = measured().next() else { return Rendered::default() };
    let lengths = Workload::named(&first.workload).ok();
    let percents = PERCENTS.map(|percent| format!("{percent:.0} %"));
    let header: Vec<&str> =
        ["value", ""].into_iter().chain(percents.iter().map(String::as_str)).collect();
    let rows: Vec<_> = measured().flat_map(|(curve, run)| rows(curve, run)).collect();
    let samples =
        measured().flat_map(|(_, run)| PERCENTS.map(|percent| samples(run, percent))).min();
    let curves: Vec<Curve> = measured()
        .enumerate()
        .flat_map(|(color, (curve, run))| curves(color, curve, run))
        .collect();
    let svg = lengths.map(|lengths| plot::slowdown("P99 slowdown", lengths.bins(), &curves));
    let note = format!("At least {} messages in each bin.\n\n", samples.unwrap_or_default());
    Rendered {
        text: note + &table(&header, &rows),
        plots: svg.map(|svg| (String::new(), svg)).into_iter().collect(),
        ..Rendered::default()
    }
}

fn samples(run: &Run, percent: f64) -> u64 {
    stats::bin_at(&run.bins, percent).map_or(0, |bin| bin.count)
}

/// Ours, the published, and the ratio, at each of the percentages.
fn rows(curve: &ParameterCurve, run: &Run) -> [Vec<String>; 3] {
    let ours = |percent| stats::bin_at(&run.bins, percent).and_then(|bin| bin.p99);
    let theirs =
        |percent| curve.points.iter().find(|point| point.0 >= percent).map(|point| point.1);
    let ratio = |percent| ratio(ours(percent), theirs(percent));
    let row = |name: &str, value: &dyn Fn(f64) -> Option<f64>| {
        let values = PERCENTS.iter().map(|&percent| two(value(percent)));
        [curve.parameter.to_string(), name.into()].into_iter().chain(values).collect()
    };
    [row("ours", &ours), row("published", &theirs), row("ratio", &ratio)]
}

fn curves(color: usize, curve: &ParameterCurve, run: &Run) -> [Curve; 2] {
    let ours = run.bins.iter().filter_map(|bin| Some((bin.cum_pct, bin.p99?)));
    // Between the points that are published there are more bins, of fewer messages.
    let ours = ours.filter(|point| point.0 <= PERCENTS[PERCENTS.len() - 1]).collect();
    let name = curve.parameter.to_string();
    [
        Curve { name: name.clone(), points: ours, color, line: Line::Solid },
        Curve {
            name: format!("{name}, published"),
            points: curve.points.clone(),
            color,
            line: Line::Dotted,
        },
    ]
}

fn priority_use() -> Vec<Command> {
    let arguments = "--workload w3 --messages 150000 --runs 1 --set warmup_ms=40 --set seconds_max=0.1 --sweep load=0.5,0.8,0.9";
    vec![Command::new("all", arguments).quick("messages=30K warmup_ms=10 seconds_max=0.03")]
}

fn render_priority_use(results: &Results) -> Rendered {
    let runs = results.runs("all");
    if runs.is_empty() {
        return Rendered::default();
    }
    let published = published::priority_shares();
    let mut rows = Vec::new();
    for (run, load) in runs.iter().zip(LOADS) {
        // Shares of what hosts sent, of which links were in use for so much of the time.
        let ours = run.priorities.map(|share| share * run.utilization_pct / 100.0);
        let theirs = (0..8u8).map(|priority| {
            let mut shares = published.iter();
            shares
                .find(|share| share.priority == priority && (share.load_percent - load).abs() < 0.5)
                .map(|share| share.bandwidth_percent)
        });
        let row = |name: &str, values: &mut dyn Iterator<Item = Option<f64>>| {
            [format!("{load:.0}"), name.into()].into_iter().chain(values.map(one)).collect()
        };
        rows.push(row("ours", &mut ours.into_iter().map(Some)));
        rows.push(row("published", &mut theirs.into_iter()));
    }
    let header = ["load, %", "", "P0", "P1", "P2", "P3", "P4", "P5", "P6", "P7"];
    Rendered { text: table(&header, &rows), ..Rendered::default() }
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::super::figures::Figures;
    use super::super::figures::tests::small;
    use super::*;

    #[test]
    fn commands__are_for_the_published_values() {
        for (commands, parameter) in [
            (unscheduled_priorities(), Parameter::UnscheduledPriorities),
            (cutoffs(), Parameter::CutoffBytes),
            (scheduled_priorities(), Parameter::ScheduledPriorities),
            (unscheduled_bytes(), Parameter::UnscheduledBytes),
        ] {
            let labels: Vec<String> = commands.into_iter().map(|command| command.label).collect();
            let curves = published::sensitivity(parameter);
            let values: Vec<String> =
                curves.iter().map(|curve| curve.parameter.to_string()).collect();
            assert_eq!(labels, values);
        }
    }

    #[test]
    fn render__divides_ours_by_the_published() {
        let commands = unscheduled_bytes();
        let mut figures = Figures::default();
        let mut run = small("w4");
        run.bins.iter_mut().for_each(|bin| (bin.count, bin.p99) = (7, Some(4.06)));
        figures.put(&commands[3], vec![run]);
        let rendered = render(&Results { commands, figures }, Parameter::UnscheduledBytes);
        assert!(rendered.text.contains("At least 7 messages"), "{}", rendered.text);
        // 2.03 is published at 10 %.
        assert!(rendered.text.contains("| 9328 | ratio | 2.00 |"), "{}", rendered.text);
        assert!(rendered.plots[0].1.contains("9328, published"));
    }

    #[test]
    fn render_priority_use__is_in_percent_of_links() {
        let commands = priority_use();
        let mut figures = Figures::default();
        let mut run = small("w3");
        run.priorities = [50.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 50.0];
        run.utilization_pct = 50.0;
        figures.put(&commands[0], vec![run]);
        let text = render_priority_use(&Results { commands, figures }).text;
        assert!(text.contains("| 50 | ours | 25.0 | 0.0 |"), "{text}");
        assert!(text.contains("| 50 | published | 20.5 | 7.5 |"), "{text}");
    }
}
