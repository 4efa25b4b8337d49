//! Incast with and without the paper's optimisation (SIGCOMM 2018, figure 10).

use homa_sim::plot::{self, Curve, Line, Scale};
use homa_sim::published;

use super::command::Command;
use super::figures::Run;
use super::markdown::{ratio, table, two};
use super::{Experiment, Rendered, Results};

/// Figure 10.
pub(super) const INCAST: Experiment = Experiment {
    name: "incast",
    title: "Incast, with and without control",
    about: "\
One client has many RPCs under way at once, to 15 servers at random; requests have 100 bytes, responses 10,000. With control (ADR 0011: \
`homa.incast_calls_max`, here 20) requests of a client that has many say so, and servers send no more than 400 bytes of their response \
unasked. A response of 10,000 bytes needs no second grant, so that by the rule of the published simulation, \
places that end when all is granted, each is granted at once and control changes nothing; the last rows are \
without that rule (`homa.places_end_when_granted=false`, as in the core by default). Figure 10 of SIGCOMM'18 was measured with the implementation in RAMCloud on 16 machines, whose switch had buffers of a size \
that the paper does not tell; here each queue of the switch holds 3 MB, since the published collapse begins beyond 300 RPCs.",
    commands,
    render,
};

const RESPONSE_BYTES: f64 = 10_000.0;
const WITHOUT: &str = "without";
const WITH: &str = "with control";
const WITHOUT_PLACES: &str = "without, places until arrival";
const WITH_PLACES: &str = "with control, places until arrival";

fn commands() -> Vec<Command> {
    let command = |label, setting: &str| {
        let arguments = format!(
            "--workload 100 --set exchange.reply=10000 --set network.topology.shape=single_switch \
             --set network.topology.hosts=16 --set network.buffer_bytes=3MB --set traffic.pattern=clients \
             --set traffic.clients=1 --set traffic.outstanding=1 --set homa.resend_ms=2 \
             --set warmup_ms=0 --set seconds_max=2 --messages 50000 --runs 1{setting} \
             --sweep traffic.outstanding=100,200,300,400,500,1000,2000,5000"
        );
        Command::new(label, arguments).quick("messages=10000")
    };
    let control = " --set homa.incast_calls_max=20";
    let places = " --set homa.places_end_when_granted=false";
    vec![
        command(WITHOUT, ""),
        command(WITH, control),
        command(WITHOUT_PLACES, places),
        command(WITH_PLACES, &format!("{control}{places}")),
    ]
}

fn render(results: &Results) -> Rendered {
    let published = published::incast_throughput();
    let kinds = [
        (WITHOUT, &published.without_control),
        (WITH, &published.with_control),
        (WITHOUT_PLACES, &published.without_control),
        (WITH_PLACES, &published.with_control),
    ];
    let (mut rows, mut curves) = (Vec::new(), Vec::new());
    for (color, (label, theirs)) in kinds.into_iter().enumerate() {
        let runs = results.runs(label);
        if runs.is_empty() {
            continue;
        }
        let ours: Vec<(f64, f64)> = runs.iter().filter_map(point).collect();
        for (run, &(calls, gbps)) in runs.iter().zip(&ours) {
            let expected = nearest(theirs, calls);
            let queue = run.queues.get("tor_to_host").map_or(0, |queue| queue.max_bytes);
            rows.push(vec![
                label.into(),
                format!("{calls:.0}"),
                two(Some(gbps)),
                two(expected),
                two(ratio(Some(gbps), expected)),
                format!("{:.0}", queue as f64 / 1e3),
                run.drops.to_string(),
            ]);
        }
        curves.push(Curve { name: label.into(), points: ours, color, line: Line::Solid });
        if [WITH, WITHOUT].contains(&label) {
            let name = format!("{label}, published");
            curves.push(Curve { name, points: theirs.clone(), color, line: Line::Dotted });
        }
    }
    if rows.is_empty() {
        return Rendered::default();
    }
    let header = [
        "",
        "RPCs under way",
        "Gb/s",
        "published",
        "ratio",
        "longest queue, KB",
        "packets dropped",
    ];
    let (x, y) = (("RPCs under way", Scale::Logarithmic), ("Gb/s", Scale::Linear));
    let svg = plot::lines("Incast: responses to one client", x, y, &curves);
    Rendered {
        text: table(&header, &rows),
        plots: vec![(String::new(), svg)],
        ..Rendered::default()
    }
}

/// RPCs under way, and the responses that the client gets in Gb/s: each RPC begins when one has ended, but for
/// the first ones. (What arrives is more if packets are sent again.)
fn point(run: &Run) -> Option<(f64, f64)> {
    let outstanding = run.swept("traffic.outstanding")?;
    let ended = run.messages as f64 - outstanding;
    Some((outstanding, ended * RESPONSE_BYTES * 8e-9 / run.window_seconds))
}

/// The published value next to a number of RPCs.
fn nearest(points: &[(f64, f64)], calls: f64) -> Option<f64> {
    let distance = |point: &&(f64, f64)| (point.0 - calls).abs();
    points.iter().min_by(|a, b| distance(a).total_cmp(&distance(b))).map(|point| point.1)
}

#[cfg(test)]
mod tests {
    #![allow(non_snake_case, reason = "tests are named function__case")]
    use super::super::figures::Figures;
    use super::super::figures::tests::small;
    use super::*;

    #[test]
    fn render__sets_both_kinds_beside_the_published() {
        let commands = commands();
        let mut figures = Figures::default();
        let run = |calls: u32, gbps: f64| {
            let mut run = small("w4");
            run.set = [("traffic.outstanding".to_owned(), calls.into())].into();
            run.messages = (gbps * 1e9 * run.window_seconds / 80_000.0) as u64 + u64::from(calls);
            run
        };
        figures.put(&commands[0], vec![run(500, 2.2)]);
        figures.put(&commands[1], vec![run(500, 9.6)]);
        let rendered = render(&Results { commands, figures });
        assert!(rendered.text.contains("| with control | 500 | 9.60 | 9."), "{}", rendered.text);
        assert!(rendered.text.contains("| without | 500 | 2.20 | 2."), "{}", rendered.text);
        assert_eq!(rendered.plots.len(), 1);
    }
}
