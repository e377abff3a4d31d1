//! The command line.

use clap::{Parser, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// A benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Bench {
    /// Cache hits beside nginx and Varnish.
    CacheHit,
    /// Transcoding beside the ffmpeg command line.
    Transcode,
    /// How soon uploads play: queued, still being sent, on two workers.
    FirstPlay,
    /// From the commit of a purge to fresh on three edges.
    Purge,
    /// Lists and searches in a library of 100,000 videos.
    Library,
    /// Searches with facets in a catalog of 100,000 products.
    Catalog,
    /// Searches in a million messages of chats.
    Messages,
    /// Orders a second at the shop, on SQLite and PostgreSQL.
    Orders,
    /// Fifty times as many buyers at once, before a waiting room and without one.
    Step,
    /// Live channels: a room beside Pushpin, from edge to edge, silent sockets, a storm of returns.
    Live,
    /// The feed: from written to seen, what reads cost the origin, how soon edges show what was written.
    Feed,
    /// Where keys go, and how even a site is loaded.
    Placement,
    /// Miss ratios of the cache's policy on a trace of requests, beside LRU and the best there could be.
    Replay,
    /// What is fetched ahead of demand, beside nothing and who knows what is coming.
    Ahead,
    /// Steering over a thousand edges and five million simulated viewers, beside random, nearest, hashing and DNS.
    Simulate,
}

impl Bench {
    /// Its name on the command line and that of its file of results.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::CacheHit => "cache-hit",
            Self::Transcode => "transcode",
            Self::FirstPlay => "first-play",
            Self::Purge => "purge",
            Self::Library => "library",
            Self::Catalog => "catalog",
            Self::Messages => "messages",
            Self::Orders => "orders",
            Self::Step => "step",
            Self::Live => "live",
            Self::Feed => "feed",
            Self::Replay => "replay",
            Self::Placement => "placement",
            Self::Ahead => "ahead",
            Self::Simulate => "simulate",
        }
    }
}

/// Seconds of a cell of cache-hit, unless they are said.
const CELL_S: f64 = 3.0;

/// What to run, and how long.
#[derive(Debug, Clone, Parser)]
#[command(name = "sluice-bench", about = "Sluice's benchmarks, each beside its peers in the same run")]
pub(crate) struct Options {
    /// The benchmarks to run; all of them when none is named
    #[arg(value_enum)]
    benches: Vec<Bench>,
    /// Measured seconds of each cell and round of cache-hit and orders (3), of the crowd of step (8), of each step of live (15),
    /// simulated ones of simulate (1,800)
    #[arg(long)]
    pub(crate) seconds: Option<f64>,
    /// Seconds of load before each measurement of cache-hit
    #[arg(long, default_value_t = 1.0)]
    pub(crate) warm: f64,
    /// Rounds; the table shows the median and the spread
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// Only cells of cache-hit whose name (such as `1KiB/h2/nginx`) contains one of these words; parts of first-play;
    /// of live: room, across, idle, storm, accept; of feed: visible, pulled, warm, mix, fresh
    #[arg(long, value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// The edge's program instead of the demo's edge role; gets the edge's flags
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) edge: Option<PathBuf>,
    /// The codec's program instead of the one beside this program
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) codec: Option<PathBuf>,
    /// The clip to transcode instead of the sample (30 s of 1080p; made from a test picture when it is missing)
    #[arg(long, value_name = "FILE")]
    pub(crate) clip: Option<PathBuf>,
    /// Videos in the queue of first-play
    #[arg(long, default_value_t = 40)]
    pub(crate) uploads: usize,
    /// Purges of the benchmark of that name
    #[arg(long, default_value_t = 1_000)]
    pub(crate) purges: usize,
    /// Purges a second at most, and writes of feed whose freshness is measured
    #[arg(long, default_value_t = 10.0)]
    pub(crate) rate: f64,
    /// Videos of the library
    #[arg(long, default_value_t = 100_000)]
    pub(crate) videos: usize,
    /// Products of the catalog
    #[arg(long, default_value_t = 100_000)]
    pub(crate) products: usize,
    /// Messages of the benchmark of that name
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) said: usize,
    /// Questions of each kind asked of library, catalog and messages
    #[arg(long, default_value_t = 500)]
    pub(crate) questions: usize,
    /// Who buys at once, of orders
    #[arg(long, default_value_t = 128)]
    pub(crate) buyers: usize,
    /// Buyers that come in a second before the crowd of step, of whom fifty times as many are the crowd
    #[arg(long, default_value_t = 20.0)]
    pub(crate) arrivals: f64,
    /// Buyers that the waiting room of step lets in within a second
    #[arg(long, default_value_t = 40)]
    pub(crate) let_in: usize,
    /// Clients of the room of live
    #[arg(long, default_value_t = 1_000)]
    pub(crate) clients: usize,
    /// Messages a second that live is to bring from one edge to the other
    #[arg(long, default_value_t = 1_000.0)]
    pub(crate) messages: f64,
    /// Silent sockets of live, and clients that it has let in
    #[arg(long, default_value_t = 5_000)]
    pub(crate) sockets: usize,
    /// Clients of live who come back when their edge dies
    #[arg(long, default_value_t = 3_000)]
    pub(crate) returning: usize,
    /// Posts of an author of feed, and how many a second
    #[arg(long, default_value_t = 200)]
    pub(crate) posts: usize,
    /// See `posts`
    #[arg(long, default_value_t = 2.0)]
    pub(crate) post_rate: f64,
    /// Readers whom an author of feed is brought to
    #[arg(long, default_value_t = 10_000)]
    pub(crate) audience: usize,
    /// Readers of the author of feed from whom they pull
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) followers: usize,
    /// Public reads of feed
    #[arg(long, default_value_t = 20_000)]
    pub(crate) reads: usize,
    /// Writes of each kind of feed whose freshness is measured
    #[arg(long, default_value_t = 200)]
    pub(crate) writes: usize,
    /// The trace of replay and ahead, lines of `time,key,size`; replay makes a Zipf trace when none is named
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
    /// Cache sizes of replay and ahead, in per cent of the trace's unique bytes
    #[arg(long, value_delimiter = ',', default_values_t = [0.1, 1.0, 10.0])]
    pub(crate) cache: Vec<f64>,
    /// Viewers of simulate, at its height
    #[arg(long, default_value_t = 5_000_000)]
    pub(crate) viewers: usize,
    /// Edges of simulate
    #[arg(long, default_value_t = 1_000)]
    pub(crate) edges: usize,
    /// The seed of simulate and ahead: the same one makes the same world
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Only policies of simulate whose name (random, nearest, hashing, dns, sluice) contains one of these words
    #[arg(long, value_delimiter = ',')]
    pub(crate) policy: Vec<String>,
    /// The folder for the results
    #[arg(long, value_name = "DIR", default_value = "bench/results")]
    pub(crate) results: PathBuf,
}

impl Options {
    /// The benchmarks asked for.
    pub(crate) fn benches(&self) -> &[Bench] {
        if self.benches.is_empty() { Bench::value_variants() } else { &self.benches }
    }

    /// The measured time of a cell.
    pub(crate) fn window(&self) -> Duration {
        Duration::from_secs_f64(self.seconds.unwrap_or(CELL_S))
    }

    /// The load before it.
    pub(crate) fn warm_up(&self) -> Duration {
        Duration::from_secs_f64(self.warm)
    }

    /// True when a cell of this name is wanted.
    pub(crate) fn wants(&self, cell: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|word| cell.contains(word))
    }
}

/// Reads the command line; `None` when help was asked for and shown.
pub(crate) fn parse(words: Vec<OsString>) -> anyhow::Result<Option<Options>> {
    let options = match Options::try_parse_from(words) {
        Ok(options) => options,
        Err(shown) if !shown.use_stderr() => {
            shown.print()?;
            return Ok(None);
        }
        Err(wrong) => anyhow::bail!("{wrong}"),
    };
    let (seconds, warm) = (options.seconds.unwrap_or(CELL_S), options.warm);
    anyhow::ensure!((0.2..=86_400.0).contains(&seconds), "--seconds: between 0.2 and 86,400, not {seconds}");
    anyhow::ensure!((0.0..=600.0).contains(&warm), "--warm: between 0 and 600, not {warm}");
    let share = options.cache.iter().find(|share| !(0.001..=100.0).contains(*share));
    anyhow::ensure!(share.is_none(), "--cache: between 0.001 and 100 per cent each");
    let (purges, rate) = (options.purges, options.rate);
    anyhow::ensure!((1..=1_000_000).contains(&purges), "--purges: between 1 and a million, not {purges}");
    anyhow::ensure!((0.1..=1_000.0).contains(&rate), "--rate: between 0.1 and 1000 a second, not {rate}");
    let uploads = options.uploads;
    anyhow::ensure!((1..=10_000).contains(&uploads), "--uploads: between 1 and 10,000, not {uploads}");
    let (videos, questions) = (options.videos, options.questions);
    anyhow::ensure!(
        (100..=10_000_000).contains(&videos),
        "--videos: between 100 and 10 million, not {videos}"
    );
    anyhow::ensure!(
        (1..=1_000_000).contains(&questions),
        "--questions: between 1 and a million, not {questions}"
    );
    let buyers = options.buyers;
    anyhow::ensure!((1..=1_000).contains(&buyers), "--buyers: between 1 and 1,000, not {buyers}");
    let (viewers, edges) = (options.viewers, options.edges);
    anyhow::ensure!(
        (1_000..=50_000_000).contains(&viewers),
        "--viewers: between 1,000 and 50 million, not {viewers}"
    );
    anyhow::ensure!((8..=10_000).contains(&edges), "--edges: between 8 and 10,000, not {edges}");
    check_step(&options)?;
    check_live(&options)?;
    check_feed(&options)?;
    let rounds = options.rounds;
    anyhow::ensure!((1..=100).contains(&rounds), "--rounds: between 1 and 100, not {rounds}");
    Ok(Some(options))
}

fn check_step(options: &Options) -> anyhow::Result<()> {
    let (arrivals, let_in) = (options.arrivals, options.let_in);
    anyhow::ensure!(
        (1.0..=200.0).contains(&arrivals),
        "--arrivals: between 1 and 200 a second, not {arrivals}"
    );
    anyhow::ensure!((1..=10_000).contains(&let_in), "--let-in: between 1 and 10,000 a second, not {let_in}");
    // Else a line grows before anybody has come who would have to wait.
    anyhow::ensure!(
        let_in as f64 > arrivals,
        "--let-in: more than the {arrivals} of --arrivals, not {let_in}"
    );
    Ok(())
}

fn check_live(options: &Options) -> anyhow::Result<()> {
    for (flag, count) in
        [("clients", options.clients), ("sockets", options.sockets), ("returning", options.returning)]
    {
        // Each is a file of this process and one of an edge, of which most systems give 20,000.
        anyhow::ensure!((10..=15_000).contains(&count), "--{flag}: between 10 and 15,000, not {count}");
    }
    let messages = options.messages;
    anyhow::ensure!((1.0..=10_000.0).contains(&messages), "--messages: between 1 and 10,000, not {messages}");
    Ok(())
}

fn check_feed(options: &Options) -> anyhow::Result<()> {
    for (flag, count, most) in [
        // A home list has 800 entries, and what is brought is counted in it.
        ("posts", options.posts, 700),
        ("audience", options.audience, 100_000),
        ("followers", options.followers, 10_000_000),
        ("reads", options.reads, 10_000_000),
        ("writes", options.writes, 100_000),
    ] {
        anyhow::ensure!((1..=most).contains(&count), "--{flag}: between 1 and {most}, not {count}");
    }
    let rate = options.post_rate;
    anyhow::ensure!((0.5..=100.0).contains(&rate), "--post-rate: between 0.5 and 100 a second, not {rate}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(words: &[&str]) -> anyhow::Result<Option<Options>> {
        parse(std::iter::once("sluice-bench").chain(words.iter().copied()).map(OsString::from).collect())
    }

    #[test]
    fn without_a_name_every_benchmark_runs() {
        let all = options(&[]).unwrap().unwrap();
        assert_eq!(
            all.benches(),
            [
                Bench::CacheHit,
                Bench::Transcode,
                Bench::FirstPlay,
                Bench::Purge,
                Bench::Library,
                Bench::Catalog,
                Bench::Messages,
                Bench::Orders,
                Bench::Step,
                Bench::Live,
                Bench::Feed,
                Bench::Placement,
                Bench::Replay,
                Bench::Ahead,
                Bench::Simulate
            ]
        );
        let one = options(&["transcode"]).unwrap().unwrap();
        assert_eq!(one.benches(), [Bench::Transcode]);
    }

    #[test]
    fn cells_are_chosen_by_words_of_their_names() {
        let some = options(&["--only", "h2,1MiB/h1"]).unwrap().unwrap();
        assert!(some.wants("1KiB/h2/nginx") && some.wants("1MiB/h1/Varnish"));
        assert!(!some.wants("1KiB/h1/nginx"));
    }

    #[test]
    fn absurd_numbers_are_refused() {
        for words in [
            ["--seconds", "0"],
            ["--rounds", "0"],
            ["--warm", "-1"],
            ["--seconds", "NaN"],
            ["--rate", "0"],
            ["--purges", "0"],
            ["--videos", "0"],
            ["--edges", "0"],
            ["--viewers", "0"],
            ["--posts", "701"],
            ["--post-rate", "0"],
            ["--followers", "0"],
            ["--arrivals", "0"],
            ["--let-in", "20"],
        ] {
            assert!(options(&words).is_err(), "{words:?}");
        }
    }
}
