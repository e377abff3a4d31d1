//! A video on its way: what its event stream says until it is ready or has failed.

use crate::api::{Api, complain, text};
use anyhow::{Context, bail};
use futures::StreamExt;
use reqwest::Method;
use serde_json::Value;
use std::io::IsTerminal;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// Silence after which a stream is given up: a living one says so each 10 s.
const SILENCE: Duration = Duration::from_secs(30);
/// How long streams may fail one after the other.
const PATIENCE: Duration = Duration::from_secs(300);
/// The pause between two, at first and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// Bytes of one event.
const MAX_EVENT: usize = 4 << 20;

/// It will never be ready.
#[derive(Debug)]
pub(crate) struct VideoFailed(String);

impl std::fmt::Display for VideoFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for VideoFailed {}

/// Follows a video until it is ready; its document.
///
/// # Errors
/// [`VideoFailed`]; what the server says; that it cannot be reached for five minutes.
pub(crate) async fn watch(edge: &Api, id: &str) -> anyhow::Result<Value> {
    let (mut pause, mut since, mut shown) = (PAUSE.0, Instant::now(), String::new());
    loop {
        let mut heard = false;
        let ended = follow(edge, id, |video| {
            heard = true;
            show(video, &mut shown);
        })
        .await;
        match ended {
            Ok(Some(video)) if video["state"] == "failed" => {
                bail!(VideoFailed(format!("{id} cannot be shown: {}", text(&video["error"]))))
            }
            Ok(Some(video)) => return Ok(video),
            Ok(None) => {}
            Err(Ended::Refused(error)) => return Err(error),
            Err(Ended::Cut(error)) if since.elapsed() > PATIENCE => return Err(error),
            Err(Ended::Cut(_)) => {}
        }
        if heard {
            (pause, since) = (PAUSE.0, Instant::now());
        }
        sleep(pause).await;
        pause = PAUSE.1.min(pause * 2);
    }
}

/// Why a stream says no more.
enum Ended {
    Refused(anyhow::Error),
    Cut(anyhow::Error),
}

/// One stream; the last document when it is final.
async fn follow(edge: &Api, id: &str, mut seen: impl FnMut(&Value)) -> Result<Option<Value>, Ended> {
    let cut = |error: anyhow::Error| Ended::Cut(error);
    let request = edge.request(Method::GET, &format!("/v1/videos/{id}/events"));
    let answer = request.send().await.context("asking for events").map_err(cut)?;
    if answer.status().is_client_error() {
        return Err(Ended::Refused(Api::problem(answer).await));
    }
    let answer = answer.error_for_status().context("asking for events").map_err(cut)?;
    let mut stream = answer.bytes_stream();
    let mut held = Vec::new();
    loop {
        let piece = timeout(SILENCE, stream.next()).await.context("nothing is heard").map_err(cut)?;
        let Some(piece) = piece else { return Ok(None) };
        held.extend_from_slice(&piece.context("the stream broke").map_err(cut)?);
        while let Some(end) = held.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = held.drain(..=end).collect();
            let Some(data) = line.strip_prefix(b"data: ") else { continue };
            let Ok(video) = serde_json::from_slice::<Value>(data) else { continue };
            seen(&video);
            if matches!(video["state"].as_str(), Some("ready" | "failed")) {
                return Ok(Some(video));
            }
        }
        if held.len() > MAX_EVENT {
            return Err(Ended::Cut(anyhow::anyhow!("an event beyond its limit")));
        }
    }
}

/// Says how far it is, once for each step.
fn show(video: &Value, shown: &mut String) {
    let done = video["progress"].as_f64().unwrap_or(0.0) * 100.0;
    let now = format!("{} {done:.0} %", text(&video["state"]));
    if now != *shown {
        let terminal = std::io::stderr().is_terminal();
        complain(&if terminal { format!("\r\x1b[K{now}") } else { format!("{now}\n") });
        if terminal && matches!(video["state"].as_str(), Some("ready" | "failed")) {
            complain("\n");
        }
        *shown = now;
    }
}
