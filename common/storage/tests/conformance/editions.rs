//! Editions: one at a time, shown when they are ready, removed when nobody can be at them any more.

use std::time::Duration;

use sluice_storage::{Keeping, Listing, ManualClock, NewVideo, Storage, StorageError, VideoState, Which};
use sluice_wire::VideoId;

use crate::ground::{Ground, NOON};
use crate::library::{DAY, media, set, video};

const KEEPING: Keeping = Keeping { undo_ms: DAY, cold_ms: None };

async fn edition(storage: &Storage, of: VideoId) -> Result<VideoId, StorageError> {
    let (id, videos) = (storage.ids.video(), &storage.videos());
    let new = &NewVideo {
        id,
        name: "other.mp4".into(),
        title: "Other".into(),
        state: VideoState::Queued,
        bytes: Some(7),
        sha256: Some("ab".repeat(32)),
        edition_of: Some(of),
    };
    storage.database.write::<_, StorageError, _>(|tx| Box::pin(videos.create(tx, new))).await?;
    Ok(id)
}

async fn show(storage: &Storage, id: VideoId) -> Option<VideoId> {
    let videos = &storage.videos();
    let shown = storage.database.write::<_, StorageError, _>(|tx| Box::pin(videos.show_edition(tx, id)));
    shown.await.unwrap()
}

async fn listed(storage: &Storage, which: Which) -> Vec<VideoId> {
    let asked = Listing { which, limit: 50, ..Listing::default() };
    storage.videos().page(&asked).await.unwrap().videos.iter().map(|video| video.id).collect()
}

pub(crate) async fn an_edition_takes_its_videos_place(ground: Ground) {
    let clock = ManualClock::at(NOON);
    let storage = ground.open_at(&clock).await;
    let (videos, removals) = (storage.videos(), storage.removals());
    let id = video(&storage, "first").await;
    media(&storage, id, 100).await;
    let next = edition(&storage, id).await.unwrap();
    let other = edition(&storage, id).await;
    assert!(matches!(other, Err(StorageError::Conflict(_))), "one at a time: {other:?}");
    let nested = edition(&storage, next).await;
    assert!(matches!(nested, Err(StorageError::NotFound(_))), "of a video alone: {nested:?}");
    media(&storage, next, 500).await;
    set(&storage, next, VideoState::Ready).await;
    assert_eq!(listed(&storage, Which::There).await, [id]);
    assert_eq!(videos.standing(id).await.unwrap().unwrap().shown, id);

    assert_eq!(show(&storage, next).await, Some(id));
    assert_eq!(show(&storage, next).await, None, "once");
    assert_eq!(show(&storage, id).await, None, "a video is no edition");
    let (row, stored) = videos.show(id).await.unwrap().unwrap();
    assert_eq!((row.shown(), row.next_edition, row.name.as_str()), (next, None, "other.mp4"));
    assert_eq!((row.title.as_str(), row.bytes, row.poster_bytes), ("first", Some(7), 504));
    assert_eq!(stored.renditions[0].init_bytes, 502, "its media is the edition's");
    assert_eq!(videos.standing(id).await.unwrap().unwrap().shown, next);
    assert!(videos.standing(next).await.unwrap().unwrap().deleted, "it is nothing by itself");
    assert_eq!(videos.editions(id).await.unwrap(), [next, id]);

    // Its own media stays for a while, then the next edition's.
    let third = edition(&storage, id).await.unwrap();
    assert_eq!(show(&storage, third).await, Some(id));
    assert_eq!(removals.round(KEEPING).await.unwrap(), 0);
    assert_eq!(videos.media(id).await.unwrap().renditions.len(), 1);
    clock.advance(Duration::from_millis(DAY));
    assert_eq!(removals.round(KEEPING).await.unwrap(), 2);
    assert_eq!(videos.media(id).await.unwrap().renditions.len(), 0);
    assert_eq!(videos.get(next).await.unwrap(), None);
    assert_eq!(videos.editions(id).await.unwrap(), [third, id]);
    assert_eq!(listed(&storage, Which::Deleted).await, []);

    let gone = storage.database.write::<_, StorageError, _>(|tx| Box::pin(videos.delete(tx, id)));
    assert!(gone.await.unwrap());
    assert_eq!(videos.get(third).await.unwrap(), None, "its editions go with it");
}

pub(crate) async fn one_that_fails_changes_nothing(ground: Ground) {
    let storage = ground.open().await;
    let videos = storage.videos();
    let id = video(&storage, "first").await;
    let next = edition(&storage, id).await.unwrap();
    set(&storage, next, VideoState::Failed).await;
    assert_eq!(show(&storage, next).await, None);
    let row = videos.get(id).await.unwrap().unwrap();
    assert_eq!((row.shown(), row.next_edition, row.state), (id, None, VideoState::Ready));
    assert!(videos.get(next).await.unwrap().unwrap().deleted_ms.is_some(), "it is removed in time");
    let again = edition(&storage, id).await.unwrap();
    let gone = storage.database.write::<_, StorageError, _>(|tx| Box::pin(videos.delete(tx, again)));
    assert!(gone.await.unwrap());
    assert_eq!(videos.get(id).await.unwrap().unwrap().next_edition, None);
}
