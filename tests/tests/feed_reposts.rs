//! Reposts and replies behind edges: they stay where they are kept while what they are of is liked, and go everywhere when they are
//! deleted. Reposts go with what they show; replies stay when what they answer goes.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::{Value, json};
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

/// Whether a conversation is there, and has these replies.
fn has(replies: &[&str]) -> impl Fn(u16, &Value) -> bool {
    let wanted: Vec<String> = replies.iter().map(|id| format!("/v1/feed/posts/{id}")).collect();
    move |status, body| {
        let shown = body["items"].as_array().into_iter().flatten().map(|item| item["f"].as_str().unwrap());
        status == 200 && shown.eq(wanted.iter().map(String::as_str))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_reply_goes_from_every_edge_and_those_below_it_stay() {
    let social = Social::start(&[], &[]).await;
    let origin = social.origin.url();
    let (ann, ben) = (shop::sign_up(&origin, "ann").await, shop::sign_up(&origin, "ben").await);
    let post = social.post(&ann, "a question").await;
    let answer = async |token: &str, to: &str| {
        let body = json!({ "text": "an answer", "reply_to": to });
        let made = social.done(Method::POST, "/v1/feed/posts", token, body).await;
        made["id"].as_str().unwrap().to_owned()
    };
    let one = answer(&ben, &post).await;
    let below = answer(&ann, &one).await;
    let (path, reply) = (format!("/v1/feed/posts/{post}"), format!("/v1/feed/posts/{one}"));
    let (thread, within) = (format!("{path}/thread"), format!("/v1/feed/posts/{below}/thread"));
    for at in [&thread, &within] {
        until(&social, at, LIMIT, has(&[&one, &below])).await;
    }
    until(&social, &reply, LIMIT, |status, body| status == 200 && body["replies"] == 1).await;
    until(&social, &path, LIMIT, |_, body| body["replies"] == 1).await;

    social.done(Method::DELETE, &reply, &ben, Value::Null).await;
    let deleted = Instant::now();
    let left = || GONE.saturating_sub(deleted.elapsed());
    until(&social, &reply, left(), |status, _| status == 410).await;
    until(&social, &path, left(), |status, body| status == 200 && body["replies"] == 0).await;
    for at in [&thread, &within] {
        until(&social, at, left(), has(&[&below])).await;
    }

    // What began the conversation goes: whoever has a reply finds the rest of it.
    social.done(Method::DELETE, &path, &ann, Value::Null).await;
    until(&social, &path, LIMIT, |status, _| status == 410).await;
    until(&social, &within, LIMIT, has(&[&below])).await;
    let kept = format!("/v1/feed/posts/{below}");
    until(&social, &kept, LIMIT, |status, body| status == 200 && body["reply_to"] == one.as_str()).await;
}
