//! Video rows.

use std::collections::BTreeMap;

use serde_json::json;
use sluice_storage::{
    Listing, Media, Rendition, RenditionKind, SegmentRow, SourceFacts, Storage, StorageError, VideoState,
};
use sluice_wire::codec::Key;
use sluice_wire::{Digest, EventKind, RungName, Tag, Version, VideoId};

use crate::ground::Ground;
use crate::transactions::made;

pub(crate) async fn a_video_goes_through_its_life(ground: Ground) {
    let storage = ground.open().await;
    let (id, videos) = (made(&storage).await, &storage.videos());
    let begun = videos.get(id).await.unwrap().unwrap();
    assert_eq!((begun.state, begun.version, begun.bytes), (VideoState::Queued, Version(1), Some(1 << 33)));
    let facts = SourceFacts { duration_ms: Some(30_000), width: Some(1920), height: Some(1080) };
    let plan = &json!({ "rungs": ["v720"] });
    let write = storage.database.write::<_, StorageError, _>(|tx| {
        Box::pin(async move {
            videos.set_source(tx, id, 42, &"ab".repeat(32)).await?;
            videos.set_facts(tx, id, facts).await?;
            videos.set_plan(tx, id, plan).await?;
            videos.set_progress(tx, id, 5000).await?;
            videos.set_state(tx, id, VideoState::Failed, Some(&"ö".repeat(9000))).await?;
            tx.emit(&Tag::video(id), EventKind::Changed, json!({})).await
        })
    });
    assert_eq!(write.await.unwrap(), Version(2));
    let video = videos.get(id).await.unwrap().unwrap();
    assert_eq!((video.bytes, video.duration_ms, video.height), (Some(42), Some(30_000), Some(1080)));
    assert_eq!((video.progress_permille, video.version), (1000, Version(2)));
    assert_eq!(video.plan.as_ref(), Some(plan));
    assert_eq!(video.error.map(|e| e.chars().count()), Some(500), "a reason stays readable");
}

pub(crate) async fn listings_page_from_the_newest_down(ground: Ground) {
    let storage = ground.open().await;
    let mut ids = Vec::new();
    for _ in 0..7 {
        ids.push(made(&storage).await);
    }
    ids.reverse();
    let list = |after| {
        let asked = Listing { after, limit: 3, ..Listing::default() };
        let videos = storage.videos();
        async move { videos.page(&asked).await.unwrap().videos }
    };
    let first = list(None).await;
    assert!(first.iter().all(|v| v.version == Version(1)));
    let mut seen: Vec<VideoId> = first.iter().map(|v| v.id).collect();
    while let Some(last) = seen.last().copied() {
        let page = list(Some(last)).await;
        if page.is_empty() {
            break;
        }
        seen.extend(page.iter().map(|v| v.id));
    }
    assert_eq!(seen, ids);
}

pub(crate) async fn segments_replace_themselves_and_keep_their_order(ground: Ground) {
    let storage = ground.open().await;
    let (id, videos) = (made(&storage).await, &storage.videos());
    put(&storage, &rendition(id, false), &[segment(id, 2, 7), segment(id, 0, 5), segment(id, 1, 6)]).await;
    put(&storage, &rendition(id, true), &[segment(id, 1, 66)]).await;
    let found = videos.media(id).await.unwrap();
    assert_eq!(found.renditions, [rendition(id, true)]);
    assert_eq!(found.segments, BTreeMap::from([(rung(), 3)]));
    assert_eq!(videos.rendition(id, &rung()).await.unwrap(), Some(rendition(id, true)));
    let sizes: Vec<u64> = videos.segments(id, &rung()).await.unwrap().iter().map(|s| s.bytes).collect();
    assert_eq!(sizes, [5, 66, 7]);
    assert_eq!(videos.segment(id, &rung(), 1).await.unwrap(), Some(segment(id, 1, 66)));
    assert_eq!(videos.segment(id, &rung(), 9).await.unwrap(), None);
    let other = made(&storage).await;
    put(&storage, &rendition(other, false), &[segment(other, 0, 5)]).await;
    let both = videos.media_of(&[id, other]).await.unwrap();
    assert_eq!(both[&id], found);
    assert_eq!(both[&other].segments, BTreeMap::from([(rung(), 1)]));
}

pub(crate) async fn deleting_a_video_leaves_no_row_behind(ground: Ground) {
    let storage = ground.open().await;
    let (id, other, videos) = (made(&storage).await, made(&storage).await, &storage.videos());
    for video in [id, other] {
        put(&storage, &rendition(video, true), &[segment(video, 0, 1)]).await;
    }
    let delete = || storage.database.write::<_, StorageError, _>(|tx| Box::pin(videos.delete(tx, id)));
    assert!(delete().await.unwrap());
    assert!(!delete().await.unwrap(), "gone is gone");
    assert_eq!(videos.get(id).await.unwrap(), None);
    assert_eq!(videos.media(id).await.unwrap(), Media::default());
    assert!(videos.segments(id, &rung()).await.unwrap().is_empty());
    assert_eq!(videos.segments(other, &rung()).await.unwrap().len(), 1);
}

pub(crate) async fn changing_what_is_not_there_is_told(ground: Ground) {
    let storage = ground.open().await;
    let (id, videos) = (storage.ids.video(), &storage.videos());
    let changed =
        storage.database.write(|tx| Box::pin(videos.set_state(tx, id, VideoState::Ready, None))).await;
    assert!(matches!(changed, Err(StorageError::NotFound(_))), "{changed:?}");
}

fn rung() -> RungName {
    RungName::new("v720").unwrap()
}

pub(crate) fn rendition(video: VideoId, ended: bool) -> Rendition {
    Rendition {
        video,
        rung: rung(),
        kind: RenditionKind::Video,
        codecs: "avc1.64001f".into(),
        width: 1280,
        height: 720,
        frame_rate_num: 30_000,
        frame_rate_den: 1001,
        bandwidth: 3_000_000,
        average_bandwidth: 2_500_000,
        timescale: 90_000,
        init_bytes: 800,
        init: Digest([1; 16]),
        ended,
    }
}

pub(crate) fn segment(video: VideoId, seq: u32, bytes: u64) -> SegmentRow {
    let sha256 = "cd".repeat(32);
    let start = u64::from(seq) * 180_000;
    let (digest, keys) = (Digest([seq as u8; 16]), vec![Key { offset: 24, bytes: 900, duration: 180_000 }]);
    SegmentRow { video, rung: rung(), seq, start, duration: 180_000, bytes, sha256, digest, keys }
}

pub(crate) async fn put(storage: &Storage, rendition: &Rendition, segments: &[SegmentRow]) {
    let videos = &storage.videos();
    let write = storage.database.write::<_, StorageError, _>(|tx| {
        Box::pin(async move {
            videos.put_rendition(tx, rendition).await?;
            for segment in segments {
                videos.put_segment(tx, segment).await?;
            }
            Ok(())
        })
    });
    write.await.unwrap();
}
