//! tus 1.0 at its edges: wrong offsets, two writers, checksums, what goes past the end, an end before the end.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::future::join_all;
use reqwest::{Client, RequestBuilder, Response};
use sha2::{Digest, Sha256};
use sluice_tests::client::{self, header};
use sluice_tests::sources::eventually;
use sluice_tests::stack::{Options, Stack};

/// An upload of this many bytes; its URL.
async fn create(http: &Client, edge: &str, length: u64) -> String {
    let answer =
        tus(http.post(format!("{edge}/v1/uploads"))).header("upload-length", length).send().await.unwrap();
    assert_eq!(answer.status(), 201, "{:?}", answer.text().await);
    assert!(!header(&answer, "upload-expires").is_empty());
    format!("{edge}{}", header(&answer, "location"))
}

fn creation(http: &Client, edge: &str) -> RequestBuilder {
    tus(http.post(format!("{edge}/v1/uploads")))
}

/// A partial upload of this many bytes; its path.
async fn partial(http: &Client, edge: &str, length: u64) -> String {
    let made = creation(http, edge).header("upload-concat", "partial").header("upload-length", length);
    let answer = made.send().await.unwrap();
    assert_eq!(answer.status(), 201, "{:?}", answer.text().await);
    header(&answer, "location")
}

fn joined(http: &Client, edge: &str, parts: &[&str]) -> RequestBuilder {
    creation(http, edge).header("upload-concat", format!("final;{}", parts.join(" ")))
}

async fn head(http: &Client, url: &str, name: &str) -> String {
    header(&tus(http.head(url)).send().await.unwrap(), name)
}

fn tus(request: RequestBuilder) -> RequestBuilder {
    request.header("tus-resumable", "1.0.0")
}

fn patch(http: &Client, url: &str, offset: u64, bytes: Vec<u8>) -> RequestBuilder {
    tus(http.patch(url))
        .header("content-type", "application/offset+octet-stream")
        .header("upload-offset", offset)
        .body(bytes)
}

async fn offset(http: &Client, url: &str) -> String {
    header(&tus(http.head(url)).send().await.unwrap(), "upload-offset")
}

async fn status(request: RequestBuilder) -> u16 {
    let answer: Response = request.send().await.unwrap();
    let status = answer.status().as_u16();
    if status >= 400 {
        assert_eq!(header(&answer, "content-type"), "application/problem+json", "{status}");
    }
    status
}

#[tokio::test]
async fn what_does_not_fit_is_refused_and_changes_nothing() {
    let stack = Stack::with(Options { hold_transcoder: true, ..Options::default() }).await;
    let (http, edge) = (client::client(), stack.edge());
    let offered = http.request(reqwest::Method::OPTIONS, format!("{edge}/v1/uploads")).send().await.unwrap();
    let offers = header(&offered, "tus-extension");
    let offers: Vec<&str> = offers.split(',').collect();
    for extension in [
        "creation",
        "creation-with-upload",
        "creation-defer-length",
        "checksum",
        "concatenation",
        "concatenation-unfinished",
        "termination",
        "expiration",
    ] {
        assert!(offers.contains(&extension), "{offers:?}");
    }

    let url = create(&http, &edge, 1_000).await;
    assert_eq!(status(patch(&http, &url, 0, vec![1; 400])).await, 204);
    assert_eq!(status(patch(&http, &url, 0, vec![2; 400])).await, 409, "an offset that was passed");
    assert_eq!(status(patch(&http, &url, 401, vec![2; 10])).await, 409, "an offset that was not reached");
    assert_eq!(status(patch(&http, &url, 400, vec![2; 601])).await, 413, "past the end");
    assert_eq!(offset(&http, &url).await, "400");
    assert_eq!(status(http.patch(&url).header("upload-offset", 400)).await, 412, "no version");
    assert_eq!(status(tus(http.patch(&url)).header("upload-offset", 400)).await, 415, "no type");
    assert_eq!(status(tus(http.head(format!("{edge}/v1/uploads/0000000000000")))).await, 404);
    for length in ["-1", "9223372036854775808", "x", "18446744073709551616"] {
        let made = tus(http.post(format!("{edge}/v1/uploads"))).header("upload-length", length);
        assert_eq!(status(made).await, 400, "{length}");
    }
    let many: Vec<String> = (0..40).map(|n| format!("key{n}")).collect();
    for junk in ["a ***", "filename /w==", "a QQ==,a QQ==", &many.join(",")] {
        let made = creation(&http, &edge).header("upload-length", 5).header("upload-metadata", junk);
        assert_eq!(status(made).await, 400, "{junk}");
    }
    let long = format!("a {}", "AAAA".repeat(1_500));
    let made = creation(&http, &edge).header("upload-length", 5).header("upload-metadata", long);
    assert_eq!(status(made).await, 413);
    for both in [("upload-length", "5"), ("upload-concat", "final;")] {
        let made = creation(&http, &edge).header("upload-defer-length", "1").header(both.0, both.1);
        assert_eq!(status(made).await, 400, "{both:?}");
    }
    assert_eq!(status(creation(&http, &edge)).await, 400, "no length");
    let overridden = patch(&http, &url, 400, vec![2; 10]).header("x-http-method-override", "DELETE");
    assert_eq!(status(overridden).await, 400);
    let wrong_version = http.head(&url).header("tus-resumable", "0.2.2").send().await.unwrap();
    assert_eq!(
        (wrong_version.status().as_u16(), header(&wrong_version, "tus-version").as_str()),
        (412, "1.0.0")
    );
    for checksum in ["md5 AAAA", "sha256 ***", "sha256 QQ==", "sha256"] {
        let sent = patch(&http, &url, 400, vec![2; 10]).header("upload-checksum", checksum);
        assert_eq!(status(sent).await, 400, "{checksum}");
    }
    assert_eq!(offset(&http, &url).await, "400");

    let wrong = format!("sha256 {}", STANDARD.encode(Sha256::digest(b"something else")));
    assert_eq!(status(patch(&http, &url, 400, vec![3; 100]).header("upload-checksum", wrong)).await, 460);
    assert_eq!(offset(&http, &url).await, "400", "nothing of it was kept");
    let right = format!("sha256 {}", STANDARD.encode(Sha256::digest(vec![3; 100])));
    assert_eq!(status(patch(&http, &url, 400, vec![3; 100]).header("upload-checksum", right)).await, 204);

    assert_eq!(status(tus(http.delete(&url))).await, 204);
    assert_eq!(status(tus(http.head(&url))).await, 404, "terminated");
    assert_eq!(status(http.get(url.replace("/v1/uploads/", "/v1/videos/"))).await, 404);
}

#[tokio::test]
async fn of_twenty_writers_at_one_offset_one_wins() {
    let stack = Stack::with(Options { hold_transcoder: true, ..Options::default() }).await;
    let (http, edge) = (client::client(), stack.edge());
    let url = create(&http, &edge, 40_000).await;
    let writers = (0..20u8).map(|writer| status(patch(&http, &url, 0, vec![writer; 20_000])));
    let answers = join_all(writers).await;
    assert_eq!(answers.iter().filter(|s| **s == 204).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|s| *s == 204 || *s == 409), "{answers:?}");
    assert_eq!(offset(&http, &url).await, "20000");
    // Half is a winner's, half ours: the hash says whether anything of a loser came between.
    let winner = u8::try_from(answers.iter().position(|s| *s == 204).unwrap()).unwrap();
    assert_eq!(status(patch(&http, &url, 20_000, vec![99; 20_000])).await, 204);
    let whole = [vec![winner; 20_000], vec![99; 20_000]].concat();
    let id = url.rsplit('/').next().unwrap();
    assert_eq!(client::video(&edge, id).await["sha256"], client::sha256(&whole));
}

#[tokio::test]
async fn a_final_upload_is_made_of_unfinished_ones_and_ends_with_the_last() {
    let stack = Stack::with(Options { hold_transcoder: true, ..Options::default() }).await;
    let (http, edge) = (client::client(), stack.edge());
    let (a, b) = (partial(&http, &edge, 500).await, partial(&http, &edge, 300).await);
    let (at_a, at_b) = (format!("{edge}{a}"), format!("{edge}{b}"));
    assert_eq!(head(&http, &at_a, "upload-concat").await, "partial");
    assert_eq!(status(patch(&http, &at_b, 0, vec![2; 300])).await, 204);

    let sent = "filename ZmlsbS5tcDQ=,blob /w==";
    let made = joined(&http, &edge, &[&a, &at_b]).header("upload-metadata", sent).send().await.unwrap();
    assert_eq!(made.status(), 201, "{:?}", made.text().await);
    let whole = format!("{edge}{}", header(&made, "location"));
    let seen = tus(http.head(&whole)).send().await.unwrap();
    assert_eq!(header(&seen, "upload-concat"), format!("final;{a} {b}"));
    assert_eq!(
        (header(&seen, "upload-length").as_str(), header(&seen, "upload-metadata").as_str()),
        ("800", sent)
    );
    assert!(!seen.headers().contains_key("upload-offset"), "it is not complete");
    let id = whole.rsplit('/').next().unwrap();
    assert_eq!(client::video(&edge, id).await["state"], "uploading");

    assert_eq!(status(patch(&http, &whole, 0, vec![1; 10])).await, 403, "it takes no bytes");
    assert_eq!(status(tus(http.delete(&at_a))).await, 409, "it is part of another");
    assert_eq!(status(patch(&http, &at_a, 0, vec![1; 500])).await, 204);
    assert_eq!(offset(&http, &whole).await, "800");
    let document = client::video(&edge, id).await;
    assert_eq!(
        (&document["state"], &document["name"], &document["bytes"]),
        (&"queued".into(), &"film.mp4".into(), &800.into())
    );
    let hash = client::sha256(&[vec![1; 500], vec![2; 300]].concat());
    client::wait_until(&edge, id, "hashed", |v| v["sha256"] == hash.as_str()).await;
    assert_eq!(status(tus(http.delete(&whole))).await, 409, "it is a video now");
}

#[tokio::test]
async fn what_cannot_be_joined_is_refused_and_a_terminated_whole_takes_its_parts_along() {
    let stack = Stack::with(Options { hold_transcoder: true, ..Options::default() }).await;
    let (http, edge) = (client::client(), stack.edge());
    let (a, b) = (partial(&http, &edge, 500).await, partial(&http, &edge, 300).await);
    let ordinary = create(&http, &edge, 100).await;
    let deferred =
        creation(&http, &edge).header("upload-concat", "partial").header("upload-defer-length", "1");
    let deferred = header(&deferred.send().await.unwrap(), "location");
    for (parts, expected) in [
        (vec![a.as_str(), "/v1/uploads/0000000000000"], 404),
        (vec![&a, &ordinary], 409),
        (vec![&a, &deferred], 409),
        (vec![&a, &a], 409),
        (vec![&a, "http://edge/other/0000000000000"], 400),
        (vec![&a, "/v1/uploads/../uploads/0000000000000"], 400),
        (vec![], 400),
    ] {
        assert_eq!(status(joined(&http, &edge, &parts)).await, expected, "{parts:?}");
    }
    assert_eq!(
        status(joined(&http, &edge, &[&a]).header("upload-length", 500)).await,
        400,
        "it has its parts' length"
    );
    let with_bytes =
        joined(&http, &edge, &[&a]).header("content-type", "application/offset+octet-stream").body("x");
    assert_eq!(status(with_bytes).await, 400);
    let whole =
        format!("{edge}{}", header(&joined(&http, &edge, &[&a, &b]).send().await.unwrap(), "location"));
    assert_eq!(status(joined(&http, &edge, &[&b])).await, 409, "it is joined already");
    let whole_path = whole.strip_prefix(&edge).unwrap();
    assert_eq!(status(joined(&http, &edge, &[whole_path])).await, 409, "a final one is no part");

    assert_eq!(status(patch(&http, &format!("{edge}{a}"), 0, vec![1; 100])).await, 204);
    assert_eq!(status(tus(http.delete(&whole))).await, 204);
    for gone in [&whole, &format!("{edge}{a}"), &format!("{edge}{b}")] {
        assert_eq!(status(tus(http.head(gone))).await, 404);
    }
    let uploads = stack.dir().join("objects/uploads");
    let left = || std::fs::read_dir(&uploads).map_or(0, Iterator::count);
    eventually("no part is left", async || left() == 0).await;
}

#[tokio::test]
async fn a_length_that_was_deferred_is_fixed_once() {
    let stack = Stack::with(Options { hold_transcoder: true, ..Options::default() }).await;
    let (http, edge) = (client::client(), stack.edge());
    let made = creation(&http, &edge).header("upload-defer-length", "1").send().await.unwrap();
    let url = format!("{edge}{}", header(&made, "location"));
    assert_eq!(head(&http, &url, "upload-defer-length").await, "1");
    assert_eq!(status(patch(&http, &url, 0, vec![1; 400])).await, 204);
    for (length, expected) in
        [("0", 400), ("-1", 400), ("9223372036854775808", 400), ("9223372036854775807", 413), ("399", 409)]
    {
        let sent = patch(&http, &url, 400, vec![1; 100]).header("upload-length", length);
        assert_eq!(status(sent).await, expected, "{length}");
    }
    assert_eq!(offset(&http, &url).await, "400");
    assert_eq!(status(patch(&http, &url, 400, vec![1; 50]).header("upload-length", 500)).await, 204);
    assert_eq!(head(&http, &url, "upload-length").await, "500");
    assert_eq!(status(patch(&http, &url, 450, vec![1; 50]).header("upload-length", 501)).await, 409);
    assert_eq!(status(patch(&http, &url, 450, vec![1; 51])).await, 413, "past the end");
    assert_eq!(status(patch(&http, &url, 450, vec![1; 50]).header("upload-length", 500)).await, 204);
    let id = url.rsplit('/').next().unwrap();
    let document = client::video(&edge, id).await;
    assert_eq!(
        (&document["state"], &document["sha256"]),
        (&"queued".into(), &client::sha256(&[1; 500]).into())
    );

    // A length that is known after the last byte ends the upload.
    let made = creation(&http, &edge).header("upload-defer-length", "1").send().await.unwrap();
    let url = format!("{edge}{}", header(&made, "location"));
    assert_eq!(status(patch(&http, &url, 0, vec![7; 300])).await, 204);
    assert_eq!(status(patch(&http, &url, 300, vec![]).header("upload-length", 300)).await, 204);
    assert_eq!(client::video(&edge, url.rsplit('/').next().unwrap()).await["state"], "queued");
}
