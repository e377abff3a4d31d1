//! Uploads: one winner at each offset, and nothing beyond the end.

use std::collections::BTreeMap;
use std::time::Duration;

use sluice_storage::{ManualClock, NewUpload, Part, Storage, StorageError, UploadState};
use sluice_wire::UploadId;
use tokio::task::JoinSet;

use crate::ground::{Ground, NOON, soon};

pub(crate) async fn of_parallel_appends_one_wins(ground: Ground) {
    let (first, second) = (ground.open().await, ground.open().await);
    let id = begun(&first, Some(1000)).await;
    for offset in [0, 100] {
        let mut writers = JoinSet::new();
        for n in 0..20 {
            let storage = if n % 2 == 0 { first.clone() } else { second.clone() };
            writers.spawn(async move {
                let index = storage.uploads().claim(id).await.unwrap();
                (index, append(&storage, id, index, offset, 100).await)
            });
        }
        let results = soon("all writers", writers.join_all()).await;
        let won: Vec<u32> = results.iter().filter(|(_, r)| r.is_ok()).map(|(index, _)| *index).collect();
        assert_eq!(won.len(), 1, "{results:?}");
        assert!(results.iter().all(|(_, r)| matches!(r, Ok(_) | Err(StorageError::Conflict(_)))));
        let upload = first.uploads().get(id).await.unwrap().unwrap();
        assert_eq!((upload.offset, upload.hash_state.as_slice()), (offset + 100, [won[0] as u8].as_slice()));
        let parts = second.uploads().parts(id).await.unwrap();
        assert_eq!(parts.last().map(|p| (p.index, p.offset)), Some((won[0], offset)));
    }
    assert_eq!(first.uploads().parts(id).await.unwrap().len(), 2);
}

pub(crate) async fn nothing_is_appended_past_the_length_or_at_another_offset(ground: Ground) {
    let storage = ground.open().await;
    let uploads = &storage.uploads();
    let id = begun(&storage, None).await;
    append(&storage, id, 0, 0, 60).await.unwrap();
    storage.database.write(|tx| Box::pin(uploads.set_length(tx, id, 100))).await.unwrap();
    for (offset, bytes) in [(60, 41), (59, 10), (61, 10), (0, 10), (100, 1)] {
        let refused = append(&storage, id, 9, offset, bytes).await;
        assert!(matches!(refused, Err(StorageError::Conflict(_))), "{offset}+{bytes}: {refused:?}");
    }
    let other = storage.database.write(|tx| Box::pin(uploads.set_length(tx, id, 90))).await;
    assert!(matches!(other, Err(StorageError::Conflict(_))), "a length is fixed once");
    let early = storage.database.write(|tx| Box::pin(uploads.complete(tx, id, 100))).await;
    assert!(matches!(early, Err(StorageError::Conflict(_))));
    assert_eq!(append(&storage, id, 1, 60, 40).await.unwrap(), 100);
    storage.database.write(|tx| Box::pin(uploads.complete(tx, id, 100))).await.unwrap();
    let after = append(&storage, id, 2, 100, 0).await;
    assert!(matches!(after, Err(StorageError::Conflict(_))), "complete is complete");
    let upload = storage.uploads().get(id).await.unwrap().unwrap();
    assert_eq!((upload.state, upload.offset, upload.length), (UploadState::Complete, 100, Some(100)));
}

pub(crate) async fn piece_numbers_are_never_given_twice(ground: Ground) {
    let (first, second) = (ground.open().await, ground.open().await);
    let id = begun(&first, None).await;
    let mut writers = JoinSet::new();
    for n in 0..16 {
        let storage = if n % 2 == 0 { first.clone() } else { second.clone() };
        writers.spawn(async move { storage.uploads().claim(id).await.unwrap() });
    }
    let mut numbers = soon("all claims", writers.join_all()).await;
    numbers.sort_unstable();
    assert_eq!(numbers, (0..16).collect::<Vec<u32>>());
    let gone = first.uploads().claim(first.ids.upload()).await;
    assert!(matches!(gone, Err(StorageError::NotFound(_))));
}

pub(crate) async fn uploads_expire_unless_prolonged_or_complete(ground: Ground) {
    let clock = ManualClock::at(NOON);
    let storage = ground.open_at(&clock).await;
    let uploads = &storage.uploads();
    let (stale, kept, done) =
        (begun(&storage, None).await, begun(&storage, None).await, begun(&storage, Some(0)).await);
    storage.database.write(|tx| Box::pin(uploads.set_expiry(tx, kept, NOON + 10_000))).await.unwrap();
    storage.database.write(|tx| Box::pin(uploads.complete(tx, done, 0))).await.unwrap();
    assert!(storage.uploads().expired(10).await.unwrap().is_empty());
    clock.advance(Duration::from_secs(5));
    assert_eq!(storage.uploads().expired(10).await.unwrap(), [stale]);
    assert!(storage.database.write(|tx| Box::pin(uploads.delete(tx, stale))).await.unwrap());
    assert!(!storage.database.write(|tx| Box::pin(uploads.delete(tx, stale))).await.unwrap());
    assert_eq!(storage.uploads().get(stale).await.unwrap(), None);
}

pub(crate) async fn an_upload_reads_back_as_it_was_begun(ground: Ground) {
    let storage = ground.open().await;
    let id = storage.ids.upload();
    let new = new_upload(id, Some(u64::MAX >> 1));
    let uploads = &storage.uploads();
    storage.database.write(|tx| Box::pin(uploads.create(tx, &new))).await.unwrap();
    let upload = storage.uploads().get(id).await.unwrap().unwrap();
    assert_eq!((upload.name, upload.length, upload.metadata), (new.name, new.length, new.metadata));
    assert_eq!((upload.offset, upload.state, upload.hash_state), (0, UploadState::Open, new.hash_state));
}

fn new_upload(id: UploadId, length: Option<u64>) -> NewUpload {
    NewUpload {
        id,
        name: "Ärger 🎬'; DROP TABLE uploads.mkv".into(),
        length,
        metadata: BTreeMap::from([("title".to_owned(), "\u{1f3ac} \"x\"".to_owned())]),
        expires_ms: NOON + 1000,
        hash_state: vec![0, 255, 128],
    }
}

async fn begun(storage: &Storage, length: Option<u64>) -> UploadId {
    let id = storage.ids.upload();
    let (uploads, new) = (&storage.uploads(), &new_upload(id, length));
    storage.database.write(|tx| Box::pin(uploads.create(tx, new))).await.unwrap();
    id
}

async fn append(
    storage: &Storage,
    id: UploadId,
    index: u32,
    offset: u64,
    bytes: u64,
) -> Result<u64, StorageError> {
    let part = &Part { upload: id, index, offset, bytes, sha256: "00".repeat(32) };
    let (uploads, hash_state) = (&storage.uploads(), &[index as u8]);
    storage.database.write(|tx| Box::pin(uploads.append(tx, id, offset, part, hash_state))).await
}
