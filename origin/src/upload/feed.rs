//! One request's bytes on their way into parts.
//!
//! A part is stored when it is full, or when it has waited long enough: a source is worked on while it comes.

use super::checksum::Checksum;
use super::error::UploadError;
use super::hash::Running;
use super::intake::Intake;
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use sha2::{Digest, Sha256};
use sluice_service::crash;
use sluice_storage::{Part, StorageError, Upload};
use sluice_wire::ObjectKey;
use std::pin::pin;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Silence of a client after which its request ends. What arrived of a tus upload is kept.
const BODY_STALL: Duration = Duration::from_secs(60);
/// How long bytes wait for a part to fill: a viewer's patience is spent in the first seconds, so the head of a source comes
/// in small parts. A client of 1 Mbit/s makes parts of 64 KiB then.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The same once an upload has more than [`HEAD`]: a segment of media lasts 4 s, so that nobody waits for this, and a slow
/// upload of hours has thousands of parts, not tens of thousands.
const LATER_WAIT: Duration = Duration::from_secs(2);
/// Bytes of an upload that come in small parts: more than the first segment of anything common.
const HEAD: u64 = 16 << 20;

/// When a request's bytes count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// Part by part, also of a request that is cut.
    AsItComes,
    /// Only all of them, when their checksum is right.
    WhenChecked,
}

/// A request's bytes, the part that is being filled, and what is stored and does not count yet.
pub(super) struct Feed<'i> {
    intake: &'i Intake,
    upload: Upload,
    hash: Running,
    offset: u64,
    buffer: BytesMut,
    /// When what is in the buffer is stored, full or not.
    due: Option<Instant>,
    keep: Keep,
    checksum: Option<Checksum>,
    /// Stored parts that do not count yet, each with the hash after it.
    held: Vec<(Part, Vec<u8>)>,
}

impl<'i> Feed<'i> {
    /// A feed from where the upload is.
    pub(super) fn new(
        intake: &'i Intake,
        upload: Upload,
        keep: Keep,
        checksum: Option<Checksum>,
    ) -> Result<Self, UploadError> {
        Ok(Self {
            intake,
            hash: Running::resume(&upload.hash_state)?,
            offset: upload.offset,
            upload,
            buffer: BytesMut::new(),
            due: None,
            keep,
            checksum,
            held: vec![],
        })
    }

    /// Takes the body; gives the offset that it reached.
    pub(super) async fn run(
        mut self,
        body: impl Stream<Item = Result<Bytes, UploadError>> + Send,
    ) -> Result<u64, UploadError> {
        let result = self.take(body).await;
        match &result {
            // What may have been committed is named by rows.
            Ok(()) | Err(UploadError::Storage(StorageError::InDoubt(_))) => {}
            Err(_) => self.let_go().await,
        }
        result.map(|()| self.offset)
    }

    async fn take(
        &mut self,
        body: impl Stream<Item = Result<Bytes, UploadError>> + Send,
    ) -> Result<(), UploadError> {
        let mut body = pin!(body);
        let part_bytes = usize::try_from(self.intake.config.part_bytes).unwrap_or(usize::MAX);
        let mut stalled = Instant::now() + BODY_STALL;
        let ended = loop {
            let until = self.due.map_or(stalled, |due| due.min(stalled));
            match timeout_at(until, body.next()).await {
                Err(_) if self.due.is_some_and(|due| due < stalled) => {}
                Err(_) => {
                    break Err(UploadError::Cut(format!("nothing came for {} s", BODY_STALL.as_secs())));
                }
                Ok(None) => break Ok(()),
                Ok(Some(Err(error))) => break Err(error),
                Ok(Some(Ok(piece))) => {
                    stalled = Instant::now() + BODY_STALL;
                    self.gather(&piece)?;
                }
            }
            while self.buffer.len() >= part_bytes {
                let part = self.buffer.split_to(part_bytes).freeze();
                self.store(part).await?;
            }
            if self.due.is_some_and(|due| due <= Instant::now()) {
                self.store_rest().await?;
            }
        };
        if ended.is_err() && self.keep == Keep::WhenChecked {
            return ended;
        }
        self.store_rest().await?;
        if self.checksum.take().is_some_and(|checksum| !checksum.matches()) {
            return Err(UploadError::Checksum);
        }
        self.commit().await?;
        ended
    }

    fn gather(&mut self, piece: &[u8]) -> Result<(), UploadError> {
        self.within_limits(piece.len() as u64)?;
        if let Some(checksum) = &mut self.checksum {
            checksum.update(piece);
        }
        self.buffer.extend_from_slice(piece);
        // Bytes that do not count before all of them do need not be in a hurry.
        if self.due.is_none() && self.keep == Keep::AsItComes {
            let wait = if self.offset < HEAD { FIRST_WAIT } else { LATER_WAIT };
            self.due = Some(Instant::now() + wait);
        }
        Ok(())
    }

    fn held(&self) -> u64 {
        self.held.iter().map(|(part, _)| part.bytes).sum()
    }

    fn within_limits(&self, more: u64) -> Result<(), UploadError> {
        let reached = self.offset + self.held() + self.buffer.len() as u64 + more;
        match self.upload.length {
            Some(length) if reached > length => Err(UploadError::PastLength(length)),
            None if reached > self.intake.config.max_bytes => {
                Err(UploadError::TooLarge(self.intake.config.max_bytes))
            }
            _ => Ok(()),
        }
    }

    async fn store_rest(&mut self) -> Result<(), UploadError> {
        self.due = None;
        if self.buffer.is_empty() {
            return Ok(());
        }
        let rest = self.buffer.split().freeze();
        self.store(rest).await
    }

    /// Stores a part; it counts at once, or when the whole request does.
    async fn store(&mut self, bytes: Bytes) -> Result<(), UploadError> {
        self.due = None;
        let id = self.upload.id;
        let index = self.intake.storage.uploads().claim(id).await?;
        self.hash.update(&bytes);
        let sha256 = hex::encode(Sha256::digest(&bytes));
        let offset = self.offset + self.held();
        let part = Part { upload: id, index, offset, bytes: bytes.len() as u64, sha256 };
        self.held.push((part, self.hash.state()));
        crash::point("upload.claimed");
        self.intake.storage.objects.put(&ObjectKey::SourcePart(id, index), bytes).await?;
        crash::point("upload.stored");
        if self.keep == Keep::AsItComes { self.commit().await } else { Ok(()) }
    }

    /// Makes all held parts count, in one transaction.
    async fn commit(&mut self) -> Result<(), UploadError> {
        if self.held.is_empty() {
            return Ok(());
        }
        let upload = &self.upload;
        self.intake.append(upload.id, &upload.owner, upload.length, &self.held).await?;
        let taken = self.held();
        self.held.clear();
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
