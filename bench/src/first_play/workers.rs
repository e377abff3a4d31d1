//! One film on one worker, and on two.

use super::house::{House, clip};
use crate::cpu;
use crate::report::progress;
use anyhow::ensure;
use std::path::Path;
use std::time::{Duration, Instant};

/// Seconds of the film, and its size: thirty chunks, so that the last of them, on which one worker is alone, weighs little.
pub(super) const CLIP: (u32, &str) = (480, "640x360");

/// What one round took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    pub(super) one: Duration,
    pub(super) two: Duration,
}

pub(super) async fn measure(folder: &Path, rounds: usize) -> anyhow::Result<Vec<Round>> {
    let cpus = cpu::allowed()?;
    ensure!(cpus.len() >= 2, "two workers take two processors");
    let folder = folder.join("workers");
    std::fs::create_dir_all(&folder)?;
    let (seconds, size) = CLIP;
    let source = clip(&folder, "film.mp4", seconds, size).await?;
    let mut all = vec![];
    for round in 0..rounds {
        let mut took = vec![];
        for workers in [&cpus[..1], &cpus[..2]] {
            progress(format!("first-play: round {}, on {} worker(s)", round + 1, workers.len()));
            let room = tempfile::tempdir_in(&folder)?;
            took.push(film(room.path(), workers, &source).await?);
        }
        all.push(Round { one: took[0], two: took[1] });
    }
    Ok(all)
}

/// How long a film takes on workers that have a processor each.
async fn film(folder: &Path, cpus: &[usize], source: &[u8]) -> anyhow::Result<Duration> {
    let mut house = House::start(folder).await?;
    let id = house.upload("film.mp4", source).await?;
    let begun = Instant::now();
    let mut workers = vec![];
    for cpu in cpus {
        workers.push(house.worker(&format!("worker-{cpu}"), Some(*cpu)).await?);
    }
    let took = house.when(&[id], begun, |video| video["state"] == "ready").await?[0];
    for worker in workers {
        worker.stop().await;
    }
    house.stop().await;
    Ok(took)
}
