//! The library's table.

use crate::args::Options;
use crate::pages::{AIM, Took, table};
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
    table(&mut report, "engine", "videos", all);
    report
}
