//! Live channels, as clients of edges have them: the same numbers whatever carries them, whatever ends meanwhile.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http_body_util::Empty;
use hyper::upgrade::Upgraded;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use sluice_storage::{Storage, StorageConfig, StorageError};
use sluice_tests::client::client;
use sluice_tests::process::{Process, free_port};
use sluice_tests::programs::printed;
use sluice_tests::python::{AIOQUIC_SOCKETS, python};
use sluice_tests::stack::{Engines, lone_edge};
use sluice_wire::token::jwt::Claims;
use sluice_wire::token::mint::SigningKey;
use sluice_wire::{EventKind, Tag};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

/// Time for anything that is waited for.
const LIMIT: Duration = Duration::from_secs(20);

async fn within<T>(what: &str, awaited: impl Future<Output = T>) -> T {
    timeout(LIMIT, awaited).await.unwrap_or_else(|_| panic!("{what} took too long"))
}

/// An origin with a log that the story writes into, and edges before it.
struct Story {
    dir: TempDir,
    origin: Process,
    edges: Vec<Process>,
    storage: Storage,
    key: SigningKey,
}

impl Story {
    async fn start(edges: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = SigningKey::from_pem(SigningKey::generate().unwrap().as_bytes(), "first").unwrap();
        let keys = dir.path().join("keys.json");
        std::fs::write(&keys, key.jwks().to_string()).unwrap();
        let engines = Engines::embedded(dir.path());
        let port = free_port();
        let flags = [
            ("listen.http", format!("127.0.0.1:{port}")),
            ("listen.admin", "127.0.0.1:0".into()),
            ("storage.database", engines.database.clone()),
            ("storage.bus", engines.bus.clone()),
            ("storage.objects", engines.objects.clone()),
            ("channels.open", "stock:".into()),
            ("channels.by_token", "chat:".into()),
        ];
        let mut origin = Process::new("origin", "sluice-origin", dir.path(), &flags);
        origin.start().await;
        let config = StorageConfig { database: engines.database, bus: engines.bus, objects: engines.objects };
        let storage = Storage::open(&config).await.unwrap();
        let mut story = Self { dir, origin, edges: vec![], storage, key };
        for n in 0..edges {
            let keys = keys.display().to_string();
            let flags = [
                ("access.keys_file", keys.as_str()),
                ("drain_grace_ms", "2000"),
                // The whole crowd has one address.
                ("listen.limits.connections_per_client", "5000"),
            ];
            let mut edge = lone_edge(story.dir.path(), &format!("edge-{n}"), &story.origin.url(), &flags);
            edge.start().await;
            edge.until("sluice_edge_feed_live", &[], |live| live == 1.0).await;
            story.edges.push(edge);
        }
        story
    }

    /// Writes something that a channel says; its number.
    async fn say(&self, channel: &str, data: Value) -> u64 {
        let tag = &Tag::new(channel).unwrap();
        let emit = self.storage.database.write::<_, StorageError, _>(|tx| {
            let data = data.clone();
            Box::pin(async move { tx.emit(tag, EventKind::Changed, data).await })
        });
        emit.await.unwrap().0
    }

    /// Has a channel say its numbers.
    async fn say_live(&self, channel: &str, count: usize) -> u64 {
        let mut last = 0;
        for n in 0..count {
            last = self.say(channel, json!({ "live": { "n": n } })).await;
        }
        last
    }

    fn token(&self, subject: &str, channels: &[&str]) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        self.key.token(&Claims {
            sub: Some(subject.into()),
            exp: Some((now.as_secs() + 600).into()),
            iat_ms: Some(now.as_millis() as u64),
            channels: Some(channels.iter().map(|name| (*name).to_owned()).collect()),
            ..Claims::default()
        })
    }

    async fn ear(&self, edge: usize) -> Ear<TcpStream> {
        Ear::open(&self.edges[edge]).await
    }

    fn url(&self, edge: usize, path: &str) -> String {
        format!("{}{path}", self.edges[edge].url())
    }
}

/// A client over WebSocket.
struct Ear<S>(WebSocketStream<S>);

impl Ear<TcpStream> {
    async fn open(edge: &Process) -> Self {
        let at = edge.at.http.clone().unwrap();
        let stream = TcpStream::connect(&at).await.unwrap();
        let opened = tokio_tungstenite::client_async(format!("ws://{at}/v1/live"), stream);
        Self(within("a socket", opened).await.unwrap().0)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Ear<S> {
    async fn say(&mut self, said: Value) {
        self.0.send(Message::text(said.to_string())).await.unwrap();
    }

    /// The next message that is no ping; `None` at the end.
    async fn hear(&mut self) -> Option<Message> {
        loop {
            match within("a message", self.0.next()).await {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(message)) => return Some(message),
                Some(Err(_)) | None => return None,
            }
        }
    }

    async fn json(&mut self) -> Value {
        let message = self.hear().await.expect("a message, and no end");
        serde_json::from_str(message.to_text().unwrap()).unwrap_or_else(|_| panic!("{message:?}"))
    }

    /// Subscribes, and hears that it is; from where on.
    async fn subscribe(&mut self, channel: &str, after: Option<u64>, token: Option<&str>) -> u64 {
        self.say(json!({ "subscribe": channel, "after": after, "token": token })).await;
        let answer = self.json().await;
        assert_eq!(answer["subscribed"], channel, "{answer}");
        answer["seq"].as_u64().unwrap()
    }

    /// Hears exactly these numbers of a channel.
    async fn hears(&mut self, channel: &str, numbers: std::ops::RangeInclusive<u64>) {
        for wanted in numbers {
            let frame = self.json().await;
            assert_eq!(
                (&frame["channel"], frame["seq"].as_u64()),
                (&json!(channel), Some(wanted)),
                "{frame}"
            );
        }
    }
}

/// Reads server-sent events until so many frames have come; their numbers and the last id.
async fn events(url: &str, last_event_id: Option<&str>, frames: usize) -> (Vec<u64>, String) {
    let (seen, id) = streamed(url, last_event_id, frames).await;
    (seen.into_iter().map(|(_, seq)| seq).collect(), id)
}

/// The same, each with its channel.
async fn streamed(url: &str, last_event_id: Option<&str>, frames: usize) -> (Vec<(String, u64)>, String) {
    let mut request = client().get(url);
    if let Some(id) = last_event_id {
        request = request.header("last-event-id", id);
    }
    let mut answer = within("a head", request.send()).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let (mut text, mut seen, mut id) = (String::new(), vec![], String::new());
    while seen.len() < frames {
        text +=
            std::str::from_utf8(&within("a piece", answer.chunk()).await.unwrap().expect("no end")).unwrap();
        while let Some((block, rest)) = text.split_once("\n\n").map(|(b, r)| (b.to_owned(), r.to_owned())) {
            text = rest;
            for line in block.lines() {
                if let Some(told) = line.strip_prefix("id: ") {
                    id = told.to_owned();
                }
                if let Some(data) = line.strip_prefix("data: ").filter(|_| !block.contains("event: ")) {
                    let frame: Value = serde_json::from_str(data).unwrap();
                    let channel = frame["channel"].as_str().unwrap().to_owned();
                    seen.push((channel, frame["seq"].as_u64().unwrap()));
                }
            }
        }
    }
    (seen, id)
}

async fn poll(url: &str) -> (u16, Value) {
    let answer = within("a poll", client().get(url).send()).await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or_default())
}

#[tokio::test]
async fn the_numbers_are_the_same_whatever_carries_them() {
    let story = Story::start(2).await;
    let at = story.say_live("stock:1", 2).await;
    let mut ears = [story.ear(0).await, story.ear(1).await];
    for ear in &mut ears {
        assert_eq!(ear.subscribe("stock:1", None, None).await, at);
    }
    let polled = poll(&story.url(0, "/v1/live/poll?channel=stock:1")).await;
    assert_eq!(polled, (200, json!({ "channel": "stock:1", "seq": 2, "frames": [] })));
    let streamed = story.url(0, "/v1/live/events?channel=stock:1&channel=stock:2");
    let streaming = events(&streamed, None, 5);
    let polling = story.url(1, "/v1/live/poll?channel=stock:1&after=2&wait=20");
    let saying = async {
        // The stream is there when it has subscribed.
        story.edges[0].until("sluice_edge_live_channels", &[], |channels| channels == 2.0).await;
        story.edges[0].until("sluice_edge_live_clients", &["events"], |clients| clients == 1.0).await;
        sleep(Duration::from_millis(200)).await;
        story.say_live("stock:1", 5).await
    };
    let ((seen, id), (status, found), last) = tokio::join!(streaming, poll(&polling), saying);
    assert_eq!((seen, last), (vec![3, 4, 5, 6, 7], 7));
    assert!(id.contains("stock:1=7"), "{id}");
    assert_eq!((status, found["frames"][0]["seq"].as_u64()), (200, Some(3)));
    assert_eq!(found["frames"][0]["data"], json!({ "n": 0 }));
    for ear in &mut ears {
        ear.hears("stock:1", 3..=7).await;
    }
    // Resumed by what each is given to resume by.
    assert_eq!(events(&streamed, Some("stock:1=5 stock:2=0"), 2).await.0, [6, 7]);
    let (_, found) = poll(&story.url(0, "/v1/live/poll?channel=stock:1&after=4")).await;
    assert_eq!((found["seq"].as_u64(), found["frames"].as_array().unwrap().len()), (Some(7), 3));
    assert_eq!(poll(&story.url(0, "/v1/live/poll?channel=stock:1&after=7&wait=0")).await.0, 204);

    // What there is not.
    assert_eq!(poll(&story.url(0, "/v1/live/poll?channel=nothing:1")).await.0, 404);
    assert_eq!(poll(&story.url(0, "/v1/live/poll")).await.0, 400);
    for inner in ["/v1/log", "/v1/channels", "/v1/%6cog?after=0", "/v1/log/"] {
        assert_eq!(poll(&story.url(0, inner)).await.0, 404, "{inner}");
    }
    let plain = client().get(story.url(0, "/v1/live")).send().await.unwrap();
    assert_eq!(plain.status(), 426);
}

/// These numbers of a channel.
fn numbers(channel: &str, numbers: std::ops::RangeInclusive<u64>) -> Vec<(String, u64)> {
    numbers.map(|seq| (channel.to_owned(), seq)).collect()
}

#[tokio::test]
async fn a_stream_that_is_cut_goes_on_in_channels_that_had_not_begun() {
    let story = Story::start(1).await;
    // The edge keeps what both have said.
    let mut ear = story.ear(0).await;
    ear.subscribe("stock:1", None, None).await;
    ear.subscribe("stock:2", None, None).await;
    let (many, few) = (story.say_live("stock:1", 200).await, story.say_live("stock:2", 5).await);
    for _ in 0..many + few {
        ear.json().await;
    }
    // The first has so much to say that the second waits; then the line is cut.
    let url = story.url(0, "/v1/live/events?channel=stock:1&channel=stock:2");
    let (seen, id) = streamed(&url, Some("stock:1=0 stock:2=0"), 1).await;
    let at = seen.len() as u64;
    assert_eq!((seen, id.as_str()), (numbers("stock:1", 1..=at), format!("stock:1={at} stock:2=0").as_str()));
    let left = usize::try_from(many - at + few).unwrap();
    let (mut seen, id) = streamed(&url, Some(&id), left).await;
    seen.sort();
    assert_eq!(seen, [numbers("stock:1", at + 1..=many), numbers("stock:2", 1..=few)].concat());
    assert_eq!(id, format!("stock:1={many} stock:2={few}"));

    // What the last id does not say, the address does.
    let from = format!("{url}&after=stock:1%3D0%20stock:2%3D{}", few - 2);
    let (mut seen, _) = streamed(&from, Some(&format!("stock:1={}", many - 2)), 4).await;
    seen.sort();
    assert_eq!(seen, [numbers("stock:1", many - 1..=many), numbers("stock:2", few - 1..=few)].concat());
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
async fn a_crowd_that_comes_back_costs_an_origin_one_subscription_for_each_edge() {
    let story = Story::start(2).await;
    story.say_live("stock:1", 20).await;
    let mut crowd = futures::future::join_all((0..300).map(|n| story.ear(n % 2))).await;
    let coming =
        crowd.iter_mut().enumerate().map(|(n, ear)| ear.subscribe("stock:1", Some(n as u64 % 20), None));
    futures::future::join_all(coming).await;
    for (n, ear) in crowd.iter_mut().enumerate() {
        ear.hears("stock:1", n as u64 % 20 + 1..=20).await;
    }
    let asked = async || story.origin.metric("sluice_channel_subscriptions_total", &[]).await;
    let first = asked().await;
    // Once for each edge, and once more where the first who came did not come with the oldest number.
    assert!((2.0..=4.0).contains(&first), "{first}");

    // All at once, as after an outage of their network.
    drop(crowd);
    for edge in &story.edges {
        edge.until("sluice_edge_live_clients", &[], |clients| clients == 0.0).await;
    }
    story.say_live("stock:1", 5).await;
    let mut crowd = futures::future::join_all((0..300).map(|n| story.ear(n % 2))).await;
    futures::future::join_all(crowd.iter_mut().map(|ear| ear.subscribe("stock:1", Some(20), None))).await;
    futures::future::join_all(crowd.iter_mut().map(|ear| ear.hears("stock:1", 21..=25))).await;
    assert_eq!(asked().await, first, "the origin was not asked again");
    assert_eq!(story.origin.metric("sluice_channel_streams", &[]).await, 2.0);
}

#[tokio::test]
async fn an_origin_that_is_killed_is_not_missed() {
    let mut story = Story::start(2).await;
    let mut ears = [story.ear(0).await, story.ear(1).await];
    for ear in &mut ears {
        ear.subscribe("stock:1", None, None).await;
    }
    story.say_live("stock:1", 10).await;
    for ear in &mut ears {
        ear.hears("stock:1", 1..=10).await;
    }
    story.origin.kill9();
    // Who comes now is served from what is kept here, and what is written meanwhile is not lost.
    let mut late = story.ear(0).await;
    assert_eq!(late.subscribe("stock:1", Some(4), None).await, 4);
    late.hears("stock:1", 5..=10).await;
    story.say_live("stock:1", 10).await;
    story.origin.start().await;
    story.say_live("stock:1", 10).await;
    for ear in ears.iter_mut().chain([&mut late]) {
        ear.hears("stock:1", 11..=30).await;
    }
    let end = story.say_live("stock:1", 1).await;
    for ear in ears.iter_mut().chain([&mut late]) {
        ear.hears("stock:1", end..=end).await;
    }
}

#[tokio::test]
async fn who_is_too_far_behind_is_told_of_a_gap() {
    let story = Story::start(1).await;
    story.say_live("stock:1", 1_100).await;
    story.origin.until("sluice_channel_streams", &[], |streams| streams == 0.0).await;
    let head = async || story.storage.log().head().await.unwrap();
    while head().await < 1_100 {
        sleep(Duration::from_millis(20)).await;
    }
    let mut ear = story.ear(0).await;
    ear.subscribe("stock:1", Some(3), None).await;
    let gap = ear.json().await;
    assert_eq!(gap, json!({ "channel": "stock:1", "gap": { "from": 4, "to": 1_100 } }));
    story.say_live("stock:1", 1).await;
    ear.hears("stock:1", 1_101..=1_101).await;
    // Within reach of the log, though not of what is kept here.
    let mut other = story.ear(0).await;
    assert_eq!(other.subscribe("stock:1", Some(200), None).await, 200);
    other.hears("stock:1", 201..=1_101).await;
    story.say_live("stock:1", 1).await;
    ear.hears("stock:1", 1_102..=1_102).await;
    other.hears("stock:1", 1_102..=1_102).await;
}

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
async fn who_does_not_read_is_cut_and_resumes() {
    let story = Story::start(1).await;
    let mut ear = story.ear(0).await;
    ear.subscribe("stock:1", None, None).await;
    story.say("stock:1", json!({ "live": "x" })).await;
    ear.hears("stock:1", 1..=1).await;
    // 16 KB each: more than every buffer on the way, and the queue, hold.
    let text = "x".repeat(16_000);
    let mut last = 1;
    let cut = async || story.edges[0].metric("sluice_edge_live_ended_total", &["slow"]).await;
    let begun = Instant::now();
    while cut().await < 1.0 {
        for _ in 0..25 {
            last = story.say("stock:1", json!({ "live": text })).await;
        }
        assert!(begun.elapsed() < LIMIT * 3, "never cut");
    }
    let mut seen = 1;
    while let Some(message) = ear.hear().await {
        if let Message::Close(close) = message {
            assert_eq!(close.map(|close| u16::from(close.code)), Some(1013));
            break;
        }
        let frame: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
        seen += 1;
        assert_eq!(frame["seq"].as_u64(), Some(seen));
    }
    assert!(seen < last, "it was cut before the end");
    let mut again = story.ear(0).await;
    assert_eq!(again.subscribe("stock:1", Some(seen), None).await, seen);
    again.hears("stock:1", seen + 1..=last).await;
}

#[tokio::test]
async fn a_call_over_a_socket_is_a_request_like_any_other() {
    let mut story = Story::start(1).await;
    let mut ear = story.ear(0).await;
    ear.say(json!({ "call": "c1", "method": "GET", "path": "/v1/videos" })).await;
    let answer = ear.json().await;
    assert_eq!((&answer["answer"], &answer["status"]), (&json!("c1"), &json!(200)), "{answer}");
    assert!(answer["body"].is_object() || answer["body"].is_array(), "{answer}");
    for path in ["/v1/log", "/v1/channels", "/v1/live/poll?channel=v:1", "/v/x", "/v1/../x"] {
        ear.say(json!({ "call": path, "method": "GET", "path": path })).await;
        let answer = ear.json().await;
        assert_eq!((&answer["answer"], &answer["status"]), (&json!(path), &json!(400)), "{answer}");
    }
    ear.say(
        json!({ "call": "c2", "method": "POST", "path": "/v1/direct", "body": { "bytes": 0 }, "key": "k" }),
    )
    .await;
    let answer = ear.json().await;
    assert!(answer["status"].as_u64().unwrap() >= 400 && answer["body"]["type"].is_string(), "{answer}");
    ear.say(json!({ "nonsense": 1 })).await;
    assert_eq!(ear.json().await["problem"]["status"], 400);

    // The drain: clients are told to go.
    story.edges[0].signal(nix::sys::signal::Signal::SIGTERM);
    let Some(Message::Close(Some(close))) = ear.hear().await else { panic!("a close frame") };
    assert_eq!(u16::from(close.code), 1001);
    assert_eq!(story.edges[0].ended().await, Some(0));
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

/// Opens sockets by extended CONNECT, on one HTTP/2 connection that `tasks` drives.
async fn over_h2(edge: &Process, count: usize, tasks: &mut JoinSet<()>) -> Vec<Ear<TokioIo<Upgraded>>> {
    let at = edge.at.http.clone().unwrap();
    let stream = TokioIo::new(TcpStream::connect(&at).await.unwrap());
    let (mut requests, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tasks.spawn(async move { drop(connection.await) });
    let (mut ears, begun) = (vec![], Instant::now());
    while ears.len() < count {
        let request = http::Request::connect(format!("http://{at}/v1/live"))
            .extension(hyper::ext::Protocol::from_static("websocket"))
            .header("sec-websocket-version", "13")
            .body(Empty::<Bytes>::new())
            .unwrap();
        // The server's settings, which allow it, may not have come yet.
        let Ok(answer) = requests.send_request(request).await else {
            assert!(begun.elapsed() < LIMIT);
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        assert_eq!(answer.status(), 200);
        let stream = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
        ears.push(Ear(WebSocketStream::from_raw_socket(stream, Role::Client, None).await));
    }
    ears
}

#[tokio::test]
async fn sockets_share_an_http2_connection() {
    let (story, mut tasks) = (Story::start(1).await, JoinSet::new());
    let mut ears = over_h2(&story.edges[0], 20, &mut tasks).await;
    for ear in &mut ears {
        ear.subscribe("stock:1", None, None).await;
    }
    story.say_live("stock:1", 30).await;
    for ear in &mut ears {
        ear.hears("stock:1", 1..=30).await;
    }
    ears[0].say(json!({ "unsubscribe": "stock:1" })).await;
    ears[0].say(json!({ "call": "c", "method": "GET", "path": "/v1/keys" })).await;
    assert_eq!(ears[0].json().await["answer"], "c");
    story.say_live("stock:1", 1).await;
    ears[1].hears("stock:1", 31..=31).await;
    ears[0].say(json!({ "call": "d", "method": "GET", "path": "/v1/keys" })).await;
    assert_eq!(ears[0].json().await["answer"], "d", "nothing of what it left");
}

#[tokio::test]
async fn a_client_of_another_make_listens_over_http3() {
    let dir = tempfile::tempdir().unwrap();
    let story = Story::start(0).await;
    let flags = [("listen.https", "127.0.0.1:0"), ("listen.h3", "true")];
    let mut edge = lone_edge(dir.path(), "edge", &story.origin.url(), &flags);
    edge.start().await;
    story.say_live("stock:1", 3).await;
    let (host, port) = edge.at.h3.as_ref().unwrap().rsplit_once(':').unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign/live.py");
    let mut listener = Command::new(python(AIOQUIC_SOCKETS));
    let output =
        within("the client", listener.arg(script).args([host, port, "stock:1"]).output()).await.unwrap();
    let told: Value = serde_json::from_str(&printed("a listener", &output)).unwrap();
    let seqs: Vec<_> = told.as_array().unwrap().iter().map(|one| one["seq"].as_u64().unwrap()).collect();
    assert_eq!((seqs, &told[0]["subscribed"]), (vec![1, 2, 3], &json!("stock:1")), "{told}");
}

#[tokio::test]
async fn a_silent_socket_is_small() {
    const SOCKETS: u64 = 1_000;
    /// KiB of one: with its connection, in a build that is not optimised.
    const LARGEST: u64 = 24;
    let story = Story::start(1).await;
    // What the first ones need once is not counted.
    let mut ears = vec![];
    for _ in 0..100 {
        let mut ear = story.ear(0).await;
        ear.subscribe("stock:1", None, None).await;
        ears.push(ear);
    }
    let before = story.edges[0].resident_kib();
    for _ in 0..SOCKETS {
        let mut ear = story.ear(0).await;
        ear.subscribe("stock:1", None, None).await;
        ears.push(ear);
    }
    let each = (story.edges[0].resident_kib() - before) / SOCKETS;
    println!("{each} KiB each");
    assert!(each <= LARGEST, "{each} KiB");
    story.say_live("stock:1", 1).await;
    for ear in &mut ears {
        ear.hears("stock:1", 1..=1).await;
    }
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
