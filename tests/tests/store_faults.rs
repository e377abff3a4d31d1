//! An object store that errs, throttles, breaks off and is slow: what comes out is the same to the byte, each segment is
//! published once, and none is listed before it can be had.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use http::Method;
use reqwest::Client;
use sluice_storage::testing::S3;
use sluice_tests::client;
use sluice_tests::clips;
use sluice_tests::stack::{Engines, Options, Stack};
use sluice_tests::store::{Asked, Count, Fault, FaultyStore};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Reloads of playlists in all, and how many at a time.
const RELOADS: usize = 10_000;
const PLAYERS: usize = 8;
/// The longest that a request takes to reach the store, in milliseconds. `STORE_DELAY_MS=5000` is the long run.
const DELAY_MS: u64 = 400;

struct Scene {
    _dir: TempDir,
    _s3: S3,
    store: Arc<FaultyStore>,
    stack: Stack,
}

/// A stack on an S3 server of its own, behind a proxy.
async fn scene() -> Scene {
    scene_with(Options::default()).await
}

async fn scene_with(options: Options) -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let s3 = S3::start().await;
    let store = Arc::new(FaultyStore::start(s3.address()).await);
    let engines = Engines { objects: s3.url_by(store.at), ..Engines::embedded(dir.path()) };
    let stack = Stack::with(Options { engines: Some(engines), ..options }).await;
    Scene { _dir: dir, _s3: s3, store, stack }
}

/// Uploads and waits; the video's id.
async fn made(stack: &Stack, name: &str, source: &[u8]) -> String {
    let made = client::put(&stack.edge(), name, source.to_vec()).await;
    let id = made["id"].as_str().unwrap().to_owned();
    let document = client::wait_ready(&stack.edge(), &id).await;
    assert_eq!(document["sha256"], client::sha256(source));
    id
}

/// Every other attempt at most meets a fault, so that a client which tries again gets through.
fn now_and_then(seed: u64, fault: Fault) -> impl Fn(&Asked) -> Fault {
    move |asked| if asked.attempt % 2 == 1 && asked.dice(seed) % 3 == 0 { fault } else { Fault::None }
}

#[tokio::test]
async fn what_comes_out_of_a_store_that_errs_is_the_same_to_the_byte() {
    let Scene { store, stack, _dir, _s3 } = scene().await;
    let source = clips::made(9, "640x360", 25);
    let undisturbed = {
        let id = made(&stack, "undisturbed.mp4", &source).await;
        client::played(&stack.edge(), &id).await
    };
    let faults = [
        ("errors", Fault::Refuse(500, "InternalError")),
        ("throttled", Fault::Refuse(503, "SlowDown")),
        ("reset-before", Fault::ResetBefore),
        ("reset-after", Fault::ResetAfter),
        ("short", Fault::Short),
    ];
    for (seed, (name, fault)) in (0..).zip(faults) {
        let before = store.faults();
        store.script(now_and_then(seed, fault));
        let id = made(&stack, &format!("{name}.mp4"), &source).await;
        let disturbed = client::played(&stack.edge(), &id).await;
        store.script(|_| Fault::None);
        assert!(store.faults() > before, "{name}: no request met it");
        assert_eq!(disturbed, undisturbed, "{name}");
        let segments: Vec<_> =
            store.counts(&Method::PUT, &id).into_iter().filter(|(key, _)| key.contains(".m4s")).collect();
        let listed = disturbed.iter().filter(|(name, _)| name.ends_with(".m4s")).count();
        assert_eq!(segments.len(), listed, "{name}: nothing is stored that nobody names");
        assert!(segments.iter().all(|(_, count)| count.done == 1), "{name}: each once: {segments:?}");
    }
}

#[tokio::test]
async fn a_store_that_is_out_is_said_to_be_and_costs_a_bounded_number_of_requests() {
    let Scene { store, stack, _dir, _s3 } = scene().await;
    let (edge, source) = (stack.edge(), clips::made(4, "320x240", 25));
    for fault in [Fault::Refuse(503, "SlowDown"), Fault::ResetBefore] {
        store.script(move |_| fault);
        let before = store.asked_in_all();
        let put = client::client().put(format!("{edge}/v1/videos/out.mp4")).body(source.clone());
        let answer = put.send().await.unwrap();
        assert_eq!(answer.status(), 503, "{fault:?}");
        assert_eq!(client::header(&answer, "content-type"), "application/problem+json");
        assert!(!client::header(&answer, "retry-after").is_empty());
        // One part that is tried and tried again, and what is removed of it.
        let asked = store.asked_in_all() - before;
        assert!(asked <= 24, "{asked} requests");
    }
    store.script(|_| Fault::None);
    made(&stack, "back.mp4", &source).await;
    let held = |(_, count): &(String, Count)| count.done > 0;
    let parts = |of: &Method| store.counts(of, "/uploads/").into_iter().filter(held).count();
    assert_eq!(parts(&Method::PUT), 1, "nothing is left of what was refused");
}

#[tokio::test]
async fn a_video_waits_for_a_store_that_is_out_and_does_not_fail_by_it() {
    let options = Options { hold_transcoder: true, ..Options::default() };
    let Scene { store, mut stack, _dir, _s3 } = scene_with(options).await;
    let made = client::put(&stack.edge(), "patient.mp4", clips::made(4, "320x240", 25)).await;
    let id = made["id"].as_str().unwrap();
    store.script(|_| Fault::Refuse(503, "SlowDown"));
    stack.transcoder.start().await;
    let ended = "sluice_transcode_jobs_total";
    stack.transcoder.until(ended, &["outcome=\"idle\""], |idle| idle >= 1.0).await;
    assert_eq!(client::video(&stack.edge(), id).await["state"], "queued");
    store.script(|_| Fault::None);
    client::wait_ready(&stack.edge(), id).await;
    // Nothing of it counted as an attempt, of which a job has few.
    for outcome in ["again", "failed"] {
        let label = format!("outcome=\"{outcome}\"");
        assert_eq!(stack.transcoder.metric(ended, &[&label]).await, 0.0, "{outcome}");
    }
}

/// What players of one video have in common.
struct Crowd {
    http: Client,
    bases: Vec<String>,
    reloads: AtomicUsize,
    ready: AtomicBool,
    id: String,
}

impl Crowd {
    async fn text(&self, url: &str) -> Option<String> {
        let answer = self.http.get(url).send().await.unwrap();
        match answer.status().as_u16() {
            200 => Some(answer.text().await.unwrap()),
            404 => None,
            other => panic!("{url}: {other}"),
        }
    }

    /// Reloads one rung's playlist after the other, and fetches each segment that it has not seen before.
    async fn play(self: Arc<Self>, number: usize) {
        let base = format!("{}/v/{}", self.bases[number % self.bases.len()], self.id);
        let mut seen = BTreeSet::new();
        while !self.ready.load(Ordering::Relaxed) || self.reloads.load(Ordering::Relaxed) < RELOADS {
            let Some(master) = self.text(&format!("{base}/master.m3u8")).await else {
                sleep(Duration::from_millis(20)).await;
                continue;
            };
            for list in master.split(['\n', '"']).filter(|uri| uri.ends_with("/index.m3u8")) {
                self.reloads.fetch_add(1, Ordering::Relaxed);
                let text = self.text(&format!("{base}/{list}")).await.expect("what is listed is there");
                let folder = list.trim_end_matches("index.m3u8");
                for segment in text.lines().filter(|line| line.ends_with(".m4s")) {
                    let url = format!("{base}/{folder}{segment}");
                    if seen.insert(url.clone()) {
                        let answer = self.http.get(&url).send().await.unwrap();
                        assert_eq!(answer.status(), 200, "{url} is listed");
                        assert!(!answer.bytes().await.unwrap().is_empty());
                    }
                }
            }
            if self.reloads.load(Ordering::Relaxed) > RELOADS {
                sleep(Duration::from_millis(50)).await;
            }
        }
        assert!(!seen.is_empty(), "player {number} saw nothing");
    }
}

#[tokio::test]
async fn no_segment_is_listed_that_a_slow_store_does_not_have() {
    let Scene { store, stack, _dir, _s3 } = scene().await;
    let most = std::env::var("STORE_DELAY_MS").ok().and_then(|text| text.parse().ok()).unwrap_or(DELAY_MS);
    store.script(move |asked| Fault::Delay(Duration::from_millis(asked.dice(7) % (most + 1))));
    let made = client::put(&stack.edge(), "slow.mp4", clips::made(16, "640x360", 25)).await;
    let id = made["id"].as_str().unwrap().to_owned();
    let bases = vec![stack.edge(), stack.origin.url(), stack.near[1].url()];
    let (reloads, ready) = (AtomicUsize::new(0), AtomicBool::new(false));
    let crowd = Arc::new(Crowd { http: client::client(), bases, reloads, ready, id: id.clone() });
    let mut players = JoinSet::new();
    for number in 0..PLAYERS {
        players.spawn(Arc::clone(&crowd).play(number));
    }
    client::wait_ready(&stack.edge(), &id).await;
    crowd.ready.store(true, Ordering::Relaxed);
    players.join_all().await;
    let rungs = client::rungs(&stack.edge(), &id).await;
    assert!(rungs.len() >= 3 && rungs.iter().all(|rung| rung.ended), "{rungs:?}");
}
