//! Slowdown with the cutoffs of the authors' implementation.

use super::command::Command;
use super::slowdown::slowdown_table;
use super::{Experiment, Rendered, Results};

/// Those of RAMCloud's configuration (PAPER_RESULTS 1.10).
pub(super) const RAMCLOUD_CUTOFFS: Experiment = Experiment {
    name: "ramcloud-cutoffs",
    title: "Slowdown at 80 % load with the cutoffs of RAMCloud",
    about: "\
The cutoffs between unscheduled priorities that the authors' implementation in RAMCloud is configured with, instead of those that the \
core computes from the workload: 11, 126, 279, 484, 820 and 1543 bytes for W1, 469, 5521 and 15267 for W3. Slowdown beside figures 12 \
and 13 of SIGCOMM'18, which steps at these lengths.",
    commands,
    render,
};

/// Workload, table by level from the lowest, and what else makes runs shorter.
const TABLES: [(&str, &str, &str); 2] = [
    ("w1", "[1000000,1000000,1543,820,484,279,126,11]", ""),
    (
        "w3",
        "[20000000,20000000,20000000,20000000,20000000,15267,5521,469]",
        " --messages 200000 --set warmup_ms=20 --set seconds_max=0.1",
    ),
];

fn commands() -> Vec<Command> {
    let command = |&(workload, table, less): &(&str, &str, &str)| {
        let arguments =
            format!("--workload {workload} --load 0.8 --set homa.cutoffs={table}{less}");
        Command::new(workload, arguments).quick("messages=30K warmup_ms=2 seconds_max=0.03")
    };
    TABLES.iter().map(command).collect()
}

fn render(results: &Results) -> Rendered {
    let runs = TABLES.into_iter().filter_map(|(workload, ..)| results.runs(workload).first());
    let text = runs.fold(String::new(), |text, run| {
        text + &format!("## {}\n\n{}\n", run.workload.to_uppercase(), slowdown_table(run))
    });
    Rendered { text, ..Rendered::default() }
}
