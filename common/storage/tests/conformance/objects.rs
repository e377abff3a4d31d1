//! Objects, in a folder and in S3.

use std::ops::Range;

use bytes::Bytes;
use futures::TryStreamExt;
use futures::stream;
use sluice_storage::testing::S3;
use sluice_storage::{Object, Objects, Put, Storage, StorageConfig, StorageError};
use sluice_wire::{ObjectKey, UploadId, VideoId};
use tokio::task::JoinSet;

use crate::ground::{Ground, soon};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_story_in_a_folder() {
    let ground = Ground::sqlite();
    stories(&ground.open().await.objects).await;
    assert_eq!(leftovers(&ground), 0, "no temporary file stays behind");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_story_in_s3() {
    let server = S3::start().await;
    let config = StorageConfig { objects: server.url(), ..Ground::sqlite().config() };
    stories(&Storage::open(&config).await.unwrap().objects).await;
}

#[tokio::test]
async fn an_s3_store_that_is_away_is_told_as_such() {
    let objects =
        "s3://b?endpoint=http://127.0.0.1:1&region=r&allow_http=true&access_key_id=a&secret_access_key=b";
    let config = StorageConfig { objects: objects.into(), ..Ground::sqlite().config() };
    let objects = Storage::open(&config).await.unwrap().objects;
    let refused = soon("an answer", objects.head(&key(1))).await;
    assert!(matches!(refused, Err(StorageError::Unavailable { seam: "objects", .. })), "{refused:?}");
}

async fn stories(objects: &Objects) {
    objects_come_back_whole_and_in_part(objects).await;
    what_is_not_there_is_told(objects).await;
    of_parallel_first_puts_one_wins(objects).await;
    readers_see_the_old_or_the_new_never_a_mixture(objects).await;
    a_stream_larger_than_memory_is_stored_whole(objects).await;
    a_broken_stream_stores_nothing(objects).await;
    a_prefix_is_deleted_and_nothing_else(objects).await;
}

async fn objects_come_back_whole_and_in_part(objects: &Objects) {
    let bytes = pattern(700_000, 1);
    objects.put(&key(1), bytes.clone()).await.unwrap();
    let found = objects.get(&key(1)).await.unwrap();
    assert_eq!((found.meta.size, found.range.clone()), (700_000, 0..700_000));
    assert!(found.meta.etag.is_some());
    assert_eq!(whole(found).await, bytes);
    assert_eq!(objects.head(&key(1)).await.unwrap().size, 700_000);
    for range in [0..1, 699_999..700_000, 262_143..262_145, 10..600_000] {
        assert_eq!(part(objects, range.clone()).await, bytes.slice(usize_of(&range)));
    }
    assert_eq!(part(objects, 699_990..u64::MAX).await, bytes.slice(699_990..), "cut at the end");
    for outside in [700_000..700_001, 5..5, 900_000..900_001] {
        let refused = objects.get_range(&key(1), outside).await;
        assert!(matches!(refused, Err(StorageError::Conflict(_))), "{refused:?}");
    }
    objects.put(&key(1), Bytes::new()).await.unwrap();
    assert_eq!(objects.bytes(&key(1), 0).await.unwrap(), Bytes::new());
}

async fn what_is_not_there_is_told(objects: &Objects) {
    let absent = key(404);
    assert!(missing(objects.get(&absent).await));
    assert!(missing(objects.head(&absent).await));
    assert!(missing(objects.get_range(&absent, 0..1).await));
    objects.delete(&absent).await.unwrap();
    objects.put(&absent, Bytes::from_static(b"now it is")).await.unwrap();
    assert!(matches!(objects.bytes(&absent, 4).await, Err(StorageError::Conflict(_))));
    objects.delete(&absent).await.unwrap();
    assert!(missing(objects.head(&absent).await));
}

async fn of_parallel_first_puts_one_wins(objects: &Objects) {
    let mut writers = JoinSet::new();
    for n in 0..20_u8 {
        let objects = objects.clone();
        writers.spawn(async move {
            let bytes = pattern(50_000, n);
            (objects.put_if_absent(&key(2), bytes.clone()).await.unwrap(), bytes)
        });
    }
    let results = soon("all writers", writers.join_all()).await;
    let won: Vec<&Bytes> = results.iter().filter(|(p, _)| *p == Put::Created).map(|(_, b)| b).collect();
    assert_eq!(won.len(), 1);
    assert_eq!(objects.bytes(&key(2), 1 << 20).await.unwrap(), *won[0]);
}

async fn readers_see_the_old_or_the_new_never_a_mixture(objects: &Objects) {
    objects.put(&key(3), pattern(300_000, 0)).await.unwrap();
    let mut tasks = JoinSet::new();
    let writer = objects.clone();
    tasks.spawn(async move {
        for n in 1..30 {
            writer.put(&key(3), pattern(300_000, n)).await.unwrap();
        }
    });
    for _ in 0..3 {
        let reader = objects.clone();
        tasks.spawn(async move {
            for _ in 0..30 {
                let bytes = reader.bytes(&key(3), 1 << 20).await.unwrap();
                assert_eq!(bytes, pattern(300_000, bytes[0]));
            }
        });
    }
    soon("all have read", tasks.join_all()).await;
}

async fn a_stream_larger_than_memory_is_stored_whole(objects: &Objects) {
    let pieces = 41_u8;
    let source = stream::iter((0..pieces).map(|n| Ok::<_, StorageError>(pattern(500_000, n))));
    let size = soon("the stream ends", objects.put_stream(&key(4), source)).await.unwrap();
    assert_eq!(size, 500_000 * u64::from(pieces));
    let found = objects.bytes(&key(4), 1 << 30).await.unwrap();
    for n in 0..pieces {
        let at = 500_000 * usize::from(n);
        assert_eq!(found.slice(at..at + 500_000), pattern(500_000, n), "piece {n}");
    }
    let small = stream::iter([Ok::<_, StorageError>(Bytes::from_static(b"small"))]);
    assert_eq!(objects.put_stream(&key(5), small).await.unwrap(), 5);
    assert_eq!(objects.bytes(&key(5), 5).await.unwrap(), "small");
}

async fn a_broken_stream_stores_nothing(objects: &Objects) {
    for good in [0, 30] {
        let pieces = (0..good).map(|n| Ok(pattern(500_000, n)));
        let source = stream::iter(pieces.chain([Err(StorageError::NotFound("client".into()))]));
        let broken = objects.put_stream(&key(6), source).await;
        assert!(missing(broken), "the stream's own error comes back");
        assert!(missing(objects.head(&key(6)).await));
    }
}

async fn a_prefix_is_deleted_and_nothing_else(objects: &Objects) {
    let upload = UploadId::from_u64(1).unwrap();
    for part in 0..12 {
        objects.put(&ObjectKey::SourcePart(upload, part), Bytes::from_static(b"x")).await.unwrap();
    }
    let other = ObjectKey::SourcePart(UploadId::from_u64(2).unwrap(), 0);
    objects.put(&other, Bytes::from_static(b"stays")).await.unwrap();
    let prefix = ObjectKey::source_prefix(upload);
    assert_eq!(objects.delete_prefix(&prefix).await.unwrap(), 12);
    assert_eq!(objects.delete_prefix(&prefix).await.unwrap(), 0);
    assert!(missing(objects.head(&ObjectKey::SourcePart(upload, 3)).await));
    assert_eq!(objects.bytes(&other, 10).await.unwrap(), "stays");
}

fn missing<T>(result: Result<T, StorageError>) -> bool {
    matches!(result, Err(StorageError::NotFound(_)))
}

fn key(n: u64) -> ObjectKey {
    ObjectKey::Poster(VideoId::from_u64(n).unwrap())
}

/// Bytes that differ from place to place; the first is the seed.
fn pattern(len: usize, seed: u8) -> Bytes {
    (0..len).map(|n| (n % 251) as u8 ^ seed).collect()
}

fn usize_of(range: &Range<u64>) -> Range<usize> {
    usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()
}

async fn part(objects: &Objects, range: Range<u64>) -> Bytes {
    whole(objects.get_range(&key(1), range).await.unwrap()).await
}

async fn whole(object: Object) -> Bytes {
    let pieces: Vec<Bytes> = object.stream.try_collect().await.unwrap();
    let bytes = Bytes::from(pieces.concat());
    assert_eq!(bytes.len() as u64, object.range.end - object.range.start);
    bytes
}

/// Files in the folder that are no objects.
fn leftovers(ground: &Ground) -> usize {
    fn count(folder: &std::path::Path) -> usize {
        let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
        let stray = |name: &std::ffi::OsStr| usize::from(name.to_string_lossy().contains('#'));
        entries.map(|e| if e.path().is_dir() { count(&e.path()) } else { stray(&e.file_name()) }).sum()
    }
    let url = ground.config().objects;
    count(std::path::Path::new(url.strip_prefix("file:").unwrap()))
}
