//! Variants of images that an edge makes, as an independent reader (Pillow) sees them.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use futures::future::join_all;
use reqwest::Response;
use sluice_tests::client::{self, header};
use sluice_tests::log::ScriptedLog;
use sluice_tests::origin::{ScriptedOrigin, answer};
use sluice_tests::process::{Process, binary};
use sluice_tests::python::python;
use sluice_tests::stack::lone_edge;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const KEY: &str = "a key of thirty-two bytes or more";
static PYTHON: LazyLock<PathBuf> = LazyLock::new(|| python(&["Pillow==13.0.0"]));

/// A photograph as a telephone writes it: turned by a quarter, with the place it was taken at.
const PHOTO: &str = "
import sys
from PIL import Image
wide = Image.new('RGB', (800, 600), (200, 30, 30))
wide.paste((30, 30, 200), (400, 0, 800, 600))
exif = Image.Exif()
exif[0x0112] = 6
exif[0x010f] = 'a telephone'
exif.get_ifd(0x8825).update({1: 'N', 2: (52.0, 30.0, 0.0), 3: 'E', 4: (13.0, 24.0, 0.0)})
wide.save(sys.argv[1], 'JPEG', quality=90, exif=exif)
";

/// Format, width, height, whether any Exif is left, and the colours near the top and near the bottom.
const LOOK: &str = "
import sys
from PIL import Image
image = Image.open(sys.argv[1])
image.load()
w, h = image.size
rgb = image.convert('RGB')
hue = lambda p: 'red' if p[0] > p[2] + 60 else 'blue' if p[2] > p[0] + 60 else 'other'
print(image.format, w, h, len(image.getexif()), 'exif' in image.info, hue(rgb.getpixel((w // 2, h // 10))), hue(rgb.getpixel((w // 2, h - 1 - h // 10))))
";

fn pillow(script: &str, file: &Path) -> String {
    let output = Command::new(&*PYTHON).args(["-c", script]).arg(file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// What Pillow says of an answer's body.
async fn look(dir: &Path, answer: Response) -> String {
    assert_eq!(answer.status(), 200);
    let file = dir.join("seen");
    std::fs::write(&file, answer.bytes().await.unwrap()).unwrap();
    pillow(LOOK, &file)
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
        pillow(PHOTO, &dir.path().join("photo.jpg"));
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
                    "/bomb.png" => answer(200, &fields, bomb()),
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
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    async fn get(&self, target: &str, accept: &str) -> Response {
        let request = client::client().get(format!("{}{target}", self.edge.url()));
        request.header("accept", accept).send().await.unwrap()
    }

    async fn made(&self, result: &str) -> f64 {
        self.edge.metric("sluice_edge_images_total", &[&format!("\"{result}\"")]).await
    }
}

/// A PNG whose head promises 50000 x 50000 pixels.
fn bomb() -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\xc3\x50\0\0\xc3\x50\x08\x02\0\0\0".to_vec();
    png.extend(crc(&png[12..]).to_be_bytes());
    png.extend(b"\0\0\x10\0IDATx\x9c");
    png.resize(4_200, 0);
    png
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 },
        )
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn variants_have_the_size_and_format_that_were_signed() {
    let site = Site::start().await;
    let dir = site.dir.path();
    for (variant, accept, seen) in [
        ("w=150&fmt=jpeg", "*/*", "JPEG 150 200 0 False red blue"),
        ("w=150&fmt=webp&q=60", "*/*", "WEBP 150 200 0 False red blue"),
        ("h=100&fmt=png", "*/*", "PNG 75 100 0 False red blue"),
        ("w=96&h=64&fit=cover&fmt=avif", "*/*", "AVIF 96 64 0 False red blue"),
        ("w=200&h=200&fit=contain&fmt=jpeg", "*/*", "JPEG 200 200 0 False red blue"),
        ("w=48&fmt=auto", "image/avif,image/webp,*/*", "AVIF 48 64 0 False red blue"),
        ("w=48&fmt=auto", "image/webp,*/*", "WEBP 48 64 0 False red blue"),
        ("w=48&fmt=auto", "*/*", "JPEG 48 64 0 False red blue"),
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
    assert_eq!(look(dir, site.get("/photo.jpg", "*/*").await).await, "JPEG 800 600 3 True blue blue");
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
    assert_eq!(look(site.dir.path(), fixed).await, "JPEG 800 600 3 True blue blue", "no-transform");
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
