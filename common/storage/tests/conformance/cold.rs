//! Rungs that nobody asks for: dropped but for the lowest, and whole again once they are made again; and those that are named
//! and made when they are first asked for.

use std::time::Duration;

use sluice_storage::{Keeping, ManualClock, Rendition, SegmentRow, Storage, StorageError};
use sluice_wire::{Digest, ObjectKey, RungName, VideoId};

use crate::ground::{Ground, NOON};
use crate::library::{DAY, is_there, store, video};
use crate::videos::{put, rendition, segment};

const KEEPING: Keeping = Keeping { undo_ms: u64::MAX >> 1, cold_ms: Some(DAY) };

/// A rung of two segments, rows and objects.
async fn rung(storage: &Storage, video: VideoId, height: u32) -> Vec<SegmentRow> {
    let name = RungName::new(format!("v{height}")).unwrap();
    let rows = [0, 1].map(|seq| SegmentRow { rung: name.clone(), ..segment(video, seq, 1_000) });
    put(storage, &Rendition { rung: name, height, ..rendition(video, true) }, &rows).await;
    for row in &rows {
        store(storage, &key(row), row.bytes).await;
    }
    rows.to_vec()
}

fn key(row: &SegmentRow) -> ObjectKey {
    ObjectKey::Segment(row.video, row.rung.clone(), row.seq, row.digest)
}

pub(crate) async fn a_rung_that_nobody_asks_for_is_dropped(ground: Ground) {
    let clock = ManualClock::at(NOON);
    let storage = ground.open_at(&clock).await;
    let (id, videos, removals) = (video(&storage, "old").await, &storage.videos(), storage.removals());
    let (low, middle, high) =
        (rung(&storage, id, 240).await, rung(&storage, id, 480).await, rung(&storage, id, 720).await);
    assert_eq!(removals.round(KEEPING).await.unwrap(), 0, "they are new");
    clock.advance(Duration::from_millis(DAY));
    let asked = storage
        .database
        .write::<_, StorageError, _>(|tx| Box::pin(videos.note_asked(tx, id, &middle[0].rung)));
    asked.await.unwrap();
    assert_eq!(removals.round(KEEPING).await.unwrap(), 2, "the lowest is looked at once, too");
    assert_eq!(removals.round(KEEPING).await.unwrap(), 0);
    for (rows, stays) in [(&low, true), (&middle, true), (&high, false)] {
        for row in rows {
            assert_eq!(is_there(&storage, &key(row)).await, stays, "{}", row.rung);
        }
    }
    let (_, media) = videos.show(id).await.unwrap().unwrap();
    assert_eq!(media.cold.iter().collect::<Vec<_>>(), [&high[0].rung]);
    assert_eq!(videos.media(id).await.unwrap().cold, media.cold);
    assert_eq!(media.segments[&high[0].rung], 2, "its rows stay");
    assert_eq!(videos.gone(id, &high[0].rung, 0..9).await.unwrap(), [0, 1]);
    let usage = videos.usage().await.unwrap();
    let bytes: Vec<u64> = usage.rungs.iter().map(|rung| rung.bytes).collect();
    assert_eq!(bytes, [2_800, 2_800, 800], "headers stay");
}

pub(crate) async fn what_is_made_again_is_the_same_and_can_be_dropped_again(ground: Ground) {
    let clock = ManualClock::at(NOON);
    let storage = ground.open_at(&clock).await;
    let (id, videos, removals) = (video(&storage, "old").await, &storage.videos(), storage.removals());
    rung(&storage, id, 240).await;
    let high = rung(&storage, id, 720).await;
    clock.advance(Duration::from_millis(DAY));
    assert_eq!(removals.round(KEEPING).await.unwrap(), 2);
    let other = SegmentRow { sha256: "ef".repeat(32), ..high[0].clone() };
    let regain = async |row: &SegmentRow| {
        let regained = storage.database.write::<_, StorageError, _>(|tx| {
            Box::pin(async move {
                let regained = videos.regain(tx, row).await?;
                videos.warmed(tx, id, &row.rung).await?;
                Ok(regained)
            })
        });
        regained.await.unwrap()
    };
    assert!(!regain(&other).await, "other bytes are not what the row names");
    assert!(regain(&high[0]).await);
    assert_eq!(videos.gone(id, &high[0].rung, 0..9).await.unwrap(), [1]);
    assert!(!videos.media(id).await.unwrap().cold.is_empty(), "a part of it is missing");
    assert!(regain(&high[1]).await);
    assert!(videos.media(id).await.unwrap().cold.is_empty());
    let lose = async || {
        let lost = storage
            .database
            .write::<_, StorageError, _>(|tx| Box::pin(videos.lose(tx, id, &high[1].rung, 1)));
        lost.await.unwrap()
    };
    assert!(lose().await && !lose().await, "it is lost once");
    assert_eq!(removals.round(KEEPING).await.unwrap(), 0, "it was asked for now");
    clock.advance(Duration::from_millis(DAY));
    assert_eq!(removals.round(KEEPING).await.unwrap(), 1);
    assert_eq!(videos.gone(id, &high[0].rung, 0..9).await.unwrap(), [0, 1]);
}

pub(crate) async fn what_is_named_takes_nothing_until_it_is_made(ground: Ground) {
    let storage = ground.open().await;
    let (id, videos) = (video(&storage, "film").await, &storage.videos());
    rung(&storage, id, 240).await;
    let name = RungName::new("v720").unwrap();
    let made = [0, 1].map(|seq| SegmentRow { rung: name.clone(), ..segment(id, seq, 1_000) });
    let named =
        |row: &SegmentRow| SegmentRow { bytes: 0, sha256: String::new(), keys: vec![], ..row.clone() };
    let rendition = &Rendition { rung: name.clone(), height: 720, ..rendition(id, true) };
    let put = async |row: &SegmentRow| {
        let put = storage.database.write::<_, StorageError, _>(|tx| {
            Box::pin(async move {
                videos.put_rendition(tx, rendition).await?;
                videos.name_segment(tx, row).await?;
                videos.put_rendition(tx, rendition).await
            })
        });
        put.await.unwrap();
    };
    for row in &made {
        put(row).await;
    }
    assert_eq!(videos.segments(id, &name).await.unwrap(), made.each_ref().map(named), "sizes are not known");
    let media = videos.media(id).await.unwrap();
    assert_eq!((media.segments[&name], media.cold.contains(&name)), (2, true), "{media:?}");
    assert_eq!(videos.gone(id, &name, 0..9).await.unwrap(), [0, 1]);
    let used = async || videos.usage().await.unwrap().rungs.pop().unwrap();
    assert_eq!((used().await.rung, used().await.bytes), (name.clone(), 800), "its header alone");

    let regain = async |row: &SegmentRow| {
        let regained = storage.database.write::<_, StorageError, _>(|tx| {
            Box::pin(async move {
                let regained = videos.regain(tx, row).await?;
                videos.warmed(tx, id, &row.rung).await?;
                videos.set_rates(tx, id, &row.rung, (9_000, 7_000)).await?;
                Ok(regained)
            })
        });
        regained.await.unwrap()
    };
    let other = SegmentRow { digest: Digest([9; 16]), ..made[0].clone() };
    assert!(!regain(&other).await, "of another name");
    assert!(regain(&made[0]).await);
    let other = SegmentRow { sha256: "ef".repeat(32), ..made[0].clone() };
    assert!(!regain(&other).await, "once it was made it is what it was");
    assert!(videos.media(id).await.unwrap().cold.contains(&name), "a part of it is missing");
    assert!(regain(&made[1]).await);
    let media = videos.media(id).await.unwrap();
    assert!(media.cold.is_empty(), "{media:?}");
    assert_eq!(videos.segments(id, &name).await.unwrap(), made);
    assert_eq!(used().await.bytes, 2_800);
    let rates = videos.rendition(id, &name).await.unwrap().unwrap();
    assert_eq!((rates.bandwidth, rates.average_bandwidth), (9_000, 7_000));
    put(&made[0]).await;
    assert_eq!(videos.segments(id, &name).await.unwrap(), made, "naming it once more changes nothing");
    assert!(videos.media(id).await.unwrap().cold.is_empty());
}
