//! The tables.

use super::queue::{self, Queue};
use super::{sent, workers};
use crate::report::Report;
use std::time::Duration;

pub(super) fn begin(name: &'static str) -> Report {
    Report::new(name, "How soon uploads play")
}

fn row(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

fn seconds(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64())
}

fn met(met: bool) -> &'static str {
    if met { "met" } else { "missed" }
}

pub(super) fn sent(report: &mut Report, rounds: &[sent::Round]) {
    report.paragraph(
        "A source of 1080p at 30 frames/s, sent at twice its bitrate by tus through an edge: from the acknowledgement of the \
         last byte of its first group of pictures to the first segment of picture and sound at that edge. Aim: below 3 s.",
    );
    let mut rows = vec![row(&["round", "waited s", "part sent", "aim"])];
    for (number, round) in (1..).zip(rounds) {
        let aim = met(round.waited < Duration::from_secs(3));
        rows.push(vec![
            number.to_string(),
            seconds(round.waited),
            format!("{:.0} %", round.sent * 100.0),
            aim.to_owned(),
        ]);
    }
    report.table(&rows);
}

pub(super) fn queue(report: &mut Report, queue: &Queue) {
    let (length, size) = queue::CLIP;
    report.paragraph(format!(
        "{} videos of {length} s at {size} that are all there when the one worker begins, and when each can be played. In the \
         order of arrival each would wait for those before it to be whole: the time that all of them took here, by their \
         number, and then what one alone takes ({} s). Aim: 10 times sooner at p95.",
        queue.playable.len(),
        seconds(queue.alone),
    ));
    let (mut ours, mut theirs) = (queue.playable.clone(), queue.in_order());
    ours.sort();
    theirs.sort();
    let at = |times: &[Duration], share: f64| {
        let place = (times.len() as f64 * share).ceil() as usize;
        times.get(place.saturating_sub(1)).copied().unwrap_or_default()
    };
    let mut rows = vec![row(&["", "p50 s", "p95 s", "last s", "all whole s"])];
    for (name, times) in [("by deadline", &ours), ("in the order of arrival", &theirs)] {
        rows.push(vec![
            name.to_owned(),
            seconds(at(times, 0.5)),
            seconds(at(times, 0.95)),
            seconds(at(times, 1.0)),
            seconds(queue.whole),
        ]);
    }
    report.table(&rows);
    let sooner = at(&theirs, 0.95).as_secs_f64() / at(&ours, 0.95).as_secs_f64().max(0.001);
    report.paragraph(format!("{sooner:.1} times sooner at p95: {}.", met(sooner >= 10.0)));
}

pub(super) fn workers(report: &mut Report, rounds: &[workers::Round]) {
    let (length, size) = workers::CLIP;
    report.paragraph(format!(
        "A film of {length} s at {size}, from the workers' start until it is ready, on one worker and on two, each with a \
         processor of its own. Aim: 1.8 times."
    ));
    let mut rows = vec![row(&["round", "one worker s", "two workers s", "times", "aim"])];
    for (number, round) in (1..).zip(rounds) {
        let times = round.one.as_secs_f64() / round.two.as_secs_f64().max(0.001);
        let aim = met(times >= 1.8).to_owned();
        rows.push(vec![
            number.to_string(),
            seconds(round.one),
            seconds(round.two),
            format!("{times:.2}"),
            aim,
        ]);
    }
    report.table(&rows);
}
