//! tus 1.0 at its edges: wrong offsets, two writers, checksums, what goes past the end, an end before the end.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::future::join_all;
use reqwest::{Client, RequestBuilder, Response};
use sha2::{Digest, Sha256};
use sluice_tests::client::{self, header};
use sluice_tests::stack::{Options, Stack};

/// An upload of this many bytes; its URL.
async fn create(http: &Client, edge: &str, length: u64) -> String {
    let answer =
        tus(http.post(format!("{edge}/v1/uploads"))).header("upload-length", length).send().await.unwrap();
    assert_eq!(answer.status(), 201, "{:?}", answer.text().await);
    assert!(!header(&answer, "upload-expires").is_empty());
    format!("{edge}{}", header(&answer, "location"))
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
    for extension in ["creation", "checksum", "termination", "expiration"] {
        assert!(header(&offered, "tus-extension").contains(extension));
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
    let junk = tus(http.post(format!("{edge}/v1/uploads")))
        .header("upload-length", 5)
        .header("upload-metadata", "a ***");
    assert_eq!(status(junk).await, 400);

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
