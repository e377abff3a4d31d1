//! Many cold readers of one object cost the origin one fetch, and none of them gets what is another's.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use axum::extract::Request;
use axum::response::Response;
use futures::future::join_all;
use sluice_tests::client;
use sluice_tests::clips;
use sluice_tests::origin::{ScriptedOrigin, answer};
use sluice_tests::stack::{Stack, lone_edge};
use std::time::Duration;

/// Cold readers at the same moment, over both near edges.
const READERS: usize = 50;

#[tokio::test]
async fn fifty_cold_readers_over_two_edges_fetch_each_object_once() {
    let stack = Stack::start().await;
    let document = client::put(&stack.edge(), "cold.mp4", clips::made(6, "320x240", 25)).await;
    let id = document["id"].as_str().unwrap();
    client::wait_ready(&stack.edge(), id).await;
    let rungs = client::rungs(&stack.origin.url(), id).await;
    let origin = stack.origin.url();
    let paths: Vec<String> = rungs
        .iter()
        .flat_map(|r| r.segments.iter().chain([&r.init]))
        .map(|url| url.strip_prefix(&origin).unwrap().to_owned())
        .collect();

    for path in &paths {
        let before = fetches(&stack).await;
        let truth = client::bytes(&format!("{origin}{path}")).await;
        let own = fetches(&stack).await - before;
        assert_eq!(own, 1.0, "the counter counts what the origin served of media");
        let readers = (0..READERS).map(|reader| {
            let url = format!("{}{path}", stack.near[reader % 2].url());
            async move { client::bytes(&url).await }
        });
        for got in join_all(readers).await {
            assert_eq!(client::sha256(&got), client::sha256(&truth), "{path}");
        }
        assert_eq!(fetches(&stack).await - before, 2.0, "{path}: one fetch of ours, one of the fleet's");
    }
}

/// Who has a page of her own at an origin that says so in some way, or in none.
async fn own(request: Request) -> Response {
    let whose = request.headers().get("cookie").unwrap().to_str().unwrap().to_owned();
    // Long enough for all of them to be waiting for the first one's answer.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let says: &[(&str, &str)] = match request.uri().path() {
        "/kept-by-nobody" => &[("cache-control", "no-store")],
        "/to-be-validated" => &[("cache-control", "no-cache"), ("etag", "\"1\"")],
        "/of-a-day" => &[("last-modified", "Fri, 15 Jan 2021 08:00:00 GMT")],
        "/broken" => return answer(500, &[("x-page-of", &whose)], whose.clone()),
        "/by-language" => &[
            ("cache-control", "max-age=600"),
            ("vary", "Cookie, Accept-Language"),
            ("content-language", "en"),
        ],
        _ => &[("etag", "\"1\"")],
    };
    answer(200, says, whose)
}

#[tokio::test]
async fn of_many_who_ask_at_once_each_has_what_is_for_its_own_cookie() {
    let origin = ScriptedOrigin::start(own).await;
    let dir = tempfile::tempdir().unwrap();
    let mut edge = lone_edge(dir.path(), "edge", &origin.url(), &[]);
    edge.start().await;
    for path in ["/kept-by-nobody", "/to-be-validated", "/of-a-day", "/by-language", "/without-a-word"] {
        for round in 0..2 {
            let readers = (0..20).map(|n| {
                let asking = client::client().get(format!("{}{path}", edge.url()));
                let asking = asking.header("cookie", format!("who={n}")).header("accept-language", "en");
                async move {
                    let has = asking.send().await.unwrap().text().await.unwrap();
                    assert_eq!(has, format!("who={n}"), "{path}, round {round}");
                }
            });
            join_all(readers).await;
        }
    }
    let readers = (0..20).map(|n| {
        let asking =
            client::client().get(format!("{}/broken", edge.url())).header("cookie", format!("who={n}"));
        async move {
            let answer = asking.send().await.unwrap();
            assert!(answer.status().is_server_error());
            let text = answer.text().await.unwrap();
            assert!(text == format!("who={n}") || !text.contains("who="), "{n} has the page of {text}");
        }
    });
    join_all(readers).await;
    assert!(origin.asked("/broken") < 20, "an origin that fails is not asked for each of them");
}

/// Segments and headers the origin has served.
async fn fetches(stack: &Stack) -> f64 {
    stack.origin.metric("sluice_origin_media_served_total", &["segment"]).await
        + stack.origin.metric("sluice_origin_media_served_total", &["init"]).await
}
