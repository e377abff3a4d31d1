//! The library's table.

use super::Took;
use crate::args::Options;
use crate::pages::{AIM, HEAD};
use crate::report::Report;
use std::time::Duration;

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
    for (engine, took) in made {
        report.fact(format!("{engine}: the library was made in {:.0} s", took.as_secs_f64()));
    }
    report.paragraph(format!(
        "Milliseconds that a client waits for a page of the origin over HTTP, on a kept connection. Aim: p99 below {} ms.",
        AIM.as_millis()
    ));
    let head = ["engine", "question", "videos"].into_iter().chain(HEAD);
    let mut rows = vec![head.map(str::to_owned).collect::<Vec<_>>()];
    for took in all {
        let mut row = vec![took.engine.to_owned(), took.name.to_owned(), took.found.to_string()];
        row.extend(took.waits.row());
        rows.push(row);
    }
    report.table(&rows);
    report
}
