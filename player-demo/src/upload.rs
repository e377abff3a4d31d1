//! The first video: sent through an edge as any client would, and watched until it can be played to its end.

use crate::child::Stop;
use crate::report;
use anyhow::{Context, bail};
use futures::TryStreamExt;
use serde::Deserialize;
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_util::io::ReaderStream;

/// Between two looks at a video that is being transcoded.
const LOOK_EVERY: Duration = Duration::from_millis(400);
/// Silence of the transcoder after which the demo says so and goes on.
const PATIENCE: Duration = Duration::from_secs(600);

/// What the demo needs of a video's document.
#[derive(Debug, Deserialize)]
struct Video {
    id: String,
    name: String,
    state: String,
    #[serde(default)]
    bytes: u64,
    progress: f64,
    error: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Listing {
    videos: Vec<Video>,
}

/// Uploads a file unless the library has it; gives the video's id. `None` when asked to stop meanwhile.
pub(crate) async fn ensure(edge: &str, file: &Path, stop: &mut Stop) -> anyhow::Result<Option<String>> {
    tokio::select! {
        id = send_and_watch(edge, file) => id.map(Some),
        () = stop.asked() => bail!("stopped"),
    }
}

async fn send_and_watch(edge: &str, file: &Path) -> anyhow::Result<String> {
    let http = reqwest::Client::builder().connect_timeout(Duration::from_secs(5)).build()?;
    let name = file.file_name().and_then(|n| n.to_str()).context("the video's name is no text")?;
    let bytes = std::fs::metadata(file)?.len();
    let listing: Listing = get(&http, &format!("{edge}/v1/videos?limit=100")).await?;
    let known =
        listing.videos.into_iter().find(|v| v.name == name && v.bytes == bytes && v.state != "failed");
    let id = match known {
        Some(video) => video.id,
        None => send(&http, edge, file, name, bytes).await?,
    };
    watch(&http, edge, &id).await?;
    Ok(id)
}

async fn send(
    http: &reqwest::Client,
    edge: &str,
    file: &Path,
    name: &str,
    total: u64,
) -> anyhow::Result<String> {
    let mut sent = 0u64;
    let body =
        ReaderStream::with_capacity(tokio::fs::File::open(file).await?, 256 << 10).inspect_ok(move |piece| {
            sent += piece.len() as u64;
            report::bar("uploading", sent as f64 / total.max(1) as f64);
        });
    let url = reqwest::Url::parse(&format!("{edge}/v1/videos/"))?.join(&encode(name))?;
    let answer = http
        .put(url)
        .header("content-length", total)
        .body(reqwest::Body::wrap_stream(body))
        .send()
        .await
        .context("uploading")?;
    let status = answer.status();
    let text = answer.text().await?;
    report::bar_end();
    if !status.is_success() {
        bail!("the upload was refused ({status}): {text}");
    }
    Ok(serde_json::from_str::<Video>(&text).context("reading the answer to the upload")?.id)
}

async fn watch(http: &reqwest::Client, edge: &str, id: &str) -> anyhow::Result<()> {
    let mut moved = (Instant::now(), -1.0f64);
    loop {
        let video: Video = get(http, &format!("{edge}/v1/videos/{id}")).await?;
        match video.state.as_str() {
            "ready" => {
                report::bar("transcoding", 1.0);
                report::bar_end();
                return Ok(());
            }
            "failed" => {
                report::bar_end();
                bail!("{} cannot be shown: {}", video.name, video.error.unwrap_or_default());
            }
            _ => report::bar("transcoding", video.progress),
        }
        if video.progress > moved.1 {
            moved = (Instant::now(), video.progress);
        } else if moved.0.elapsed() > PATIENCE {
            bail!("no progress for {} s; see the transcoder's log", PATIENCE.as_secs());
        }
        sleep(LOOK_EVERY).await;
    }
}

async fn get<T: for<'de> Deserialize<'de>>(http: &reqwest::Client, url: &str) -> anyhow::Result<T> {
    let answer = http
        .get(url)
        .timeout(Duration::from_secs(10))
        .send()
        .await
        .with_context(|| format!("asking {url}"))?;
    let status = answer.status();
    let text = answer.text().await?;
    if !status.is_success() {
        bail!("{url} answered {status}: {text}");
    }
    serde_json::from_str(&text).with_context(|| format!("reading {url}"))
}

/// Percent-encodes a file name into one path segment (RFC 3986 section 3.3: only unreserved characters stay).
fn encode(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
