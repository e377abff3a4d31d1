//! What a client does, over HTTP alone.

use reqwest::{Client, ClientBuilder, IntoUrl, Response, StatusCode};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a clip may take from upload to ready on two busy cores.
const READY_LIMIT: Duration = Duration::from_secs(240);
/// How long a cache may take to have something that is asked for again and again.
const KEPT_LIMIT: Duration = Duration::from_secs(10);

/// What clients of plain HTTP begin with. They know no certificate: each new client would read all of the machine's, some
/// hundred files, which takes longer than most answers.
pub fn plain() -> ClientBuilder {
    Client::builder().tls_certs_only([])
}

/// A client of plain HTTP with deadlines and without redirects.
#[must_use]
pub fn client() -> Client {
    plain()
        .connect_timeout(Duration::from_secs(5))
        .timeout(Duration::from_secs(60))
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

/// Uploads bytes as `curl -T` does; the video's document.
pub async fn put(edge: &str, name: &str, bytes: Vec<u8>) -> Value {
    let answer = client().put(format!("{edge}/v1/videos/{name}")).body(bytes).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED, "{:?}", answer.text().await);
    answer.json().await.unwrap()
}

/// A video's document.
pub async fn video(edge: &str, id: &str) -> Value {
    let answer = client().get(format!("{edge}/v1/videos/{id}")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    answer.json().await.unwrap()
}

/// Waits until a video's document satisfies something.
pub async fn wait_until(edge: &str, id: &str, what: &str, done: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    let mut last = Value::Null;
    loop {
        let answer = client().get(format!("{edge}/v1/videos/{id}")).send().await;
        if let Ok(answer) = answer
            && answer.status() == StatusCode::OK
        {
            last = answer.json().await.unwrap_or_default();
            if done(&last) {
                return last;
            }
        }
        assert!(begun.elapsed() < READY_LIMIT, "{id} was never {what}: {last}");
        sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until a video is ready; its document. A failed one ends the story.
pub async fn wait_ready(edge: &str, id: &str) -> Value {
    let ended = wait_until(edge, id, "ready", |v| v["state"] == "ready" || v["state"] == "failed").await;
    assert_eq!(ended["state"], "ready", "{ended}");
    ended
}

/// Asks once, whatever comes of it, over a connection of its own.
///
/// # Errors
/// The library's: nobody answered.
pub async fn ask(url: impl IntoUrl) -> reqwest::Result<Response> {
    client().get(url).send().await
}

/// Fetches something that must be there.
pub async fn get(url: &str) -> Response {
    let answer = client().get(url).send().await.unwrap();
    assert!(answer.status().is_success(), "{url}: {} {:?}", answer.status(), answer.text().await);
    answer
}

/// Fetches until the node that was asked answers from its own cache; that answer. What is made beside a film comes after
/// it is ready, and moves the video's version once more.
pub async fn kept(url: &str) -> Response {
    let begun = Instant::now();
    loop {
        let answer = get(url).await;
        let status = header(&answer, "cache-status");
        if status.rsplit(',').next().is_some_and(|own| own.contains("; hit")) {
            return answer;
        }
        assert!(begun.elapsed() < KEPT_LIMIT, "{url} is not kept: {status}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Fetches the bytes of something that must be there.
pub async fn bytes(url: &str) -> Vec<u8> {
    get(url).await.bytes().await.unwrap().to_vec()
}

/// A header's text, or nothing.
#[must_use]
pub fn header(answer: &Response, name: &str) -> String {
    answer.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned()
}

/// SHA-256 in hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Every media URI below a video's multivariant playlist, as absolute URLs: `(rung, init, segments)` each.
pub async fn rungs(edge: &str, id: &str) -> Vec<Rung> {
    let master = bytes(&format!("{edge}/v/{id}/master.m3u8")).await;
    let (_, master) = m3u8_rs::parse_master_playlist(&master).expect("a multivariant playlist");
    let audio = master.alternatives.iter().filter_map(|a| a.uri.clone());
    let variants = master.variants.iter().filter(|v| !v.is_i_frame).map(|v| v.uri.clone());
    let mut seen = BTreeSet::new();
    let uris: Vec<String> = variants.chain(audio).filter(|uri| seen.insert(uri.clone())).collect();
    let mut rungs = vec![];
    for uri in uris {
        let base = format!("{edge}/v/{id}/{uri}");
        let text = bytes(&base).await;
        let (_, list) = m3u8_rs::parse_media_playlist(&text).expect("a media playlist");
        let folder = base.rsplit_once('/').unwrap().0.to_owned();
        let map = list.segments.iter().find_map(|s| s.map.as_ref()).expect("EXT-X-MAP").uri.clone();
        rungs.push(Rung {
            name: uri.split('/').next().unwrap().to_owned(),
            init: format!("{folder}/{map}"),
            segments: list.segments.iter().map(|s| format!("{folder}/{}", s.uri)).collect(),
            durations: list.segments.iter().map(|s| f64::from(s.duration)).collect(),
            ended: list.end_list,
        });
    }
    rungs
}

/// Everything that a player of a whole video is given: names of headers and segments, each with the hash of its bytes.
/// Equal for two videos of one source.
pub async fn played(edge: &str, id: &str) -> Vec<(String, String)> {
    let mut all = vec![];
    for rung in rungs(edge, id).await {
        assert!(rung.ended, "{}", rung.name);
        for url in std::iter::once(&rung.init).chain(&rung.segments) {
            let name = url.rsplit('/').next().unwrap();
            all.push((format!("{}/{name}", rung.name), sha256(&bytes(url).await)));
        }
    }
    all
}

/// One rung as a player sees it.
#[derive(Debug, Clone)]
pub struct Rung {
    /// Its name.
    pub name: String,
    /// URL of its header.
    pub init: String,
    /// URLs of its segments.
    pub segments: Vec<String>,
    /// Seconds of each.
    pub durations: Vec<f64>,
    /// True when the playlist says that no more will come.
    pub ended: bool,
}

impl Rung {
    /// Header and segments in one piece, as a player feeds them to its decoder.
    pub async fn whole(&self) -> Vec<u8> {
        let mut all = bytes(&self.init).await;
        for segment in &self.segments {
            all.extend(bytes(segment).await);
        }
        all
    }
}
