//! Reposts behind edges: they stay where they are kept while what they show is liked, and go everywhere when it is deleted.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::Value;
use sluice_tests::client::header;
use sluice_tests::shop;
use sluice_tests::social::Social;
use tokio::time::{Instant, sleep};

/// How soon what is deleted is nowhere.
const GONE: Duration = Duration::from_secs(1);
/// How long what happens behind a request may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

async fn get(social: &Social, edge: usize, path: &str) -> Response {
    social.http.get(format!("{}{path}", social.edges[edge].url())).send().await.unwrap()
}

/// Waits until what a path says is good at both edges.
async fn until(social: &Social, path: &str, within: Duration, good: impl Fn(u16, &Value) -> bool) {
    for edge in 0..social.edges.len() {
        let begun = Instant::now();
        loop {
            let answer = get(social, edge, path).await;
            let (status, body) = (answer.status().as_u16(), answer.json::<Value>().await.unwrap_or_default());
            if good(status, &body) {
                break;
            }
            assert!(begun.elapsed() < within, "edge {edge}: {path} is {status} {body}");
            sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repost_goes_from_every_edge_with_what_it_shows() {
    let social = Social::start(&[], &[]).await;
    let origin = social.origin.url();
    let (ann, ben) = (shop::sign_up(&origin, "ann").await, shop::sign_up(&origin, "ben").await);
    let path = format!("/v1/feed/posts/{}", social.post(&ann, "soon gone").await);
    let made = social.done(Method::PUT, &format!("{path}/repost"), &ben, Value::Null).await;
    let repost = made["fragment"].as_str().unwrap();
    let is_there = |status: u16, body: &Value| status == 200 && body["repost_of"] == path.as_str();
    until(&social, repost, LIMIT, is_there).await;
    until(&social, &path, LIMIT, |status, body| status == 200 && body["reposts"] == 1).await;

    let list: Value = get(&social, 0, "/v1/feed/users/ben/posts").await.json().await.unwrap();
    assert_eq!(list["items"][0]["f"], repost, "{list}");

    social.done(Method::PUT, &format!("{path}/like"), &ben, Value::Null).await;
    until(&social, &path, LIMIT, |_, body| body["likes"] == 1).await;
    for edge in 0..social.edges.len() {
        let kept = get(&social, edge, repost).await;
        let status = header(&kept, "cache-status");
        assert!(status.contains("hit"), "likes of what it shows are no news of it: {status}");
    }

    social.done(Method::DELETE, &path, &ann, Value::Null).await;
    let deleted = Instant::now();
    for gone in [repost, path.as_str()] {
        until(&social, gone, GONE.saturating_sub(deleted.elapsed()), |status, _| status == 410).await;
    }
    // A list of ben's may name it still: a page that asks for what it names finds nothing.
    let list: Value = get(&social, 0, "/v1/feed/users/ben/posts").await.json().await.unwrap();
    for item in list["items"].as_array().unwrap() {
        assert_eq!(get(&social, 0, item["f"].as_str().unwrap()).await.status(), 410, "{list}");
    }
}
