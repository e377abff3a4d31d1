//! The library: found, filtered, put aside, removed, counted.

use std::time::Duration;

use bytes::Bytes;
use sluice_storage::{
    Change, Keeping, Listing, ManualClock, NewVideo, Order, Part, Rendition, RenditionKind, Restored,
    SegmentRow, Storage, StorageError, Video, VideoState, Visibility, Which, count_statements,
};
use sluice_wire::{Digest, ObjectKey, RungName, VideoId};

use crate::ground::{Ground, NOON};

pub(crate) const DAY: u64 = 24 * 3_600_000;
const KEEPING: Keeping = Keeping { undo_ms: DAY, cold_ms: None };

pub(crate) async fn words_and_tags_find_without_case_and_diacritics(ground: Ground) {
    let storage = ground.open().await;
    let berlin = video(&storage, "Über den Dächern von Berlin").await;
    let paris = video(&storage, "PARIS: Les Cafés").await;
    let both = video(&storage, "Berlin nach Paris").await;
    edit(&storage, paris, &change(&["Été 2026", "travel"])).await;
    edit(&storage, both, &Change { description: Some("Mit dem Café-Wagen".into()), ..change(&["travel"]) })
        .await;

    for (question, found) in [
        ("berlin", vec![both, berlin]),
        ("BERL", vec![both, berlin]),
        ("uber", vec![berlin]),
        ("dachern ÜB", vec![berlin]),
        ("cafe", vec![both, paris]),
        ("café", vec![both, paris]),
        ("berlin paris", vec![both]),
        ("paris berlin nach", vec![both]),
        ("clip", vec![both, paris, berlin]),
        ("ete", vec![paris]),
        ("erlin", vec![]),
        ("berlin rome", vec![]),
        ("100%_", vec![]),
        ("' OR 1=1 --", vec![]),
        ("...", vec![]),
        ("", vec![both, paris, berlin]),
    ] {
        assert_eq!(find(&storage, &words(question)).await, found, "{question:?}");
    }
    for (tags, question, found) in [
        (vec!["travel"], "", vec![both, paris]),
        (vec!["TRAVEL", "ete 2026"], "", vec![paris]),
        (vec!["travel"], "berlin", vec![both]),
        (vec!["trav"], "", vec![]),
    ] {
        let tags = tags.into_iter().map(str::to_owned).collect();
        assert_eq!(find(&storage, &Listing { tags, ..words(question) }).await, found);
    }
    // What it was called before finds it no more.
    edit(&storage, both, &Change { title: Some("Unterwegs".into()), ..Change::default() }).await;
    assert_eq!(find(&storage, &words("berlin")).await, [berlin]);
    assert_eq!(find(&storage, &words("unterwegs wagen")).await, [both]);
}

pub(crate) async fn filters_and_orders_page_without_gaps(ground: Ground) {
    let storage = ground.open().await;
    let mut all = vec![];
    for n in 0..24 {
        let id = video(&storage, "one of many").await;
        let visibility = Visibility::ALL[n % 3];
        edit(&storage, id, &Change { visibility: Some(visibility), ..Change::default() }).await;
        if n % 4 == 0 {
            set(&storage, id, VideoState::Failed).await;
        }
        all.push((id, visibility, n % 4 == 0));
    }
    for question in ["", "one", "many one of"] {
        for visibility in
            [None, Some(Visibility::Public), Some(Visibility::Unlisted), Some(Visibility::Private)]
        {
            for which in [Which::There, Which::In(VideoState::Ready), Which::In(VideoState::Failed)] {
                for order in [Order::Newest, Order::Oldest] {
                    let mut wanted: Vec<VideoId> = all
                        .iter()
                        .filter(|(_, of, failed)| {
                            visibility.is_none_or(|v| v == *of)
                                && match which {
                                    Which::In(state) => *failed == (state == VideoState::Failed),
                                    _ => true,
                                }
                        })
                        .map(|(id, ..)| *id)
                        .collect();
                    if order == Order::Newest {
                        wanted.reverse();
                    }
                    let mut asked = Listing { visibility, which, order, limit: 5, ..words(question) };
                    let mut seen = vec![];
                    loop {
                        let page = find(&storage, &asked).await;
                        let Some(last) = page.last() else { break };
                        asked.after = Some(*last);
                        seen.extend(page);
                    }
                    assert_eq!(seen, wanted, "{question:?} {visibility:?} {which:?} {order:?}");
                }
            }
        }
    }
}

pub(crate) async fn what_is_put_aside_comes_back_as_it_was(ground: Ground) {
    let clock = ManualClock::at(NOON);
    let storage = ground.open_at(&clock).await;
    let (id, videos) = (video(&storage, "Berlin").await, &storage.videos());
    edit(&storage, id, &change(&["travel"])).await;
    let before = shown(&storage, id).await;
    let aside = || storage.database.write::<_, StorageError, _>(|tx| Box::pin(videos.put_aside(tx, id)));
    let restore = || storage.database.write::<_, StorageError, _>(|tx| Box::pin(videos.restore(tx, id, DAY)));
    assert_eq!(restore().await.unwrap(), Restored::NotDeleted);
    assert!(aside().await.unwrap());
    assert!(!aside().await.unwrap(), "once");
    assert!(videos.standing(id).await.unwrap().unwrap().deleted);
    for nothing in [Listing::default(), words("berlin"), Listing { tags: vec!["travel".into()], ..words("") }]
    {
        assert_eq!(find(&storage, &nothing).await, []);
    }
    assert_eq!(find(&storage, &Listing { which: Which::Deleted, ..words("") }).await, [id]);

    assert_eq!(restore().await.unwrap(), Restored::Yes);
    let after = shown(&storage, id).await;
    assert_eq!(Video { updated_ms: 0, ..before }, Video { updated_ms: 0, ..after });
    assert_eq!(find(&storage, &words("berlin")).await, [id]);

    assert!(aside().await.unwrap());
    clock.advance(Duration::from_millis(DAY));
    assert_eq!(restore().await.unwrap(), Restored::TooLate);
    let none = storage.database.write::<_, StorageError, _>(|tx| {
        let none = storage.ids.video();
        Box::pin(videos.restore(tx, none, DAY))
    });
    assert!(matches!(none.await, Err(StorageError::NotFound(_))));
}

pub(crate) async fn rows_go_first_and_objects_follow_whoever_dies(ground: Ground) {
    let clock = ManualClock::at(NOON);
    let storage = ground.open_at(&clock).await;
    let (old, dead, stays) =
        (video(&storage, "old").await, video(&storage, "dead").await, video(&storage, "stays").await);
    for id in [old, dead, stays] {
        store(&storage, &ObjectKey::Poster(id), 10).await;
    }
    let videos = &storage.videos();
    let aside = storage.database.write::<_, StorageError, _>(|tx| Box::pin(videos.put_aside(tx, old)));
    assert!(aside.await.unwrap());
    // A process that removed rows, and died before it removed objects.
    let gone = storage.database.write::<_, StorageError, _>(|tx| Box::pin(videos.delete(tx, dead)));
    assert!(gone.await.unwrap());

    let removals = storage.removals();
    assert_eq!(removals.round(KEEPING).await.unwrap(), 0, "nothing is due");
    clock.advance(Duration::from_millis(DAY));
    assert_eq!(removals.round(KEEPING).await.unwrap(), 2);
    for id in [old, dead] {
        assert_eq!(videos.get(id).await.unwrap(), None);
        assert!(!is_there(&storage, &ObjectKey::Poster(id)).await);
    }
    assert!(is_there(&storage, &ObjectKey::Poster(stays)).await);

    // A worker that had not noticed stores once more; it is looked for later.
    store(&storage, &ObjectKey::Poster(old), 10).await;
    clock.advance(Duration::from_secs(3_600));
    assert_eq!(removals.round(KEEPING).await.unwrap(), 1);
    assert!(!is_there(&storage, &ObjectKey::Poster(old)).await);
    assert_eq!(removals.round(KEEPING).await.unwrap(), 0);
}

pub(crate) async fn one_process_removes_at_a_time(ground: Ground) {
    let clock = ManualClock::at(NOON);
    let storage = ground.open_at(&clock).await;
    let other = ground.open_at(&clock).await;
    let videos = &storage.videos();
    let mut all = vec![];
    for _ in 0..8 {
        let id = video(&storage, "one").await;
        all.push(id);
        storage.database.write::<_, StorageError, _>(|tx| Box::pin(videos.put_aside(tx, id))).await.unwrap();
    }
    clock.advance(Duration::from_millis(DAY));
    let (one, two) = (storage.removals(), other.removals());
    let (a, b) = tokio::join!(one.round(KEEPING), two.round(KEEPING));
    let done = a.unwrap() + b.unwrap();
    assert_eq!(done, 8, "each video once");
    for id in all {
        assert_eq!(videos.get(id).await.unwrap(), None);
    }
}

pub(crate) async fn usage_is_what_the_store_holds(ground: Ground) {
    let storage = ground.open().await;
    let (ready, aside) = (video(&storage, "ready").await, video(&storage, "aside").await);
    for (id, bytes) in [(ready, 1_000), (aside, 300)] {
        media(&storage, id, bytes).await;
    }
    let videos = &storage.videos();
    storage.database.write::<_, StorageError, _>(|tx| Box::pin(videos.put_aside(tx, aside))).await.unwrap();
    let usage = videos.usage().await.unwrap();
    let states: Vec<_> =
        usage.states.iter().map(|s| (s.state, s.deleted, s.videos, s.source_bytes, s.poster_bytes)).collect();
    assert_eq!(states, [(VideoState::Ready, false, 1, 1_001, 1_004), (VideoState::Ready, true, 1, 301, 304)]);
    let rungs: Vec<_> = usage.rungs.iter().map(|r| (r.rung.as_str(), r.videos, r.bytes)).collect();
    assert_eq!(rungs, [("v720", 2, 1_002 + 1_003 + 302 + 303)]);
    assert_eq!(usage.other_bytes, 0);
}

pub(crate) async fn a_page_costs_three_statements(ground: Ground) {
    let storage = ground.open().await;
    let videos = &storage.videos();
    let mut id = video(&storage, "Berlin one").await;
    for n in 0..5 {
        id = video(&storage, &format!("Berlin {n}")).await;
        media(&storage, id, n).await;
    }
    for asked in
        [words(""), words("berlin one"), Listing { which: Which::In(VideoState::Ready), ..words("b") }]
    {
        let (page, sent) = count_statements(videos.page(&asked)).await;
        assert!(!page.unwrap().videos.is_empty());
        assert_eq!(sent, 3);
    }
    assert_eq!(count_statements(videos.show(id)).await.1, 3);
    assert_eq!(count_statements(videos.standing(id)).await.1, 1);
    assert_eq!(count_statements(videos.usage()).await.1, 3);
}

fn words(words: &str) -> Listing {
    Listing { words: words.into(), limit: 50, ..Listing::default() }
}

fn change(tags: &[&str]) -> Change {
    Change { tags: Some(tags.iter().map(|tag| (*tag).to_owned()).collect()), ..Change::default() }
}

async fn find(storage: &Storage, asked: &Listing) -> Vec<VideoId> {
    storage.videos().page(asked).await.unwrap().videos.iter().map(|video| video.id).collect()
}

async fn shown(storage: &Storage, id: VideoId) -> Video {
    storage.videos().show(id).await.unwrap().unwrap().0
}

/// A video that is ready.
pub(crate) async fn video(storage: &Storage, title: &str) -> VideoId {
    let (id, videos) = (storage.ids.video(), &storage.videos());
    let (name, title, state) = ("clip.mp4".into(), title.into(), VideoState::Ready);
    let new = &NewVideo { id, name, title, state, bytes: Some(1), sha256: None, edition_of: None };
    storage.database.write::<_, StorageError, _>(|tx| Box::pin(videos.create(tx, new))).await.unwrap();
    id
}

async fn edit(storage: &Storage, id: VideoId, change: &Change) {
    let videos = &storage.videos();
    let edited = storage.database.write::<_, StorageError, _>(|tx| {
        Box::pin(async move {
            let now = videos.get_in(tx, id).await?.unwrap();
            videos.edit(tx, &now, change).await
        })
    });
    edited.await.unwrap();
}

pub(crate) async fn set(storage: &Storage, id: VideoId, state: VideoState) {
    let videos = &storage.videos();
    let set =
        storage.database.write::<_, StorageError, _>(|tx| Box::pin(videos.set_state(tx, id, state, None)));
    set.await.unwrap();
}

/// A source, a poster and one rung with one segment, of about so many bytes each; rows and objects.
pub(crate) async fn media(storage: &Storage, id: VideoId, bytes: u64) {
    let rung = RungName::new("v720").unwrap();
    let [source, header, segment, poster] = [1, 2, 3, 4].map(|more| bytes + more);
    store(storage, &ObjectKey::SourcePart(id.upload(), 0), source).await;
    store(storage, &ObjectKey::Init(id, rung.clone(), Digest([1; 16])), header).await;
    store(storage, &ObjectKey::Segment(id, rung.clone(), 0, Digest([2; 16])), segment).await;
    store(storage, &ObjectKey::Poster(id), poster).await;
    let (videos, uploads) = (&storage.videos(), &storage.uploads());
    let upload = &crate::uploads::new_upload(id.upload(), None);
    let rendition = &Rendition {
        video: id,
        rung: rung.clone(),
        kind: RenditionKind::Video,
        codecs: "avc1.64001f".into(),
        width: 1280,
        height: 720,
        frame_rate_num: 30,
        frame_rate_den: 1,
        bandwidth: 1,
        average_bandwidth: 1,
        timescale: 90_000,
        init_bytes: header,
        init: Digest([1; 16]),
        ended: true,
    };
    let row = &SegmentRow {
        video: id,
        rung,
        seq: 0,
        start: 0,
        duration: 1,
        bytes: segment,
        sha256: String::new(),
        digest: Digest([2; 16]),
        keys: vec![],
    };
    let part = &Part { upload: id.upload(), index: 0, offset: 0, bytes: source, sha256: String::new() };
    let put = storage.database.write::<_, StorageError, _>(|tx| {
        Box::pin(async move {
            uploads.create(tx, upload).await?;
            uploads.append(tx, id.upload(), 0, part, &[]).await?;
            videos.put_rendition(tx, rendition).await?;
            videos.put_segment(tx, row).await?;
            videos.set_poster(tx, id, poster).await
        })
    });
    put.await.unwrap();
}

pub(crate) async fn store(storage: &Storage, key: &ObjectKey, bytes: u64) {
    let bytes = Bytes::from(vec![7; usize::try_from(bytes).unwrap()]);
    storage.objects.put(key, bytes).await.unwrap();
}

pub(crate) async fn is_there(storage: &Storage, key: &ObjectKey) -> bool {
    match storage.objects.head(key).await {
        Ok(_) => true,
        Err(StorageError::NotFound(_)) => false,
        Err(error) => panic!("{error}"),
    }
}
