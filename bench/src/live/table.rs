//! The document of live channels.

use super::room::{self, AIM_MS, Measured, SHARE};
use super::{Found, Ground, accept, across, idle, storm};
use crate::args::Options;
use crate::report::Report;
use crate::statistics::short;
use std::time::Duration;

/// What is aimed for: from sent at one edge to heard at another, memory of a silent socket, clients let in a second.
const ACROSS_MS: f64 = 20.0;
const IDLE_BYTES: f64 = 16_384.0;
const ACCEPTS: f64 = 1_000.0;

/// The whole document.
pub(super) fn report(
    name: &'static str,
    options: &Options,
    ground: &Ground<'_>,
    control: &str,
    found: &Found,
) -> Report {
    let mut report = Report::new(name, "Live channels: rooms, silent sockets, storms");
    report.fact(format!("Steps: {:.0} s, rounds: 1", ground.window.as_secs_f64()));
    report.fact(format!("Congestion control: {control}"));
    report.paragraph(HOW);
    if !found.rooms.is_empty() {
        rooms(&mut report, ground, &found.rooms);
    }
    if let Some(across) = &found.across {
        self::across(&mut report, options.messages, across);
    }
    if !found.idle.is_empty() {
        idle(&mut report, &found.idle);
    }
    if let Some(storm) = &found.storm {
        self::storm(&mut report, storm);
    }
    if let Some(accept) = &found.accept {
        self::accept(&mut report, accept);
    }
    let rooms = found.rooms.iter().flat_map(|found| &found.notes);
    let others = found.across.iter().flat_map(|found| &found.commands);
    let mut commands: Vec<&str> = rooms.chain(others).map(String::as_str).collect();
    commands.dedup();
    if !commands.is_empty() {
        report.heading("Commands");
        report.block(&commands.join("\n"));
    }
    report
}

fn words(row: &[&str]) -> Vec<String> {
    row.iter().map(|word| (*word).to_owned()).collect()
}

fn rooms(report: &mut Report, ground: &Ground<'_>, found: &[room::Found]) {
    report.heading(&format!("One room of {} clients", ground.clients));
    report.paragraph(format!("Processors: {}.", ground.plan.words()));
    report.paragraph(ROOM.replace("SHARE", &format!("{}", SHARE * 100.0)).replace("AIM", &short(AIM_MS)));
    let head = words(&[
        "side",
        "offered msg/s",
        "deliveries/s",
        "delivered %",
        "twice",
        "gaps told",
        "cut",
        "p50 ms",
        "p99 ms",
        "max ms",
        "server cpu s / 1,000",
        "origin cpu s / 1,000",
        "driver cpu s / 1,000",
    ]);
    let steps = found.iter().flat_map(|one| &one.steady);
    report.table(&std::iter::once(head.clone()).chain(steps.map(step)).collect::<Vec<_>>());
    report.paragraph("Tries for the highest rate:");
    let tries = found.iter().flat_map(|one| &one.tries);
    report.table(&std::iter::once(head).chain(tries.map(step)).collect::<Vec<_>>());
    let head = words(&[
        "side",
        "highest kept, deliveries/s",
        "p99 ms",
        "per server cpu s",
        "came in/s",
        "server cpu ms each",
    ]);
    let rows = found.iter().map(summary);
    report.table(&std::iter::once(head).chain(rows).collect::<Vec<_>>());
    if let [ours, theirs, ..] = found {
        ratios(report, ours, theirs);
    }
    let ours =
        found.iter().filter(|one| one.name == "Sluice").flat_map(|one| one.steady.iter().chain(&one.tries));
    let (twice, missing) = ours.fold((0, 0), |sum, step| (sum.0 + step.duplicates, sum.1 + step.missing));
    report.paragraph(format!(
        "Sluice, all steps, those that were not kept up too: {twice} deliveries came twice, {missing} are missing (aim: none)."
    ));
}

fn per_thousand(time: Duration, measured: &Measured) -> String {
    format!("{:.4}", time.as_secs_f64() * 1_000.0 / measured.delivered.max(1) as f64)
}

fn step(step: &Measured) -> Vec<String> {
    let [p50, p99, max] = step.delays.map(short);
    vec![
        step.side.to_owned(),
        short(step.offered),
        short(step.rate()),
        format!("{:.2}", step.share() * 100.0),
        step.duplicates.to_string(),
        step.gaps.to_string(),
        step.cut.to_string(),
        p50,
        p99,
        max,
        per_thousand(step.server, step),
        per_thousand(step.origin, step),
        per_thousand(step.driver, step),
    ]
}

fn summary(found: &room::Found) -> Vec<String> {
    let (took, time) = found.entry;
    let entries = [
        short(found.clients as f64 / took.as_secs_f64()),
        format!("{:.2}", time.as_secs_f64() * 1e3 / found.clients as f64),
    ];
    let highest = found.highest().map_or_else(
        || words(&["none", "", ""]),
        |step| vec![short(step.rate()), short(step.delays[1]), short(per_processor(step))],
    );
    [vec![found.name.to_owned()], highest, entries.to_vec()].concat()
}

/// Deliveries for each second of the server's processor time.
fn per_processor(step: &Measured) -> f64 {
    step.delivered as f64 / step.server.as_secs_f64().max(1e-3)
}

/// How ours compares with theirs; more is better.
fn ratios(report: &mut Report, ours: &room::Found, theirs: &room::Found) {
    let mut lines = vec![];
    for (our, their) in ours.steady.iter().zip(&theirs.steady) {
        lines.push(format!(
            "at {} msg/s {} times the deliveries for each second of the server's processor ({} with our origin's), \
             {} of the p99",
            short(our.offered),
            short(per_processor(our) / per_processor(their)),
            short(our.delivered as f64 / (our.server + our.origin).as_secs_f64().max(1e-3) / per_processor(their)),
            short(our.delays[1] / their.delays[1])
        ));
    }
    if let (Some(our), Some(their)) = (ours.highest(), theirs.highest()) {
        lines.push(format!(
            "at the highest rate kept {} times the deliveries in a second, {} times for each second of processor",
            short(our.rate() / their.rate()),
            short(per_processor(our) / per_processor(their))
        ));
    }
    report.paragraph(format!("{} beside {}: {}.", ours.name, theirs.name, lines.join("; ")));
}

fn across(report: &mut Report, wanted: f64, found: &across::Found) {
    report.heading("From sent at one edge to heard at another");
    report.paragraph(ACROSS.replace("CHATS", &across::CONVERSATIONS.to_string()));
    let mut rows = vec![words(&[
        "offered msg/s",
        "taken msg/s",
        "failed",
        "answer p50 ms",
        "answer p99 ms",
        "heard p50 ms",
        "heard p99 ms",
        "max ms",
        "missing",
        "twice",
        "origin cpu ms",
        "edge A cpu ms",
        "edge B cpu ms",
    ])];
    for step in &found.steps {
        let offered = step.offered.map_or_else(|| format!("{} under way", across::SENDERS), short);
        let times = [&step.answered[..], &step.heard].concat().into_iter().map(short);
        let head = [offered, short(step.taken), step.failed.to_string()];
        let counts = [step.missing.to_string(), step.duplicates.to_string()];
        let each = step.each.map(|ms| format!("{ms:.3}"));
        rows.push(head.into_iter().chain(times).chain(counts).chain(each).collect());
    }
    report.table(&rows);
    let most = found.steps.first().map_or(0.0, |step| step.taken);
    let at = found.steps.iter().find(|step| step.offered == Some(wanted));
    report.paragraph(match at {
        Some(step) => format!(
            "Aim: p99 below {} ms at {} msg/s: {} ({} ms).",
            short(ACROSS_MS),
            short(wanted),
            kept(step.heard[1] < ACROSS_MS && step.failed == 0),
            short(step.heard[1])
        ),
        None => format!(
            "Aim: p99 below {} ms at {} msg/s: missed, for {} msg/s is what this machine takes.",
            short(ACROSS_MS),
            short(wanted),
            short(most)
        ),
    });
}

fn idle(report: &mut Report, found: &[idle::Found]) {
    report.heading("Silent sockets");
    report.paragraph(IDLE);
    let mut rows =
        vec![words(&["transport", "sockets", "empty edge MiB", "bytes each", "bytes each after a ping"])];
    for one in found {
        rows.push(vec![
            if one.tls { "TLS 1.3" } else { "plain" }.to_owned(),
            short(one.sockets as f64),
            short(one.empty as f64 / f64::from(1 << 20)),
            short(one.each),
            one.pinged.map_or_else(|| "not waited for".to_owned(), short),
        ]);
    }
    report.table(&rows);
    let worst = found.iter().map(|one| one.each.max(one.pinged.unwrap_or(0.0))).fold(0.0, f64::max);
    report.paragraph(format!(
        "Aim: below {} bytes: {} ({}).",
        short(IDLE_BYTES),
        kept(worst < IDLE_BYTES),
        short(worst)
    ));
}

fn storm(report: &mut Report, found: &storm::Found) {
    report.heading("A storm of returns");
    report.paragraph(format!(
        "{} clients in {} channels at one of two edges, which is killed; each comes back to the other within {} s, after \
         the last number it has, while {} messages a second are said.",
        short(found.clients as f64),
        storm::CHANNELS,
        storm::SPREAD.as_secs(),
        short(storm::RATE)
    ));
    let [p50, p99, max] = found.entries.map(short);
    let rows = [
        ("subscriptions the origin saw for the first coming", short(found.subscriptions[0])),
        ("and for the return", short(found.subscriptions[1])),
        ("until all were back, s", format!("{:.2}", found.back.as_secs_f64())),
        ("from connecting to subscribed, both times: p50, p99, max ms", format!("{p50}, {p99}, {max}")),
        ("messages, each to a tenth of the clients", found.messages.to_string()),
        (
            "deliveries missing, twice, gaps",
            format!("{}, {}, {}", found.missing, found.duplicates, found.gaps),
        ),
        ("not let in at the first try", found.refused.to_string()),
        ("processor s of the edge that is left", format!("{:.2}", found.edge.as_secs_f64())),
        ("processor s of the origin", format!("{:.2}", found.origin.as_secs_f64())),
    ];
    let head = words(&["what", "n"]);
    let rows = rows.into_iter().map(|(what, n)| vec![what.to_owned(), n]);
    report.table(&std::iter::once(head).chain(rows).collect::<Vec<_>>());
    let channels = storm::CHANNELS as f64;
    report.paragraph(format!(
        "Aim: one subscription for each channel, and no gap: {}.",
        kept(found.subscriptions[1] <= channels && found.gaps == 0 && found.missing == 0)
    ));
}

fn accept(report: &mut Report, found: &accept::Found) {
    report.heading("Clients let in");
    report.paragraph(ACCEPT);
    let (clients, seconds) = (found.clients as f64, found.took.as_secs_f64().max(1e-3));
    let rate = clients / seconds;
    let each = |time: Duration| format!("{:.3}", time.as_secs_f64() * 1e3 / clients);
    let rows = [
        words(&[
            "clients",
            "let in/s",
            "edge cpu ms each",
            "driver cpu ms each",
            "p50 ms",
            "p99 ms",
            "refused",
        ]),
        vec![
            short(clients),
            short(rate),
            each(found.edge),
            each(found.driver),
            short(found.entries[0]),
            short(found.entries[1]),
            found.refused.to_string(),
        ],
    ];
    report.table(&rows);
    report.paragraph(format!("Aim: more than {} a second: {}.", short(ACCEPTS), kept(rate > ACCEPTS)));
}

const fn kept(is: bool) -> &'static str {
    if is { "kept" } else { "missed" }
}

/// How to read it.
const HOW: &str = "Release processes on loopback, whose clients are threads of this program: they share the machine's \
processors with the servers, and take as little as they can (one epoll a thread, no JSON). Every delay is by one clock, from \
just before a message is sent until it is read. Every client notes which messages it has: *twice* and *missing* are exact.";
const ROOM: &str = "Every message to every client. Sluice: an origin with the chat app on SQLite, one edge (the server under \
test), messages posted to the origin. Pushpin: its processes (all of them the server under test), messages published to it; an \
application in this process, which has no database. The driver, our origin and that application share the other processors. The \
highest rate *kept* is the last of those tried with SHARE % delivered and a p99 below AIM ms. A client that does not keep up is \
cut by Sluice, comes back and goes on where it was.";
const ACROSS: &str = "CHATS conversations on SQLite, messages posted to edge A, one who listens to each at edge B. *Heard* is \
from before the post until it is read at B, so it has the commit in it, and all the processes have the whole machine \
to share. What is offered is at first as much as is answered; then steady.";
const IDLE: &str = "Each socket is subscribed to one of ten channels in which nothing is said. Bytes are resident memory of \
the edge's process after the last, less that before the first that counts, divided by their number.";
const ACCEPT: &str = "Each client connects, opens a WebSocket and subscribes to a closed channel by a token of its own (an \
Ed25519 signature to be checked), as fast as 64 at a time are let in; all stay. Edge and driver share the machine.";
