//! All at once: a writer as fast as it can, a feed behind it, and readers on many threads.

use super::*;
use crate::cache::Filled;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::task::{JoinSet, yield_now};

/// Versions written.
const WRITES: u64 = 20_000;
/// Readers; every third demands the newest version it knows to be written.
const READERS: usize = 9;

/// An edge and what is around it.
struct Race {
    edge: Edge,
    /// What the origin has.
    written: AtomicU64,
    /// The newest version that the edge has taken.
    heard: AtomicU64,
}

impl Race {
    /// One read. A fill is asked for by the first who needs it, on its own thread.
    async fn read(&self, told: &[(Tag, Version)]) -> Arc<Object> {
        loop {
            let stale = match self.edge.look(told) {
                Look::Serve(object) => return object,
                Look::Ask(stale) => stale,
            };
            let (fill, permit) = self.edge.fills.join(&self.edge.key);
            if let Some(permit) = permit {
                let asked_at = self.edge.floors.mark();
                let claims = self.written.load(Ordering::SeqCst);
                yield_now().await;
                let shows = self.written.load(Ordering::SeqCst);
                drop(stale);
                let object = Arc::new(answer(shows, Some(claims), asked_at));
                permit.fill.settle(Filled::Object(Arc::clone(&object)));
                yield_now().await;
                if permit.admits() {
                    self.edge.store.put(&self.edge.key, object);
                }
            }
            if let Filled::Object(object) = fill.outcome().await
                && self.edge.may_show(&object, told)
            {
                return object;
            }
            yield_now().await;
        }
    }

    /// Reads until all was written and heard of; how many times.
    async fn reader(self: Arc<Self>, demands: bool) -> u64 {
        let (mut last, mut reads) = (0, 0);
        while last < WRITES {
            let heard = self.heard.load(Ordering::SeqCst);
            let known = if demands { self.written.load(Ordering::SeqCst) } else { heard };
            let told = if demands { vec![(tag(), Version(known))] } else { vec![] };
            let object = self.read(&told).await;
            assert!(shown(&object) >= known, "shown {} where {known} was known", shown(&object));
            last = last.max(shown(&object));
            reads += 1;
            yield_now().await;
        }
        reads
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_readers_are_never_shown_less_than_was_heard_of_or_is_demanded() {
    let race = Race { edge: Edge::new(), written: AtomicU64::new(0), heard: AtomicU64::new(0) };
    let race = Arc::new(race);
    let mut tasks = JoinSet::new();
    for reader in 0..READERS {
        tasks.spawn(Arc::clone(&race).reader(reader % 3 == 0));
    }
    let writing = Arc::clone(&race);
    tasks.spawn(async move {
        for _ in 0..WRITES {
            writing.written.fetch_add(1, Ordering::SeqCst);
            yield_now().await;
        }
        0
    });
    let feeding = Arc::clone(&race);
    tasks.spawn(async move {
        let mut heard = 0;
        while heard < WRITES {
            while heard < feeding.written.load(Ordering::SeqCst) {
                heard += 1;
                feeding.edge.hear(Severity::Changed, heard, heard);
                feeding.heard.store(heard, Ordering::SeqCst);
            }
            yield_now().await;
        }
        0
    });
    let reads: u64 = tasks.join_all().await.into_iter().sum();
    assert!(reads > READERS as u64, "all was read once at least");
}
