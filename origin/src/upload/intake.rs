//! The intake: from what a client wants to upload to rows, and from the last byte to a job.

use super::checksum::Checksum;
use super::error::UploadError;
use super::feed::{Feed, Keep};
use super::hash::Running;
use super::name;
use crate::config::{QuotaConfig, UploadConfig};
use crate::metrics::Metrics;
use bytes::Bytes;
use futures::Stream;
use serde_json::json;
use sluice_service::crash;
use sluice_storage::{
    NewJob, NewUpload, NewVideo, Part, Storage, StorageError, Tx, UploadKind, UploadState, VideoState,
};
use sluice_wire::{EventKind, ObjectKey, Tag, UploadId, VideoId};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Tries of a transcoding job.
const ATTEMPTS: u32 = 5;
/// Between two looks for expired uploads, and how many are removed in one.
const SWEEP: (Duration, u64) = (Duration::from_secs(30), 50);

/// An upload to begin.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    /// The file's name as the client gave it.
    pub(super) name: String,
    /// What people will call it.
    pub(super) title: Option<String>,
    /// Its length in bytes, if known; a final one has that of its parts.
    pub(super) length: Option<u64>,
    /// What the client said of it, as it was sent.
    pub(super) metadata: Option<String>,
    /// What it is to others.
    pub(super) role: Role,
    /// Whose it is; empty when nobody is told apart.
    pub(super) owner: String,
    /// The video that it is to be an edition of.
    pub(super) replaces: Option<VideoId>,
}

impl Wanted {
    /// Where an upload's row keeps `metadata`.
    pub(super) const METADATA: &str = "upload-metadata";

    fn metadata(&self) -> BTreeMap<String, String> {
        self.metadata.iter().map(|sent| (Self::METADATA.to_owned(), sent.clone())).collect()
    }
}

/// What an upload is to others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Role {
    /// It becomes a video.
    #[default]
    Whole,
    /// It is joined into another one.
    Partial,
    /// It is made of these, and becomes a video.
    Final(Vec<UploadId>),
    /// It becomes a video, and its client stores its parts.
    Direct,
    /// It becomes a video, and is fetched from this URL.
    Fetched(String),
}

impl Role {
    const fn kind(&self) -> UploadKind {
        match self {
            Self::Whole => UploadKind::Whole,
            Self::Partial => UploadKind::Partial,
            Self::Final(_) => UploadKind::Final,
            Self::Direct => UploadKind::Direct,
            Self::Fetched(_) => UploadKind::Fetched,
        }
    }
}

/// Takes uploads. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Intake {
    pub(super) storage: Storage,
    pub(super) config: UploadConfig,
    quota: QuotaConfig,
    pub(super) metrics: Metrics,
    /// Told when an upload is complete.
    pub(super) completed: Arc<Notify>,
    /// Told when a source may be to be fetched.
    pub(super) ordered: Arc<Notify>,
}

impl Intake {
    pub(crate) fn new(
        storage: Storage,
        config: &UploadConfig,
        quota: &QuotaConfig,
        metrics: Metrics,
    ) -> Self {
        let (config, quota) = (config.clone(), quota.clone());
        Self { storage, config, quota, metrics, completed: Arc::default(), ordered: Arc::default() }
    }

    /// Makes an upload and, unless it is partial, its video, not yet in the library. A final one whose parts are all here
    /// is complete at once.
    pub(super) async fn begin(&self, wanted: &Wanted) -> Result<UploadId, UploadError> {
        let max = self.config.max_bytes;
        if wanted.length.is_some_and(|length| length > max) {
            return Err(UploadError::TooLarge(max));
        }
        if wanted.length == Some(0) {
            return Err(UploadError::Empty);
        }
        let name = name::file(&wanted.name)?;
        let id = self.storage.ids.upload();
        let upload = NewUpload {
            id,
            kind: wanted.role.kind(),
            owner: wanted.owner.clone(),
            name: name.clone(),
            length: wanted.length,
            metadata: wanted.metadata(),
            expires_ms: self.storage.clock.now_ms() + self.config.expire_ms,
            hash_state: Running::new().state(),
        };
        let title = name::title(wanted.title.as_deref(), &name);
        let video = NewVideo {
            id: id.video(),
            name,
            title,
            state: VideoState::Uploading,
            bytes: wanted.length,
            sha256: None,
            edition_of: wanted.replaces,
        };
        let made = self.storage.database.write::<_, UploadError, _>(|tx| {
            let (upload, video) = (&upload, &video);
            Box::pin(async move {
                self.make(tx, wanted, upload, video).await?;
                if let Some(of) = wanted.replaces.filter(|_| wanted.role != Role::Partial) {
                    tx.emit(&Tag::video(of), EventKind::Changed, json!({ "video": of })).await?;
                }
                self.within_quota(tx, &wanted.owner, wanted.length).await
            })
        });
        made.await?;
        crash::point("upload.begun");
        self.completed.notify_one();
        self.ordered.notify_one();
        Ok(id)
    }

    async fn make(
        &self,
        tx: &Tx<'_>,
        wanted: &Wanted,
        upload: &NewUpload,
        video: &NewVideo,
    ) -> Result<(), UploadError> {
        let (uploads, videos) = (self.storage.uploads(), self.storage.videos());
        if let Role::Final(partials) = &wanted.role {
            return self.join(tx, upload, video, partials).await;
        }
        if wanted.role != Role::Partial {
            videos.create(tx, video).await?;
        }
        uploads.create(tx, upload).await?;
        if let Role::Fetched(url) = &wanted.role {
            uploads.order_fetch(tx, upload.id, url).await?;
        }
        Ok(())
    }

    /// Refuses what is more than an owner may have, as of this transaction and with what it adds. `length` is that of the
    /// upload that is asked for.
    async fn within_quota(&self, tx: &Tx<'_>, owner: &str, length: Option<u64>) -> Result<(), UploadError> {
        let QuotaConfig { bytes, uploads } = self.quota;
        if bytes.is_none() && uploads.is_none() {
            return Ok(());
        }
        let used = self.storage.uploads().usage(tx, owner).await?;
        match (bytes, uploads) {
            (Some(bytes), _) if length.is_some_and(|length| length > bytes) => {
                Err(UploadError::TooLarge(bytes))
            }
            (Some(bytes), _) if used.bytes > bytes => Err(UploadError::Quota(bytes)),
            (_, Some(uploads)) if used.uploads > uploads => Err(UploadError::TooMany(uploads)),
            _ => Ok(()),
        }
    }

    async fn join(
        &self,
        tx: &Tx<'_>,
        upload: &NewUpload,
        video: &NewVideo,
        partials: &[UploadId],
    ) -> Result<(), UploadError> {
        let (uploads, max) = (self.storage.uploads(), self.config.max_bytes);
        uploads.create(tx, upload).await?;
        let length = uploads.join(tx, upload.id, partials).await?;
        if length > max {
            return Err(UploadError::TooLarge(max));
        }
        let video = NewVideo { bytes: Some(length), ..video.clone() };
        self.storage.videos().create(tx, &video).await?;
        self.start(tx, upload.id).await?;
        if uploads.complete_whole(tx, upload.id).await? {
            self.queue(tx, upload.id).await?;
        }
        Ok(())
    }

    /// Fixes a length that was not known before. An upload that has as many bytes already is complete.
    pub(super) async fn fix_length(&self, id: UploadId, length: u64) -> Result<(), UploadError> {
        let max = self.config.max_bytes;
        if length > max {
            return Err(UploadError::TooLarge(max));
        }
        if length == 0 {
            return Err(UploadError::Empty);
        }
        let uploads = self.storage.uploads();
        let fixed = self.storage.database.write::<_, UploadError, _>(|tx| {
            let uploads = &uploads;
            Box::pin(async move {
                uploads.set_length(tx, id, length).await?;
                let Some(upload) = uploads.get_in(tx, id).await? else { return Ok(()) };
                self.within_quota(tx, &upload.owner, Some(length)).await?;
                if upload.state == UploadState::Open && upload.offset == length {
                    self.complete(tx, id, length).await?;
                }
                Ok(())
            })
        });
        fixed.await
    }

    /// Ends an upload whose length was not known before.
    pub(super) async fn finish(&self, id: UploadId, length: u64) -> Result<(), UploadError> {
        let finished = self
            .storage
            .database
            .write::<_, StorageError, _>(|tx| Box::pin(async move { self.complete(tx, id, length).await }));
        finished.await?;
        self.completed.notify_one();
        Ok(())
    }

    /// Ends an upload that has all its bytes, and with the last partial one the one that they are joined into. What
    /// became a source is queued.
    pub(super) async fn complete(&self, tx: &Tx<'_>, id: UploadId, length: u64) -> Result<(), StorageError> {
        let uploads = self.storage.uploads();
        let upload = uploads.get_in(tx, id).await?;
        let upload = upload.ok_or_else(|| StorageError::NotFound(format!("upload {id}")))?;
        uploads.complete(tx, id, length).await?;
        match (upload.kind, upload.whole) {
            (UploadKind::Partial, Some(whole)) if uploads.complete_whole(tx, whole).await? => {
                self.queue(tx, whole).await
            }
            (UploadKind::Partial, _) => Ok(()),
            // Its bytes were not seen: it is hashed when it is settled.
            (UploadKind::Direct, _) => self.queue(tx, id).await,
            _ => {
                let sha256 = Running::resume(&upload.hash_state)?.finish();
                uploads.set_hash(tx, id, &sha256).await?;
                self.storage.videos().set_source(tx, id.video(), length, &sha256).await?;
                self.queue(tx, id).await
            }
        }
    }

    /// Makes the transcoding job of what becomes a source: with its first bytes, not its last.
    async fn start(&self, tx: &Tx<'_>, id: UploadId) -> Result<(), StorageError> {
        let upload = self.storage.uploads().get_in(tx, id).await?;
        if upload.is_none_or(|upload| upload.kind == UploadKind::Partial) {
            return Ok(());
        }
        self.order_film(tx, id, false).await
    }

    /// A job that makes a video of what is there of its source. One by which an edition would be what is shown already ends
    /// there, unless it is forced.
    pub(crate) async fn order_film(
        &self,
        tx: &Tx<'_>,
        id: UploadId,
        force: bool,
    ) -> Result<(), StorageError> {
        let mut payload = json!({ "video": id.video() });
        if force {
            payload["force"] = json!(true);
        }
        let job = NewJob {
            kind: "transcode".into(),
            payload,
            priority: 0,
            max_attempts: ATTEMPTS,
            subject: Some(id.video()),
            due_ms: None,
        };
        self.storage.jobs().enqueue(tx, job).await?;
        Ok(())
    }

    /// A source is complete: its video waits for a transcoder, unless one is at it already or has refused it.
    async fn queue(&self, tx: &Tx<'_>, id: UploadId) -> Result<(), StorageError> {
        let video = id.video();
        let row = self.storage.videos().get_in(tx, video).await?;
        if row.is_some_and(|row| row.state == VideoState::Uploading) {
            self.storage.videos().set_state(tx, video, VideoState::Queued, None).await?;
        }
        let payload = json!({ "video": video });
        tx.emit(&Tag::library(), EventKind::Changed, payload.clone()).await?;
        tx.emit(&Tag::video(video), EventKind::Created, payload).await?;
        Ok(())
    }

    /// Removes an unfinished upload, those joined into it, and what they stored. The rows go first, so that nothing half
    /// remains visible.
    pub(super) async fn abandon(&self, id: UploadId) {
        if let Err(error) = self.remove(id).await {
            tracing::warn!(%error, upload = %id, "an unfinished upload stays behind until it expires");
        }
    }

    async fn remove(&self, id: UploadId) -> Result<(), StorageError> {
        let (uploads, videos) = (self.storage.uploads(), self.storage.videos());
        let removed = self.storage.database.write::<_, StorageError, _>(|tx| {
            let (uploads, videos) = (&uploads, &videos);
            Box::pin(async move {
                uploads.delete(tx, id).await?;
                if videos.delete(tx, id.video()).await? {
                    // Its beginning may have been playable.
                    crate::videos::tell(tx, id.video(), EventKind::Deleted).await?;
                }
                Ok(())
            })
        });
        removed.await?;
        self.storage.objects.delete_prefix(&ObjectKey::media_prefix(id.video())).await?;
        self.remove_discarded().await
    }

    /// Removes the objects of sources that no row names any more. What is not removed now is in a moment.
    pub(crate) async fn remove_discarded(&self) -> Result<(), StorageError> {
        let gone = self.storage.uploads().discarded().await?;
        if gone.is_empty() {
            return Ok(());
        }
        for id in &gone {
            self.storage.objects.delete_prefix(&ObjectKey::source_prefix(*id)).await?;
        }
        self.storage.uploads().forget_discarded(&gone).await
    }

    /// Appends stored parts, all or none; with the last one of the length, the upload is complete.
    pub(super) async fn append(
        &self,
        id: UploadId,
        owner: &str,
        length: Option<u64>,
        parts: &[(Part, Vec<u8>)],
    ) -> Result<(), UploadError> {
        let written = self.storage.database.write::<_, UploadError, _>(|tx| {
            Box::pin(async move { self.append_in(tx, id, owner, length, parts).await })
        });
        written.await?;
        crash::point("upload.committed");
        self.completed.notify_one();
        Ok(())
    }

    /// As [`Intake::append`], within a transaction of the caller's.
    pub(super) async fn append_in(
        &self,
        tx: &Tx<'_>,
        id: UploadId,
        owner: &str,
        length: Option<u64>,
        parts: &[(Part, Vec<u8>)],
    ) -> Result<(), UploadError> {
        let uploads = self.storage.uploads();
        if parts.first().is_some_and(|(part, _)| part.offset == 0) {
            self.start(tx, id).await?;
        }
        let mut reached = None;
        for (part, hash) in parts {
            reached = Some(uploads.append(tx, id, part.offset, part, hash).await?);
        }
        crash::point("upload.appended");
        uploads.set_expiry(tx, id, tx.now_ms() + self.config.expire_ms).await?;
        match length {
            Some(length) if reached == Some(length) => Ok(self.complete(tx, id, length).await?),
            Some(_) => Ok(()),
            // Nobody could say before how much it would be.
            None => self.within_quota(tx, owner, None).await,
        }
    }

    /// True for an upload that takes no more.
    pub(super) async fn is_complete(&self, id: UploadId) -> Result<bool, StorageError> {
        let upload = self.storage.uploads().get(id).await?;
        Ok(upload.is_some_and(|upload| upload.state == UploadState::Complete))
    }

    /// Takes a body from `offset` on; gives the new offset. A cut body's bytes are kept up to where it was cut (as it
    /// comes), and the cut is the error. With the last byte of a known length, the upload is complete.
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
            let detail = format!("the upload is at {}, not at {offset}", upload.offset);
            return Err(StorageError::Conflict(detail).into());
        }
        Feed::new(self, upload, keep, checksum)?.run(body).await
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
        if let Err(error) = intake.remove_overdue(SWEEP.1).await {
            tracing::warn!(%error, "parts that nobody completed could not be removed");
        }
        tokio::select! {
            () = sleep(SWEEP.0) => {}
            () = stop.cancelled() => return,
        }
    }
}
