//! A source that is still being sent.

use super::house::{House, clip};
use crate::report::progress;
use anyhow::{Context, ensure};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::time::{sleep, sleep_until};

/// Seconds of the source.
const SECONDS: u32 = 24;
/// Pieces sent a second.
const PIECES: u32 = 10;
/// How much faster than it plays it is sent.
const SPEED: u32 = 2;

/// What one round took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    /// From the last byte of the first group of pictures, acknowledged, to a segment of picture and sound at the edge.
    pub(super) waited: Duration,
    /// The part of the source that was sent then.
    pub(super) sent: f64,
}

pub(super) async fn measure(folder: &Path, rounds: usize) -> anyhow::Result<Vec<Round>> {
    let folder = folder.join("sent");
    let mut house = House::start(&folder).await?;
    let edge = house.edge().await?;
    let worker = house.worker("worker", None).await?;
    let source = clip(&folder, "sent.mp4", SECONDS, "1920x1080").await?;
    let mut all = vec![];
    for number in 0..rounds {
        progress(format!("first-play: a source that is sent, round {}", number + 1));
        all.push(round(&house, &edge, &source).await?);
    }
    worker.stop().await;
    house.stop().await;
    Ok(all)
}

async fn round(house: &House, edge: &str, source: &[u8]) -> anyhow::Result<Round> {
    let group = second_fragment(source).context("a source with two fragments")?;
    let tus = |request: reqwest::RequestBuilder| request.header("tus-resumable", "1.0.0");
    let request = tus(house.client.post(format!("{edge}/v1/uploads"))).header("upload-length", source.len());
    let answer = request.send().await?.error_for_status()?;
    let at = answer.headers()["location"].to_str()?.to_owned();
    let (url, id) = (format!("{edge}{at}"), at.rsplit('/').next().context("an id")?.to_owned());
    let piece = source.len() / (SECONDS * PIECES / SPEED) as usize + 1;
    let begun = tokio::time::Instant::now();
    let (mut offset, mut grouped) = (0, None);
    let playing = playable(house, edge, &id);
    let mut playing = std::pin::pin!(playing);
    for number in 0u32.. {
        let Some(bytes) = source.get(offset..).filter(|left| !left.is_empty()) else { break };
        let bytes = &bytes[..piece.min(bytes.len())];
        let sending = tus(house.client.patch(&url))
            .header("content-type", "application/offset+octet-stream")
            .header("upload-offset", offset)
            .body(bytes.to_vec())
            .send();
        let turn = async {
            let answer = sending.await?.error_for_status()?;
            ensure!(answer.status() == 204, "{} of a piece", answer.status());
            if offset < group && offset + bytes.len() >= group {
                grouped = Some(Instant::now());
            }
            offset += bytes.len();
            sleep_until(begun + Duration::from_secs(1) / PIECES * (number + 1)).await;
            anyhow::Ok(())
        };
        tokio::select! {
            biased;
            played = &mut playing => {
                let waited = played?.saturating_duration_since(grouped.unwrap_or_else(Instant::now));
                let sent = offset as f64 / source.len() as f64;
                tus(house.client.delete(&url)).send().await?;
                return Ok(Round { waited, sent });
            }
            turned = turn => turned?,
        }
    }
    let played = playing.await?;
    let waited = played.saturating_duration_since(grouped.context("a whole group of pictures")?);
    Ok(Round { waited, sent: 1.0 })
}

/// Waits until the edge gives the first segment of each rung that it lists.
async fn playable(house: &House, edge: &str, id: &str) -> anyhow::Result<Instant> {
    let get = async |url: String| -> anyhow::Result<Option<String>> {
        let answer = house.client.get(url).send().await?;
        Ok(if answer.status() == 200 {
            Some(String::from_utf8_lossy(&answer.bytes().await?).into_owned())
        } else {
            None
        })
    };
    loop {
        if let Some(master) = get(format!("{edge}/v/{id}/master.m3u8")).await? {
            let lists = master.lines().filter_map(|line| {
                let uri = line.split_once("URI=\"").and_then(|(_, rest)| rest.split('"').next());
                uri.or_else(|| Some(line).filter(|line| !line.starts_with('#')))
            });
            let mut all = true;
            for list in lists.filter(|uri| uri.ends_with("index.m3u8")) {
                let (folder, _) = list.rsplit_once('/').unwrap_or(("", list));
                let text = get(format!("{edge}/v/{id}/{list}")).await?.unwrap_or_default();
                let segment = text.lines().find(|line| !line.is_empty() && !line.starts_with('#'));
                all &= match segment {
                    Some(segment) => get(format!("{edge}/v/{id}/{folder}/{segment}")).await?.is_some(),
                    None => false,
                };
            }
            if all {
                return Ok(Instant::now());
            }
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// Where the second fragment begins: before it is the first group of pictures.
fn second_fragment(source: &[u8]) -> Option<usize> {
    let fragments = source.windows(4).enumerate().filter(|(_, four)| four == b"moof");
    fragments.map(|(at, _)| at.saturating_sub(4)).nth(1)
}
