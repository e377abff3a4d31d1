//! The feed: how soon a post is seen, what an author with a million readers costs, what reads cost the origin, and how soon
//! edges show what was written.
//!
//! ```text
//! author  (this process) -> edge -> origin: rows, events
//! readers (this process) -> edge: homes put together out of the origin's list and what the edge has; events of `home:ACCOUNT`
//! ```
//!
//! - `visible`: from written to seen, brought to readers; `pulled`: the same where nothing is written for each of them
//! - `warm`: bytes and requests of a home page; `mix`: public reads that reach the origin; `fresh`: writes at three edges
//! - `scene`: what is running, and its rows; `readers`: those who come with an import; `ear`: one who is told

mod ear;
mod fresh;
mod mix;
mod pulled;
mod readers;
mod scene;
mod table;
mod visible;
mod warm;

use crate::args::{Bench, Options};
use crate::report::Report;

/// How much of everything.
#[derive(Debug, Clone, Copy)]
struct Ground {
    posts: usize,
    post_rate: f64,
    audience: usize,
    followers: usize,
    reads: usize,
    writes: usize,
    rate: f64,
}

/// What was found; nothing of parts that were not wanted.
#[derive(Debug, Default)]
struct Found {
    visible: Option<visible::Found>,
    pulled: Option<pulled::Found>,
    warm: Option<warm::Found>,
    mix: Option<mix::Found>,
    fresh: Option<fresh::Found>,
}

/// Runs it.
pub(crate) fn run(options: &Options) -> anyhow::Result<Report> {
    crate::run_alone(bench(options))
}

async fn bench(options: &Options) -> anyhow::Result<Report> {
    let ground = Ground {
        posts: options.posts,
        post_rate: options.post_rate,
        audience: options.audience,
        followers: options.followers,
        reads: options.reads,
        writes: options.writes,
        rate: options.rate,
    };
    let mut found = Found::default();
    if options.wants("visible") {
        found.visible = Some(visible::run(&ground).await?);
    }
    if options.wants("pulled") {
        found.pulled = Some(pulled::run(&ground).await?);
    }
    if options.wants("warm") {
        found.warm = Some(warm::run(&ground).await?);
    }
    if options.wants("mix") {
        found.mix = Some(mix::run(&ground).await?);
    }
    if options.wants("fresh") {
        found.fresh = Some(fresh::run(&ground).await?);
    }
    Ok(table::report(Bench::Feed.name(), &ground, &found))
}
