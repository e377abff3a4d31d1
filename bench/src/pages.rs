//! Pages of lists and searches that one client asks for again and again: what it waits for each, and words to ask for.

use crate::report::Report;
use hdrhistogram::Histogram;
use rand::Rng;
use rand::rngs::StdRng;
use std::time::{Duration, Instant};

/// What 99 of 100 pages should come within.
pub(crate) const AIM: Duration = Duration::from_millis(50);
/// How often each page is asked for before it counts: what it is made of is in memory then, as in a house in use.
const WARM_UP: usize = 20;
/// Different words that texts are of.
pub(crate) const WORDS: usize = 8_000;
/// The heads of [`Waits::row`].
pub(crate) const HEAD: [&str; 4] = ["p50 ms", "p99 ms", "max ms", "aim"];

/// What a client waited for a page.
#[derive(Debug)]
pub(crate) struct Waits {
    /// Microseconds.
    times: Histogram<u64>,
}

impl Waits {
    /// Asks so many times; the waits, and the last page that came.
    pub(crate) async fn of<P>(
        times: usize,
        mut ask: impl AsyncFnMut() -> anyhow::Result<P>,
    ) -> anyhow::Result<(Self, P)> {
        for _ in 0..WARM_UP {
            ask().await?;
        }
        let mut waits = Self { times: Histogram::new(3)? };
        loop {
            let begun = Instant::now();
            let page = ask().await?;
            waits.times.record(u64::try_from(begun.elapsed().as_micros())?)?;
            if waits.times.len() >= times as u64 {
                return Ok((waits, page));
            }
        }
    }

    /// A row's end, under [`HEAD`].
    pub(crate) fn row(&self) -> [String; 4] {
        let millis = |micros: u64| format!("{:.2}", micros as f64 / 1_000.0);
        let p99 = self.times.value_at_quantile(0.99);
        let verdict = if u128::from(p99) < AIM.as_micros() { "met" } else { "missed" };
        let longest = self.times.max();
        [millis(self.times.value_at_quantile(0.5)), millis(p99), millis(longest), verdict.to_owned()]
    }
}

/// What a question took on one engine.
#[derive(Debug)]
pub(crate) struct Took {
    pub(crate) engine: &'static str,
    pub(crate) name: &'static str,
    /// What is on its page.
    pub(crate) found: usize,
    pub(crate) waits: Waits,
}

/// The table of all questions; what is on a page has a name.
pub(crate) fn table(report: &mut Report, engine: &str, found: &str, all: &[Took]) {
    let head = [engine, "question", found].into_iter().chain(HEAD);
    let mut rows = vec![head.map(str::to_owned).collect::<Vec<_>>()];
    for took in all {
        let mut row = vec![took.engine.to_owned(), took.name.to_owned(), took.found.to_string()];
        row.extend(took.waits.row());
        rows.push(row);
    }
    report.table(&rows);
}

/// A number below another; small ones are common, as a few words are in any language.
pub(crate) fn common(random: &mut StdRng, below: usize) -> usize {
    (below as f64).powf(random.random::<f64>()) as usize
}

/// So many words, of which the first of all are common.
pub(crate) fn words(random: &mut StdRng, many: usize) -> Vec<String> {
    (0..many).map(|_| word(common(random, WORDS))).collect()
}

/// A word that is spoken: three syllables.
pub(crate) fn word(rank: usize) -> String {
    const SYLLABLES: [&str; 20] = [
        "ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "qui", "ro", "su", "ta",
        "ve", "wi", "xo", "zu",
    ];
    let one = |place: u32| SYLLABLES.get(rank / 20_usize.pow(place) % 20).copied().unwrap_or_default();
    format!("{}{}{}", one(0), one(1), one(2))
}
