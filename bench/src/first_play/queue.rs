//! Many videos at once.

use super::house::{House, clip};
use crate::report::progress;
use std::path::Path;
use std::time::{Duration, Instant};

/// Seconds of each video, and its size.
pub(super) const CLIP: (u32, &str) = (24, "1280x720");

/// When videos could be played.
#[derive(Debug)]
pub(super) struct Queue {
    /// Of each video in the order of arrival.
    pub(super) playable: Vec<Duration>,
    /// Until all were ready.
    pub(super) whole: Duration,
    /// The first playable segment of one that is alone.
    pub(super) alone: Duration,
}

impl Queue {
    /// What each would have waited in the order of arrival: those before it are whole then.
    pub(super) fn in_order(&self) -> Vec<Duration> {
        let each = self.whole / u32::try_from(self.playable.len()).unwrap_or(1).max(1);
        (0..).zip(&self.playable).map(|(before, _)| each * before + self.alone).collect()
    }
}

pub(super) async fn measure(folder: &Path, videos: usize) -> anyhow::Result<Queue> {
    let folder = folder.join("queue");
    let mut house = House::start(&folder).await?;
    let (seconds, size) = CLIP;
    let source = clip(&folder, "queued.mp4", seconds, size).await?;
    let playable = |video: &serde_json::Value| video["playable"] == true;
    progress("first-play: one video alone");
    let worker = house.worker("alone", None).await?;
    let begun = Instant::now();
    let id = house.upload("alone.mp4", &source).await?;
    let alone = house.when(std::slice::from_ref(&id), begun, playable).await?[0];
    house.when(&[id], begun, |video| video["state"] == "ready").await?;
    worker.stop().await;
    progress(format!("first-play: {videos} videos in the queue"));
    let mut ids = vec![];
    for number in 0..videos {
        ids.push(house.upload(&format!("{number}.mp4"), &source).await?);
    }
    let begun = Instant::now();
    let worker = house.worker("worker", None).await?;
    let playable = house.when(&ids, begun, playable).await?;
    let ready = house.when(&ids, begun, |video| video["state"] == "ready").await?;
    let whole = ready.into_iter().max().unwrap_or_default();
    worker.stop().await;
    house.stop().await;
    Ok(Queue { playable, whole, alone })
}
