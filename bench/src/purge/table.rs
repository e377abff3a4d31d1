//! The table of purges.

use super::fleet::EDGES;
use super::{Delays, SAMPLED, WARM_UP};
use crate::args::Options;
use crate::report::Report;
use crate::statistics::{HEAD_OF_DELAYS, percentile, row_of_delays, short};

/// The 99th percentile that is to be kept.
const AIM_MS: f64 = 50.0;

/// The whole document.
pub(super) fn report(
    name: &'static str,
    options: &Options,
    delays: &Delays,
    counted: &str,
    commands: &[String],
) -> Report {
    let mut report = Report::new(name, "Purges: from the commit to fresh on every edge");
    report.fact(format!(
        "Purges: {} by URL, hard, {} a second at most, one after the other, after {WARM_UP} that do not count",
        options.purges, options.rate
    ));
    report
        .fact(format!("Fleet: a control plane, an origin, {} edges, one process each; SQLite", EDGES.len()));
    report.paragraph(HOW.replace("SAMPLED", &SAMPLED.to_string()));
    let mut rows = vec![HEAD_OF_DELAYS.map(str::to_owned).to_vec()];
    rows.push(row_of_delays("commit -> applied by the last edge", &delays.commit_to_applied));
    rows.push(row_of_delays("call -> applied by the last edge", &delays.call_to_applied));
    rows.push(row_of_delays("call -> a client of an edge has the new body", &delays.call_to_fresh));
    report.table(&rows);
    let worst = [&delays.commit_to_applied, &delays.call_to_fresh].map(|delays| percentile(delays, 0.99));
    let worst = worst[0].max(worst[1]);
    let kept = if worst < AIM_MS { "kept" } else { "missed" };
    report.paragraph(format!(
        "Aim: a 99th percentile below {} ms, from the commit to applied and from the call to fresh: {kept} ({} ms).",
        short(AIM_MS),
        short(worst)
    ));
    report.heading("What the control plane exports");
    report.block(counted);
    report.heading("Commands");
    report.block(&commands.join("\n"));
    report
}

/// How to read it.
const HOW: &str = "A purge is called with `?wait`: its answer says how long after the commit was acknowledged the last edge \
reported that it has applied it. For each SAMPLEDth purge the origin's file was changed before, and a client of each edge \
asks for it from the moment of the call, with a millisecond between two looks, until it has the new body: that includes the \
commit, the fetch from the origin, and the looking. Everything shares the machine's processors, and each purge is on disk \
before it is acknowledged.";
