//! An origin that dies at random points of an upload: what it acknowledged is there, and the upload goes on to the same
//! bytes. Killed outright, between any two steps, or with the power of its disk.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use sluice_tests::client::{self, header};
use sluice_tests::faulty::PowerDisk;
use sluice_tests::origin::pattern;
use sluice_tests::process::Process;
use sluice_tests::sources;
use sluice_tests::stack::Engines;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

/// Points of one run. `KILL_POINTS=200` is the long one.
const POINTS: usize = 25;
/// Bytes of a source: some parts of the smallest size, and the end of one.
const SOURCE: usize = 700_001;
/// The longest from the acknowledgement that a point follows to the end: about what one part takes.
const WITHIN: Duration = Duration::from_millis(15);

fn points() -> usize {
    std::env::var("KILL_POINTS").ok().and_then(|text| text.parse().ok()).unwrap_or(POINTS)
}

/// An origin alone, with its rows and objects in a folder; not started.
fn origin(dir: &Path, state: &Path) -> Process {
    let engines = Engines::embedded(state);
    let flags = [
        ("listen.http", "127.0.0.1:0".to_owned()),
        ("listen.admin", "127.0.0.1:0".to_owned()),
        ("upload.part_bytes", "65536".to_owned()),
        ("storage.database", engines.database),
        ("storage.bus", engines.bus),
        ("storage.objects", engines.objects),
    ];
    Process::new("origin", "sluice-origin", dir, &flags)
}

fn tus(request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
    request.header("tus-resumable", "1.0.0")
}

async fn create(origin: &str, length: usize) -> String {
    let made = tus(client::client().post(format!("{origin}/v1/uploads"))).header("upload-length", length);
    let answer = made.send().await.unwrap();
    assert_eq!(answer.status(), 201, "{:?}", answer.text().await);
    format!("{origin}{}", header(&answer, "location"))
}

async fn patch(url: &str, offset: usize, bytes: Vec<u8>) -> Option<usize> {
    let sent = tus(client::client().patch(url))
        .header("content-type", "application/offset+octet-stream")
        .header("upload-offset", offset)
        .body(bytes);
    let answer = sent.send().await.ok()?;
    (answer.status() == 204).then(|| header(&answer, "upload-offset").parse().unwrap())
}

async fn offset(url: &str) -> usize {
    header(&tus(client::client().head(url)).send().await.unwrap(), "upload-offset").parse().unwrap()
}

/// Sends pieces of uneven size until one is not acknowledged.
async fn send(url: String, whole: Arc<Vec<u8>>, acknowledged: Arc<AtomicUsize>) {
    let mut at = 0;
    while at < whole.len() {
        let piece = &whole[at..whole.len().min(at + 30_000 + (at * 7) % 150_000)];
        match patch(&url, at, piece.to_vec()).await {
            Some(reached) => at = reached,
            None => return,
        }
        acknowledged.store(at, Ordering::SeqCst);
    }
}

/// Ends an origin at a random point of an upload; how much it had acknowledged.
async fn ended_within(url: &str, whole: &Arc<Vec<u8>>, end: impl FnOnce()) -> usize {
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let mut sending = JoinSet::new();
    sending.spawn(send(url.to_owned(), Arc::clone(whole), Arc::clone(&acknowledged)));
    let point = rand::random_range(0..whole.len() * 3 / 4);
    while acknowledged.load(Ordering::SeqCst) < point {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(WITHIN.mul_f64(rand::random())).await;
    end();
    sending.join_all().await;
    acknowledged.load(Ordering::SeqCst)
}

/// Takes the upload up where it is, and looks at what became of it.
async fn ends_whole(origin: &str, url: &str, whole: &[u8], acknowledged: usize) {
    let here = offset(url).await;
    assert!(here >= acknowledged && here <= whole.len(), "{acknowledged} acknowledged, {here} are there");
    if here < whole.len() {
        assert_eq!(patch(url, here, whole[here..].to_vec()).await, Some(whole.len()));
    }
    let document = client::video(origin, url.rsplit('/').next().unwrap()).await;
    assert_eq!(document["sha256"], client::sha256(whole), "{document}");
    assert_eq!(document["state"], "queued");
}

#[tokio::test]
async fn what_was_acknowledged_survives_kills_at_random_points() {
    let dir = tempfile::tempdir().unwrap();
    let mut origin = origin(dir.path(), dir.path());
    origin.start().await;
    let (mut within, mut ids) = (0, vec![]);
    for point in 0..points() {
        // Each source differs: an equal one would share its bytes.
        let whole = Arc::new(pattern(SOURCE, u32::try_from(point).unwrap()));
        let url = create(&origin.url(), whole.len()).await;
        let acknowledged = ended_within(&url, &whole, || origin.kill9()).await;
        within += usize::from(acknowledged < whole.len());
        origin.start().await;
        ends_whole(&origin.url(), &url, &whole, acknowledged).await;
        ids.push((url.rsplit('/').next().unwrap().to_owned(), whole));
    }
    assert!(within > points() / 3, "{within} kills met an upload under way");
    let storage = sources::storage(&Engines::embedded(dir.path())).await;
    for (id, whole) in ids {
        assert!(sources::bytes(&storage, &id).await == *whole, "{id}");
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_power_cuts_at_random_points() {
    let Some(disk) = PowerDisk::mount(192) else { return };
    let dir = tempfile::tempdir().unwrap();
    let mut origin = origin(dir.path(), disk.at());
    origin.start().await;
    let mut ids = vec![];
    for point in 0..points().min(50) {
        let whole = Arc::new(pattern(SOURCE, 1_000 + u32::try_from(point).unwrap()));
        let url = create(&origin.url(), whole.len()).await;
        let acknowledged = ended_within(&url, &whole, || disk.cut_under(&mut origin)).await;
        disk.restore();
        origin.start().await;
        ends_whole(&origin.url(), &url, &whole, acknowledged).await;
        ids.push((url.rsplit('/').next().unwrap().to_owned(), whole));
    }
    origin.kill9();
    disk.cut();
    disk.restore();
    let storage = sources::storage(&Engines::embedded(disk.at())).await;
    for (id, whole) in ids {
        assert!(sources::bytes(&storage, &id).await == *whole, "{id}");
    }
    storage.database.close().await.unwrap();
}

/// Where an origin may end between two steps of taking and settling bytes; `:3` is the third time it comes there.
const STEPS: [&str; 10] = [
    "upload.claimed",
    "upload.stored",
    "upload.appended",
    "upload.committed",
    "upload.claimed:3",
    "upload.stored:3",
    "upload.appended:3",
    "upload.committed:3",
    "settle.hashed",
    "settle.shared",
];

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill_between_any_two_steps() {
    let dir = tempfile::tempdir().unwrap();
    for (seed, step) in (2_000..).zip(STEPS) {
        // A folder each: what is left of another upload would lead to the same points.
        let state = dir.path().join(step);
        let mut origin = origin(dir.path(), &state);
        origin.start().await;
        let whole = Arc::new(pattern(SOURCE, seed));
        let url = create(&origin.url(), whole.len()).await;
        origin.kill9();
        origin.crash_at(Some(step));
        origin.start().await;
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let mut sending = JoinSet::new();
        sending.spawn(send(url.clone(), Arc::clone(&whole), Arc::clone(&acknowledged)));
        assert_eq!(origin.ended().await, None, "{step}: it ends by the signal");
        sending.join_all().await;
        origin.crash_at(None);
        origin.start().await;
        ends_whole(&origin.url(), &url, &whole, acknowledged.load(Ordering::SeqCst)).await;
        let storage = sources::storage(&Engines::embedded(&state)).await;
        assert!(sources::bytes(&storage, url.rsplit('/').next().unwrap()).await == *whole, "{step}");
    }
}

#[tokio::test]
async fn an_upload_that_nobody_was_told_of_stands_in_nobodys_way() {
    let dir = tempfile::tempdir().unwrap();
    let mut origin = origin(dir.path(), dir.path());
    origin.crash_at(Some("upload.begun"));
    origin.start().await;
    let made = tus(client::client().post(format!("{}/v1/uploads", origin.url()))).header("upload-length", 10);
    assert!(made.send().await.is_err());
    assert_eq!(origin.ended().await, None);
    origin.crash_at(None);
    origin.start().await;
    let whole = pattern(SOURCE, 3_000);
    let url = create(&origin.url(), whole.len()).await;
    ends_whole(&origin.url(), &url, &whole, 0).await;
}
