//! The table of transcoding.

use super::clip::Clip;
use super::{Made, Way};
use crate::args::Options;
use crate::report::Report;
use crate::statistics::{Summary, short};

type Number = fn(&Made) -> f64;

/// Columns: a name, and the number of a round.
const COLUMNS: [(&str, Number); 4] = [
    ("wall s", |made| made.taken.wall_s),
    ("processor s", |made| made.taken.cpu_s),
    ("peak memory MiB", |made| made.taken.peak_kib as f64 / 1_024.0),
    ("output MB", |made| made.bytes as f64 / 1e6),
];

/// One round in a line.
pub(super) fn outcome(made: &Made) -> String {
    let numbers = COLUMNS.map(|(name, number)| format!("{name} {}", short(number(made))));
    format!("{}, {} segments", numbers.join(", "), made.segments)
}

/// The whole document; our own way is the first.
pub(super) fn report(name: &'static str, options: &Options, clip: &Clip, ways: &[Way]) -> Report {
    let mut report = Report::new(name, "Transcoding beside the ffmpeg command line");
    report.fact(format!("Clip: {}", clip.describe()));
    let rungs = clip.ladder.video.iter().rev().map(|rung| {
        let rate = rung.frame_rate.as_f64();
        format!("{} ({} x {}, {rate:.2} frames/s)", rung.name.as_str(), rung.width, rung.height)
    });
    let sound = clip.ladder.audio.iter().map(|rung| rung.name.as_str().to_owned());
    report.fact(format!("Ladder: {}", rungs.chain(sound).collect::<Vec<_>>().join(", ")));
    report.fact(format!(
        "Rounds: {}, the two ways in turn; median (± distance to the farthest round)",
        options.rounds
    ));
    for way in ways {
        report.fact(format!("{}: {}", way.name, way.version));
    }
    report.paragraph(HOW);
    let mut table = vec![head()];
    table.extend(ways.iter().map(line));
    table.extend(
        ways.split_first().into_iter().flat_map(|(ours, peers)| peers.iter().map(|peer| ratio(ours, peer))),
    );
    report.table(&table);
    report.heading("Commands");
    for way in ways {
        report.block(&way.command);
    }
    report
}

fn head() -> Vec<String> {
    let names = COLUMNS.map(|(name, _)| name.to_owned());
    [vec!["way".into()], names.to_vec(), vec!["segments".into()]].concat()
}

fn summary(way: &Way, number: Number) -> Option<Summary> {
    Summary::of(way.rounds.iter().map(number))
}

fn line(way: &Way) -> Vec<String> {
    let cell = |number| match summary(way, number) {
        Some(summary) => format!("{} (± {:.0} %)", short(summary.median), summary.spread()),
        None => "none".into(),
    };
    let segments = way.rounds.first().map_or(0, |made| made.segments);
    [vec![way.name.into()], COLUMNS.map(|(_, number)| cell(number)).to_vec(), vec![segments.to_string()]]
        .concat()
}

fn ratio(ours: &Way, peer: &Way) -> Vec<String> {
    let cell = |number| match (summary(ours, number), summary(peer, number)) {
        (Some(ours), Some(peer)) => format!("{:.2}", ours.median / peer.median),
        _ => String::new(),
    };
    [vec![format!("{} : {}", ours.name, peer.name)], COLUMNS.map(|(_, number)| cell(number)).to_vec()]
        .concat()
}

/// How to read it.
const HOW: &str = "Both make the same rungs by the same scaling, preset, quality, caps, keyframes and segment length, \
and write their segments to files; ours runs each encoder with one thread (so that its output is the same each time) and \
the rungs in parallel, ffmpeg's threads are its own choice. Processor time is user and system time of the process and its \
children, peak memory is resident. Ours includes probing the clip. The limit is the processors: wall time below processor \
time divided by the number of processors is not possible. Below 1 in the last line, Sluice needs less.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Taken;

    fn way(name: &'static str, walls: &[f64]) -> Way {
        let made = |&wall_s: &f64| Made {
            taken: Taken { wall_s, cpu_s: 2.0 * wall_s, peak_kib: 102_400 },
            bytes: 12_300_000,
            segments: 40,
        };
        Way { name, version: String::new(), command: String::new(), rounds: walls.iter().map(made).collect() }
    }

    #[test]
    fn ways_are_compared_by_their_medians() {
        let (ours, peer) = (way("ours", &[9.0, 10.0, 12.0]), way("peer", &[20.0]));
        assert_eq!(
            line(&ours),
            ["ours", "10.0 (± 20 %)", "20.0 (± 20 %)", "100 (± 0 %)", "12.3 (± 0 %)", "40"]
        );
        assert_eq!(ratio(&ours, &peer), ["ours : peer", "0.50", "0.50", "1.00", "1.00"]);
        assert_eq!(line(&ours).len(), head().len());
    }
}
