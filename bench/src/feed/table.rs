//! The document of the feed.

use super::visible::{FOLLOWED, LISTENERS, LOOK_EVERY, LOOKERS, WARM_UP};
use super::{Found, Ground, fresh, mix, pulled, visible, warm};
use crate::report::Report;
use crate::statistics::{HEAD_OF_DELAYS, percentile, row_of_delays, short};

/// What is aimed for: from sent to seen, from written to fresh, 99th percentiles; bytes of a warm read; the part of public reads
/// that reaches the origin.
const SEEN_MS: f64 = 1_000.0;
const FRESH_MS: f64 = 50.0;
const READ_BYTES: f64 = 1_024.0;
const SHARE: f64 = 0.05;

/// The whole document.
pub(super) fn report(name: &'static str, ground: &Ground, found: &Found) -> Report {
    let mut report = Report::new(name, "The feed: posts, reads, freshness");
    report.fact("Rounds: 1; an origin on SQLite and its edges, one process each, share the processors with this program");
    if let Some(found) = &found.visible {
        brought(&mut report, ground, found);
    }
    if let Some(found) = &found.pulled {
        pulled(&mut report, ground, found);
    }
    if let Some(found) = &found.warm {
        warm(&mut report, found);
    }
    if let Some(found) = &found.mix {
        mix(&mut report, found);
    }
    if let Some(found) = &found.fresh {
        fresh(&mut report, ground, found);
    }
    commands(&mut report, found);
    report
}

/// How each part's processes were started.
fn commands(report: &mut Report, found: &Found) {
    let Found { visible, pulled, warm, mix, fresh } = found;
    let parts = [
        ("visible", visible.as_ref().map(|found| &found.commands)),
        ("pulled", pulled.as_ref().map(|found| &found.commands)),
        ("warm", warm.as_ref().map(|found| &found.commands)),
        ("mix", mix.as_ref().map(|found| &found.commands)),
        ("fresh", fresh.as_ref().map(|found| &found.commands)),
    ];
    report.heading("Commands");
    for (part, commands) in parts {
        if let Some(commands) = commands {
            report.block(&format!("# {part}\n{}", commands.join("\n")));
        }
    }
}

/// Whether an aim is met by a number that is to be below it.
fn verdict(number: f64, aim: f64) -> &'static str {
    if number < aim { "met" } else { "missed" }
}

fn words(row: &[&str]) -> Vec<String> {
    row.iter().map(|word| (*word).to_owned()).collect()
}

fn delays(delays: &visible::Delays) -> Vec<Vec<String>> {
    let rows = [
        ("sent -> answered", &delays.answered),
        ("sent -> a reader's home has it", &delays.sent_to_seen),
        ("answered -> a reader's home has it", &delays.answered_to_seen),
        ("sent -> a reader is told", &delays.sent_to_told),
        ("sent -> a reader is told and has read it", &delays.sent_to_read),
        ("sent -> done for all readers", &delays.sent_to_all),
    ];
    let rows = rows.into_iter().filter(|(_, delays)| !delays.is_empty());
    let head = HEAD_OF_DELAYS.map(str::to_owned).to_vec();
    std::iter::once(head).chain(rows.map(|(name, delays)| row_of_delays(name, delays))).collect()
}

fn seen_aim(report: &mut Report, found: &visible::Delays) {
    let worst = [&found.sent_to_seen, &found.sent_to_all].map(|delays| percentile(delays, 0.99));
    let worst = worst[0].max(worst[1]);
    report.paragraph(format!(
        "Aim: a 99th percentile below {} ms from sent to seen, and to done for all: {} ({} ms).",
        short(SEEN_MS),
        verdict(worst, SEEN_MS),
        short(worst)
    ));
}

fn brought(report: &mut Report, ground: &Ground, found: &visible::Found) {
    report.heading(&format!("From written to seen: {} readers", short(ground.audience as f64)));
    let text = BROUGHT
        .replace("POSTS", &found.posts.to_string())
        .replace("RATE", &short(ground.post_rate))
        .replace("WARM", &WARM_UP.to_string())
        .replace("LOOKERS", &LOOKERS.to_string())
        .replace("LISTENERS", &LISTENERS.to_string())
        .replace("EVERY", &LOOK_EVERY.as_millis().to_string())
        .replace("FOLLOWED", &FOLLOWED.to_string());
    report.paragraph(text);
    report.table(&delays(&found.delays));
    seen_aim(report, &found.delays);
    report.paragraph(format!(
        "Afterwards the home lists had {} entries, each post at each reader once, and {} homes that were read through the edges \
         had the newest posts in their order. The readers were imported at {} a second.",
        short(found.entries as f64),
        found.read,
        short(found.imported.rate())
    ));
}

fn pulled(report: &mut Report, ground: &Ground, found: &pulled::Found) {
    report.heading(&format!("An author with {} readers", short(ground.followers as f64)));
    report.paragraph(format!(
        "{} readers, all of whom have read lately, were imported in {} s ({} a second, 2,000 a request). Then their author posted {} times, \
         {} a second, {WARM_UP} of which do not count; {LOOKERS} readers, drawn anew for each post, looked at their homes as above. \
         Nobody is told by `home:ACCOUNT`. *Done for all* is when the post is marked as one to pull.",
        short(found.imported.readers as f64),
        short(found.imported.took.as_secs_f64()),
        short(found.imported.rate()),
        found.posts,
        short(ground.post_rate)
    ));
    report.table(&delays(&found.delays));
    seen_aim(report, &found.delays);
    let mut rows = vec![words(&["table", "rows that came", "for a post"])];
    for (table, more) in &found.rows {
        rows.push(vec![table.clone(), more.to_string(), short(*more as f64 / found.posts as f64)]);
    }
    report.table(&rows);
    let kept = if found.entries + found.told == 0 { "met" } else { "missed" };
    report.paragraph(format!(
        "Aim: nothing is written for each reader: {kept} ({} entries of home lists, {} notes that there is something new; {} \
         statements a post's request). {} homes that were read in the end had the newest posts in their order.",
        found.entries,
        found.told,
        short(found.statements),
        found.read
    ));
}

fn warm(report: &mut Report, found: &warm::Found) {
    report.heading("A warm home page through an edge");
    report.paragraph(format!(
        "{} reads of pages of {} posts, a third of which the reader likes, by 32 readers of 8 authors. The edge asks the origin for \
         the reader's list alone and puts in the posts it has. *On the wire* is all that a relay between them saw: heads, and the log's feed \
         too.",
        short(found.reads as f64),
        warm::PAGE
    ));
    let mut rows = vec![words(&["of a read", "", "aim"])];
    let aim = |bytes: f64| format!("< {} {}", short(READ_BYTES), verdict(bytes, READ_BYTES));
    let plain = |name: &str, number: f64| vec![name.to_owned(), short(number), String::new()];
    rows.push(plain("requests to the origin, for lists", found.lists));
    rows.push(plain("requests to the origin, for anything else", found.others));
    rows.push(vec!["bytes of the list".into(), short(found.list), aim(found.list)]);
    rows.push(vec!["bytes from the origin on the wire".into(), short(found.wire), aim(found.wire)]);
    rows.push(plain("bytes of the page that a reader has", found.page));
    rows.push(plain("p50 ms", percentile(&found.took, 0.5)));
    rows.push(plain("p99 ms", percentile(&found.took, 0.99)));
    report.table(&rows);
}

fn mix(report: &mut Report, found: &mix::Found) {
    report.heading("Public reads while people write");
    report.paragraph(format!(
        "{} pages (posts, conversations, profiles and their posts, products, stocks), read by Zipf's law with an exponent of {} through two \
         edges whose caches begin empty; after {} reads somebody likes, posts, answers, changes a price or takes units in, on a page that is \
         drawn by the same law.",
        found.pages,
        mix::SKEW,
        mix::WRITE_EVERY
    ));
    let rows = [
        ("reads", found.reads as f64),
        ("writes", found.writes as f64),
        ("reads of the feed that reached the origin", found.feed),
        ("reads of the shop that reached the origin", found.shop),
    ];
    let rows = rows.map(|(name, number)| vec![name.to_owned(), short(number)]);
    report.table(&[vec![words(&["what", ""])], rows.to_vec()].concat());
    report.paragraph(format!(
        "Aim: at most {} % of public reads reach the origin: {} ({} %).",
        short(SHARE * 100.0),
        if found.share() <= SHARE { "met" } else { "missed" },
        short(found.share() * 100.0)
    ));
}

fn fresh(report: &mut Report, ground: &Ground, found: &fresh::Found) {
    report.heading("From a write to fresh on three edges");
    report
        .paragraph(FRESH.replace("WRITES", &ground.writes.to_string()).replace("RATE", &short(ground.rate)));
    let mut rows = vec![HEAD_OF_DELAYS.map(str::to_owned).to_vec()];
    for (kind, delays) in &found.kinds {
        rows.push(row_of_delays(kind.name(), &delays.call_to_fresh));
    }
    let all = found.all();
    rows.push(row_of_delays("all: call -> fresh", &all.call_to_fresh));
    rows.push(row_of_delays("all: answer -> fresh", &all.answer_to_fresh));
    rows.push(row_of_delays("all: call -> answer", &all.answered));
    report.table(&rows);
    let worst = percentile(&all.call_to_fresh, 0.99);
    report.paragraph(format!(
        "Aim: a 99th percentile below {} ms from the call to fresh: {} ({} ms).",
        short(FRESH_MS),
        verdict(worst, FRESH_MS),
        short(worst)
    ));
}

/// How to read posts that are brought.
const BROUGHT: &str = "An author posts POSTS times through the edges, RATE a second, after WARM posts that do not count. For each, \
LOOKERS readers drawn from all of them look at their homes through the edges from the moment it is sent, with EVERY ms between two \
looks, and LISTENERS more read theirs when `home:ACCOUNT` tells them that there is something new. One of FOLLOWED posts is \
followed until its row of work is gone: then it is in every reader's list. `push_below` is above the readers, so that all are \
brought it.";

/// How to read what is fresh.
const FRESH: &str = "WRITES writes of each kind at the origin, RATE a second, one after the other, the kinds in turn. A client of \
each edge asks for the page from the moment of the call, with a millisecond between two looks, until it has a newer version: that \
includes the write, its commit, the fetch from the origin and the looking. The commit is before the answer, so from the commit \
to fresh took less than from the call and, where it is not 0, more than from the answer.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aim_is_met_below_it_and_by_numbers_alone() {
        assert_eq!(
            [verdict(49.9, 50.0), verdict(50.0, 50.0), verdict(f64::NAN, 50.0)],
            ["met", "missed", "missed"]
        );
    }

    #[test]
    fn what_was_not_measured_has_no_row() {
        let some = visible::Delays { answered: vec![1.0, 2.0], ..visible::Delays::default() };
        let rows = delays(&some);
        assert_eq!((rows.len(), rows[1][0].as_str(), rows[1][1].as_str()), (2, "sent -> answered", "2"));
    }
}
