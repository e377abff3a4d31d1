//! Sources as they are stored: what no HTTP interface shows.

use crate::stack::Engines;
use futures::TryStreamExt;
use sluice_storage::{Storage, StorageConfig};
use sluice_wire::{ObjectKey, VideoId};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long something may take to become so.
const LIMIT: Duration = Duration::from_secs(60);

/// The storage behind a stack, opened once more.
pub async fn storage(engines: &Engines) -> Storage {
    let config = StorageConfig {
        database: engines.database.clone(),
        bus: engines.bus.clone(),
        objects: engines.objects.clone(),
    };
    Storage::open(&config).await.unwrap()
}

/// The stored bytes of a video's source, which is complete and has no hole.
pub async fn bytes(storage: &Storage, video: &str) -> Vec<u8> {
    let id: VideoId = video.parse().unwrap();
    let source = storage.uploads().source(id.upload()).await.unwrap();
    assert!(source.complete, "{source:?}");
    let mut all = vec![];
    for piece in source.pieces {
        assert_eq!(piece.offset, all.len() as u64, "a hole or an overlap");
        let key = ObjectKey::SourcePart(piece.upload, piece.index);
        let stream = storage.objects.get(&key).await.unwrap().stream;
        let bytes: Vec<bytes::Bytes> = stream.try_collect().await.unwrap();
        assert_eq!(bytes.iter().map(bytes::Bytes::len).sum::<usize>() as u64, piece.bytes);
        all.extend(bytes.concat());
    }
    assert_eq!(source.length, Some(all.len() as u64));
    all
}

/// Waits until something is so.
pub async fn eventually(what: &str, is_so: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
        sleep(Duration::from_millis(50)).await;
    }
}
