//! tus 1.0, as a client speaks it: retried with longer and longer pauses, always from where the server says it is.

use super::Film;
use super::progress::Progress;
use super::state::{Piece, Plan};
use crate::api::Api;
use anyhow::{Context, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures::stream;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use reqwest::{Body, Method, RequestBuilder, Response, StatusCode};
use std::io::SeekFrom;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::time::{interval, sleep};

/// Where uploads are made.
const UPLOADS: &str = "/v1/uploads";
/// Bytes sent in one request: a cut loses no more than what the server has not stored of them.
const CHUNK: u64 = 64 << 20;
/// Bytes read at a time.
const READ: u64 = 256 << 10;
/// Time for one request with bytes: 64 MiB at 1 Mbit/s.
const CHUNK_LIMIT: Duration = Duration::from_secs(600);
/// Time for one without.
const ASK_LIMIT: Duration = Duration::from_secs(30);
/// Failures in a row without a byte of progress.
const TRIES: u32 = 10;
/// The pause after the first of them, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(15));

/// A server that takes uploads.
pub(crate) struct Tus<'a> {
    api: &'a Api,
}

/// What came of a request.
enum Came {
    Done(Response),
    /// Worth another try: a cut, a server that is starting, a lost race.
    Again(anyhow::Error),
}

impl<'a> Tus<'a> {
    pub(crate) const fn new(api: &'a Api) -> Self {
        Self { api }
    }

    /// What the server can do.
    pub(crate) async fn extensions(&self) -> anyhow::Result<Vec<String>> {
        let answer = self.persist(|| self.api.request(Method::OPTIONS, UPLOADS).timeout(ASK_LIMIT)).await?;
        Ok(field(&answer, "tus-extension").split(',').map(|one| one.trim().to_owned()).collect())
    }

    /// Makes an upload; its URL.
    pub(crate) async fn create(&self, length: u64, film: Film<'_>) -> anyhow::Result<String> {
        self.made(&film.at(UPLOADS), |post| {
            post.header("upload-length", length).header("upload-metadata", metadata(film))
        })
        .await
    }

    /// Makes an upload that is to be joined with others.
    pub(crate) async fn create_part(&self, length: u64) -> anyhow::Result<String> {
        self.made(UPLOADS, |post| post.header("upload-length", length).header("upload-concat", "partial"))
            .await
    }

    /// Joins uploads, which may still be empty.
    pub(crate) async fn join(&self, urls: &[&str], film: Film<'_>) -> anyhow::Result<String> {
        let paths: Vec<&str> =
            urls.iter().map(|url| url.strip_prefix(self.api.base()).unwrap_or(url)).collect();
        let concat = format!("final;{}", paths.join(" "));
        self.made(&film.at(UPLOADS), |post| {
            post.header("upload-concat", &concat).header("upload-metadata", metadata(film))
        })
        .await
    }

    async fn made(
        &self,
        at: &str,
        with: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> anyhow::Result<String> {
        let post = || self.api.request(Method::POST, at).header(CONTENT_LENGTH, 0);
        let answer =
            self.persist(|| with(spoken(post())).timeout(ASK_LIMIT)).await.context("making the upload")?;
        let at = field(&answer, LOCATION.as_str());
        if at.is_empty() {
            bail!("the server made an upload and did not say where");
        }
        Ok(if at.starts_with('/') { format!("{}{at}", self.api.base()) } else { at })
    }

    /// True when the server still has every upload of a plan.
    pub(crate) async fn knows(&self, plan: &Plan) -> anyhow::Result<bool> {
        for url in plan.pieces.iter().map(|piece| &piece.url).chain([&plan.whole]) {
            let answer = self.ask(|| spoken(self.api.at(Method::HEAD, url)).timeout(ASK_LIMIT)).await?;
            if !answer.status().is_success() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Sends what is missing of a piece; how much of it the server has then.
    pub(crate) async fn send(
        &self,
        path: &Path,
        piece: &Piece,
        progress: &mut Progress,
    ) -> anyhow::Result<u64> {
        let (length, mut failures, mut pause) = (piece.to - piece.from, 0, PAUSE.0);
        let mut here = self.offset(&piece.url).await?;
        progress.set(piece.from, here);
        while here < length {
            let until = length.min(here + CHUNK);
            let failed = match self.append(path, piece, here..until, progress).await? {
                Came::Done(answer) => {
                    here = field(&answer, "upload-offset").parse().unwrap_or(until);
                    (failures, pause) = (0, PAUSE.0);
                    progress.set(piece.from, here);
                    continue;
                }
                Came::Again(error) => error,
            };
            failures += 1;
            if failures >= TRIES {
                return Err(failed.context("given up; the same command goes on from here"));
            }
            progress.note(&format!("{failed:#}; trying again"));
            sleep(pause).await;
            pause = PAUSE.1.min(pause * 2);
            let now = self.offset(&piece.url).await?;
            if now > here {
                (failures, pause) = (0, PAUSE.0);
            }
            here = now;
            progress.set(piece.from, here);
        }
        Ok(here)
    }

    async fn offset(&self, url: &str) -> anyhow::Result<u64> {
        let answer = self.persist(|| spoken(self.api.at(Method::HEAD, url)).timeout(ASK_LIMIT)).await?;
        field(&answer, "upload-offset").parse().context("the server does not say how far the upload is")
    }

    /// One request with bytes of a piece.
    async fn append(
        &self,
        path: &Path,
        piece: &Piece,
        range: std::ops::Range<u64>,
        progress: &mut Progress,
    ) -> anyhow::Result<Came> {
        let (from, length) = (range.start, range.end - range.start);
        let sent = Arc::new(AtomicU64::new(from));
        let body = reading(path, piece.from + from, length, Arc::clone(&sent)).await?;
        let request = spoken(self.api.at(Method::PATCH, &piece.url))
            .header(CONTENT_TYPE, "application/offset+octet-stream")
            .header("upload-offset", from)
            .header(CONTENT_LENGTH, length)
            .timeout(CHUNK_LIMIT)
            .body(body);
        let sending = request.send();
        tokio::pin!(sending);
        let mut look = interval(Duration::from_millis(100));
        let answer = loop {
            tokio::select! {
                answer = &mut sending => break answer,
                _ = look.tick() => progress.set(piece.from, sent.load(Ordering::Relaxed)),
            }
        };
        came(answer).await
    }

    /// Asks until there is an answer that another try would not change; an error of the client is one in words.
    async fn persist(&self, request: impl Fn() -> RequestBuilder) -> anyhow::Result<Response> {
        let answer = self.ask(request).await?;
        if answer.status().is_success() { Ok(answer) } else { Err(Api::problem(answer).await) }
    }

    async fn ask(&self, request: impl Fn() -> RequestBuilder) -> anyhow::Result<Response> {
        let mut pause = PAUSE.0;
        for _ in 1..TRIES {
            match request().send().await {
                Ok(answer) if !answer.status().is_server_error() => return Ok(answer),
                Ok(_) | Err(_) => {}
            }
            sleep(pause).await;
            pause = PAUSE.1.min(pause * 2);
        }
        request().send().await.with_context(|| format!("asking {}", self.api.base()))
    }
}

async fn came(answer: reqwest::Result<Response>) -> anyhow::Result<Came> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Ok(Came::Again(anyhow::Error::new(error).context("the line broke"))),
    };
    let status = answer.status();
    // 409: the offset is another by now. 423 and 429: somebody else is at it, or there were too many.
    let again = status.is_server_error()
        || matches!(status, StatusCode::CONFLICT | StatusCode::LOCKED | StatusCode::TOO_MANY_REQUESTS)
        || status == StatusCode::REQUEST_TIMEOUT;
    let full = status == StatusCode::INSUFFICIENT_STORAGE;
    if status.is_success() {
        Ok(Came::Done(answer))
    } else if again && !full {
        Ok(Came::Again(Api::problem(answer).await))
    } else {
        Err(Api::problem(answer).await)
    }
}

/// Bytes of a file as they are wanted; counted as they are taken.
async fn reading(path: &Path, at: u64, length: u64, sent: Arc<AtomicU64>) -> anyhow::Result<Body> {
    let mut file = File::open(path).await.with_context(|| format!("opening {}", path.display()))?;
    file.seek(SeekFrom::Start(at)).await?;
    let pieces = stream::try_unfold((file, length), move |(mut file, left)| {
        let sent = Arc::clone(&sent);
        async move {
            if left == 0 {
                return Ok::<_, std::io::Error>(None);
            }
            let mut bytes = vec![0; usize::try_from(left.min(READ)).unwrap_or(usize::MAX)];
            file.read_exact(&mut bytes).await?;
            sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            let left = left - bytes.len() as u64;
            Ok(Some((Bytes::from(bytes), (file, left))))
        }
    });
    Ok(Body::wrap_stream(pieces))
}

fn spoken(request: RequestBuilder) -> RequestBuilder {
    request.header("tus-resumable", "1.0.0")
}

fn field(answer: &Response, name: &str) -> String {
    answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

fn metadata(Film { name, title, .. }: Film<'_>) -> String {
    let pair = |key: &str, value: &str| format!("{key} {}", BASE64_STANDARD.encode(value));
    let name = pair("filename", name);
    title.map_or_else(|| name.clone(), |title| format!("{name},{}", pair("title", title)))
}
