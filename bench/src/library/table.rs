//! The library's table.

use super::Took;
use crate::args::Options;
use crate::report::Report;
use std::time::Duration;

/// What 99 of 100 pages should come within.
const AIM: Duration = Duration::from_millis(50);

pub(super) fn report(
    name: &'static str,
    options: &Options,
    all: &[Took],
    made: &[(&'static str, Duration)],
) -> Report {
    let mut report = Report::new(name, "The library: lists and searches");
    report.fact(format!(
        "{} videos; {} questions of each kind, one after the other",
        options.videos, options.questions
    ));
    report.fact(if cfg!(debug_assertions) {
        "Built without optimisation"
    } else {
        "Built with optimisation"
    });
    for (engine, took) in made {
        report.fact(format!("{engine}: the library was made in {:.0} s", took.as_secs_f64()));
    }
    report.paragraph(format!(
        "Milliseconds that a client waits for a page of the origin over HTTP, on a kept connection. Aim: p99 below {} ms.",
        AIM.as_millis()
    ));
    let head = ["engine", "question", "videos", "p50 ms", "p99 ms", "max ms", "aim"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let millis = |micros: u64| format!("{:.2}", micros as f64 / 1_000.0);
    for took in all {
        let p99 = took.times.value_at_quantile(0.99);
        rows.push(vec![
            took.engine.to_owned(),
            took.name.to_owned(),
            took.found.to_string(),
            millis(took.times.value_at_quantile(0.5)),
            millis(p99),
            millis(took.times.max()),
            if u128::from(p99) < AIM.as_micros() { "met" } else { "missed" }.to_owned(),
        ]);
    }
    report.table(&rows);
    report
}
