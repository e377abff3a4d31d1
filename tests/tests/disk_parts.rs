//! Slices of large objects and variants of images on disk: they outlive the process, and no purge is passed by.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use axum::extract::Request;
use axum::response::Response;
use sluice_tests::client::{client, header};
use sluice_tests::log::ScriptedLog;
use sluice_tests::origin::{ScriptedOrigin, answer, pattern, range_of};
use sluice_tests::pillow;
use sluice_tests::process::Process;
use sluice_tests::stack::lone_edge;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const SLICE: usize = 256 << 10;
const WHOLE: usize = 3 << 20;

/// A body in two versions, to be had in parts; and a picture.
struct Site {
    version: Arc<AtomicU64>,
    origin: ScriptedOrigin,
    log: ScriptedLog,
    edge: Process,
    _dir: tempfile::TempDir,
}

impl Site {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let picture = picture(&dir.path().join("picture.png"));
        let version = Arc::new(AtomicU64::new(1));
        let (now, bodies) = (Arc::clone(&version), [1, 2].map(|version| pattern(WHOLE, version)));
        let origin = ScriptedOrigin::start(move |request| {
            let version = now.load(Ordering::SeqCst);
            let answer = match request.uri().path() {
                "/picture.png" => kept(&request, &picture, version, "image/png", "\"picture\""),
                "/large" => {
                    let body = &bodies[version as usize - 1];
                    kept(&request, body, version, "video/mp4", &format!("\"{version}\""))
                }
                _ => answer(404, &[], ""),
            };
            async move { answer }
        })
        .await;
        let log = ScriptedLog::start().await;
        log.raise("other", 1);
        let (origins, disk) = (format!("{},{}", origin.url(), log.url()), dir.path().join("disk"));
        let flags = [
            ("origins", origins.as_str()),
            ("cache.disk.dir", disk.to_str().unwrap()),
            ("cache.disk.bytes", "67108864"),
            ("cache.slice_bytes", "262144"),
            ("transform.images.presets", "w=60&fmt=png"),
        ];
        let mut edge = lone_edge(dir.path(), "edge", &origin.url(), &flags);
        edge.start().await;
        let site = Self { version, origin, log, edge, _dir: dir };
        site.until("sluice_edge_feed_live", 1.0).await;
        site.log.raise("another", 1);
        site.until("sluice_edge_events_total", 1.0).await;
        site
    }

    async fn until(&self, name: &str, least: f64) {
        let begun = Instant::now();
        loop {
            let value = self.edge.metric(name, &[]).await;
            if value >= least {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{name} is {value}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Killed as by a power cut, and started again. What happens meanwhile happens while it is down.
    async fn restarts(&mut self, meanwhile: impl FnOnce(&Self)) {
        self.edge.kill9();
        meanwhile(self);
        self.edge.start().await;
        self.until("sluice_edge_disk_rebuilt", 1.0).await;
        self.until("sluice_edge_feed_live", 1.0).await;
    }

    /// A part, and whether it is right for this version; what the origin was asked for it.
    async fn part(&self, (from, to): (usize, usize), version: u32) -> usize {
        let before = self.origin.asked_in_all();
        let range = format!("bytes={from}-{}", to - 1);
        let part = client().get(format!("{}/large", self.edge.url())).header("range", range);
        let part = part.send().await.unwrap();
        assert_eq!(part.status(), 206);
        assert_eq!(header(&part, "content-range"), format!("bytes {from}-{}/{WHOLE}", to - 1));
        assert!(part.bytes().await.unwrap() == pattern(WHOLE, version)[from..to], "{from}-{to} of {version}");
        self.origin.asked_in_all() - before
    }

    /// Asks until nothing is asked of the origin for it: right after its start an edge has yet to hear what it missed, and
    /// passes on what may have been purged.
    async fn keeps(&self, part: (usize, usize), version: u32) {
        let begun = Instant::now();
        while self.part(part, version).await > 0 {
            assert!(begun.elapsed() < Duration::from_secs(20), "it is fetched again and again");
        }
    }
}

/// Kept for an hour, tagged by its version, in parts for who asks.
fn kept(request: &Request, body: &[u8], version: u64, kind: &str, tag: &str) -> Response {
    let versions = format!("thing={version}");
    let mut fields = vec![
        ("cache-control", "max-age=3600"),
        ("accept-ranges", "bytes"),
        ("etag", tag),
        ("content-type", kind),
        ("surrogate-key", "thing"),
        ("sluice-version", &versions),
    ];
    let Some((from, to)) = range_of(request, body.len()) else { return answer(200, &fields, body.to_vec()) };
    let range = format!("bytes {from}-{}/{}", to - 1, body.len());
    fields.push(("content-range", &range));
    answer(206, &fields, body[from..to].to_vec())
}

fn picture(file: &Path) -> Vec<u8> {
    let script =
        "import sys; from PIL import Image; Image.new('RGB', (600, 400), (9, 9, 200)).save(sys.argv[1])";
    pillow::run(script, &file.display().to_string());
    std::fs::read(file).unwrap()
}

#[tokio::test]
async fn slices_outlive_a_kill_and_are_never_mixed_with_others() {
    let mut site = Site::start().await;
    // Slices 0 to 3, and the generation that they are of.
    let asked = (100_000, 3 * SLICE + 100_000);
    assert_eq!(site.part(asked, 1).await, 4);
    site.until("sluice_edge_disk_writes_total", 5.0).await;

    site.restarts(|_| {}).await;
    site.keeps(asked, 1).await;
    let sliced = || site.edge.metric("sluice_edge_fetches_total", &["stored"]);
    assert_eq!(sliced().await, 0.0, "all of it was kept");
    assert_eq!(site.part((3 * SLICE + 5, 4 * SLICE + 5), 1).await, 1, "a slice that was not kept joins them");
    assert_eq!(site.part((0, 5 * SLICE), 1).await, 0);
    site.until("sluice_edge_disk_writes_total", 1.0).await;

    // Changed while it was down: a new generation, without a byte of the old one.
    site.restarts(|site| {
        site.version.store(2, Ordering::SeqCst);
        site.log.raise("thing", 2);
    })
    .await;
    assert!(site.part(asked, 2).await >= 1);
    site.keeps(asked, 2).await;
    site.until("sluice_edge_disk_writes_total", 5.0).await;
    site.restarts(|_| {}).await;
    site.keeps(asked, 2).await;

    // What an unsafe method made unusable stays so.
    let posted = client().post(format!("{}/large", site.edge.url())).send().await.unwrap();
    assert_eq!(posted.status(), 200);
    let before = site.edge.metric("sluice_edge_disk_writes_total", &[]).await;
    let other = client().get(format!("{}/picture.png", site.edge.url())).send().await.unwrap();
    assert_eq!(other.status(), 200);
    site.until("sluice_edge_disk_writes_total", before + 1.0).await;
    site.restarts(|_| {}).await;
    assert!(site.part(asked, 2).await >= 1, "fetched again");
}

#[tokio::test]
async fn variants_of_images_outlive_a_kill_and_no_purge() {
    let mut site = Site::start().await;
    let get = async |site: &Site| {
        let variant = format!("{}/picture.png?w=60&fmt=png", site.edge.url());
        let variant = client().get(variant).send().await.unwrap();
        assert_eq!(
            (variant.status().as_u16(), header(&variant, "content-type").as_str()),
            (200, "image/png")
        );
        variant.bytes().await.unwrap()
    };
    let images = async |site: &Site, result: &str| {
        site.edge.metric("sluice_edge_images_total", &[&format!("\"{result}\"")]).await
    };
    let first = get(&site).await;
    assert_eq!(images(&site, "made").await, 1.0);
    site.until("sluice_edge_disk_writes_total", 2.0).await;

    site.restarts(|_| {}).await;
    assert!(get(&site).await == first && get(&site).await == first);
    assert_eq!((images(&site, "made").await, images(&site, "recalled").await), (0.0, 1.0));
    assert_eq!(site.origin.asked("/picture.png"), 1);

    // Purged while it was down: made anew, though the picture has the same tag as before.
    site.restarts(|site| {
        site.version.store(2, Ordering::SeqCst);
        site.log.purge("thing", 2, &serde_json::json!({ "tag": "thing" }));
    })
    .await;
    assert_eq!(get(&site).await, first);
    assert_eq!((images(&site, "made").await, images(&site, "recalled").await), (1.0, 0.0));
    assert_eq!(site.origin.asked("/picture.png"), 2);
}
