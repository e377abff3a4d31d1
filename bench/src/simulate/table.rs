//! The document.

use super::engine::Outcome;
use super::faults::{Kind, Timeline};
use super::tally::{Cause, Tally};
use super::world::World;
use super::{OUTSIDE, PRICE_WEIGHT, Ran};
use crate::report::Report;
use crate::statistics::short;
use std::ops::Range;

/// Decisions a second and core that are wanted.
const WANTED: f64 = 100_000.0;

pub(super) fn report(
    world: &World,
    timeline: &Timeline,
    ran: &[Ran],
    looped: &Outcome,
    speed: f64,
) -> Report {
    let mut report =
        Report::new("simulate", "Steering in simulation: millions of viewers, faults and a crowd");
    let scale = &world.scale;
    report.fact(format!(
        "World: {} edges in {} sites, {} viewers in 60 cities at the height, {} simulated seconds, seed {}",
        scale.edges,
        world.sites.len(),
        short(scale.viewers as f64),
        scale.seconds,
        scale.seed
    ));
    report.fact(format!("Timeline: {}", told(timeline)));
    report.fact(format!(
        "Decisions alone: {} a second and core over {} edges (wanted: {})",
        short(speed),
        scale.edges,
        short(WANTED)
    ));
    report.paragraph(HOW);
    report.heading("Viewers");
    report.table(&viewers(ran));
    report.heading("Milliseconds stalled in a viewer-hour, by what was so of the edge");
    report.table(&causes(ran));
    report.heading("Fleet");
    report.table(&fleet(world, timeline, ran));
    report.paragraph(format!(
        "Where price counts, a cent a gigabyte is as far as {} km. Outside CDNs are to have {} and {} % of sessions.",
        short(PRICE_WEIGHT * 10.0),
        short(OUTSIDE[0] * 100.0),
        short(OUTSIDE[1] * 100.0)
    ));
    report.heading("Seconds from a fault until its viewers are elsewhere");
    report.table(&delays(ran.iter().map(|ran| &ran.outcome)));
    report.heading("The same when everybody asks once a second");
    report.paragraph(format!(
        "{} viewers, TTL 1 s, for {} s: an edge is killed, another slowed, a site lost. Aim: P50 2 s, P99 4 s.",
        short(f64::from(looped.tally.within(0..u32::MAX).last().map_or(0, |s| s.viewers))),
        looped.tally.seconds.len()
    ));
    report.table(&delays(std::iter::once(looped)));
    report.heading("Questions and moves of Sluice's viewers");
    report.table(&phases(timeline, ran));
    report.heading("Damping: chosen moves a second around the swing");
    report.paragraph(SWING);
    report.table(&swing(timeline, ran));
    report
}

const HOW: &str = "Every policy meets the same viewers, faults and crowd. The decision code is `common/wire`'s, in views made four \
times a second as the control plane makes them. An edge is late 1.75 s after its last report of each second, and gone when its \
lease of 3 s is over; a slow one is known after 2 s. The others know it as early, and more: Sluice's players have what their \
manifest told up to 300 s ago, and leave a refused edge after 0.4 s and a silent one after 4.1 s for its next choice, without \
asking; a player of the others whose request failed asks at once, and is sent by what is known then (DNS: by what its resolver \
has kept). Players ask for 4 s segments and keep 10 s. An edge that is asked for more than it has gives everybody the same part \
of it, and players then take lower rungs. Caches are tables of tags of media groups of a minute, an approximation: what an edge \
lacks its site may have, what the site lacks is the origin's egress. A line carries half at 4,000 km. The day goes 12 times as \
fast. Two policies run beside each other, one thread each.";

fn told(timeline: &Timeline) -> String {
    let mut words: Vec<String> = vec![];
    for kind in Kind::ALL {
        let of: Vec<&Range<u32>> =
            timeline.faults.iter().filter(|f| f.kind == kind).map(|f| &f.when).collect();
        let mut times: Vec<String> = of.iter().map(|when| format!("{}-{} s", when.start, when.end)).collect();
        times.dedup();
        words.push(format!("{} {}", kind.as_str(), times.join(" and ")));
    }
    words.push(format!("a crowd on one title {}-{} s", timeline.crowd.start, timeline.crowd.end));
    words.push(format!("control plane silent {}-{} s", timeline.mute.start, timeline.mute.end));
    words.join(", ")
}

fn head(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn viewers(ran: &[Ran]) -> Vec<Vec<String>> {
    let mut rows = vec![head(&[
        "policy",
        "stalled ms / h",
        "sessions stalled %",
        "Mbit/s seen",
        "questions / h",
        "chosen moves / h",
        "forced / h",
        "failed over / h",
        "most chosen in 30 s",
    ])];
    for Ran { outcome, .. } in ran {
        let tally = &outcome.tally;
        let hours = tally.viewer_hours();
        let each = |count: u64| short(count as f64 / hours);
        rows.push(vec![
            outcome.name.clone(),
            each(tally.stalled_ms.iter().sum()),
            short(100.0 * tally.sessions_stalled as f64 / tally.sessions.max(1) as f64),
            short(tally.gigabytes * 8_000.0 / 3_600.0 / hours),
            short(tally.questions(0..u32::MAX)),
            each(tally.chosen),
            each(tally.forced),
            each(tally.failed_over),
            tally.burst.to_string(),
        ]);
    }
    rows
}

/// Why pictures stood still.
fn causes(ran: &[Ran]) -> Vec<Vec<String>> {
    let mut rows = vec![head(&["policy"])];
    rows[0].extend(Cause::ALL.map(|cause| cause.as_str().to_owned()));
    for Ran { outcome, .. } in ran {
        let tally = &outcome.tally;
        let mut row = vec![outcome.name.clone()];
        row.extend(tally.stalled_ms.map(|ms| short(ms as f64 / tally.viewer_hours())));
        rows.push(row);
    }
    rows
}

fn fleet(world: &World, timeline: &Timeline, ran: &[Ran]) -> Vec<Vec<String>> {
    let mut rows = vec![head(&[
        "policy",
        "busiest / mean",
        "edges over capacity %",
        "edge misses %",
        "origin egress %",
        "cost / 1,000 viewer-h",
        "outside % in peace",
        "decisions",
        "processor s",
        "clock s",
        "digest",
    ])];
    for Ran { outcome, took, wall } in ran {
        let (tally, caches) = (&outcome.tally, &outcome.caches);
        let of = |part: f64| short(100.0 * part / caches.asked.max(1e-9));
        rows.push(vec![
            outcome.name.clone(),
            short(tally.unevenness()),
            short(100.0 * tally.overloaded(world.own())),
            of(caches.missed),
            of(caches.origin),
            short(1_000.0 * tally.cost / tally.viewer_hours()),
            mix(tally, &timeline.peace),
            if outcome.decisions == 0 { "-".into() } else { short(outcome.decisions as f64) },
            format!("{:.0}", took.as_secs_f64()),
            format!("{:.0}", wall.as_secs_f64()),
            format!("{:016x}", outcome.digest),
        ]);
    }
    rows
}

/// Per cent of viewers that each outside CDN has.
fn mix(tally: &Tally, seconds: &Range<u32>) -> String {
    let of = tally.within(seconds.clone());
    let viewers: f64 = of.iter().map(|s| f64::from(s.viewers)).sum();
    let count = of.first().map_or(0, |s| s.outside.len());
    let share = |nth: usize| of.iter().map(|s| f64::from(s.outside[nth])).sum::<f64>() / viewers.max(1.0);
    let shares: Vec<String> = (0..count).map(|nth| short(100.0 * share(nth))).collect();
    if shares.is_empty() { "-".into() } else { shares.join(" + ") }
}

fn delays<'o>(of: impl Iterator<Item = &'o Outcome>) -> Vec<Vec<String>> {
    let mut rows = vec![head(&["policy", "fault", "viewers", "p50", "p99", "last"])];
    for outcome in of {
        for (kind, hist) in outcome.tally.delays.iter().filter(|(_, hist)| !hist.is_empty()) {
            let at = |share: f64| format!("{:.1}", hist.value_at_quantile(share) as f64 / 1_000.0);
            rows.push(vec![
                outcome.name.clone(),
                kind.as_str().into(),
                short(hist.len() as f64),
                at(0.5),
                at(0.99),
                format!("{:.1}", hist.max() as f64 / 1_000.0),
            ]);
        }
    }
    rows
}

/// By what is going on: questions, moves, and the busiest edge.
fn phases(timeline: &Timeline, ran: &[Ran]) -> Vec<Vec<String>> {
    let mut rows = vec![head(&[
        "policy",
        "while",
        "questions / viewer-h",
        "most questions / s of 1,000 viewers",
        "chosen moves / s at most",
        "in its last tenth",
        "busiest edge",
    ])];
    // A minute longer than the trouble, or until the next one.
    let next = |after: u32| {
        let starts = timeline.faults.iter().map(|fault| fault.when.start);
        let starts = starts.chain([timeline.crowd.start, timeline.mute.start]);
        starts.filter(|start| *start >= after).min().unwrap_or(u32::MAX)
    };
    let with_rest = |when: &Range<u32>| when.start..(when.end + 60).min(next(when.end));
    let of =
        |kind: Kind| timeline.faults.iter().find(|f| f.kind == kind).map_or(0..0, |f| with_rest(&f.when));
    let mut parts = vec![("peace", timeline.peace.clone())];
    parts.extend(Kind::ALL.map(|kind| (kind.as_str(), of(kind))));
    parts.extend([("crowd", with_rest(&timeline.crowd)), ("silence", timeline.mute.clone())]);
    for outcome in ran.iter().map(|ran| &ran.outcome).filter(|outcome| outcome.decisions > 0) {
        for (name, when) in &parts {
            let seconds = outcome.tally.within(when.clone());
            let last = &seconds[seconds.len() - seconds.len() / 10..];
            let most = seconds.iter().map(|s| 1_000.0 * f64::from(s.questions) / f64::from(s.viewers.max(1)));
            let chosen =
                |of: &[super::tally::Second]| of.iter().map(|s| s.chosen).max().unwrap_or(0).to_string();
            rows.push(vec![
                outcome.name.clone(),
                (*name).to_owned(),
                short(outcome.tally.questions(when.clone())),
                short(most.fold(0.0, f64::max)),
                chosen(seconds),
                chosen(last),
                short(seconds.iter().map(|s| s.busiest).fold(0.0, f64::max)),
            ]);
        }
    }
    rows
}

const SWING: &str = "By quarter minutes since something else began to take 60 % of one edge, for 2 s of 5 (0.2 Hz), until the next \
trouble; *before* is the quarter minute before, in which nothing is wrong.";
const WINDOW_S: u32 = 15;

/// Moves from the beginning of the swing until the next trouble.
fn swing(timeline: &Timeline, ran: &[Ran]) -> Vec<Vec<String>> {
    let Some(swings) = timeline.faults.iter().find(|fault| fault.kind == Kind::Swings) else { return vec![] };
    let (start, end) = (swings.when.start, swings.when.end);
    let starts = timeline.faults.iter().map(|fault| fault.when.start);
    let next = starts.filter(|start| *start >= end).min().unwrap_or(end);
    let windows: Vec<Range<u32>> = (start.saturating_sub(WINDOW_S)..next)
        .step_by(WINDOW_S as usize)
        .map(|from| from..(from + WINDOW_S).min(next))
        .collect();
    let name = |when: &Range<u32>| match when.start {
        from if from < start => "before".to_owned(),
        from if from < end => format!("{} s", from - start),
        from => format!("{} s, over", from - start),
    };
    let mut rows = vec![head(&["policy"])];
    rows[0].extend(windows.iter().map(name));
    for outcome in ran.iter().map(|ran| &ran.outcome).filter(|outcome| outcome.decisions > 0) {
        let mut row = vec![outcome.name.clone()];
        row.extend(windows.iter().map(|when| {
            let of = outcome.tally.within(when.clone());
            short(of.iter().map(|second| f64::from(second.chosen)).sum::<f64>() / of.len().max(1) as f64)
        }));
        rows.push(row);
    }
    rows
}
