//! The intake: from a body to parts, rows and a job.

use super::error::UploadError;
use super::hash::Running;
use super::name;
use crate::config::UploadConfig;
use crate::metrics::Metrics;
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use serde_json::json;
use sha2::{Digest, Sha256};
use sluice_storage::{NewJob, NewUpload, NewVideo, Part, Storage, StorageError, Tx, Upload, VideoState};
use sluice_wire::{EventKind, ObjectKey, Tag, UploadId};
use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Silence of a client after which its request ends. What arrived of a tus upload is kept.
const BODY_STALL: Duration = Duration::from_secs(60);
/// Tries of a transcoding job.
const ATTEMPTS: u32 = 5;
/// Between two looks for expired uploads, and how many are removed in one.
const SWEEP: (Duration, u64) = (Duration::from_secs(30), 50);

/// When a request's bytes count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// Part by part, also of a request that is cut.
    AsItComes,
    /// Only all of them, when their checksum is right.
    WhenChecked,
}

/// A checksum that a client sent along.
pub(super) enum Checksum {
    Sha1([u8; 20], Box<sha1::Sha1>),
    Sha256([u8; 32], Box<Sha256>),
}

impl Checksum {
    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(_, hash) => Digest::update(hash.as_mut(), bytes),
            Self::Sha256(_, hash) => hash.update(bytes),
        }
    }

    fn matches(self) -> bool {
        match self {
            Self::Sha1(wanted, hash) => Digest::finalize(*hash)[..] == wanted,
            Self::Sha256(wanted, hash) => hash.finalize()[..] == wanted,
        }
    }
}

/// Takes uploads. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Intake {
    pub(super) storage: Storage,
    pub(super) config: UploadConfig,
    metrics: Metrics,
}

impl Intake {
    pub(crate) fn new(storage: Storage, config: &UploadConfig, metrics: Metrics) -> Self {
        Self { storage, config: config.clone(), metrics }
    }

    /// Makes an upload and its video, not yet in the library.
    pub(super) async fn begin(
        &self,
        name: &str,
        title: Option<&str>,
        length: Option<u64>,
    ) -> Result<UploadId, UploadError> {
        let max = self.config.max_bytes;
        if length.is_some_and(|length| length > max) {
            return Err(UploadError::TooLarge(max));
        }
        if length == Some(0) {
            return Err(UploadError::Empty);
        }
        let name = name::file(name)?;
        let id = self.storage.ids.upload();
        let upload = NewUpload {
            id,
            name: name.clone(),
            length,
            metadata: BTreeMap::new(),
            expires_ms: self.storage.clock.now_ms() + self.config.expire_ms,
            hash_state: Running::new().state(),
        };
        let title = name::title(title, &name);
        let video = NewVideo {
            id: id.video(),
            name,
            title,
            state: VideoState::Uploading,
            bytes: length,
            sha256: None,
        };
        let (uploads, videos) = (self.storage.uploads(), self.storage.videos());
        let made = self.storage.database.write::<_, StorageError, _>(|tx| {
            let (uploads, videos, upload, video) = (&uploads, &videos, &upload, &video);
            Box::pin(async move {
                videos.create(tx, video).await?;
                uploads.create(tx, upload).await
            })
        });
        made.await?;
        Ok(id)
    }

    /// Takes a body from `offset` on; gives the new offset. A cut body's bytes are kept up to where it was cut (as it
    /// comes), and the cut is the error.
    pub(super) async fn feed(
        &self,
        id: UploadId,
        offset: u64,
        keep: Keep,
        checksum: Option<Checksum>,
        body: impl Stream<Item = Result<Bytes, UploadError>> + Send,
    ) -> Result<u64, UploadError> {
        let upload = self.storage.uploads().get(id).await?;
        let upload = upload.ok_or_else(|| StorageError::NotFound(format!("upload {id}")))?;
        if upload.offset != offset {
            return Err(StorageError::Conflict(format!(
                "the upload is at {}, not at {offset}",
                upload.offset
            ))
            .into());
        }
        let hash = Running::resume(&upload.hash_state)?;
        let mut feed = Feed {
            intake: self,
            upload,
            hash,
            offset,
            buffer: BytesMut::new(),
            keep,
            checksum,
            held: vec![],
        };
        let result = feed.take(body).await;
        if result.is_err() {
            feed.let_go().await;
        }
        result.map(|()| feed.offset)
    }

    /// Ends an upload: in one transaction its video is queued, its job made, the event appended.
    pub(super) async fn finish(&self, id: UploadId, length: u64) -> Result<(), UploadError> {
        let (uploads, videos, jobs) = (self.storage.uploads(), self.storage.videos(), self.storage.jobs());
        let finished = self.storage.database.write::<_, StorageError, _>(|tx| {
            let (uploads, videos, jobs) = (&uploads, &videos, &jobs);
            Box::pin(async move {
                let kept = uploads.get_in(tx, id).await?;
                let kept = kept.ok_or_else(|| StorageError::NotFound(format!("upload {id}")))?;
                uploads.complete(tx, id, length).await?;
                let sha256 = Running::resume(&kept.hash_state)?.finish();
                let video = id.video();
                videos.set_source(tx, video, length, &sha256).await?;
                videos.set_state(tx, video, VideoState::Queued, None).await?;
                let payload = json!({ "video": video });
                let job = NewJob {
                    kind: "transcode".into(),
                    payload: payload.clone(),
                    priority: 0,
                    max_attempts: ATTEMPTS,
                };
                jobs.enqueue(tx, job).await?;
                tx.emit(&Tag::library(), EventKind::Changed, payload.clone()).await?;
                tx.emit(&Tag::video(video), EventKind::Created, payload).await?;
                Ok(())
            })
        });
        Ok(finished.await?)
    }

    /// Removes an unfinished upload and what it stored. Its rows go first, so that nothing half remains visible.
    pub(super) async fn abandon(&self, id: UploadId) {
        let (uploads, videos) = (self.storage.uploads(), self.storage.videos());
        let removed = self.storage.database.write::<_, StorageError, _>(|tx| {
            let (uploads, videos) = (&uploads, &videos);
            Box::pin(async move {
                uploads.delete(tx, id).await?;
                videos.delete(tx, id.video()).await
            })
        });
        let prefix = ObjectKey::source_prefix(id);
        let result = match removed.await {
            Ok(_) => self.storage.objects.delete_prefix(&prefix).await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            tracing::warn!(%error, upload = %id, "an unfinished upload stays behind until it expires");
        }
    }

    async fn append(
        &self,
        tx: &Tx<'_>,
        id: UploadId,
        offset: u64,
        part: &Part,
        hash: &[u8],
    ) -> Result<(), StorageError> {
        self.storage.uploads().append(tx, id, offset, part, hash).await?;
        self.storage.uploads().set_expiry(tx, id, tx.now_ms() + self.config.expire_ms).await
    }
}

/// One request's bytes on their way.
struct Feed<'i> {
    intake: &'i Intake,
    upload: Upload,
    hash: Running,
    offset: u64,
    buffer: BytesMut,
    keep: Keep,
    checksum: Option<Checksum>,
    /// Stored parts that do not count yet, each with the hash after it.
    held: Vec<(Part, Vec<u8>)>,
}

impl Feed<'_> {
    async fn take(
        &mut self,
        body: impl Stream<Item = Result<Bytes, UploadError>> + Send,
    ) -> Result<(), UploadError> {
        let mut body = pin!(body);
        let part_bytes = usize::try_from(self.intake.config.part_bytes).unwrap_or(usize::MAX);
        let ended = loop {
            let piece = match timeout(BODY_STALL, body.next()).await {
                Err(_) => {
                    break Err(UploadError::Cut(format!("nothing came for {} s", BODY_STALL.as_secs())));
                }
                Ok(None) => break Ok(()),
                Ok(Some(Err(error))) => break Err(error),
                Ok(Some(Ok(piece))) => piece,
            };
            self.within_limits(piece.len() as u64)?;
            if let Some(checksum) = &mut self.checksum {
                checksum.update(&piece);
            }
            self.buffer.extend_from_slice(&piece);
            while self.buffer.len() >= part_bytes {
                let part = self.buffer.split_to(part_bytes).freeze();
                self.store(part).await?;
            }
        };
        if ended.is_err() && self.keep == Keep::WhenChecked {
            return ended;
        }
        if !self.buffer.is_empty() {
            let rest = self.buffer.split().freeze();
            self.store(rest).await?;
        }
        if self.checksum.take().is_some_and(|checksum| !checksum.matches()) {
            return Err(UploadError::Checksum);
        }
        self.commit().await?;
        ended
    }

    fn within_limits(&self, more: u64) -> Result<(), UploadError> {
        let held: u64 = self.held.iter().map(|(part, _)| part.bytes).sum();
        let reached = self.offset + held + self.buffer.len() as u64 + more;
        match self.upload.length {
            Some(length) if reached > length => Err(UploadError::PastLength(length)),
            None if reached > self.intake.config.max_bytes => {
                Err(UploadError::TooLarge(self.intake.config.max_bytes))
            }
            _ => Ok(()),
        }
    }

    /// Stores a part; it counts at once, or when the whole request does.
    async fn store(&mut self, bytes: Bytes) -> Result<(), UploadError> {
        let id = self.upload.id;
        let index = self.intake.storage.uploads().claim(id).await?;
        self.hash.update(&bytes);
        let held: u64 = self.held.iter().map(|(part, _)| part.bytes).sum();
        let sha256 = hex::encode(Sha256::digest(&bytes));
        let part = Part { upload: id, index, offset: self.offset + held, bytes: bytes.len() as u64, sha256 };
        self.held.push((part, self.hash.state()));
        self.intake.storage.objects.put(&ObjectKey::SourcePart(id, index), bytes).await?;
        if self.keep == Keep::AsItComes { self.commit().await } else { Ok(()) }
    }

    /// Makes all held parts count, in one transaction.
    async fn commit(&mut self) -> Result<(), UploadError> {
        if self.held.is_empty() {
            return Ok(());
        }
        let (intake, id, held) = (self.intake, self.upload.id, &self.held);
        let written = intake.storage.database.write::<_, StorageError, _>(|tx| {
            Box::pin(async move {
                for (part, hash) in held {
                    intake.append(tx, id, part.offset, part, hash).await?;
                }
                Ok(())
            })
        });
        written.await?;
        let taken: u64 = self.held.drain(..).map(|(part, _)| part.bytes).sum();
        self.offset += taken;
        self.intake.metrics.upload_bytes.inc_by(taken);
        Ok(())
    }

    /// Removes stored parts that do not count: a lost race, a wrong checksum, a full disk.
    async fn let_go(&mut self) {
        for (part, _) in self.held.drain(..) {
            let key = ObjectKey::SourcePart(part.upload, part.index);
            if let Err(error) = self.intake.storage.objects.delete(&key).await {
                tracing::debug!(%error, %key, "a part that does not count stays behind");
            }
        }
    }
}

/// Removes expired uploads, a batch at a time, until the drain begins.
pub(crate) async fn sweep(intake: Intake, stop: CancellationToken) {
    loop {
        match intake.storage.uploads().expired(SWEEP.1).await {
            Ok(expired) => {
                for id in expired {
                    intake.abandon(id).await;
                    tracing::info!(upload = %id, "expired");
                }
            }
            Err(error) => tracing::warn!(%error, "expired uploads could not be looked for"),
        }
        tokio::select! {
            () = sleep(SWEEP.0) => {}
            () = stop.cancelled() => return,
        }
    }
}
