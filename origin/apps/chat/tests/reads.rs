//! What reads cost, on both engines: three statements at most, as `writes.rs` counts them.
#![allow(clippy::unwrap_used, reason = "tests report a broken assumption by panicking")]

use http::HeaderValue;
use serde_json::{Value, json};
use sluice_platform::AccountsConfig;
use sluice_platform::testing::{Alone, request};
use sluice_storage::testing::Postgres;
use sluice_wire::headers::{ACCESS_CHECKS, SLUICE_ACCESS};

/// Seqs of a page of history.
const PAGE: usize = 100;

/// A conversation of ann's with ben, whose first page of history is settled: that it was made, and 99 messages.
async fn settled(alone: &Alone, ann: &str) -> String {
    let group = json!({ "kind": "group", "name": "All", "members": ["@ben"] });
    let all = made(alone, ann, group).await;
    for n in 1..PAGE {
        let body = json!({ "client_id": n.to_string(), "text": "some words that are said" });
        let said = alone.ask("POST", &format!("/v1/chat/{all}/messages"), ann, &body).await;
        assert_eq!(said.status, 201, "{}", said.body);
    }
    all
}

async fn made(alone: &Alone, token: &str, body: Value) -> String {
    let made = alone.ask("POST", "/v1/chat", token, &body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    made.body["id"].as_str().unwrap().to_owned()
}

async fn no_read_has_more_than_its_line_says(server: Option<&Postgres>) {
    let mut alone = Alone::start(server, &AccountsConfig::default()).await;
    let app = sluice_chat::start(&alone.ground, &sluice_chat::Config::default()).await.unwrap();
    alone.serve(app);
    let ((_, ann), (ben, _)) = (alone.join("ann").await, alone.join("ben").await);
    made(&alone, &ann, json!({ "kind": "direct", "with": "@ben" })).await;
    made(&alone, &ann, json!({ "kind": "channel", "name": "News" })).await;
    let all = settled(&alone, &ann).await;

    let get = |path: &str| request("GET", &format!("/v1/chat{path}"), &ann, &Value::Null);
    let of = |what: &str| get(&format!("/{all}{what}"));
    let by_edge = |what: &str| {
        let mut asked = of(what);
        asked.headers_mut().insert(SLUICE_ACCESS, HeaderValue::from_static(ACCESS_CHECKS));
        asked
    };
    let sent = alone.ask("POST", &format!("/v1/chat/{all}/files"), &ann, &json!({ "a": "document" })).await;
    let file = request("GET", sent.body["path"].as_str().unwrap(), &ann, &Value::Null);
    let found = format!("/search?q=some%20words%20from:ann%20in:{all}");
    let reads = vec![
        // The conversations, with whom direct ones are, and what was said last in each.
        ("/v1/chat", get(""), 3),
        ("/v1/chat/channels", get("/channels"), 1),
        ("/v1/chat/search", get("/search?q=words"), 1),
        ("/v1/chat/search", get(&found), 1),
        ("/v1/chat/presence", get(&format!("/presence?of={ben}&in={all}")), 1),
        // Who asks is asked for first, in all of these: who is not in it is told nothing.
        ("/v1/chat/{conversation}", of(""), 2),
        ("/v1/chat/{conversation}/members", of("/members"), 2),
        ("/v1/chat/{conversation}/cursor", of("/cursor"), 2),
        ("/v1/chat/{conversation}/events", of("/events"), 2),
        ("/v1/chat/{conversation}/events", of("/events?after=50&limit=10"), 2),
        ("/v1/chat/{conversation}/files/{file}", file, 1),
        // Its version, who asks, and what it says: messages, what else happened and reactions in one. An edge has what a settled one says.
        ("/v1/chat/{conversation}/history/{page}", of("/history/0"), 3),
        ("/v1/chat/{conversation}/history/{page}", by_edge("/history/0"), 2),
        ("/v1/chat/{conversation}/history/{page}", by_edge("/history/1"), 3),
        ("/v1/chat/{conversation}/pages/{page}", by_edge("/pages/0"), 3),
    ];
    alone.hold_reads("/v1/chat/openapi.json", reads).await;
    alone.end().await;
}

#[tokio::test]
async fn no_read_has_more_than_its_line_says_on_both_engines() {
    no_read_has_more_than_its_line_says(None).await;
    let server = Postgres::start().await;
    no_read_has_more_than_its_line_says(Some(&server)).await;
}
