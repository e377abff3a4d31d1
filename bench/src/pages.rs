//! Pages of lists and searches that one client asks for again and again: what it waits for each, a table of that, and words to
//! ask for.

use crate::report::{Report, progress};
use hdrhistogram::Histogram;
use rand::Rng;
use rand::rngs::StdRng;
use std::time::{Duration, Instant};

/// What 99 of 100 pages should come within.
const AIM: Duration = Duration::from_millis(50);
/// How often each page is asked for before it counts: what it is made of is in memory then, as in a house in use.
const WARM_UP: usize = 20;
/// Different words that texts are of.
pub(crate) const WORDS: usize = 8_000;
/// The heads of [`Waits::row`].
const HEAD: [&str; 4] = ["p50 ms", "p99 ms", "max ms", "aim"];

/// What a client waited for a page.
#[derive(Debug)]
struct Waits {
    /// Microseconds.
    times: Histogram<u64>,
}

impl Waits {
    /// Asks so many times; the waits, and the last page that came.
    async fn of<P>(
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
    fn row(&self) -> [String; 4] {
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
    engine: &'static str,
    name: &'static str,
    /// What is on its page.
    found: usize,
    waits: Waits,
}

/// Asks each question so many times of an engine, and tells who waits what it is `about`. A page says what was `found`.
pub(crate) async fn ask_all<P>(
    (about, engine): (&str, &'static str),
    questions: impl IntoIterator<Item = (&'static str, String)>,
    times: usize,
    ask: impl AsyncFn(&str) -> anyhow::Result<P>,
    found: impl Fn(&P) -> anyhow::Result<usize>,
) -> anyhow::Result<Vec<Took>> {
    let mut all = vec![];
    for (name, question) in questions {
        progress(format!("{about}: {name}"));
        let (waits, page) = Waits::of(times, async || ask(&question).await).await?;
        all.push(Took { engine, name, found: found(&page)?, waits });
    }
    Ok(all)
}

/// What is measured, which is the wait for a `page`, and the table of all questions. What is on a page has a name, and so has
/// what they were asked of, if it is not one engine.
pub(crate) fn table(report: &mut Report, page: &str, (engine, found): (Option<&str>, &str), all: &[Took]) {
    let aim = AIM.as_millis();
    report.paragraph(format!("Milliseconds that a client waits for {page}. Aim: p99 below {aim} ms."));
    let head = engine.into_iter().chain(["question", found]).chain(HEAD);
    let mut rows = vec![head.map(str::to_owned).collect::<Vec<_>>()];
    for took in all {
        let mut row: Vec<String> = engine.map(|_| took.engine.to_owned()).into_iter().collect();
        row.extend([took.name.to_owned(), took.found.to_string()]);
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
