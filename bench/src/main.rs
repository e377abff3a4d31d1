//! Sluice's benchmarks, each beside its peers in the same run.
//!
//! - `cache-hit`: a near edge beside nginx's proxy_cache and Varnish, all in front of one small origin in this process,
//!   driven by this program's own closed-loop clients over HTTP/1.1, HTTP/2 and HTTP/3 ([`cache_hit`])
//! - `transcode`: the codec child beside the ffmpeg command line making the same ladder ([`transcode`])
//! - `first-play`: how soon uploads play, queued, still being sent, and on two workers ([`first_play`])
//! - `purge`: from the commit of a purge to what is new on three edges ([`purge`])
//! - `library`: lists and searches in a library of 100,000 videos, on SQLite and on PostgreSQL ([`library`])
//! - `catalog`: searches with facets in a catalog of 100,000 products ([`catalog`])
//! - `messages`: searches in a million messages of chats, on SQLite and on PostgreSQL ([`messages`])
//! - `orders`: orders a second at the shop, on SQLite and on PostgreSQL, beside one order a transaction ([`orders`])
//! - `step`: fifty times as many buyers from one moment to the next, with a waiting room and without, on both databases ([`step`])
//! - `live`: live channels: a room beside Pushpin, from edge to edge, silent sockets, an edge that dies ([`live`])
//! - `feed`: from written to seen, an author with a million readers, what reads cost the origin, how soon edges show writes ([`feed`])
//! - `placement`: where keys go, beside ketama, Maglev, jump and AnchorHash; how even a site is loaded ([`placement`])
//! - `replay`: the edge's eviction policy on a trace of requests, beside LRU and the clairvoyant bounds ([`replay`])
//! - `ahead`: what is fetched ahead of demand, by forecasts and plans, beside nothing and who knows what is coming ([`ahead`])
//! - `simulate`: the steering code over a thousand edges and five million viewers, beside what others do ([`simulate`])
//!
//! Every run says on which machine, from which commit and with which commands it was made ([`machine`], [`report`]), and
//! leaves its table in `bench/results`. Every peer is a private process on loopback that ends with the run ([`process`]).

mod ahead;
mod args;
mod cache_hit;
mod catalog;
mod cpu;
mod engines;
mod feed;
mod first_play;
mod fleet;
mod library;
mod live;
mod look;
mod machine;
mod measure;
mod messages;
mod network;
mod orders;
mod pages;
mod placement;
mod process;
mod purge;
mod replay;
mod report;
mod shop;
mod simulate;
mod statistics;
mod step;
mod tls;
mod transcode;
mod wire;
mod zipf;

use anyhow::Context;
use args::{Bench, Options};
use std::io::Write;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().collect();
    if let Some(outcome) = measure::play(&words) {
        return outcome;
    }
    let outcome = args::parse(words).and_then(|options| options.as_ref().map_or(Ok(()), run));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(std::io::stderr(), "sluice-bench: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> anyhow::Result<()> {
    for bench in options.benches() {
        let report = match bench {
            Bench::CacheHit => cache_hit::run(options),
            Bench::Transcode => transcode::run(options),
            Bench::FirstPlay => first_play::run(options),
            Bench::Purge => purge::run(options),
            Bench::Library => library::run(options),
            Bench::Catalog => catalog::run(options),
            Bench::Messages => messages::run(options),
            Bench::Orders => orders::run(options),
            Bench::Step => step::run(options),
            Bench::Live => live::run(options),
            Bench::Feed => feed::run(options),
            Bench::Replay => replay::run(options),
            Bench::Placement => placement::run(options),
            Bench::Ahead => ahead::run(options),
            Bench::Simulate => simulate::run(options),
        };
        report.with_context(|| format!("the benchmark {}", bench.name()))?.publish(&options.results)?;
    }
    Ok(())
}

/// Runs a benchmark's future on a runtime with one worker, as [`until_stopped`] does.
fn run_alone<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(until_stopped(work))
}

/// Runs a benchmark's future until it ends or somebody asks the program to; processes it started end either way.
async fn until_stopped<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        outcome = work => outcome,
        _ = interrupt.recv() => anyhow::bail!("interrupted"),
        _ = terminate.recv() => anyhow::bail!("terminated"),
    }
}
