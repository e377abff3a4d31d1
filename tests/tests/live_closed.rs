//! Live channels that are not everybody's: tokens open them, revocations end that at once, and the log that edges follow tells nothing.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use futures::stream;
use serde_json::{Value, json};
use sluice_tests::channels::{Story, numbers, poll, streamed};
use sluice_tests::client::{client, plain};
use sluice_tests::ear::{Ear, within};
use std::convert::Infallible;
use std::net::IpAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

#[tokio::test]
async fn a_closed_channel_needs_a_token_and_a_revocation_ends_it_at_once() {
    let story = Story::start(1).await;
    let (good, other) = (story.token("u1", &["chat:*"]), story.token("u2", &["chat:2"]));
    let mut ear = story.ear(0).await;
    for token in [None, Some(other.as_str()), Some("a.b.c")] {
        ear.say(json!({ "subscribe": "chat:1", "token": token })).await;
        let refused = ear.json().await;
        assert_eq!(refused["refused"], "chat:1", "{refused}");
        assert!(refused["problem"]["status"].as_u64().unwrap() >= 400, "{refused}");
    }
    assert_eq!(poll(&story.url(0, "/v1/live/poll?channel=chat:1")).await.0, 401);
    ear.subscribe("chat:1", None, Some(&good)).await;
    let mut neighbour = story.ear(0).await;
    neighbour.say(json!({ "authorize": other })).await;
    neighbour.subscribe("chat:2", None, None).await;
    story.say_live("chat:1", 1).await;
    ear.hears("chat:1", 1..=1).await;

    let said = Instant::now();
    story.say("users", json!({ "revoke": { "subject": "u1" } })).await;
    let refused = ear.json().await;
    assert!(said.elapsed() < Duration::from_secs(1), "{:?}", said.elapsed());
    assert_eq!((&refused["refused"], &refused["problem"]["status"]), (&json!("chat:1"), &json!(403)));
    ear.say(json!({ "subscribe": "chat:1", "token": good })).await;
    assert_eq!(ear.json().await["problem"]["status"], 403);
    let polled = client().get(story.url(0, "/v1/live/poll?channel=chat:1")).bearer_auth(&good).send();
    assert_eq!(polled.await.unwrap().status(), 403);

    // Nobody else is meant, and neither is a token of the same subject that is newer.
    let newer = story.token("u1", &["chat:1"]);
    ear.subscribe("chat:1", Some(1), Some(&newer)).await;
    story.say_live("chat:1", 1).await;
    story.say_live("chat:2", 1).await;
    ear.hears("chat:1", 2..=2).await;
    neighbour.hears("chat:2", 1..=1).await;
    assert!(story.edges[0].metric("sluice_edge_live_ended_total", &["revoked"]).await >= 1.0);
}

#[tokio::test]
async fn a_stream_goes_on_in_a_channel_that_it_was_shut_out_of() {
    let story = Story::start(1).await;
    let url = |token: &str| {
        story.url(
            0,
            &format!("/v1/live/events?channel=chat:1&channel=stock:1&after=stock:1%3D0&token={token}"),
        )
    };
    story.say_live("chat:1", 2).await;
    let streaming = url(&story.token("u1", &["chat:1"]));
    let streaming = streamed(&streaming, Some("chat:1=0"), 3);
    let saying = async {
        let edge = &story.edges[0];
        edge.until("sluice_edge_live_frames_total", &[], |frames| frames >= 2.0).await;
        story.say("users", json!({ "revoke": { "subject": "u1" } })).await;
        edge.until("sluice_edge_live_ended_total", &["revoked"], |ended| ended >= 1.0).await;
        story.say_live("stock:1", 1).await;
    };
    let ((seen, id), ()) = tokio::join!(streaming, saying);
    assert_eq!(seen, [numbers("chat:1", 1..=2), numbers("stock:1", 1..=1)].concat());
    assert_eq!(id, "chat:1=2 stock:1=1");
    // Let in again, it has missed nothing.
    story.say_live("chat:1", 1).await;
    let (seen, _) = streamed(&url(&story.token("u1", &["chat:1"])), Some(&id), 1).await;
    assert_eq!(seen, numbers("chat:1", 3..=3));
}

#[tokio::test]
async fn who_has_just_started_knows_what_was_revoked() {
    let mut story = Story::start(1).await;
    let good = story.token("u1", &["chat:*"]);
    story.say("users", json!({ "revoke": { "subject": "u1", "channel": "chat:1" } })).await;
    story.edges[0].until("sluice_edge_events_total", &[], |events| events >= 1.0).await;
    story.edges[0].kill9();
    story.edges[0].start().await;
    story.edges[0].until("sluice_edge_feed_live", &[], |live| live == 1.0).await;
    let mut ear = story.ear(0).await;
    ear.say(json!({ "subscribe": "chat:1", "token": good })).await;
    assert_eq!(ear.json().await["problem"]["status"], 403);
    assert_eq!(ear.subscribe("chat:2", None, Some(&good)).await, 0);
    assert_eq!(poll(&story.url(0, "/v1/revocations")).await.0, 404, "for edges alone");
}

/// An origin whose log says nothing, and which lists this as revoked.
async fn lists(revoked: String, serving: &mut JoinSet<()>) -> String {
    let log = || async {
        Body::from_stream(stream::unfold((), |()| async {
            sleep(Duration::from_millis(500)).await;
            Some((Ok::<_, Infallible>(Bytes::from_static(b"{\"heartbeat\":0}\n")), ()))
        }))
    };
    let app = Router::new()
        .route("/v1/log", get(log))
        .route("/v1/revocations", get(move || async move { revoked }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    serving.spawn(async move { axum::serve(listener, app).await.unwrap() });
    url
}

#[tokio::test]
async fn what_was_revoked_is_known_also_where_some_of_it_cannot_be_read() {
    let (story, mut serving) = (Story::start(0).await, JoinSet::new());
    let revoked =
        |subject: Value| json!({ "revoke": { "subject": subject }, "at_ms": 4_102_444_800_000_u64 });
    let list = format!("{}\n{{\"revoke\n{}\n", revoked(json!({ "in": "another way" })), revoked(json!("u1")));
    let edge = story.edge("edge", &lists(list, &mut serving).await).await;
    let mut ear = Ear::open(&edge, None).await;
    ear.say(json!({ "subscribe": "chat:1", "token": story.token("u1", &["chat:*"]) })).await;
    assert_eq!(ear.json().await["problem"]["status"], 403);
}

#[tokio::test]
async fn what_is_for_subscribers_is_not_in_the_log_that_edges_follow() {
    let story = Story::start(1).await;
    story.say("stock:1", json!({ "live": { "secret": 1 }, "revoke": { "subject": "u9" } })).await;
    let at = story.origin.at.http.clone().unwrap();
    let mut stream = TcpStream::connect(&at).await.unwrap();
    let request = format!("GET /v1/log?after=0 HTTP/1.1\r\nHost: {at}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    within("the event", async {
        while !text.contains("u9") {
            let mut piece = [0; 4_096];
            let read = stream.read(&mut piece).await.unwrap();
            text += std::str::from_utf8(&piece[..read]).unwrap();
        }
    })
    .await;
    assert!(text.contains("stock:1") && !text.contains("secret"), "{text}");
}

#[tokio::test]
async fn one_address_makes_up_its_share_of_channels_and_takes_none_of_others() {
    /// Channels that one address may begin, and that one socket may listen to.
    const SHARE: (usize, usize) = (1_024, 256);
    let story = Story::start(1).await;
    let mut greedy = vec![];
    for n in 0..SHARE.0 / SHARE.1 {
        let mut ear = story.ear(0).await;
        for m in 0..SHARE.1 {
            ear.say(json!({ "subscribe": format!("stock:{n}-{m}") })).await;
        }
        for _ in 0..SHARE.1 {
            let told = ear.json().await;
            assert!(told["subscribed"].is_string(), "{told}");
        }
        greedy.push(ear);
    }
    let mut one_more = story.ear(0).await;
    one_more.say(json!({ "subscribe": "stock:more" })).await;
    let told = one_more.json().await;
    let refused = &told["problem"];
    assert_eq!((&refused["status"], &refused["type"]), (&json!(429), &json!("/problems/too-many-channels")));
    let (more, another) = ("/v1/live/poll?channel=stock:more", "/v1/live/poll?channel=stock:another");
    assert_eq!(poll(&story.url(0, more)).await.0, 429, "however it asks");

    // Somebody else begins the channel, and then it is one for all.
    let other = plain().local_address(Some(IpAddr::from([127, 0, 0, 2]))).build().unwrap();
    let polled = within("a poll", other.get(story.url(0, more)).send()).await.unwrap();
    assert_eq!(polled.status(), 200);
    one_more.subscribe("stock:more", None, None).await;
    assert_eq!(poll(&story.url(0, another)).await.0, 429);

    // What it leaves makes way for what it begins next.
    drop(greedy.pop());
    within("a place", async { while poll(&story.url(0, another)).await.0 != 200 {} }).await;
}
