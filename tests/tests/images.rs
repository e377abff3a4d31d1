//! Variants of images that an edge makes, as an independent reader (Pillow) sees them.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use futures::future::join_all;
use reqwest::Response;
use sluice_tests::bombs;
use sluice_tests::client::{self, header};
use sluice_tests::log::ScriptedLog;
use sluice_tests::origin::{ScriptedOrigin, answer};
use sluice_tests::pillow;
use sluice_tests::process::{Process, binary};
use sluice_tests::programs::printed;
use sluice_tests::stack::lone_edge;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const KEY: &str = "a key of thirty-two bytes or more";

/// What Pillow says of an answer's body.
async fn look(dir: &Path, answer: Response) -> String {
    assert_eq!(answer.status(), 200);
    pillow::look(dir, &answer.bytes().await.unwrap())
}

struct Site {
    dir: tempfile::TempDir,
    origin: ScriptedOrigin,
    log: ScriptedLog,
    version: Arc<AtomicU64>,
    edge: Process,
}

impl Site {
    async fn start() -> Self {
        Self::with_presets("w=60,w=120&fmt=auto").await
    }

    async fn with_presets(presets: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let save = "wide.save(sys.argv[1], 'JPEG', quality=90, exif=exif)";
        pillow::photograph(&dir.path().join("photo.jpg"), save);
        let photo = std::fs::read(dir.path().join("photo.jpg")).unwrap();
        let version = Arc::new(AtomicU64::new(1));
        let said = Arc::clone(&version);
        let origin = ScriptedOrigin::start(move |request| {
            let (photo, version) = (photo.clone(), said.load(Ordering::Relaxed).to_string());
            async move {
                let versions = format!("photo={version}");
                let fields = [
                    ("cache-control", "public, max-age=600"),
                    ("content-type", "image/jpeg"),
                    ("surrogate-key", "photo"),
                    ("sluice-version", versions.as_str()),
                    ("x-version", version.as_str()),
                ];
                match request.uri().path() {
                    "/photo.jpg" => answer(200, &fields, photo),
                    "/brief.jpg" => {
                        let brief = [("cache-control", "max-age=1"), fields[1], ("etag", "\"photo\"")];
                        let known = request.headers().contains_key("if-none-match");
                        if known { answer(304, &brief, "") } else { answer(200, &brief, photo) }
                    }
                    "/cut.jpg" => answer(200, &fields, photo[..200].to_vec()),
                    "/bomb.png" => answer(200, &fields, bombs::png::square(50_000)),
                    "/page.jpg" => answer(200, &fields, "<html>no image</html>"),
                    "/fixed.jpg" => {
                        answer(200, &[("cache-control", "max-age=600, no-transform"), fields[1]], photo)
                    }
                    _ => answer(404, &[("cache-control", "max-age=600")], "no such thing"),
                }
            }
        })
        .await;
        let log = ScriptedLog::start().await;
        let key = dir.path().join("key");
        std::fs::write(&key, format!("{KEY}\n")).unwrap();
        let origins = format!("{},{}", origin.url(), log.url());
        let flags =
            [("transform.images.key_file", key.to_str().unwrap()), ("transform.images.presets", presets)];
        let mut edge = lone_edge(dir.path(), "edge", &origins, &flags);
        edge.start().await;
        let site = Self { dir, origin, log, version, edge };
        site.edge.until("sluice_edge_feed_live", &[], |value| value >= 1.0).await;
        site
    }

    /// A target as the command line signs it.
    fn signed(&self, target: &str) -> String {
        let key = self.dir.path().join("key");
        let mut sluice = Command::new(binary("sluice"));
        let output = sluice.args(["sign-image", target, "--key-file"]).arg(key).output().unwrap();
        printed("sluice sign-image", &output).trim().to_owned()
    }

    async fn get(&self, target: &str, accept: &str) -> Response {
        let request = client::client().get(format!("{}{target}", self.edge.url()));
        request.header("accept", accept).send().await.unwrap()
    }

    async fn made(&self, result: &str) -> f64 {
        self.edge.metric("sluice_edge_images_total", &[&format!("\"{result}\"")]).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn variants_have_the_size_and_format_that_were_signed() {
    let site = Site::start().await;
    let dir = site.dir.path();
    for (variant, accept, seen) in [
        ("w=150&fmt=jpeg", "*/*", "JPEG 150 200 0 [] red blue"),
        ("w=150&fmt=webp&q=60", "*/*", "WEBP 150 200 0 [] red blue"),
        ("h=100&fmt=png", "*/*", "PNG 75 100 0 [] red blue"),
        ("w=96&h=64&fit=cover&fmt=avif", "*/*", "AVIF 96 64 0 [] red blue"),
        ("w=200&h=200&fit=contain&fmt=jpeg", "*/*", "JPEG 200 200 0 [] red blue"),
        ("w=48&fmt=auto", "image/avif,image/webp,*/*", "AVIF 48 64 0 [] red blue"),
        ("w=48&fmt=auto", "image/webp,*/*", "WEBP 48 64 0 [] red blue"),
        ("w=48&fmt=auto", "*/*", "JPEG 48 64 0 [] red blue"),
    ] {
        let target = site.signed(&format!("/photo.jpg?{variant}"));
        let answer = site.get(&target, accept).await;
        let kind = format!("image/{}", seen.split(' ').next().unwrap().to_lowercase());
        assert_eq!(header(&answer, "content-type"), kind, "{variant} {accept}");
        let varies = if variant.contains("fmt=auto") { "Accept" } else { "" };
        assert_eq!(header(&answer, "vary"), varies, "{variant}");
        let tag = header(&answer, "etag");
        assert_eq!(look(dir, answer).await, seen, "{variant} {accept}");

        let again = site.get(&target, accept).await;
        assert!(header(&again, "cache-status").contains("; hit"), "{}", header(&again, "cache-status"));
        let known = client::client().get(format!("{}{target}", site.edge.url()));
        let known = known.header("accept", accept).header("if-none-match", &tag).send().await.unwrap();
        assert_eq!(known.status(), 304, "{variant} {accept}");
    }
    assert_eq!(site.made("made").await, 8.0);
    assert_eq!(site.origin.asked("/photo.jpg"), 1, "one source for all variants");
    assert_eq!(site.origin.asked_in_all(), 1, "no variant is asked of the origin");
    // The source as it is, with everything that it carries.
    assert_eq!(look(dir, site.get("/photo.jpg", "*/*").await).await, "JPEG 800 600 3 ['exif'] blue blue");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_signed_or_no_image_is_refused() {
    let site = Site::start().await;
    let signed = site.signed("/photo.jpg?w=64");
    for (target, status) in [
        (signed.replace("w=64", "w=65"), 403),
        (signed.replace("photo", "other"), 403),
        ("/photo.jpg?w=64".into(), 403),
        ("/photo.jpg?w=64&sig=AAAA".into(), 403),
        ("/photo.jpg?w=9000".into(), 400),
        ("/photo.jpg?w=8000&h=8000".into(), 400),
        ("/photo.jpg?w=60".into(), 200),
        ("/photo.jpg?w=120".into(), 200),
        (site.signed("/bomb.png?w=64"), 422),
        (site.signed("/cut.jpg?w=64"), 422),
        (site.signed("/page.jpg?w=64"), 415),
        (site.signed("/none.jpg?w=64"), 404),
    ] {
        let answer = site.get(&target, "*/*").await;
        assert_eq!(answer.status(), status, "{target}");
        if status != 200 && status != 404 {
            assert_eq!(header(&answer, "content-type"), "application/problem+json", "{target}");
        }
    }
    assert_eq!(site.made("refused").await, 3.0);
    assert_eq!(site.get(&site.signed("/bomb.png?w=64"), "*/*").await.status(), 422);
    assert_eq!(site.made("refused").await, 3.0, "a verdict is kept as a variant is");
    let fixed = site.get(&site.signed("/fixed.jpg?w=64"), "*/*").await;
    assert_eq!(look(site.dir.path(), fixed).await, "JPEG 800 600 3 ['exif'] blue blue", "no-transform");
    // A query of an app's own goes its way.
    assert_eq!(site.get("/list?w=3", "*/*").await.status(), 404);
    assert_eq!(site.origin.asked("/list?w=3"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_askers_have_one_variant_made_and_a_purge_of_the_tag_has_it_made_anew() {
    let site = Site::start().await;
    let target = site.signed("/photo.jpg?w=300&fmt=webp");
    let answers = join_all((0..24).map(|_| site.get(&target, "*/*"))).await;
    assert!(answers.iter().all(|answer| header(answer, "content-type") == "image/webp"));
    assert_eq!((site.made("made").await, site.origin.asked("/photo.jpg")), (1.0, 1));
    assert_eq!(header(&answers[0], "x-version"), "1");

    let events = site.edge.metric("sluice_edge_events_total", &[]).await;
    site.version.store(2, Ordering::Relaxed);
    site.log.raise("photo", 2);
    site.edge.until("sluice_edge_events_total", &[], |value| value > events).await;
    let fresh = site.get(&target, "*/*").await;
    assert_eq!((header(&fresh, "x-version"), fresh.status().as_u16()), ("2".into(), 200));
    assert_eq!(site.made("made").await, 2.0);
    assert_eq!(site.origin.asked("/photo.jpg"), 2);

    // An unsafe method that succeeds makes the variants unusable with their source.
    let url = format!("{}/photo.jpg", site.edge.url());
    assert_eq!(client::client().delete(&url).send().await.unwrap().status(), 200);
    site.version.store(3, Ordering::Relaxed);
    assert_eq!(header(&site.get(&target, "*/*").await, "x-version"), "3");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_variants_than_can_be_made_at_once_come_as_the_image_that_is_there() {
    let presets: Vec<String> = (1..=64).map(|quality| format!("w=128&fmt=avif&q={quality}")).collect();
    let site = Site::with_presets(&presets.join(",")).await;
    let sizes = site.get("/photo.jpg", "*/*").await.bytes().await.unwrap().len();
    let targets: Vec<String> = presets.iter().map(|preset| format!("/photo.jpg?{preset}")).collect();
    let answers = join_all(targets.iter().map(|target| site.get(target, "*/*"))).await;
    let mut as_it_is = 0.0;
    for answer in answers {
        assert_eq!(answer.status(), 200);
        if header(&answer, "cache-control") == "no-store" {
            assert_eq!(
                (header(&answer, "content-type"), header(&answer, "etag")),
                ("image/jpeg".into(), String::new())
            );
            assert_eq!(answer.bytes().await.unwrap().len(), sizes);
            as_it_is += 1.0;
        } else {
            assert_eq!(header(&answer, "content-type"), "image/avif");
        }
    }
    let busy = site.made("busy").await;
    assert!(busy > 0.0 && as_it_is >= busy, "{busy} found no place, {as_it_is} were served as it is");
    assert_eq!(site.origin.asked("/photo.jpg"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_variant_is_not_made_again_when_its_image_is_confirmed() {
    let site = Site::start().await;
    let begun = Instant::now();
    while site.made("renewed").await < 2.0 {
        assert_eq!(site.get("/brief.jpg?w=60", "*/*").await.status(), 200);
        assert!(begun.elapsed() < Duration::from_secs(20), "it was never renewed");
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(site.made("made").await, 1.0);
    assert!(site.origin.asked("/brief.jpg") > 1);
}
