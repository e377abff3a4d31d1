//! The event log: order, completeness, and survival.

use std::collections::BTreeMap;

use futures::StreamExt;
use serde_json::json;
use sluice_storage::{Engine, Storage, StorageError, topics};
use sluice_wire::{Event, EventKind, Tag, Version};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::ground::{Ground, soon};

const WRITERS: usize = 6;
const EVENTS: usize = 12;
const TAGS: usize = 4;

pub(crate) async fn events_of_many_writers_are_relayed_in_order_without_gaps(ground: Ground) {
    let processes = [ground.open().await, ground.open().await, ground.open().await];
    let (drain, mut tasks) = (CancellationToken::new(), JoinSet::new());
    for process in &processes {
        tasks.spawn(process.relay().run(drain.clone()));
    }
    let follower = ground.open().await.log().tail(0).take(WRITERS * EVENTS).collect::<Vec<Event>>();
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let storage = processes[writer % processes.len()].clone();
        writers.spawn(async move {
            for n in 0..EVENTS {
                emit(&storage, &tag((writer + n) % TAGS), writer * EVENTS + n).await;
            }
        });
    }
    soon("the writers end", writers.join_all()).await;
    let seen = soon("the follower has seen it all", follower).await;

    assert_eq!(seen.iter().map(|e| e.seq).collect::<Vec<_>>(), (1..=72).collect::<Vec<u64>>());
    let mut versions: BTreeMap<&Tag, u64> = BTreeMap::new();
    let mut numbers: Vec<u64> = Vec::new();
    for event in &seen {
        let last = versions.entry(&event.tag).or_default();
        assert_eq!(event.version.0, *last + 1, "{} went out of order", event.tag);
        *last = event.version.0;
        numbers.push(event.data["n"].as_u64().unwrap());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (0..72).collect::<Vec<u64>>(), "each event once");
    assert_eq!(processes[0].log().head().await.unwrap(), 72);

    drain.cancel();
    soon("the relays end", tasks.join_all()).await;
}

pub(crate) async fn events_of_one_tag_that_are_emitted_together_keep_their_order(ground: Ground) {
    let processes = [ground.open().await, ground.open().await];
    let relay = Relaying::start(&processes[0]);
    let mut writers = JoinSet::new();
    for (writer, storage) in processes.iter().cloned().enumerate() {
        writers.spawn(async move {
            for round in 0..10 {
                let event = |n: usize| {
                    let number = (writer * 10 + round) * 5 + n;
                    (tag(n % 2), EventKind::Changed, json!({ "n": number }))
                };
                let events: Vec<_> = (0..5).map(event).collect();
                let events = &events;
                let write = storage
                    .database
                    .write::<_, StorageError, _>(|tx| Box::pin(async move { tx.emit_all(events).await }));
                let told: Vec<u64> = write.await.unwrap().iter().map(|(_, version)| version.0).collect();
                assert_eq!([told[2] - told[0], told[4] - told[0], told[3] - told[1]], [1, 2, 1], "{told:?}");
            }
        });
    }
    soon("the writers end", writers.join_all()).await;
    let seen = soon("all are relayed", processes[1].log().tail(0).take(100).collect::<Vec<Event>>()).await;
    for (which, count) in [(0, 60), (1, 40)] {
        let of: Vec<&Event> = seen.iter().filter(|event| event.tag == tag(which)).collect();
        assert!(of.iter().map(|event| event.version.0).eq(1..=count), "{which} went out of order");
        let numbers = |event: &&Event| event.data["n"].as_u64().unwrap();
        // Those of one transaction are neighbours, in the order in which they were emitted.
        for together in of.chunks(if which == 0 { 3 } else { 2 }) {
            let numbers: Vec<u64> = together.iter().map(numbers).collect();
            assert!(numbers.windows(2).all(|two| two[1] == two[0] + 2), "{numbers:?}");
        }
    }
    relay.stop().await;
}

pub(crate) async fn a_tags_events_are_found_after_a_version(ground: Ground) {
    let (storage, drain) = (ground.open().await, CancellationToken::new());
    let mut tasks = JoinSet::new();
    tasks.spawn(storage.relay().run(drain.clone()));
    for n in 0..12 {
        emit(&storage, &tag(n % 3), n).await;
    }
    let seen = soon("all are relayed", storage.log().tail(0).take(12).collect::<Vec<Event>>()).await;
    let of = async |after, limit| storage.log().of_tag(&tag(1), Version(after), limit).await.unwrap();
    let wanted: Vec<Event> = seen.iter().filter(|event| event.tag == tag(1)).cloned().collect();
    assert_eq!(of(0, 9).await, wanted);
    assert_eq!(of(1, 2).await, wanted[1..3]);
    assert_eq!((of(4, 9).await, of(u64::MAX, 9).await), (vec![], vec![]));

    assert_eq!(storage.log().with_member("n", 0, 5).await.unwrap(), (seen[7..].to_vec(), 1));
    assert_eq!(storage.log().with_member("n", u64::MAX / 2, 5).await.unwrap(), (vec![], 0));
    assert_eq!(storage.log().with_member("m", 0, 5).await.unwrap(), (vec![], 0));
    drain.cancel();
    soon("the relay ends", tasks.join_all()).await;
}

pub(crate) async fn committed_events_survive_the_death_of_their_writer(ground: Ground) {
    let writer = ground.open().await;
    emit(&writer, &tag(1), 7).await;
    drop(writer);

    let heir = ground.open().await;
    let relayed = u64::from(heir.database.engine() == Engine::Sqlite);
    assert_eq!(heir.log().head().await.unwrap(), relayed, "there it is in the log with its commit");
    let relay = Relaying::start(&heir);
    let event = soon("the heir relays it", next(&heir, 0)).await;
    assert_eq!((event.seq, event.version, &event.data), (1, Version(1), &json!({ "n": 7 })));
    relay.stop().await;
}

pub(crate) async fn events_of_a_failed_transaction_never_appear(ground: Ground) {
    let storage = ground.open().await;
    let relay = Relaying::start(&storage);
    let failed: Result<(), StorageError> = storage
        .database
        .write(|tx| {
            Box::pin(async move {
                tx.emit(&tag(1), EventKind::Changed, json!("never")).await?;
                Err(StorageError::NotFound("on purpose".into()))
            })
        })
        .await;
    assert!(failed.is_err());
    emit(&storage, &tag(1), 1).await;
    let first = soon("the other event", next(&storage, 0)).await;
    assert_eq!((first.seq, first.version), (1, Version(1)));
    relay.stop().await;
}

pub(crate) async fn a_dead_relay_is_replaced(ground: Ground) {
    let (first, second) = (ground.open().await, ground.open().await);
    let mut killed = JoinSet::new();
    killed.spawn(first.relay().run(CancellationToken::new()));
    emit(&first, &tag(1), 1).await;
    soon("the first relay works", next(&second, 0)).await;

    killed.shutdown().await;
    let heir = Relaying::start(&second);
    emit(&first, &tag(1), 2).await;
    let event = soon("the second relay takes over", next(&second, 1)).await;
    assert_eq!(event.version, Version(2));
    heir.stop().await;
}

pub(crate) async fn a_commit_wakes_other_processes(ground: Ground) {
    let (writer, other) = (ground.open().await, ground.open().await);
    let (mut outbox, mut log) = (other.bus.subscribe(topics::OUTBOX), other.bus.subscribe(topics::LOG));
    // Where there is work for a relay, it is the one that is woken first.
    let direct = writer.database.engine() == Engine::Sqlite;
    for n in 0..3 {
        emit(&writer, &tag(1), n).await;
        // Polling says nothing on the bus: this came from the writer.
        soon("a wake-up", if direct { log.recv() } else { outbox.recv() }).await.unwrap();
    }
    if !direct {
        let relay = Relaying::start(&writer);
        soon("a wake-up for followers", log.recv()).await.unwrap();
        relay.stop().await;
    }
    assert_eq!(other.log().head().await.unwrap(), 3, "what it speaks of is there");
}

pub(crate) async fn a_follower_that_joins_late_reads_everything_from_where_it_asks(ground: Ground) {
    let storage = ground.open().await;
    let relay = Relaying::start(&storage);
    for n in 0..300 {
        emit(&storage, &tag(n % TAGS), n).await;
    }
    soon("all is relayed", next(&storage, 299)).await;
    let late: Vec<Event> =
        soon("a late follower", storage.log().tail(100).take(200).collect::<Vec<_>>()).await;
    assert!(late.iter().map(|e| e.seq).eq(101..=300));
    let page = storage.log().since(290, 4).await.unwrap();
    assert!(page.iter().map(|e| e.seq).eq(291..=294));
    relay.stop().await;
}

pub(crate) async fn versions_are_told_for_any_set_of_tags(ground: Ground) {
    let storage = ground.open().await;
    emit(&storage, &tag(1), 0).await;
    emit(&storage, &tag(1), 0).await;
    emit(&storage, &tag(2), 0).await;
    let asked = [tag(2), tag(3), tag(1)];
    let versions: Vec<u64> =
        storage.log().versions_of(&asked).await.unwrap().into_iter().map(|(_, v)| v.0).collect();
    assert_eq!(versions, [1, 0, 2]);
}

/// A relay that runs until it is stopped.
struct Relaying {
    drain: CancellationToken,
    tasks: JoinSet<()>,
}

impl Relaying {
    fn start(storage: &Storage) -> Self {
        let (drain, mut tasks) = (CancellationToken::new(), JoinSet::new());
        tasks.spawn(storage.relay().run(drain.clone()));
        Self { drain, tasks }
    }

    async fn stop(self) {
        self.drain.cancel();
        soon("the relay ends", self.tasks.join_all()).await;
    }
}

fn tag(n: usize) -> Tag {
    Tag::new(format!("t:{n}")).unwrap()
}

async fn emit(storage: &Storage, tag: &Tag, n: usize) {
    let write = storage.database.write::<_, StorageError, _>(|tx| {
        Box::pin(async move { tx.emit(tag, EventKind::Changed, json!({ "n": n })).await })
    });
    write.await.unwrap();
}

async fn next(storage: &Storage, after: u64) -> Event {
    Box::pin(storage.log().tail(after)).next().await.unwrap()
}
