//! What a transaction promises.

use std::time::Duration;

use serde_json::json;
use sluice_storage::{NewVideo, Storage, StorageError, VideoState};
use sluice_wire::{EventKind, Tag, Version, VideoId};
use tokio::task::JoinSet;

use crate::ground::{Ground, soon};

pub(crate) async fn a_failed_closure_keeps_nothing(ground: Ground) {
    let storage = ground.open().await;
    let (id, videos) = (storage.ids.video(), storage.videos());
    let result: Result<(), StorageError> = storage
        .database
        .write(|tx| {
            let videos = &videos;
            Box::pin(async move {
                videos.create(tx, &new_video(id)).await?;
                tx.emit(&Tag::video(id), EventKind::Created, json!({})).await?;
                Err(StorageError::Conflict("changed my mind".into()))
            })
        })
        .await;
    assert!(matches!(result, Err(StorageError::Conflict(_))));
    assert_eq!(videos.get(id).await.unwrap(), None);
    assert_eq!(storage.log().version_of(&Tag::video(id)).await.unwrap(), Version(0));
}

pub(crate) async fn read_modify_write_loses_no_update(ground: Ground) {
    let (first, second) = (ground.open().await, ground.open().await);
    let id = made(&first).await;
    let mut writers = JoinSet::new();
    for n in 0..20 {
        let storage = if n % 2 == 0 { first.clone() } else { second.clone() };
        writers.spawn(async move { one_more_permille(&storage, id).await });
    }
    soon("all writers end", writers.join_all()).await;
    assert_eq!(second.videos().get(id).await.unwrap().unwrap().progress_permille, 20);
}

async fn one_more_permille(storage: &Storage, id: VideoId) {
    let videos = &storage.videos();
    let write = storage.database.write::<_, StorageError, _>(|tx| {
        Box::pin(async move {
            let before = videos.get_in(tx, id).await?.unwrap().progress_permille;
            videos.set_progress(tx, id, before + 1).await
        })
    });
    write.await.unwrap();
}

pub(crate) async fn a_cancelled_write_keeps_nothing_and_blocks_nobody(ground: Ground) {
    let storage = ground.open().await;
    let (id, videos) = (storage.ids.video(), storage.videos());
    let stuck = storage.database.write::<(), StorageError, _>(|tx| {
        let videos = &videos;
        Box::pin(async move {
            videos.create(tx, &new_video(id)).await?;
            std::future::pending().await
        })
    });
    assert!(tokio::time::timeout(Duration::from_millis(300), stuck).await.is_err());
    let other = soon("another writer", made(&storage)).await;
    assert_eq!(videos.get(id).await.unwrap(), None);
    assert!(videos.get(other).await.unwrap().is_some());
}

pub(crate) async fn a_duplicate_is_a_conflict(ground: Ground) {
    let storage = ground.open().await;
    let id = made(&storage).await;
    let again = create(&storage, id).await;
    assert!(matches!(again, Err(StorageError::Conflict(_))), "{again:?}");
}

pub(crate) fn new_video(id: VideoId) -> NewVideo {
    NewVideo {
        id,
        name: "film.mkv".into(),
        title: "A film".into(),
        state: VideoState::Queued,
        bytes: Some(1 << 33),
        sha256: None,
        edition_of: None,
    }
}

pub(crate) async fn create(storage: &Storage, id: VideoId) -> Result<Version, StorageError> {
    let videos = &storage.videos();
    storage
        .database
        .write(|tx| {
            Box::pin(async move {
                videos.create(tx, &new_video(id)).await?;
                tx.emit(&Tag::video(id), EventKind::Created, json!({})).await
            })
        })
        .await
}

/// A video that is there.
pub(crate) async fn made(storage: &Storage) -> VideoId {
    let id = storage.ids.video();
    create(storage, id).await.unwrap();
    id
}
