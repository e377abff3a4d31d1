//! Photos of the feed as their readers see them: upright, bare of all that a camera writes beside them, in any size from the
//! edge, and gone everywhere with the post that showed them.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use std::path::Path;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use sluice_tests::bombs;
use sluice_tests::client::header;
use sluice_tests::pillow::{self, HUE};
use sluice_tests::shop;
use sluice_tests::social::{Social, told};
use tokio::time::{Instant, sleep};

/// How soon what is deleted is nowhere.
const GONE: Duration = Duration::from_secs(1);
/// How long what happens behind a request may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// What else a camera may write, in every way that there is: a JPEG, a PNG and a WebP.
const SAVE: &str = "
profile = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()
xmp = b'<x:xmpmeta xmlns:x=\"adobe:ns:meta/\">secret garden</x:xmpmeta>'
wide.save(sys.argv[1], 'JPEG', quality=90, exif=exif, icc_profile=profile, xmp=xmp, comment=b'secret garden')
with open(sys.argv[1], 'ab') as file:
    file.write(b'PK secret garden')
told = PngImagePlugin.PngInfo()
told.add_text('Location', 'secret garden')
told.add_itxt('XML:com.adobe.xmp', 'secret garden')
wide.save(sys.argv[1] + '.png', exif=exif, pnginfo=told, icc_profile=profile)
wide.save(sys.argv[1] + '.webp', exif=exif, xmp=xmp, icc_profile=profile, quality=90)
";

/// The colours near the top and near the bottom of a blur, as another decoder paints it.
const BLUR: &str = "
import sys, blurhash
image = blurhash.decode(sys.argv[1], 40, 40)
print(hue(image[4][20]), hue(image[35][20]))
";

/// The apps behind two near edges, which make pictures 200 pixels wide.
struct Scene(Social);

impl Scene {
    async fn start(more: &[(&'static str, &str)]) -> Self {
        Self(Social::start(more, &[("transform.images.presets", "w=200&fmt=auto")]).await)
    }

    fn ask(&self, edge: usize, method: Method, path: &str, token: &str) -> RequestBuilder {
        self.0.ask(&self.0.edges[edge], method, path, token)
    }

    fn url(&self, edge: usize) -> String {
        self.0.edges[edge].url()
    }

    fn dir(&self) -> &Path {
        self.0.dir()
    }

    async fn send(&self, edge: usize, token: &str, kind: &str, bytes: Vec<u8>) -> (u16, Value) {
        let asked = self.ask(edge, Method::POST, "/v1/feed/photos", token).header("content-type", kind);
        told(asked.body(bytes).send().await.unwrap()).await
    }

    async fn post(&self, token: &str, body: Value) -> (u16, Value) {
        told(self.ask(0, Method::POST, "/v1/feed/posts", token).json(&body).send().await.unwrap()).await
    }

    async fn get(&self, edge: usize, path: &str) -> Response {
        let asked = self.0.http.get(format!("{}{path}", self.url(edge)));
        asked.header("accept", "image/webp,*/*").send().await.unwrap()
    }

    /// Photos as Pillow writes them: JPEG, PNG, WebP.
    fn photos(&self) -> [Vec<u8>; 3] {
        let file = self.dir().join("photo");
        pillow::photograph(&file, SAVE);
        ["", ".png", ".webp"].map(|end| std::fs::read(format!("{}{end}", file.display())).unwrap())
    }

    /// Waits until a path is nowhere any more.
    async fn gone(&self, paths: &[&str], within: Duration) {
        let begun = Instant::now();
        loop {
            let mut there = vec![];
            for path in paths {
                for edge in 0..self.0.edges.len() {
                    let status = self.get(edge, path).await.status().as_u16();
                    if !matches!(status, 404 | 410) {
                        there.push((edge, *path, status));
                    }
                }
            }
            if there.is_empty() {
                return;
            }
            assert!(begun.elapsed() < within, "still there: {there:?}");
            sleep(Duration::from_millis(10)).await;
        }
    }
}

/// What Pillow says of an answer's body, in which nothing of the camera's is left.
async fn look(dir: &Path, answer: Response) -> String {
    assert_eq!(answer.status(), 200);
    let bytes = answer.bytes().await.unwrap();
    for word in ["secret garden", "telephone", "adobe"] {
        assert!(!bytes.windows(word.len()).any(|part| part == word.as_bytes()), "{word} is in it");
    }
    pillow::look(dir, &bytes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_photo_is_shown_upright_and_bare_in_any_size_and_goes_everywhere_with_its_post() {
    let scene = Scene::start(&[]).await;
    let edge = scene.url(0);
    let (ann, eve) = (shop::sign_up(&edge, "ann").await, shop::sign_up(&edge, "eve").await);
    let mut kept = vec![];
    for (bytes, kind, end) in scene
        .photos()
        .into_iter()
        .zip(["jpeg", "png", "webp"])
        .zip(["jpg", "png", "jpg"])
        .map(|((bytes, kind), end)| (bytes, kind, end))
    {
        let (status, photo) = scene.send(0, &ann, &format!("image/{kind}"), bytes).await;
        assert_eq!(status, 201, "{kind}: {photo}");
        assert_eq!((&photo["width"], &photo["height"]), (&json!(600), &json!(800)), "{kind}: upright");
        let blur = pillow::run(&format!("{HUE}{BLUR}"), photo["blur"].as_str().unwrap());
        assert_eq!(blur, "red blue", "{kind}");
        let path = photo["path"].as_str().unwrap().to_owned();
        let answer = scene.get(1, &path).await;
        assert!(header(&answer, "cache-control").contains("immutable"));
        assert!(path.ends_with(end) && header(&answer, "surrogate-key").starts_with("photo:"), "{path}");
        let format = if end == "jpg" { "JPEG" } else { "PNG" };
        assert_eq!(look(scene.dir(), answer).await, format!("{format} 600 800 0 [] red blue"), "{kind}");
        kept.push(path);
    }
    let path = kept[0].as_str();
    let small = format!("{path}?w=200&fmt=auto");
    for edge in 0..2 {
        let answer = scene.get(edge, &small).await;
        assert_eq!(header(&answer, "content-type"), "image/webp");
        assert_eq!(look(scene.dir(), answer).await, "WEBP 200 267 0 [] red blue");
    }

    let with = |path: &str| json!({ "photos": [{ "path": path, "alt": "a wall" }] });
    assert_eq!(scene.post(&eve, with(path)).await.0, 422, "another's");
    assert_eq!(scene.post(&ann, with("/v1/feed/photos/0000000000000.jpg")).await.0, 422);
    assert_eq!(scene.post(&ann, with("/v1/feed/photos/x")).await.0, 422);
    let (status, post) = scene.post(&ann, with(path)).await;
    assert_eq!(status, 201, "{post}");
    assert_eq!(scene.post(&ann, with(path)).await.0, 422, "shown by a post already");
    let fragment = post["fragment"].as_str().unwrap();
    let shown: Value = scene.get(1, fragment).await.json().await.unwrap();
    assert_eq!(
        (&shown["photos"][0]["path"], shown["photos"][0]["blur"].as_str().map(str::len)),
        (&json!(path), Some(28))
    );

    let deleted = scene.ask(0, Method::DELETE, fragment, &ann).send().await.unwrap();
    assert_eq!(deleted.status(), 204);
    scene.gone(&[path, &small, fragment], GONE).await;
    let object = scene.dir().join("objects/photos").join(path.rsplit(['/', '.']).nth(1).unwrap());
    let begun = Instant::now();
    while object.exists() {
        assert!(begun.elapsed() < LIMIT, "its bytes are still there");
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(scene.get(1, &kept[1]).await.status(), 200, "another photo stays");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_photo_is_told_so_and_what_is_asked_twice_is_kept_once() {
    let scene = Scene::start(&[]).await;
    let ann = shop::sign_up(&scene.url(0), "ann").await;
    let [jpeg, png, _] = scene.photos();
    let script = b"<script>alert(1)</script>".to_vec();
    for (kind, bytes, status, problem) in [
        ("image/png", bombs::png::square(100_000), 422, "image-too-large"),
        ("image/jpeg", jpeg[..200].to_vec(), 422, "image-broken"),
        ("image/png", png[..png.len() / 2].to_vec(), 422, "image-broken"),
        ("image/png", jpeg.clone(), 415, "image-kind"),
        ("image/jpeg", script.clone(), 415, "image-kind"),
        ("image/svg+xml", script.clone(), 415, "image-kind"),
        ("image/jpeg", vec![], 415, "image-kind"),
        ("text/html", script, 415, "image-kind"),
        ("application/json", b"{\"upload\":\"0000000000000\"}".to_vec(), 404, "not-found"),
        ("application/json", b"{}".to_vec(), 400, "malformed"),
        ("image/jpeg", vec![0; (20 << 20) + 1], 413, "too-large"),
    ] {
        let (got, said) = scene.send(0, &ann, kind, bytes).await;
        let named =
            said["type"].as_str().unwrap_or_default().rsplit('/').next().unwrap_or_default().to_owned();
        assert_eq!((got, named.as_str()), (status, problem), "{kind}: {said}");
    }
    assert_eq!(scene.send(0, "", "image/jpeg", jpeg.clone()).await.0, 401);

    let keyed = async |bytes: &[u8]| {
        let asked = scene.ask(1, Method::POST, "/v1/feed/photos", &ann).header("content-type", "image/jpeg");
        let answer = asked.header("idempotency-key", "k1").body(bytes.to_vec()).send().await.unwrap();
        let again = header(&answer, "idempotency-replayed");
        (told(answer).await, again)
    };
    let ((status, first), again) = keyed(&jpeg).await;
    assert_eq!((status, again.as_str()), (201, ""), "{first}");
    assert_eq!(keyed(&jpeg).await, ((201, first), "true".into()));
    assert_eq!(keyed(&jpeg[..jpeg.len() - 1]).await.0.0, 422, "a key is of one request");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_was_cut_goes_on_and_what_no_post_shows_is_swept() {
    let scene = Scene::start(&[("apps.feed.photo_ms", "2000")]).await;
    let ann = shop::sign_up(&scene.url(0), "ann").await;
    let [jpeg, ..] = scene.photos();
    let (tus, half) = (("tus-resumable", "1.0.0"), jpeg.len() / 2);
    let begin = scene.0.http.post(format!("{}/v1/uploads", scene.url(0))).header(tus.0, tus.1);
    let begin = begin.header("upload-concat", "partial").header("upload-length", jpeg.len());
    let place = header(&begin.send().await.unwrap(), "location");
    let patch = async |edge: usize, from: usize, to: usize| {
        let asked = scene.0.http.patch(format!("{}{place}", scene.url(edge))).header(tus.0, tus.1);
        let asked =
            asked.header("content-type", "application/offset+octet-stream").header("upload-offset", from);
        asked.body(jpeg[from..to].to_vec()).send().await.unwrap().status().as_u16()
    };
    assert_eq!(patch(0, 0, half).await, 204);
    let upload = json!({ "upload": place.rsplit('/').next().unwrap() }).to_string().into_bytes();
    let early = scene.send(0, &ann, "application/json", upload.clone()).await;
    assert_eq!(early.0, 409, "not whole yet: {}", early.1);
    let at = scene.0.http.head(format!("{}{place}", scene.url(1))).header(tus.0, tus.1).send().await.unwrap();
    assert_eq!(header(&at, "upload-offset"), half.to_string());
    assert_eq!(patch(1, half, jpeg.len()).await, 204);
    let (status, photo) = scene.send(1, &ann, "application/json", upload.clone()).await;
    assert_eq!(status, 201, "{photo}");
    let path = photo["path"].as_str().unwrap();
    assert_eq!(look(scene.dir(), scene.get(0, path).await).await, "JPEG 600 800 0 [] red blue");
    assert_eq!(scene.send(1, &ann, "application/json", upload).await.0, 404, "it became a photo");
    scene.gone(&[path], LIMIT).await;
    let gone = scene.post(&ann, json!({ "photos": [{ "path": path }] })).await;
    assert_eq!(gone.0, 422, "{}", gone.1);
}
