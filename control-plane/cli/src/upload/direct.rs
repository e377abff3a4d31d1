//! Direct uploads: parts go to the store by URLs that the server signs, several at a time.
//!
//! Parts are asked for in the order of the file, so that those that were asked for and are not completed follow what is
//! here: that is all that is to be known in order to go on.

use super::Film;
use super::progress::Progress;
use super::state::Identity;
use crate::api::Api;
use anyhow::{Context, bail};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;
use tokio::time::sleep;

/// Bytes of a part, and parts asked for at once.
const PART: u64 = 16 << 20;
const BATCH: u64 = 8;
/// Parts sent at a time: each is in memory.
const PARALLEL: usize = 4;
/// Time for one part: 16 MiB at half a Mbit/s.
const LIMIT: Duration = Duration::from_secs(300);
const ASK_LIMIT: Duration = Duration::from_secs(60);
/// Attempts at a part, and the pause after the first.
const TRIES: u32 = 6;
const PAUSE: Duration = Duration::from_millis(300);

/// A part that was asked for, and where it begins in the file.
struct Part<'v> {
    asked: &'v Value,
    at: u64,
    bytes: u64,
}

/// Makes an upload; its URL.
pub(super) async fn create(api: &Api, length: u64, film: Film<'_>) -> anyhow::Result<String> {
    let order = json!({ "name": film.name, "title": film.title, "bytes": length });
    let made =
        api.send(api.request(Method::POST, &film.at("/v1/direct")).json(&order).timeout(ASK_LIMIT)).await?;
    let id = made["id"].as_str().context("the server gave the upload no name")?;
    Ok(format!("{}/v1/direct/{id}", api.base()))
}

/// True when the server still has it.
pub(super) async fn knows(api: &Api, url: &str) -> anyhow::Result<bool> {
    let answer = api.at(Method::GET, url).timeout(ASK_LIMIT).send().await.context("asking for the upload")?;
    Ok(answer.status().is_success())
}

/// Sends what is missing.
pub(super) async fn send(
    api: &Api,
    file: &File,
    identity: &Identity,
    url: &str,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let mut view = api.send(api.at(Method::GET, url).timeout(ASK_LIMIT)).await?;
    while view["complete"] != true {
        let offset = view["offset"].as_u64().context("the server does not say how far the upload is")?;
        progress.set(0, offset);
        let asked = match view["parts"].as_array().filter(|parts| !parts.is_empty()) {
            Some(parts) => parts.clone(),
            None => ask(api, file, url, offset, identity.length).await?,
        };
        let mut at = offset;
        let parts: Vec<Part<'_>> = asked
            .iter()
            .take(usize::try_from(BATCH).unwrap_or(usize::MAX))
            .map(|asked| {
                let bytes = asked["bytes"].as_u64().unwrap_or(0);
                at += bytes;
                Part { asked, at: at - bytes, bytes }
            })
            .collect();
        let sending = stream::iter(parts.iter().map(|part| put(api, file, part)));
        sending.buffer_unordered(PARALLEL).try_collect::<()>().await?;
        let numbers: Vec<&Value> = parts.iter().map(|part| &part.asked["number"]).collect();
        let done = api.at(Method::POST, &format!("{url}/complete")).json(&json!({ "parts": numbers }));
        view = api.send(done.timeout(ASK_LIMIT)).await?;
    }
    progress.set(0, identity.length);
    Ok(())
}

/// Asks for the next parts.
async fn ask(api: &Api, file: &File, url: &str, offset: u64, length: u64) -> anyhow::Result<Vec<Value>> {
    let mut wanted = vec![];
    let mut at = offset;
    while at < length && (wanted.len() as u64) < BATCH {
        let bytes = PART.min(length - at);
        wanted.push(json!({ "bytes": bytes, "sha256": hex::encode(Sha256::digest(read(file, at, bytes)?)) }));
        at += bytes;
    }
    if wanted.is_empty() {
        bail!("the server has all bytes and does not say that the upload is complete");
    }
    let post = api.at(Method::POST, &format!("{url}/parts")).json(&json!({ "parts": wanted }));
    let answer = api.send(post.timeout(ASK_LIMIT)).await?;
    answer["parts"].as_array().cloned().context("the server named no parts")
}

/// Puts a part into the store.
async fn put(api: &Api, file: &File, part: &Part<'_>) -> anyhow::Result<()> {
    let url = part.asked["url"].as_str().context("a part has no URL")?;
    let bytes = Bytes::from(read(file, part.at, part.bytes)?);
    let mut pause = PAUSE;
    for attempt in 1.. {
        let mut request = api.at(Method::PUT, url).timeout(LIMIT).body(bytes.clone());
        for (name, value) in part.asked["headers"].as_object().into_iter().flatten() {
            request = request.header(name, value.as_str().unwrap_or_default());
        }
        let failed = match request.send().await {
            // 412: an earlier attempt, of this command or of another, was stored.
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) if answer.status() == StatusCode::PRECONDITION_FAILED => return Ok(()),
            Ok(answer) => Api::problem(answer).await,
            Err(error) => anyhow::Error::new(error.without_url()),
        };
        if attempt == TRIES {
            return Err(failed.context("the store takes a part not; the same command goes on from here"));
        }
        sleep(pause).await;
        pause *= 2;
    }
    Ok(())
}

fn read(file: &File, at: u64, bytes: u64) -> anyhow::Result<Vec<u8>> {
    let mut part = vec![0; usize::try_from(bytes)?];
    file.read_exact_at(&mut part, at).context("reading the file")?;
    Ok(part)
}
