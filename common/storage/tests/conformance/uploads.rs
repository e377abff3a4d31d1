//! Uploads: one winner at each offset, and nothing beyond the end.

use std::collections::BTreeMap;
use std::time::Duration;

use sluice_storage::{
    MAX_JOINED, ManualClock, NewUpload, Part, Piece, Storage, StorageError, UploadKind, UploadState,
};
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

pub(crate) async fn promised_parts_are_used_once_and_looked_after_when_their_time_is_over(ground: Ground) {
    let clock = ManualClock::at(NOON);
    let storage = ground.open_at(&clock).await;
    let (uploads, until) = (&storage.uploads(), NOON + 10_000);
    let id = made(&storage, UploadKind::Direct, "", Some(100)).await;
    let promise = async |sizes: &[u64]| {
        let wanted = &sizes.iter().map(|bytes| (*bytes, None)).collect::<Vec<_>>();
        storage.database.write(|tx| Box::pin(uploads.promise(tx, id, wanted, until))).await
    };
    let promised = promise(&[40, 30]).await.unwrap();
    let numbers: Vec<u32> = promised.iter().map(|promise| promise.index).collect();
    assert_eq!(numbers, [0, 1]);
    assert_eq!(uploads.claim(id).await.unwrap(), 2, "no number is given twice");
    assert!(matches!(promise(&[31]).await, Err(StorageError::Conflict(_))), "past the length");
    assert_eq!(promise(&[30]).await.unwrap()[0].index, 3);
    let part = &Part { upload: id, index: 0, offset: 0, bytes: 40, sha256: String::new() };
    let take = async |index: u32| {
        let taken = storage.database.write::<_, StorageError, _>(|tx| {
            Box::pin(async move {
                uploads.use_promise(tx, id, index).await?;
                if index == 0 { uploads.append(tx, id, 0, part, &[]).await.map(drop) } else { Ok(()) }
            })
        });
        taken.await
    };
    take(0).await.unwrap();
    assert!(matches!(take(0).await, Err(StorageError::Conflict(_))), "used");
    assert!(matches!(take(2).await, Err(StorageError::Conflict(_))), "claimed, not promised");
    let open = uploads.promises(id).await.unwrap();
    assert_eq!(
        open.iter().map(|p| (p.index, p.used)).collect::<Vec<_>>(),
        [(1, false), (3, false), (0, true)]
    );
    assert!(uploads.overdue(0, 10).await.unwrap().is_empty());
    clock.advance(Duration::from_secs(10));
    assert!(matches!(take(1).await, Err(StorageError::Conflict(_))), "its time is over");
    assert!(uploads.promises(id).await.unwrap().is_empty());
    assert!(uploads.overdue(1, 10).await.unwrap().is_empty(), "not yet");
    let mut overdue = uploads.overdue(0, 10).await.unwrap();
    overdue.sort_unstable_by_key(|(_, index, _)| *index);
    assert_eq!(overdue, [(id, 0, true), (id, 1, false), (id, 3, false)]);
    for (id, index, _) in overdue {
        uploads.forget_promise(id, index).await.unwrap();
    }
    assert!(uploads.overdue(0, 10).await.unwrap().is_empty());
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

pub(crate) async fn partial_uploads_are_joined_before_they_are_complete(ground: Ground) {
    let storage = ground.open().await;
    let uploads = &storage.uploads();
    let (a, b) = (partial(&storage, Some(100)).await, partial(&storage, Some(50)).await);
    append(&storage, b, 0, 0, 20).await.unwrap();
    let whole = join(&storage, &[b, a]).await.unwrap();
    assert_eq!(storage.uploads().joined(whole).await.unwrap(), [b, a]);
    let source = storage.uploads().source(whole).await.unwrap();
    assert_eq!((source.length, source.complete), (Some(150), false));
    assert_eq!(source.pieces, [Piece { upload: b, index: 0, offset: 0, bytes: 20 }]);

    // The second half first: there is a hole then.
    append(&storage, a, 7, 0, 100).await.unwrap();
    let pieces = storage.uploads().source(whole).await.unwrap().pieces;
    assert_eq!(pieces[1..], [Piece { upload: a, index: 7, offset: 50, bytes: 100 }]);
    storage.database.write(|tx| Box::pin(uploads.complete(tx, a, 100))).await.unwrap();
    assert!(!storage.database.write(|tx| Box::pin(uploads.complete_whole(tx, whole))).await.unwrap());
    append(&storage, b, 1, 20, 30).await.unwrap();
    storage.database.write(|tx| Box::pin(uploads.complete(tx, b, 50))).await.unwrap();
    assert!(storage.database.write(|tx| Box::pin(uploads.complete_whole(tx, whole))).await.unwrap());
    assert!(!storage.database.write(|tx| Box::pin(uploads.complete_whole(tx, whole))).await.unwrap());
    let source = storage.uploads().source(whole).await.unwrap();
    assert!(source.complete);
    let places: Vec<_> = source.pieces.iter().map(|p| (p.offset, p.bytes)).collect();
    assert_eq!(places, [(0, 20), (20, 30), (50, 100)]);
    let upload = storage.uploads().get(whole).await.unwrap().unwrap();
    assert_eq!((upload.offset, upload.length, upload.state), (150, Some(150), UploadState::Complete));

    storage.database.write(|tx| Box::pin(uploads.delete(tx, whole))).await.unwrap();
    for gone in [whole, a, b] {
        assert_eq!(storage.uploads().get(gone).await.unwrap(), None);
        assert!(storage.uploads().parts(gone).await.unwrap().is_empty());
        let source = storage.uploads().source(gone).await;
        assert!(matches!(source, Err(StorageError::NotFound(_))), "{source:?}");
    }
}

pub(crate) async fn what_cannot_be_joined_is_refused_and_stays_as_it_was(ground: Ground) {
    let storage = ground.open().await;
    let good = partial(&storage, Some(10)).await;
    let (open, ordinary) = (partial(&storage, None).await, begun(&storage, Some(10)).await);
    let foreign = made(&storage, UploadKind::Partial, "another", Some(10)).await;
    let taken = partial(&storage, Some(10)).await;
    let whole = join(&storage, &[taken]).await.unwrap();
    for wrong in [&[][..], &[good, open], &[good, ordinary], &[good, taken], &[good, whole], &[good, good]] {
        let refused = join(&storage, wrong).await;
        assert!(matches!(refused, Err(StorageError::Conflict(_))), "{wrong:?}: {refused:?}");
    }
    let many: Vec<UploadId> = (0..=MAX_JOINED).map(|_| storage.ids.upload()).collect();
    assert!(matches!(join(&storage, &many).await, Err(StorageError::Conflict(_))));
    for missing in [foreign, storage.ids.upload()] {
        let refused = join(&storage, &[good, missing]).await;
        assert!(matches!(refused, Err(StorageError::NotFound(_))), "{refused:?}");
    }
    let (uploads, again) = (&storage.uploads(), &[good]);
    let twice = storage.database.write(|tx| Box::pin(uploads.join(tx, whole, again))).await;
    assert!(matches!(twice, Err(StorageError::Conflict(_))), "{twice:?}");
    assert!(matches!(append(&storage, whole, 0, 0, 5).await, Err(StorageError::Conflict(_))), "no bytes");
    assert_eq!(storage.uploads().get(good).await.unwrap().unwrap().whole, None);
    join(&storage, &[good]).await.unwrap();
}

pub(crate) async fn of_two_that_join_the_same_one_wins(ground: Ground) {
    let (first, second) = (ground.open().await, ground.open().await);
    let parts = [partial(&first, Some(10)).await, partial(&first, Some(10)).await];
    let mut joins = JoinSet::new();
    for n in 0..10 {
        let storage = if n % 2 == 0 { first.clone() } else { second.clone() };
        joins.spawn(async move { join(&storage, &parts).await });
    }
    let results = soon("all joins", joins.join_all()).await;
    assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 1, "{results:?}");
    assert!(results.iter().all(|r| matches!(r, Ok(_) | Err(StorageError::Conflict(_)))));
}

pub(crate) async fn of_two_partial_uploads_that_end_at_once_one_ends_the_whole(ground: Ground) {
    let (first, second) = (ground.open().await, ground.open().await);
    let parts = [partial(&first, Some(10)).await, partial(&first, Some(10)).await];
    let whole = join(&first, &parts).await.unwrap();
    let mut ends = JoinSet::new();
    for (storage, id) in [first.clone(), second].into_iter().zip(parts) {
        append(&storage, id, 0, 0, 10).await.unwrap();
        ends.spawn(async move {
            let uploads = &storage.uploads();
            let both = storage.database.write::<_, StorageError, _>(|tx| {
                Box::pin(async move {
                    uploads.complete(tx, id, 10).await?;
                    uploads.complete_whole(tx, whole).await
                })
            });
            both.await.unwrap()
        });
    }
    let ended = soon("both ends", ends.join_all()).await;
    assert_eq!(ended.iter().filter(|ended| **ended).count(), 1, "{ended:?}");
    assert!(first.uploads().source(whole).await.unwrap().complete);
}

pub(crate) async fn partial_uploads_expire_alone_and_live_with_their_whole(ground: Ground) {
    let clock = ManualClock::at(NOON);
    let storage = ground.open_at(&clock).await;
    let (alone, joined) = (partial(&storage, Some(10)).await, partial(&storage, Some(10)).await);
    let whole = join(&storage, &[joined]).await.unwrap();
    append(&storage, alone, 0, 0, 10).await.unwrap();
    let uploads = &storage.uploads();
    storage.database.write(|tx| Box::pin(uploads.complete(tx, alone, 10))).await.unwrap();
    storage.database.write(|tx| Box::pin(uploads.set_expiry(tx, joined, NOON + 10_000))).await.unwrap();
    clock.advance(Duration::from_secs(5));
    assert_eq!(storage.uploads().expired(10).await.unwrap(), [alone], "nobody joined it");
    clock.advance(Duration::from_secs(6));
    storage.database.write(|tx| Box::pin(uploads.delete(tx, alone))).await.unwrap();
    assert_eq!(storage.uploads().expired(10).await.unwrap(), [whole]);
}

pub(crate) async fn equal_bytes_are_kept_once_until_nobody_has_them(ground: Ground) {
    let storage = ground.open().await;
    let uploads = &storage.uploads();
    let (first, second, third) = (whole(&storage).await, whole(&storage).await, whole(&storage).await);
    let unhashed = storage.database.write(|tx| Box::pin(uploads.share(tx, first))).await;
    assert!(matches!(unhashed, Err(StorageError::Conflict(_))), "{unhashed:?}");
    assert_eq!(hashed_and_shared(&storage, first).await, None, "nobody had them");
    assert_eq!(hashed_and_shared(&storage, second).await, Some(first));
    assert_eq!(hashed_and_shared(&storage, third).await, Some(first));
    let source = uploads.source(second).await.unwrap();
    assert_eq!(source.pieces, [Piece { upload: first, index: 0, offset: 0, bytes: 10 }]);
    assert!(source.complete && uploads.discarded().await.unwrap().is_empty(), "somebody may read them");
    storage.database.write(|tx| Box::pin(uploads.settle(tx, second))).await.unwrap();
    assert_eq!(uploads.discarded().await.unwrap(), [second]);
    uploads.forget_discarded(&[second]).await.unwrap();

    // The first is deleted: nobody sees it any more, and its bytes stay for the others.
    for (gone, left) in [(first, true), (second, true), (third, false)] {
        assert!(storage.database.write(|tx| Box::pin(uploads.delete(tx, gone))).await.unwrap());
        assert!(!storage.database.write(|tx| Box::pin(uploads.delete(tx, gone))).await.unwrap());
        assert_eq!(uploads.get(gone).await.unwrap(), None);
        assert_eq!(uploads.parts(first).await.unwrap().len(), usize::from(left));
        assert_eq!(uploads.discarded().await.unwrap().contains(&first), !left);
    }
    let mut discarded = uploads.discarded().await.unwrap();
    discarded.sort_unstable();
    assert_eq!(discarded, [first, second, third]);
}

pub(crate) async fn a_joined_source_is_shared_like_any_other(ground: Ground) {
    let storage = ground.open().await;
    let uploads = &storage.uploads();
    let (a, b) = (partial(&storage, Some(4)).await, partial(&storage, Some(6)).await);
    let joined = join(&storage, &[a, b]).await.unwrap();
    for (id, bytes) in [(a, 4), (b, 6)] {
        append(&storage, id, 3, 0, bytes).await.unwrap();
        storage.database.write(|tx| Box::pin(uploads.complete(tx, id, bytes))).await.unwrap();
    }
    assert!(storage.database.write(|tx| Box::pin(uploads.complete_whole(tx, joined))).await.unwrap());
    assert_eq!(hashed_and_shared(&storage, joined).await, None);
    let plain = whole(&storage).await;
    assert_eq!(hashed_and_shared(&storage, plain).await, Some(joined));
    storage.database.write(|tx| Box::pin(uploads.delete(tx, joined))).await.unwrap();
    let pieces = uploads.source(plain).await.unwrap().pieces;
    let places: Vec<_> = pieces.iter().map(|p| (p.upload, p.offset, p.bytes)).collect();
    assert_eq!(places, [(a, 0, 4), (b, 4, 6)]);
    storage.database.write(|tx| Box::pin(uploads.delete(tx, plain))).await.unwrap();
    let mut discarded = uploads.discarded().await.unwrap();
    discarded.sort_unstable();
    assert_eq!(discarded, [a, b, joined, plain]);
}

pub(crate) async fn of_equal_uploads_that_are_settled_at_once_one_holds_the_bytes(ground: Ground) {
    let (first, second) = (ground.open().await, ground.open().await);
    let mut ids = vec![];
    for _ in 0..8 {
        ids.push(whole(&first).await);
    }
    let mut settling = JoinSet::new();
    for (n, id) in ids.iter().copied().enumerate() {
        let storage = if n % 2 == 0 { first.clone() } else { second.clone() };
        settling.spawn(async move { hashed_and_shared(&storage, id).await });
    }
    let holders = soon("all are settled", settling.join_all()).await;
    let holder: Vec<UploadId> = holders.iter().flatten().copied().collect();
    assert_eq!(holder.len(), 7, "{holders:?}");
    assert!(holder.iter().all(|id| *id == holder[0]), "{holders:?}");
}

pub(crate) async fn one_process_settles_an_upload_and_another_goes_on_after_it(ground: Ground) {
    let clock = ManualClock::at(NOON);
    let (first, second) = (ground.open_at(&clock).await, ground.open_at(&clock).await);
    let minute = Duration::from_secs(60);
    assert_eq!(first.uploads().claim_settling(minute).await.unwrap(), None);
    let id = whole(&first).await;
    begun(&first, Some(10)).await;
    let claimed = first.uploads().claim_settling(minute).await.unwrap().unwrap();
    assert_eq!((claimed.id, claimed.hashed), (id, 0));
    assert_eq!(second.uploads().claim_settling(minute).await.unwrap(), None, "it is the first one's");
    first.uploads().keep_hash(id, 7, &[1, 2], minute).await.unwrap();
    clock.advance(minute);
    let claimed = second.uploads().claim_settling(minute).await.unwrap().unwrap();
    assert_eq!((claimed.id, claimed.hashed, claimed.hash_state.as_slice()), (id, 7, &[1, 2][..]));
    assert_eq!(hashed_and_shared(&second, id).await, None);
    clock.advance(minute);
    assert_eq!(first.uploads().claim_settling(minute).await.unwrap(), None, "it is settled");
    let gone = first.uploads().keep_hash(first.ids.upload(), 0, &[], minute).await;
    assert!(matches!(gone, Err(StorageError::NotFound(_))), "{gone:?}");
}

pub(crate) async fn a_fetch_is_one_process_s_and_goes_on_in_another(ground: Ground) {
    let clock = ManualClock::at(NOON);
    let (first, second) = (ground.open_at(&clock).await, ground.open_at(&clock).await);
    let (id, minute) = (made(&first, UploadKind::Fetched, "", None).await, Duration::from_secs(60));
    let uploads = &first.uploads();
    first.database.write(|tx| Box::pin(uploads.order_fetch(tx, id, "http://h/a.mp4"))).await.unwrap();
    let twice = first.database.write(|tx| Box::pin(uploads.order_fetch(tx, id, "http://h/b"))).await;
    assert!(matches!(twice, Err(StorageError::Conflict(_))), "{twice:?}");

    let mut claims = JoinSet::new();
    for n in 0..10 {
        let storage = if n % 2 == 0 { first.clone() } else { second.clone() };
        claims.spawn(async move { storage.uploads().claim_fetch(&n.to_string(), minute).await.unwrap() });
    }
    let claimed: Vec<_> = soon("all claims", claims.join_all()).await.into_iter().flatten().collect();
    assert_eq!(claimed.len(), 1, "{claimed:?}");
    let old = &claimed[0];
    assert_eq!((old.upload, old.url.as_str(), old.attempts), (id, "http://h/a.mp4", 0));
    uploads.begin_fetch(old, Some("\"tag\""), minute).await.unwrap();
    clock.advance(Duration::from_secs(59));
    uploads.renew_fetch(old, minute).await.unwrap();
    clock.advance(Duration::from_secs(59));
    assert_eq!(second.uploads().claim_fetch("late", minute).await.unwrap(), None);

    // It falls silent: another one goes on, and the first one is told.
    clock.advance(Duration::from_secs(1));
    let new = second.uploads().claim_fetch("new", minute).await.unwrap().unwrap();
    assert_eq!(new.validator.as_deref(), Some("\"tag\""));
    assert!(matches!(uploads.renew_fetch(old, minute).await, Err(StorageError::Fenced)));
    for (brought, attempts) in [(false, 1), (false, 2), (true, 1)] {
        let had = second.uploads().claim_fetch("again", minute).await.unwrap().unwrap_or_else(|| new.clone());
        second.uploads().put_off_fetch(&had, brought, minute).await.unwrap();
        clock.advance(minute);
        let next = first.uploads().claim_fetch("next", minute).await.unwrap().unwrap();
        assert_eq!(next.attempts, attempts);
        uploads.renew_fetch(&next, Duration::ZERO).await.unwrap();
    }
    assert!(first.uploads().expired(10).await.unwrap().is_empty(), "it ends with its fetch alone");
    first.database.write(|tx| Box::pin(uploads.delete(tx, id))).await.unwrap();
    clock.advance(minute);
    assert_eq!(first.uploads().claim_fetch("none", minute).await.unwrap(), None, "it went with its upload");
}

pub(crate) async fn an_owner_s_use_is_what_is_stored_and_declared(ground: Ground) {
    let storage = ground.open().await;
    let uploads = &storage.uploads();
    let usage = async |owner: &'static str| {
        let used = storage.database.write(|tx| Box::pin(uploads.usage(tx, owner))).await.unwrap();
        (used.bytes, used.uploads)
    };
    assert_eq!(usage("").await, (0, 0));
    made(&storage, UploadKind::Whole, "a", Some(1_000)).await;
    let open = made(&storage, UploadKind::Whole, "", None).await;
    append(&storage, open, 0, 0, 30).await.unwrap();
    let done = whole(&storage).await;
    assert_eq!((usage("").await, usage("a").await), ((40, 1), (1_000, 1)));
    let (a, b) = (partial(&storage, Some(3)).await, partial(&storage, Some(4)).await);
    assert_eq!(usage("").await, (47, 3));
    join(&storage, &[a, b]).await.unwrap();
    assert_eq!(usage("").await, (47, 1), "counted once, by the whole");
    storage.database.write(|tx| Box::pin(uploads.delete(tx, done))).await.unwrap();
    assert_eq!(usage("").await, (37, 1));
}

/// A complete upload of the same ten bytes.
async fn whole(storage: &Storage) -> UploadId {
    let (id, uploads) = (begun(storage, Some(10)).await, &storage.uploads());
    append(storage, id, 0, 0, 10).await.unwrap();
    storage.database.write(|tx| Box::pin(uploads.complete(tx, id, 10))).await.unwrap();
    id
}

async fn hashed_and_shared(storage: &Storage, id: UploadId) -> Option<UploadId> {
    let uploads = &storage.uploads();
    let shared = storage.database.write::<_, StorageError, _>(|tx| {
        Box::pin(async move {
            uploads.set_hash(tx, id, &"ab".repeat(32)).await?;
            uploads.share(tx, id).await
        })
    });
    shared.await.unwrap()
}

pub(crate) fn new_upload(id: UploadId, length: Option<u64>) -> NewUpload {
    NewUpload {
        id,
        kind: UploadKind::Whole,
        owner: String::new(),
        name: "Ärger 🎬'; DROP TABLE uploads.mkv".into(),
        length,
        metadata: BTreeMap::from([("title".to_owned(), "\u{1f3ac} \"x\"".to_owned())]),
        expires_ms: NOON + 1000,
        hash_state: vec![0, 255, 128],
    }
}

async fn begun(storage: &Storage, length: Option<u64>) -> UploadId {
    made(storage, UploadKind::Whole, "", length).await
}

async fn partial(storage: &Storage, length: Option<u64>) -> UploadId {
    made(storage, UploadKind::Partial, "", length).await
}

async fn made(storage: &Storage, kind: UploadKind, owner: &str, length: Option<u64>) -> UploadId {
    let id = storage.ids.upload();
    let new = &NewUpload { kind, owner: owner.to_owned(), ..new_upload(id, length) };
    let uploads = &storage.uploads();
    storage.database.write(|tx| Box::pin(uploads.create(tx, new))).await.unwrap();
    id
}

/// A final upload of these.
async fn join(storage: &Storage, partials: &[UploadId]) -> Result<UploadId, StorageError> {
    let id = storage.ids.upload();
    let new = &NewUpload { kind: UploadKind::Final, ..new_upload(id, None) };
    let uploads = &storage.uploads();
    let joined = storage.database.write(|tx| {
        Box::pin(async move {
            uploads.create(tx, new).await?;
            uploads.join(tx, id, partials).await
        })
    });
    joined.await.map(|_| id)
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
