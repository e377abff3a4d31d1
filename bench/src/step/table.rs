//! The table of the step.

use super::crowd::{End, Visit};
use super::{BEGINS, CALM_S, PATIENCE_S, Plan, STEP, Took, WARM_S};
use crate::report::Report;
use crate::statistics::{percentile, short};

/// What is aimed for: the 99th percentile of checkouts in the step, beside that before it.
const RATIO: f64 = 2.0;
/// Who is in line for longer than so many milliseconds has waited: an edge asks an origin for admissions some times a second.
const WAITED: f64 = 1_000.0;
/// Milliseconds of the step in which the room spends what it has saved up.
const FIRST: f64 = 1_000.0;
const HEAD: [&str; 13] = [
    "engine",
    "what",
    "came/s",
    "came",
    "let in",
    "waited",
    "refused",
    "failed",
    "line p50 s",
    "line p99 s",
    "checkout p50 ms",
    "p99 ms",
    "p99 / before",
];

/// A row of it.
#[derive(Debug, Default)]
struct Cell {
    came: usize,
    refused: usize,
    failed: usize,
    /// Milliseconds of those who bought: in line; from then on.
    lines: Vec<f64>,
    checkouts: Vec<f64>,
}

impl Cell {
    fn of<'v>(visits: impl IntoIterator<Item = &'v Visit>) -> Self {
        let mut cell = Self::default();
        for visit in visits {
            cell.came += 1;
            match &visit.end {
                End::Bought { let_in, done } => {
                    // The origin's clock has whole milliseconds.
                    cell.lines.push((let_in - visit.came).max(0.0));
                    cell.checkouts.push(done - let_in);
                }
                End::SoldOut => cell.refused += 1,
                End::Failed(_) => cell.failed += 1,
            }
        }
        cell
    }

    fn p99(&self) -> f64 {
        percentile(&self.checkouts, 0.99)
    }

    /// The cells after the engine and the name: of so many a second, beside what was before the step; aimed for or not.
    fn row(&self, rate: f64, before: &Self, aims: bool) -> Vec<String> {
        let waited = self.lines.iter().filter(|line| **line > WAITED).count();
        let counts = [self.came, self.lines.len(), waited, self.refused, self.failed];
        let of = |times: &[f64], share: f64, unit: f64| match times {
            [] => String::new(),
            times => short(percentile(times, share) / unit),
        };
        let ratio = self.p99() / before.p99();
        // Who has not bought is in no percentile, and cannot have the aim met by that.
        let verdict = if ratio < RATIO && self.failed == 0 { "met" } else { "missed" };
        let aim = aims.then(|| format!("below {RATIO} {verdict}"));
        let last: Vec<String> =
            ratio.is_finite().then(|| format!("{ratio:.2}")).into_iter().chain(aim).collect();
        let mut row = vec![short(rate)];
        row.extend(counts.map(|count| count.to_string()));
        row.extend([0.5, 0.99].map(|share| of(&self.lines, share, 1_000.0)));
        row.extend([0.5, 0.99].map(|share| of(&self.checkouts, share, 1.0)));
        row.push(last.join(", "));
        row
    }
}

pub(super) fn report(name: &'static str, plan: &Plan, all: &[Took]) -> Report {
    let mut report = Report::new(name, "Fifty times as many buyers at once");
    report.fact(format!(
        "Rounds: 1; {} buyers a second at random for {CALM_S} s after {WARM_S} s that do not count, then from one moment to the next \
         {} a second for {} s; they share the processors with the edge, the origin and the database",
        plan.rate,
        plan.rate * STEP,
        plan.held_s
    ));
    report.fact(format!(
        "The waiting room lets in {} a second, before the step and in it; for the step there are {} units",
        plan.let_in,
        plan.units()
    ));
    report.paragraph(format!(
        "A **checkout** is an order and its payment at the simulated gateway, to `confirmed`, each sent through the edge under an \
         Idempotency-Key. It begins when the origin lets the buyer in, by the admission's own time, and not when the buyer hears of \
         it; all come by the schedule, whoever is still waiting for an answer. The **line** is from the arrival by the schedule until \
         then: **waited** are those of the let in who stood in it for more than {} s, **refused** those who were told in line that \
         nothing is left, **failed** all others. *without a room* is a second crowd by the same schedule, for something that nobody \
         waits for: its checkouts begin with the arrival, and who has not bought after {PATIENCE_S} s has failed, and is in no \
         percentile. *first second* are those of the step whom the room let in within its first second: what it had saved up, at \
         once. After the crowd of the room its stock was counted and the books summed: units held and sold are what buyers were told \
         of. The aim is met where nobody of the step has failed.",
        WAITED / 1_000.0
    ));
    let mut rows = vec![HEAD.map(str::to_owned).to_vec()];
    for took in all {
        rows.extend(rows_of(plan, took));
    }
    report.table(&rows);
    report.heading("Commands");
    for took in all {
        report.block(&format!("# {}\n{}", took.engine, took.commands.join("\n")));
    }
    report
}

fn rows_of(plan: &Plan, took: &Took) -> Vec<Vec<String>> {
    let first = took.step.iter().filter(|visit| is_first(visit));
    let cells = [
        ("before", plan.rate, Cell::of(&took.calm), false),
        ("step", plan.rate * STEP, Cell::of(&took.step), true),
        ("step, first second", plan.rate * STEP, Cell::of(first), false),
        ("step, without a room", plan.rate * STEP, Cell::of(&took.without), false),
    ];
    let before = &cells[0].2;
    let row = |(what, rate, cell, aims): &(&str, f64, Cell, bool)| {
        let names = vec![took.engine.to_owned(), (*what).to_owned()];
        [names, cell.row(*rate, before, *aims)].concat()
    };
    cells.iter().map(row).collect()
}

/// Whether one of the step was let in within its first second.
fn is_first(visit: &Visit) -> bool {
    matches!(visit.end, End::Bought { let_in, .. } if let_in < BEGINS + FIRST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_what_became_of_all() {
        let bought = |came: f64, let_in: f64, done: f64| Visit { came, end: End::Bought { let_in, done } };
        let before = Cell::of(&[bought(0.0, 0.0, 10.0)]);
        let refused = Visit { came: 4.0, end: End::SoldOut };
        let failed = || Visit { came: 5.0, end: End::Failed(anyhow::anyhow!("no answer")) };
        let step = [bought(0.5, 0.0, 15.0), bought(1.0, 2_001.0, 2_026.0), refused, failed()];
        let row = Cell::of(&step).row(50.0, &before, true);
        let expected =
            ["50.0", "4", "2", "1", "1", "1", "0.00", "2.00", "15.0", "25.0", "2.50, below 2 missed"];
        assert_eq!(row, expected);
        assert_eq!(Cell::default().row(1.0, &before, false)[6..], ["", "", "", "", ""]);
        let quick = Cell::of(&[bought(0.5, 0.0, 15.0)]);
        assert_eq!(quick.row(1.0, &before, true)[10], "1.50, below 2 met");
        let lost = Cell::of(&[bought(0.5, 0.0, 15.0), failed()]);
        assert_eq!(lost.row(1.0, &before, true)[10], "1.50, below 2 missed", "one could not buy");
        assert_eq!(Cell::of(&[failed()]).row(1.0, &before, true)[10], "below 2 missed", "nobody could");
    }
}
