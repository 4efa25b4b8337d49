//! What the network bears: wasted bandwidth by load and overcommitment, and the highest load (SIGCOMM 2018,
//! figures 16 and 15).

use homa_sim::plot::{self, Curve, Line, Scale};
use homa_sim::published;

use super::command::Command;
use super::figures::Run;
use super::markdown::{one, ratio, table, two};
use super::{Experiment, Rendered, Results};

/// Figure 16.
pub(super) const WASTE: Experiment = Experiment {
    name: "wasted-bandwidth",
    title: "Wasted bandwidth by load and overcommitment, W4",
    about: "\
For how much of the time, in percent, links to hosts are idle while their receivers withhold grants, with 1 to 7 scheduled priorities, \
which is the degree of overcommitment; beside figure 16 of SIGCOMM'18. 48 hosts, so that runs are short, and 40 ms of traffic before \
what is measured. Where the backlog still grew by more than 10 % of what was offered (marked `*`), waste depends on how long one \
waits, and figures are too low: load is not sustained (the paper has no figure then), or 40 ms were too short, as they are for the \
longest of W4's messages at high load.",
    commands: waste_commands,
    render: render_waste,
};

/// Figure 15.
pub(super) const MAX_LOAD: Experiment = Experiment {
    name: "max-load",
    title: "The highest load",
    about: "\
The highest load that Homa sustains, beside figure 15 of SIGCOMM'18. Criterion: the backlog, data of messages that have started and \
not arrived, grows by at most 2 % of what is offered while it is measured; the highest load of the sweep up to which that is so. \
Above its limit C a network leaves 1 - C/L of a load L undone, so that 2 % is about two points of load. 32 hosts, so that the time \
is long in comparison with what the longest messages take.",
    commands: max_load_commands,
    render: render_max_load,
};

const DEGREES: [u32; 6] = [1, 2, 3, 4, 5, 7];
/// Beyond such a growth of the backlog waste means little.
const GROWTH_REMARKABLE: f64 = 0.10;
/// Up to such a growth the load counts as sustained.
const GROWTH_MAX: f64 = 0.02;

/// Workloads, with messages, warm-up in ms, and the longest time in s.
const WORKLOADS: [(&str, &str, &str, &str); 4] = [
    ("w1", "1500000", "10", "0.5"),
    ("w2", "1500000", "20", "0.5"),
    // Of the longest messages some take a second, and few of them make much of the backlog.
    ("w3", "5000000", "1500", "2.2"),
    ("w4", "360000", "2000", "4"),
];

fn waste_commands() -> Vec<Command> {
    let command = |&degree: &u32| {
        let priorities = degree + 1;
        let arguments = format!(
            "--workload w4 --hosts 48 --priorities {priorities} --overcommit {degree} \
             --set homa.unscheduled_priorities=1 --messages 10000 --runs 1 --set warmup_ms=40 \
             --set seconds_max=0.12 --sweep load=0.5,0.6,0.7,0.8,0.87"
        );
        Command::new(degree.to_string(), arguments)
            .quick("messages=2000 warmup_ms=10 seconds_max=0.04")
    };
    DEGREES.iter().map(command).collect()
}

fn render_waste(results: &Results) -> Rendered {
    let published = published::wasted_bandwidth();
    let (mut rows, mut curves) = (Vec::new(), Vec::new());
    for (color, degree) in DEGREES.into_iter().enumerate() {
        let runs = results.runs(&degree.to_string());
        if runs.is_empty() {
            continue;
        }
        let theirs = published.iter().find(|curve| curve.parameter == degree);
        let theirs = theirs.map_or(&[][..], |curve| &curve.points);
        for run in runs {
            let percent = 100.0 * run.load;
            let is_growing = run.backlog_growth().is_some_and(|growth| growth > GROWTH_REMARKABLE);
            let mark = if is_growing { "*" } else { "" };
            let expected = interpolated(theirs, percent);
            rows.push(vec![
                degree.to_string(),
                format!("{percent:.0}"),
                format!("{:.2}{mark}", run.wasted_pct),
                two(expected),
                one(Some(run.utilization_pct)),
                growth(run),
            ]);
        }
        let ours = runs.iter().map(|run| (100.0 * run.load, run.wasted_pct)).collect();
        curves.push(Curve { name: format!("{degree}"), points: ours, color, line: Line::Solid });
        let shown = theirs.iter().copied().filter(|point| point.0 >= 50.0).collect();
        let name = format!("{degree}, published");
        curves.push(Curve { name, points: shown, color, line: Line::Dotted });
    }
    if rows.is_empty() {
        return Rendered::default();
    }
    let header =
        ["overcommitment", "load, %", "wasted, %", "published", "in use, %", "backlog growth, %"];
    let (x, y) = (("load, %", Scale::Linear), ("wasted bandwidth, %", Scale::Linear));
    let svg = plot::lines("Wasted bandwidth, W4, by overcommitment", x, y, &curves);
    Rendered {
        text: table(&header, &rows),
        plots: vec![(String::new(), svg)],
        ..Rendered::default()
    }
}

/// The value of a curve between its points; none beyond them.
fn interpolated(points: &[(f64, f64)], at: f64) -> Option<f64> {
    let pair = points.windows(2).find(|pair| (pair[0].0..=pair[1].0).contains(&at))?;
    let [(x0, y0), (x1, y1)] = [pair[0], pair[1]];
    Some(y0 + (y1 - y0) * (at - x0) / (x1 - x0))
}

fn growth(run: &Run) -> String {
    one(run.backlog_growth().map(|growth| 100.0 * growth))
}

fn max_load_commands() -> Vec<Command> {
    let command = |&(workload, messages, warmup_ms, seconds_max): &(&str, &str, &str, &str)| {
        let arguments = format!(
            "--workload {workload} --hosts 32 --messages {messages} --runs 1 --set warmup_ms={warmup_ms} \
             --set seconds_max={seconds_max} --sweep load=0.84,0.86,0.88,0.9,0.92,0.94"
        );
        let messages = if workload == "w4" { "5000" } else { "100000" };
        let quick = format!("messages={messages} warmup_ms=10 seconds_max=0.1");
        Command::new(workload, arguments).quick(&quick)
    };
    WORKLOADS.iter().map(command).collect()
}

fn render_max_load(results: &Results) -> Rendered {
    let (mut rows, mut growths) = (Vec::new(), Vec::new());
    for (workload, ..) in WORKLOADS {
        let runs = results.runs(workload);
        if runs.is_empty() {
            continue;
        }
        let name = workload.to_uppercase();
        let best = highest_load(runs).map(|load| 100.0 * load);
        let published = published::max_load("Homa", workload).map(|load| load.total_percent);
        // The limit lies beyond the sweep if all of it is sustained.
        let is_bound = runs.last().is_some_and(|run| best == Some(100.0 * run.load));
        let mark = if is_bound { "at least " } else { "" };
        let best_text = format!("{mark}{}", one(best));
        rows.push(vec![name.clone(), best_text, one(published), two(ratio(best, published))]);
        for run in runs {
            let load = format!("{:.0}", 100.0 * run.load);
            let [goodput, offered] = [Some(run.goodput_gbps), run.offered_gbps].map(two);
            growths.push(vec![
                name.clone(),
                load,
                offered,
                goodput,
                growth(run),
                two(Some(run.wasted_pct)),
            ]);
        }
    }
    if rows.is_empty() {
        return Rendered::default();
    }
    let summary = table(&["workload", "highest load, %", "published", "ratio"], &rows);
    let header =
        ["workload", "load, %", "offered, Gb/s", "arrived, Gb/s", "backlog growth, %", "wasted, %"];
    let text = format!("{summary}\n## Backlogs\n\n{}", table(&header, &growths));
    Rendered { text, ..Rendered::default() }
}

/// The highest load below all those at which the backlog grows.
fn highest_load(runs: &[Run]) -> Option<f64> {
    let is_sustained = |run: &&Run| run.backlog_growth().is_some_and(|growth| growth <= GROWTH_MAX);
    runs.iter().take_while(is_sustained).last().map(|run| run.load)
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::super::figures::Figures;
    use super::super::figures::tests::small;
    use super::*;

    /// A run whose backlog grew by such a share of what was offered.
    fn with_growth(load: f64, growth: f64) -> Run {
        let mut run = small("w4");
        let offered = run.offered_gbps.unwrap() * 1.25e8 * run.window_seconds;
        run.load = load;
        run.backlog_bytes = Some([5e6, 5e6 + growth * offered]);
        run
    }

    #[test]
    fn highest_load__is_the_last_before_the_backlog_grows() {
        let runs = [(0.8, -0.01), (0.9, 0.01), (0.92, 0.05), (0.94, 0.01)];
        let runs = runs.map(|(load, growth)| with_growth(load, growth));
        assert_eq!(highest_load(&runs), Some(0.9));
        assert_eq!(highest_load(&runs[2..]), None);
    }

    #[test]
    fn interpolated__between_points() {
        let points = [(50.0, 1.0), (60.0, 3.0)];
        assert_eq!(interpolated(&points, 55.0), Some(2.0));
        assert_eq!(interpolated(&points, 60.0), Some(3.0));
        assert_eq!(interpolated(&points, 61.0), None);
    }

    #[test]
    fn render__sets_both_beside_the_published() {
        let commands = waste_commands();
        let mut figures = Figures::default();
        figures.put(&commands[5], vec![with_growth(0.8, 0.0), with_growth(0.87, 0.2)]);
        let rendered = render_waste(&Results { commands, figures });
        assert!(rendered.text.contains("| 7 | 80 | "), "{}", rendered.text);
        assert!(rendered.text.contains("* |") && rendered.plots[0].1.contains("7, published"));

        let commands = max_load_commands();
        let mut figures = Figures::default();
        figures.put(&commands[3], vec![with_growth(0.88, 0.0), with_growth(0.9, 0.2)]);
        let rendered = render_max_load(&Results { commands, figures });
        assert!(rendered.text.contains("| W4 | 88.0 | 89.0 | 0.99 |"), "{}", rendered.text);
    }
}
