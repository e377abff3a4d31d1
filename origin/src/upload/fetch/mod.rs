//! Upload by URL: this origin fetches a source that a client named.
//!
//! A fetch is a row that one process at a time has. What arrived is kept like the bytes of any upload; a process that is
//! killed is followed by another one, which goes on by `Range` where the server can, and else from the beginning: what is
//! here already is compared, not stored again. A source that changed meanwhile fails its video.

mod answer;

use super::Addressed;
use super::error::UploadError;
use super::feed::Keep;
use super::intake::{Intake, Role, Wanted};
use crate::config::FetchConfig;
use crate::outbound::{Outbound, OutboundError};
use answer::Answer;
use http::HeaderValue;
use http::header::{ACCEPT_ENCODING, HeaderMap, IF_RANGE, RANGE};
use serde_json::json;
use sluice_storage::{Fetch, StorageError, Upload, UploadState, VideoState};
use sluice_wire::{EventKind, Tag, UploadId};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};
use tokio_util::sync::CancellationToken;

/// How long a fetch is one process's: after a kill, another one goes on this much later at most.
const CLAIM: Duration = Duration::from_secs(15);
/// Between two words that this process lives.
const RENEW: Duration = Duration::from_secs(4);
/// Between two looks for fetches that others ordered or left.
const PAUSE: Duration = Duration::from_secs(1);
/// Attempts in a row that bring nothing: with the pauses between them, half an hour.
const ATTEMPTS: u32 = 10;
/// The longest pause between two attempts; the first is a second, and each twice the one before.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Why a fetch does not go on now.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// It never will.
    #[error("{0}")]
    Never(String),
    /// It may later.
    #[error("{0}")]
    Later(String),
    /// Another process has it, or it was deleted.
    #[error("it is this process's no more")]
    Gone,
}

impl From<OutboundError> for FetchError {
    fn from(error: OutboundError) -> Self {
        match error {
            OutboundError::Refused(_) | OutboundError::Redirects => Self::Never(error.to_string()),
            OutboundError::Failed(why) => Self::Later(why),
        }
    }
}

impl From<UploadError> for FetchError {
    fn from(error: UploadError) -> Self {
        match error {
            UploadError::Storage(error) => error.into(),
            UploadError::Cut(why) => Self::Later(why),
            error => Self::Never(error.to_string()),
        }
    }
}

impl From<StorageError> for FetchError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::NotFound(_) | StorageError::Conflict(_) | StorageError::Fenced => Self::Gone,
            error => Self::Later(error.to_string()),
        }
    }
}

impl Intake {
    /// Orders a source to be fetched; the upload it will be.
    pub(super) async fn order(
        &self,
        outbound: &Outbound,
        url: &str,
        title: Option<String>,
        to: &Addressed,
    ) -> Result<UploadId, UploadError> {
        let url = outbound.read(url).map_err(|error| UploadError::Url(error.to_string()))?;
        let last = url.path_segments().and_then(|mut segments| segments.next_back()).unwrap_or_default();
        let name = percent_encoding::percent_decode_str(last).decode_utf8_lossy().into_owned();
        let name = super::name::file(&name).unwrap_or_else(|_| "video".into());
        let role = Role::Fetched(url.into());
        let Addressed { owner, replaces } = to.clone();
        self.begin(&Wanted { name, title, role, owner, replaces, ..Wanted::default() }).await
    }
}

/// Fetches what is ordered, a few at a time, until the drain begins.
pub(crate) async fn fetch(intake: Intake, outbound: Outbound, config: FetchConfig, stop: CancellationToken) {
    let mut running = JoinSet::new();
    loop {
        while running.try_join_next().is_some() {}
        let mut claimed = None;
        if running.len() < config.parallel {
            let holder = intake.storage.ids.job().to_string();
            match intake.storage.uploads().claim_fetch(&holder, CLAIM).await {
                Ok(found) => claimed = found,
                Err(error) => tracing::warn!(%error, "fetches could not be looked for"),
            }
        }
        if let Some(fetch) = claimed {
            let (intake, outbound, config) = (intake.clone(), outbound.clone(), config.clone());
            running.spawn(async move { run(&intake, &outbound, &config, &fetch).await });
            continue;
        }
        tokio::select! {
            () = intake.ordered.notified() => {}
            _ = running.join_next(), if !running.is_empty() => {}
            () = sleep(PAUSE) => {}
            // What is under way is dropped: it is another process's as soon as its claim is over.
            () = stop.cancelled() => return,
        }
    }
}

/// One attempt, while another task's worth of time says that it lives.
async fn run(intake: &Intake, outbound: &Outbound, config: &FetchConfig, fetch: &Fetch) {
    let id = fetch.upload;
    let before = offset(intake, id).await;
    let result = tokio::select! {
        result = attempt(intake, outbound, config, fetch) => result,
        error = alive(intake, fetch) => Err(error.into()),
    };
    let brought = offset(intake, id).await > before;
    let counted = |outcome| intake.metrics.uploads.with_label_values(&["url", outcome]).inc();
    let settled = match result {
        Ok(()) => {
            counted("complete");
            strike_off(intake, id, None).await
        }
        Err(FetchError::Gone) => Ok(()),
        Err(FetchError::Later(why)) if brought || fetch.attempts + 1 < ATTEMPTS => {
            tracing::info!(upload = %id, why, "a fetch is put off");
            counted("cut");
            let tried = if brought { 0 } else { fetch.attempts };
            let pause = LONGEST_PAUSE.min(Duration::from_secs(1 << tried.min(16)));
            let pause = pause.mul_f64(0.5 + rand::random::<f64>() / 2.0);
            intake.storage.uploads().put_off_fetch(fetch, brought, pause).await
        }
        Err(FetchError::Never(why) | FetchError::Later(why)) => {
            counted("refused");
            strike_off(intake, id, Some(&why)).await
        }
    };
    if let Err(error) = settled {
        tracing::debug!(%error, upload = %id, "a fetch is left to whoever claims it next");
    }
}

async fn offset(intake: &Intake, id: UploadId) -> u64 {
    intake.storage.uploads().get(id).await.ok().flatten().map_or(0, |upload| upload.offset)
}

/// Says that this process lives; ends when the fetch is lost.
async fn alive(intake: &Intake, fetch: &Fetch) -> StorageError {
    let mut ticks = interval(RENEW);
    loop {
        ticks.tick().await;
        if let Err(error @ StorageError::Fenced) = intake.storage.uploads().renew_fetch(fetch, CLAIM).await {
            return error;
        }
    }
}

async fn attempt(
    intake: &Intake,
    outbound: &Outbound,
    config: &FetchConfig,
    fetch: &Fetch,
) -> Result<(), FetchError> {
    let uploads = intake.storage.uploads();
    let upload = uploads.get(fetch.upload).await?.ok_or(FetchError::Gone)?;
    if upload.state == UploadState::Complete {
        return Ok(());
    }
    let age = intake.storage.clock.now_ms().saturating_sub(fetch.created_ms);
    if age > config.max_ms {
        return Err(FetchError::Never(format!("it is not here after {} s", config.max_ms / 1_000)));
    }
    let answer = outbound.get(&fetch.url, asked(&upload, fetch)).await?;
    match answer::read(&answer, upload.offset, upload.length)? {
        Answer::All => intake.finish(upload.id, upload.offset).await?,
        Answer::Rest { from, length } => {
            uploads.begin_fetch(fetch, answer::validator(&answer).as_deref(), CLAIM).await?;
            if let Some(length) = length {
                intake.fix_length(upload.id, length).await?;
            }
            let body = answer::body(answer, &upload, from)?;
            let reached = intake.feed(upload.id, upload.offset, Keep::AsItComes, None, body).await?;
            match length {
                Some(length) if length != reached => {
                    return Err(FetchError::Later(format!("{reached} of {length} bytes came")));
                }
                Some(_) => {}
                None if reached == 0 => return Err(FetchError::Never("there is nothing at this URL".into())),
                None => intake.finish(upload.id, reached).await?,
            }
        }
    }
    Ok(())
}

/// The fields of a request: for all of it, or for what is missing of what it was.
fn asked(upload: &Upload, fetch: &Fetch) -> HeaderMap {
    let mut headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]);
    let validator = fetch.validator.as_ref().and_then(|text| HeaderValue::from_str(text).ok());
    if let Some(validator) = validator.filter(|_| upload.offset > 0) {
        let rest = format!("bytes={}-", upload.offset);
        headers.insert(RANGE, HeaderValue::from_str(&rest).expect("digits"));
        headers.insert(IF_RANGE, validator);
    }
    headers
}

/// Strikes a fetch off. One that failed leaves a video that says why, and nothing of its source.
async fn strike_off(intake: &Intake, id: UploadId, failed: Option<&str>) -> Result<(), StorageError> {
    let (uploads, videos) = (&intake.storage.uploads(), &intake.storage.videos());
    let struck = intake.storage.database.write::<_, StorageError, _>(|tx| {
        Box::pin(async move {
            uploads.end_fetch(tx, id).await?;
            let Some(why) = failed else { return Ok(()) };
            let why = format!("the URL was not fetched: {why}");
            uploads.delete(tx, id).await?;
            videos.set_state(tx, id.video(), VideoState::Failed, Some(&why)).await?;
            let data = json!({ "video": id.video() });
            tx.emit(&Tag::library(), EventKind::Changed, data.clone()).await?;
            tx.emit(&Tag::video(id.video()), EventKind::Changed, data).await?;
            Ok(())
        })
    });
    struck.await?;
    intake.completed.notify_one();
    Ok(())
}
