//! Readers at two edges race a writer: who asks after an edge has taken an event is shown no less, and who demands what a write
//! was answered gets it.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use futures::StreamExt;
use reqwest::Client;
use serde_json::{Value, json};
use sluice_tests::client::{client, header};
use sluice_tests::process::Process;
use sluice_tests::shop::{self, Shop};
use sluice_tests::stack::lone_edge;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// How often is written, while all read.
const WRITES: u64 = 100;
/// Between two looks at how far an edge is: the writer is to have a share of a small machine too.
const LOOK: Duration = Duration::from_millis(10);
/// Readers at each edge; the first demands what the last write was answered.
const READERS: usize = 4;
/// How long an edge may take to hear of everything.
const LIMIT: Duration = Duration::from_secs(60);

/// What a reader was shown, and how far its edge was in the log when it asked.
struct Seen {
    heard: u64,
    version: u64,
}

/// What all of them share.
struct Race {
    http: Client,
    path: String,
    tag: String,
    /// What is on stock at a version: the one rises with the other.
    first: (u64, u64),
    /// The version that the last write was answered.
    written: AtomicU64,
    over: AtomicBool,
}

impl Race {
    async fn read(&self, edge: &str, at_least: Option<u64>) -> u64 {
        let mut asking = self.http.get(format!("{edge}{}", self.path));
        if let Some(version) = at_least {
            asking = asking.header("sluice-at-least", format!("{}={version}", self.tag));
        }
        let answer = asking.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let claims = version_of(&header(&answer, "sluice-version"));
        let told: Value = answer.json().await.unwrap();
        let shown = self.first.0 + told["available"].as_u64().unwrap() - self.first.1;
        assert!(claims <= shown, "it claims {claims} and shows {shown}");
        shown
    }

    /// Reads at an edge until the writing is over.
    async fn reader(self: Arc<Self>, edge: String, heard: Arc<AtomicU64>, demands: bool) -> Vec<Seen> {
        let mut seen = vec![];
        while !self.over.load(Ordering::SeqCst) {
            let heard = heard.load(Ordering::SeqCst);
            let at_least = demands.then(|| self.written.load(Ordering::SeqCst));
            let version = self.read(&edge, at_least).await;
            assert!(version >= at_least.unwrap_or(0), "{version} is shown where {at_least:?} was demanded");
            seen.push(Seen { heard, version });
            sleep(LOOK / 5).await;
        }
        seen
    }
}

fn version_of(field: &str) -> u64 {
    field.rsplit_once('=').unwrap().1.parse().unwrap()
}

/// The log after a place, up to where it ends now: sequence number and version of each event of a tag. And the end.
async fn log(origin: &str, after: Option<u64>, tag: &str) -> (Vec<(u64, u64)>, u64) {
    let after = after.map_or_else(String::new, |seq| format!("?after={seq}"));
    let mut lines = client().get(format!("{origin}/v1/log{after}")).send().await.unwrap().bytes_stream();
    let (mut text, mut events) = (vec![], vec![]);
    loop {
        text.extend(timeout(LIMIT, lines.next()).await.unwrap().unwrap().unwrap());
        while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
            let line: Value = serde_json::from_slice(&text.drain(..=end).collect::<Vec<_>>()).unwrap();
            if let Some(head) = line["heartbeat"].as_u64() {
                return (events, head);
            }
            if line["tag"] == tag {
                events.push((line["seq"].as_u64().unwrap(), line["version"].as_u64().unwrap()));
            }
        }
    }
}

async fn taken(edge: &Process) -> u64 {
    edge.metric("sluice_edge_events_total", &[]).await as u64
}

/// An edge in front of the shop that follows the log, and how far it is: kept up to date until the race is over.
async fn follow(
    edge: Process,
    origin: &str,
    race: &Arc<AtomicBool>,
    tasks: &mut JoinSet<Process>,
) -> Arc<AtomicU64> {
    edge.until("sluice_edge_feed_live", &[], |live| live == 1.0).await;
    let (_, head) = log(origin, None, "").await;
    let before = taken(&edge).await;
    let heard = Arc::new(AtomicU64::new(head));
    let (telling, over) = (Arc::clone(&heard), Arc::clone(race));
    tasks.spawn(async move {
        while !over.load(Ordering::SeqCst) {
            telling.store(head + taken(&edge).await - before, Ordering::SeqCst);
            sleep(LOOK).await;
        }
        edge
    });
    heard
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_at_two_edges_are_never_shown_less_than_their_edge_has_heard_of_or_they_demand() {
    let shop = Shop::sqlite();
    let mut origin = shop.origin("origin", "http://127.0.0.1:9");
    origin.start().await;
    let boss = shop::sign_up(&origin.url(), "boss").await;
    let (_, variant) = shop::product(&origin.url(), &boss, 1).await;
    let path = format!("/v1/shop/stock/{variant}");
    let first = client().get(format!("{}{path}", origin.url())).send().await.unwrap();
    let (tag, version) =
        header(&first, "sluice-version").rsplit_once('=').map(|(t, v)| (t.to_owned(), v.to_owned())).unwrap();
    let first: (u64, u64) =
        (version.parse().unwrap(), first.json::<Value>().await.unwrap()["available"].as_u64().unwrap());

    let dir = tempfile::tempdir().unwrap();
    let (over, mut followers) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
    let mut edges = vec![];
    for name in ["near-a", "near-b"] {
        let mut edge = lone_edge(dir.path(), name, &origin.url(), &[]);
        edge.start().await;
        let url = edge.url();
        edges.push((url, follow(edge, &origin.url(), &over, &mut followers).await));
    }
    let (_, begun) = log(&origin.url(), None, "").await;
    let race = Race {
        http: client(),
        path,
        tag,
        first,
        written: AtomicU64::new(first.0),
        over: AtomicBool::new(false),
    };
    let race = Arc::new(race);
    let mut readers = JoinSet::new();
    for (url, heard) in &edges {
        for n in 0..READERS {
            readers.spawn(Arc::clone(&race).reader(url.clone(), Arc::clone(heard), n == 0));
        }
    }
    let receive = format!("{}{}", origin.url(), race.path);
    for _ in 0..WRITES {
        let (status, told) = shop::post(&receive, &boss, &json!({ "quantity": 1 })).await;
        assert_eq!(status, 200, "{told}");
        let version = race.first.0 + told["available"].as_u64().unwrap() - race.first.1;
        race.written.store(version, Ordering::SeqCst);
    }
    // What was written last is shown at both, as soon as they have heard of it.
    let (events, end) = log(&origin.url(), Some(begun), &race.tag).await;
    let written = race.written.load(Ordering::SeqCst);
    for (url, heard) in &edges {
        let begun = Instant::now();
        while heard.load(Ordering::SeqCst) < end {
            assert!(begun.elapsed() < LIMIT, "the edge never hears of all");
            sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(race.read(url, None).await, written);
    }
    race.over.store(true, Ordering::SeqCst);
    let seen: Vec<Seen> = readers.join_all().await.into_iter().flatten().collect();
    over.store(true, Ordering::SeqCst);
    drop(followers.join_all().await);

    assert!(events.len() as u64 == written - race.first.0 && events.len() > 50, "{} writes", events.len());
    for Seen { heard, version } in &seen {
        let known = events
            .iter()
            .take_while(|(seq, _)| seq <= heard)
            .last()
            .map_or(race.first.0, |(_, version)| *version);
        assert!(*version >= known, "{version} was shown where {known} had been heard of");
    }
    let versions: std::collections::BTreeSet<u64> = seen.iter().map(|seen| seen.version).collect();
    assert!(
        versions.len() > 20,
        "the readers saw it change: {} versions in {} reads",
        versions.len(),
        seen.len()
    );
}
