//! How soon uploads play: many at once, one that is still being sent, and one on two workers instead of one.
//!
//! - *queue*: videos that are all there before the worker begins, and when each can be played at the origin. Beside it, in
//!   the order of arrival: what the same work takes when each video is finished before the next begins.
//! - *sent*: a source sent at twice its bitrate, from its first whole group of pictures to a segment at the edge
//! - *workers*: a film on one worker and on two, each on a processor of its own

mod house;
mod queue;
mod sent;
mod table;
mod workers;

use crate::args::{Bench, Options};
use crate::report::Report;

/// Runs it.
pub(crate) fn run(options: &Options) -> anyhow::Result<Report> {
    crate::run_alone(bench(options))
}

async fn bench(options: &Options) -> anyhow::Result<Report> {
    let folder = tempfile::tempdir()?;
    let mut report = table::begin(Bench::FirstPlay.name());
    if options.wants("sent") {
        table::sent(&mut report, &sent::measure(folder.path(), options.rounds).await?);
    }
    if options.wants("queue") {
        table::queue(&mut report, &queue::measure(folder.path(), options.uploads).await?);
    }
    if options.wants("workers") {
        table::workers(&mut report, &workers::measure(folder.path(), options.rounds).await?);
    }
    Ok(report)
}
