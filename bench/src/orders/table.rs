//! The table of orders.

use super::Took;
use super::load::Kind;
use crate::args::Options;
use crate::report::Report;

/// Orders a second that are aimed at, with the shop as it is configured unless told otherwise.
const AIMS: [(&str, f64); 2] = [("SQLite", 5_000.0), ("PostgreSQL", 2_500.0)];

impl Took {
    fn rate(&self) -> f64 {
        self.done.orders as f64 / self.done.wall.as_secs_f64()
    }

    /// Per second of the origin's processor time.
    fn rate_of_cpu(&self) -> f64 {
        self.done.orders as f64 / self.done.cpu.as_secs_f64().max(1e-9)
    }

    fn is_beside(&self, other: &Self) -> bool {
        (self.engine, self.kind, self.variants) == (other.engine, other.kind, other.variants)
    }

    fn aim(&self) -> String {
        let aim = AIMS.iter().find(|(engine, _)| *engine == self.engine);
        match aim.filter(|_| self.together > 1 && self.kind == Kind::Place) {
            Some((_, aim)) => format!("{} {}", aim, if self.rate() > *aim { "met" } else { "missed" }),
            None => String::new(),
        }
    }
}

pub(super) fn report(name: &'static str, options: &Options, all: &[Took], command: &str) -> Report {
    let mut report = Report::new(name, "Orders");
    report.fact(format!(
        "{} clients in closed loops on kept connections, {:.1} s each after {:.1} s of load; they share the processors with the \
         origin and the database",
        options.buyers,
        options.window().as_secs_f64(),
        options.warm_up().as_secs_f64()
    ));
    report.fact(format!("Origin, of the last cell: `{command}`"));
    report.paragraph(
        "An order is answered when it is durable (SQLite: WAL with synchronous=FULL; PostgreSQL: serializable, synchronous commit), \
         with its stock entry, its event and the answer to its Idempotency-Key. `buy` is an order and its payment at the \
         simulated gateway, to `confirmed`. Ratios are to one order a transaction in the same run; after every cell the stock \
         was counted and the books summed: units held and sold are the orders that clients were told of.",
    );
    let head = [
        "engine",
        "what",
        "variants",
        "together",
        "orders/s",
        "ratio",
        "per CPU s",
        "ratio",
        "p50 ms",
        "p99 ms",
        "aim",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let millis =
        |took: &Took, q: f64| format!("{:.2}", took.done.times.value_at_quantile(q) as f64 / 1_000.0);
    for took in all {
        let single = all.iter().find(|other| other.together == 1 && other.is_beside(took));
        // A window in which the other did nothing compares with nothing.
        let single = single.filter(|single| single.done.orders > 0);
        let ratio = |of: fn(&Took) -> f64| {
            single.map_or_else(String::new, |single| format!("{:.2}", of(took) / of(single).max(1e-9)))
        };
        rows.push(vec![
            took.engine.to_owned(),
            if took.kind == Kind::Place { "place" } else { "buy" }.to_owned(),
            took.variants.to_string(),
            took.together.to_string(),
            format!("{:.0}", took.rate()),
            ratio(Took::rate),
            format!("{:.0}", took.rate_of_cpu()),
            ratio(Took::rate_of_cpu),
            millis(took, 0.5),
            millis(took, 0.99),
            took.aim(),
        ]);
    }
    report.table(&rows);
    report
}
