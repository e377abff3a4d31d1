//! Answers assembled at the edge: a list that is one client's own, and fragments that are everybody's.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use axum::extract::Request;
use axum::response::Response;
use serde_json::{Value, json};
use sluice_tests::client::{client, header};
use sluice_tests::origin::{ScriptedOrigin, answer};
use sluice_tests::stack::lone_edge;
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Lists are by who asks; posts are everybody's, but for the one that is gone.
fn page(request: &Request) -> Response {
    let who = request.headers().get("authorization").and_then(|who| who.to_str().ok()).unwrap_or_default();
    let list =
        [("cache-control", "no-store"), ("content-type", "application/json"), ("sluice-assemble", "json")];
    match request.uri().path() {
        "/home" => {
            let of = |id: &str| json!({ "id": id, "fragment": format!("/posts/{id}") });
            let items: Vec<Value> =
                if who == "Bearer ann" { vec![of("1"), of("2"), of("3")] } else { vec![of("1")] };
            answer(200, &list, json!({ "items": items }).to_string())
        }
        "/page" => {
            let list =
                [("cache-control", "no-store"), ("content-type", "text/html"), ("sluice-assemble", "html")];
            answer(200, &list, r#"<h1>x</h1><sluice-fragment src="/posts/1"></sluice-fragment>"#)
        }
        "/kept" => {
            let list = [("cache-control", "max-age=600"), ("etag", "\"1\""), ("sluice-assemble", "json")];
            answer(200, &list, r#"[{"f":"posts/1"}]"#)
        }
        "/posts/2" => answer(404, &[("cache-control", "max-age=60")], ""),
        path => {
            let cookies = request.headers().contains_key("cookie") || !who.is_empty();
            let text = json!({ "text": path.replace("/posts/", "post "), "private": cookies }).to_string();
            answer(
                200,
                &[("cache-control", "public, max-age=600"), ("content-type", "application/json")],
                text,
            )
        }
    }
}

#[tokio::test]
async fn a_list_is_asked_for_each_time_and_its_fragments_once_for_all() {
    let origin = ScriptedOrigin::start(|request| ready(page(&request))).await;
    let dir = tempfile::tempdir().unwrap();
    let mut edge = lone_edge(dir.path(), "edge", &origin.url(), &[]);
    edge.start().await;
    let edge = edge.url();
    let home = async |who: &str| {
        let asking = client().get(format!("{edge}/home")).header("cookie", "a=b");
        let answer = asking.bearer_auth(who).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), header(&answer, "cache-control").as_str()), (200, "no-store"));
        assert!(!answer.headers().contains_key("sluice-assemble"));
        answer.json::<Value>().await.unwrap()
    };
    let items = home("ann").await["items"].clone();
    let ids: Vec<&str> = items.as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["1", "3"], "what is gone is left out: {items}");
    assert_eq!(
        items[0]["content"],
        json!({ "text": "post 1", "private": false }),
        "nobody's credentials were sent"
    );
    assert_eq!(home("ben").await["items"].as_array().unwrap().len(), 1, "the list says what one may see");
    home("ann").await;
    assert_eq!((origin.asked("/home"), origin.asked("/posts/1"), origin.asked("/posts/3")), (3, 1, 1));

    let page = client().get(format!("{edge}/page")).send().await.unwrap().text().await.unwrap();
    assert!(page.starts_with("<h1>x</h1>{") && page.contains("post 1"), "{page}");
    assert_eq!(origin.asked("/posts/1"), 1);
}

#[tokio::test]
async fn a_list_that_may_be_kept_is_put_together_each_time_all_the_same() {
    let origin = ScriptedOrigin::start(|request| ready(page(&request))).await;
    let dir = tempfile::tempdir().unwrap();
    let mut edge = lone_edge(dir.path(), "edge", &origin.url(), &[]);
    edge.start().await;
    for asked in 1..=3 {
        let asking = client().get(format!("{}/kept", edge.url())).header("accept-encoding", "gzip");
        let answer = asking.header("if-none-match", "\"1\"").send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert!(!answer.headers().contains_key("etag") && !answer.headers().contains_key("sluice-assemble"));
        let text = answer.text().await.unwrap();
        assert!(text.starts_with(r#"[{"f":"posts/1","c":{"#) && text.contains("post 1"), "{text}");
        assert_eq!(origin.asked("/kept"), asked);
    }
    assert_eq!(origin.asked("/posts/1"), 1);
}

#[tokio::test]
async fn what_a_reader_demands_it_demands_of_fragments_too() {
    let newest = Arc::new(AtomicU64::new(1));
    let now = Arc::clone(&newest);
    let origin = ScriptedOrigin::start(move |request: Request| {
        let version = now.load(Ordering::Relaxed);
        let (tag, version) = ("post:1", format!("post:1={version}"));
        let fresh =
            [("cache-control", "max-age=600"), ("surrogate-key", tag), ("sluice-version", version.as_str())];
        ready(match request.uri().path() {
            "/posts/1" => answer(200, &fresh, json!({ "version": version }).to_string()),
            _ => {
                let list = [("cache-control", "no-store"), ("sluice-assemble", "json")];
                answer(200, &list, r#"[{"f":"posts/1"}]"#)
            }
        })
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let mut edge = lone_edge(dir.path(), "edge", &origin.url(), &[]);
    edge.start().await;
    let home = async |at_least: &str| {
        let asking = client().get(format!("{}/home", edge.url())).header("sluice-at-least", at_least);
        asking.send().await.unwrap().json::<Value>().await.unwrap()[0]["c"]["version"].clone()
    };
    assert_eq!(home("post:1=1").await, "post:1=1");
    newest.store(2, Ordering::Relaxed);
    assert_eq!(home("post:1=1").await, "post:1=1", "what is kept will do");
    assert_eq!(home("post:1=2").await, "post:1=2", "and does not for who has seen more");
}
