//! Playable while it uploads: what has come is transcoded and served before the rest is sent.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use reqwest::{Client, RequestBuilder};
use sluice_tests::client::{self, header};
use sluice_tests::sources::eventually;
use sluice_tests::stack::Stack;
use std::process::Command;

/// A clip of twenty-one seconds with a picture and a tone, as the ffmpeg command line makes it.
fn clip(name: &str, arguments: &str) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(name);
    let status = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=size=426x240:rate=25:duration=21"])
        .args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=21"])
        .args(["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "50", "-c:a", "aac"])
        .args(arguments.split_whitespace())
        .arg(&file)
        .status();
    assert!(status.unwrap().success());
    std::fs::read(file).unwrap()
}

fn tus(request: RequestBuilder) -> RequestBuilder {
    request.header("tus-resumable", "1.0.0")
}

/// Makes an upload with these headers; its URL.
async fn create(http: &Client, edge: &str, headers: &[(&str, &str)]) -> String {
    let mut request = tus(http.post(format!("{edge}/v1/uploads")));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 201, "{:?}", answer.text().await);
    format!("{edge}{}", header(&answer, "location"))
}

async fn send(http: &Client, url: &str, offset: usize, bytes: &[u8]) {
    let request = tus(http.patch(url))
        .header("content-type", "application/offset+octet-stream")
        .header("upload-offset", offset)
        .body(bytes.to_vec());
    assert_eq!(request.send().await.unwrap().status(), 204);
}

/// Waits until two segments of each rung are there, and looks at how they are offered. The state of the video then.
async fn plays(edge: &str, id: &str) -> Vec<client::Rung> {
    client::wait_until(edge, id, "its beginning is playable", |video| {
        let rungs = video["rungs"].as_array().cloned().unwrap_or_default();
        video["playable"] == true
            && rungs.len() == 2
            && rungs.iter().all(|r| r["segments"].as_u64() >= Some(2))
    })
    .await;
    let rungs = client::rungs(edge, id).await;
    for rung in &rungs {
        assert!(!rung.ended && rung.segments.len() >= 2, "{} goes on", rung.name);
    }
    rungs
}

/// What was played early is what is there in the end, and the end is there too.
async fn ends(edge: &str, id: &str, early: &[client::Rung]) {
    client::wait_ready(edge, id).await;
    let whole = client::rungs(edge, id).await;
    for (before, after) in early.iter().zip(&whole) {
        assert!(after.ended);
        assert_eq!(
            after.segments[..before.segments.len()],
            before.segments[..],
            "{}: an EVENT only grows",
            before.name
        );
        assert_eq!(after.segments.len(), 6, "{}", after.name);
    }
    for rung in &whole {
        let seconds: f64 = rung.durations.iter().sum();
        assert!((seconds - 21.0).abs() < 0.1, "{}: {seconds}", rung.name);
    }
}

#[tokio::test]
async fn what_has_come_of_a_file_can_be_watched_before_the_rest_is_sent() {
    let stack = Stack::start().await;
    let (http, edge) = (client::client(), stack.edge());
    for (name, arguments) in [
        ("progressive.mp4", "-movflags +faststart"),
        ("fragmented.mp4", "-movflags +frag_keyframe+empty_moov"),
        ("film.mkv", ""),
        ("stream.ts", ""),
    ] {
        let source = clip(name, arguments);
        let half = source.len() * 6 / 10;
        let url = create(&http, &edge, &[("upload-length", &source.len().to_string())]).await;
        let id = url.rsplit('/').next().unwrap();
        send(&http, &url, 0, &source[..half]).await;
        let early = plays(&edge, id).await;
        assert_eq!(header(&tus(http.head(&url)).send().await.unwrap(), "upload-offset"), half.to_string());
        send(&http, &url, half, &source[half..]).await;
        ends(&edge, id, &early).await;
    }
}

#[tokio::test]
async fn a_file_whose_index_comes_last_plays_when_its_end_is_sent_first() {
    let stack = Stack::start().await;
    let (http, edge) = (client::client(), stack.edge());
    let source = clip("trailing.mp4", "");
    let index = source.windows(4).rposition(|w| w == b"moov").unwrap() - 4;
    let length = |bytes: usize| bytes.to_string();
    let head = create(&http, &edge, &[("upload-concat", "partial"), ("upload-length", &length(index))]).await;
    let tail = source.len() - index;
    let tail = create(&http, &edge, &[("upload-concat", "partial"), ("upload-length", &length(tail))]).await;
    let path = |url: &str| url.strip_prefix(&edge).unwrap().to_owned();
    let joined = format!("final;{} {}", path(&head), path(&tail));
    let whole = create(&http, &edge, &[("upload-concat", &joined)]).await;
    let id = whole.rsplit('/').next().unwrap();
    send(&http, &tail, 0, &source[index..]).await;
    let half = index * 6 / 10;
    send(&http, &head, 0, &source[..half]).await;
    let early = plays(&edge, id).await;
    send(&http, &head, half, &source[half..index]).await;
    ends(&edge, id, &early).await;
}

#[tokio::test]
async fn who_asks_too_early_is_told_as_long_as_it_is_true() {
    let stack = Stack::start().await;
    let (http, edge) = (client::client(), stack.edge());
    let source = clip("awaited.ts", "");
    let url = create(&http, &edge, &[("upload-length", &source.len().to_string())]).await;
    let id = url.rsplit('/').next().unwrap();
    let master = format!("/v/{id}/master.m3u8");
    // An edge may keep the answer, which names its video: the event that ends its truth ends the copy.
    for node in [&stack.origin.url(), &edge] {
        let early = http.get(format!("{node}{master}")).send().await.unwrap();
        assert_eq!(
            (early.status().as_u16(), header(&early, "cache-control")),
            (404, "public, max-age=1".into())
        );
        assert!(header(&early, "sluice-version").contains(id), "{early:?}");
    }
    send(&http, &url, 0, &source).await;
    client::wait_ready(&edge, id).await;
    eventually("it is there", async || {
        http.get(format!("{edge}{master}")).send().await.unwrap().status() == 200
    })
    .await;
}

#[tokio::test]
async fn an_upload_that_is_given_up_takes_what_was_made_of_it_along() {
    let stack = Stack::start().await;
    let (http, edge) = (client::client(), stack.edge());
    let source = clip("given-up.ts", "");
    let url = create(&http, &edge, &[("upload-length", &source.len().to_string())]).await;
    let id = url.rsplit('/').next().unwrap();
    send(&http, &url, 0, &source[..source.len() * 6 / 10]).await;
    let early = plays(&edge, id).await;
    assert_eq!(tus(http.delete(&url)).send().await.unwrap().status(), 204);
    stack.transcoder.until("sluice_transcode_jobs_total", &["outcome=\"gone\""], |gone| gone == 1.0).await;
    for url in [format!("{edge}/v1/videos/{id}"), early[0].segments[0].replace(&edge, &stack.origin.url())] {
        assert_eq!(http.get(&url).send().await.unwrap().status(), 404, "{url}");
    }
}

#[tokio::test]
async fn what_is_no_video_is_refused_before_all_of_it_is_sent() {
    let stack = Stack::start().await;
    let (http, edge) = (client::client(), stack.edge());
    let url = create(&http, &edge, &[("upload-length", "9000000")]).await;
    let id = url.rsplit('/').next().unwrap();
    send(&http, &url, 0, "no film at all, ".repeat(200_000).as_bytes()).await;
    let refused = client::wait_until(&edge, id, "it is refused", |video| video["state"] == "failed").await;
    assert!(refused["error"].as_str().unwrap().contains("not a video"), "{refused}");
}
