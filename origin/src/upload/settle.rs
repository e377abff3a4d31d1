//! What is done with an upload once it is complete: hashed in order if its parts came in parallel, and shared if its bytes
//! are stored already. None of it is in a request, and a process that is killed at it is followed by another one.

use super::hash::Running;
use super::intake::Intake;
use futures::TryStreamExt;
use serde_json::json;
use sluice_service::crash;
use sluice_storage::{Piece, StorageError, Upload, VideoState};
use sluice_wire::{EventKind, ObjectKey, Tag, UploadId};
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// How long an upload is one process's. Longer than [`KEEP_EVERY`] bytes take from any store.
const CLAIM: Duration = Duration::from_secs(60);
/// Between two looks whether a source is read no more.
const READERS: Duration = Duration::from_secs(5);
/// Bytes hashed between two notes of how far it is: some seconds of work are done again after a kill.
const KEEP_EVERY: u64 = 256 << 20;
/// Between two looks for what others have left.
const PAUSE: Duration = Duration::from_secs(2);

/// Settles complete uploads, one at a time, until the drain begins.
pub(crate) async fn settle(intake: Intake, stop: CancellationToken) {
    loop {
        let worked = tokio::select! {
            worked = one(&intake) => worked,
            () = stop.cancelled() => return,
        };
        match worked {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "an upload is not settled; it is tried again"),
        }
        tokio::select! {
            () = intake.completed.notified() => {}
            () = sleep(PAUSE) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Settles one upload. False when there is none to do now.
async fn one(intake: &Intake) -> Result<bool, StorageError> {
    intake.remove_discarded().await?;
    let Some(upload) = intake.storage.uploads().claim_settling(CLAIM).await? else { return Ok(false) };
    let id = upload.id;
    if upload.holder.is_some() {
        // Its own objects are read by whoever began before it shared another's.
        let video = intake.storage.videos().get(id.video()).await?;
        if video.is_none_or(|video| matches!(video.state, VideoState::Ready | VideoState::Failed)) {
            let uploads = &intake.storage.uploads();
            intake.storage.database.write(|tx| Box::pin(uploads.settle(tx, id))).await?;
        } else {
            intake.storage.uploads().keep_hash(id, upload.hashed, &upload.hash_state, READERS).await?;
        }
        return Ok(true);
    }
    let known = upload.sha256.clone();
    let sha256 = match known {
        Some(sha256) => sha256,
        None => hash(intake, &upload).await?,
    };
    crash::point("settle.hashed");
    let holder = share(intake, &upload, &sha256).await?;
    crash::point("settle.shared");
    if let Some(holder) = holder {
        tracing::info!(upload = %id, %holder, "these bytes are stored already");
        intake.metrics.shared_bytes.inc_by(upload.offset);
        intake.storage.uploads().keep_hash(id, upload.hashed, &upload.hash_state, READERS).await?;
    }
    Ok(true)
}

/// The hash of stored pieces, from where it was left.
async fn hash(intake: &Intake, upload: &Upload) -> Result<String, StorageError> {
    let (mut running, mut hashed) = (Running::resume(&upload.hash_state)?, upload.hashed);
    let source = intake.storage.uploads().source(upload.id).await?;
    let mut kept = hashed;
    for piece in source.pieces.iter().filter(|piece| piece.offset >= upload.hashed) {
        if piece.offset != hashed {
            return Err(StorageError::Corrupt(format!("upload {} has a hole at {hashed}", upload.id)));
        }
        add(intake, piece, &mut running).await?;
        hashed += piece.bytes;
        if hashed - kept >= KEEP_EVERY {
            intake.storage.uploads().keep_hash(upload.id, hashed, &running.state(), CLAIM).await?;
            kept = hashed;
        }
    }
    if hashed == upload.offset {
        Ok(running.finish())
    } else {
        Err(StorageError::Corrupt(format!("upload {} ends at {hashed}, not at {}", upload.id, upload.offset)))
    }
}

async fn add(intake: &Intake, piece: &Piece, running: &mut Running) -> Result<(), StorageError> {
    let key = ObjectKey::SourcePart(piece.upload, piece.index);
    let mut stream = intake.storage.objects.get(&key).await?.stream;
    let mut came = 0;
    while let Some(bytes) = stream.try_next().await? {
        came += bytes.len() as u64;
        running.update(&bytes);
    }
    if came == piece.bytes {
        Ok(())
    } else {
        Err(StorageError::Corrupt(format!("{key} has {came} of {} bytes", piece.bytes)))
    }
}

/// Notes the hash, and shares a source of the same one. Who else has these bytes is in no document and no event.
async fn share(intake: &Intake, upload: &Upload, sha256: &str) -> Result<Option<UploadId>, StorageError> {
    let (uploads, videos) = (&intake.storage.uploads(), &intake.storage.videos());
    let (id, is_new) = (upload.id, upload.sha256.is_none());
    let shared = intake.storage.database.write::<_, StorageError, _>(|tx| {
        Box::pin(async move {
            if is_new {
                uploads.set_hash(tx, id, sha256).await?;
                videos.set_source(tx, id.video(), upload.offset, sha256).await?;
                let data = json!({ "video": id.video() });
                tx.emit(&Tag::video(id.video()), EventKind::Changed, data).await?;
            }
            uploads.share(tx, id).await
        })
    });
    shared.await
}
