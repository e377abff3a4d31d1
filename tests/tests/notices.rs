//! What is told of videos as it happens: events of the whole library, and signed webhooks that survive their sender and
//! their receiver.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use reqwest::Response;
use serde_json::Value;
use sha2::Sha256;
use sluice_tests::client;
use sluice_tests::origin::{ScriptedOrigin, answer, pattern};
use sluice_tests::sources::eventually;
use sluice_tests::stack::{Options, Stack};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

const SECRET: &[u8] = b"a secret of thirty-two bytes, so";

/// Messages that a receiver took, by what it answered with.
type Taken = Arc<Mutex<Vec<(u16, HeaderMap, Vec<u8>)>>>;

async fn receiver(status: Arc<AtomicU16>) -> (ScriptedOrigin, Taken) {
    let taken = Taken::default();
    let kept = Arc::clone(&taken);
    let origin = ScriptedOrigin::start(move |request| {
        let (kept, status) = (Arc::clone(&kept), status.load(Ordering::SeqCst));
        async move {
            let (head, body) = request.into_parts();
            let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
            kept.lock().unwrap().push((status, head.headers, body.to_vec()));
            answer(status, &[], vec![])
        }
    })
    .await;
    (origin, taken)
}

/// Checks a message as a receiver does; its id and what it says.
fn checked(headers: &HeaderMap, body: &[u8]) -> (String, Value) {
    let of = |name: &str| headers[name].to_str().unwrap();
    let (id, at) = (of("webhook-id"), of("webhook-timestamp"));
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).unwrap();
    mac.update(format!("{id}.{at}.").as_bytes());
    mac.update(body);
    let signature = of("webhook-signature").strip_prefix("v1,").unwrap();
    mac.verify_slice(&STANDARD.decode(signature).unwrap()).expect("the signature is right");
    (id.to_owned(), serde_json::from_slice(body).unwrap())
}

async fn delete(edge: &str, id: &str) {
    let gone = client::client().delete(format!("{edge}/v1/videos/{id}?now=true")).send().await.unwrap();
    assert_eq!(gone.status(), 204);
}

#[tokio::test]
async fn webhooks_come_in_order_signed_and_also_when_either_side_was_down() {
    let status = Arc::new(AtomicU16::new(204));
    let (receiver, taken) = receiver(Arc::clone(&status)).await;
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), format!("whsec_{}\n", STANDARD.encode(SECRET))).unwrap();
    let origin = vec![
        ("fetch.internal", "127.0.0.1/32".to_owned()),
        ("webhooks.urls", format!("{}/hook", receiver.url())),
        ("webhooks.secret_file", secret.path().display().to_string()),
    ];
    let mut stack = Stack::with(Options { origin, hold_transcoder: true, ..Options::default() }).await;
    let edge = stack.edge();
    let count = |wanted: u16| taken.lock().unwrap().iter().filter(|(status, ..)| *status == wanted).count();
    let first = client::put(&edge, "one.mp4", pattern(1_000, 1)).await["id"].as_str().unwrap().to_owned();
    eventually("the first message", async || count(204) == 1).await;

    // The receiver is down, then the sender dies: nothing is lost, and the order is kept.
    status.store(503, Ordering::SeqCst);
    let second = client::put(&edge, "two.mp4", pattern(1_000, 2)).await["id"].as_str().unwrap().to_owned();
    delete(&edge, &first).await;
    eventually("it is tried again", async || count(503) >= 2).await;
    stack.origin.kill9();
    status.store(200, Ordering::SeqCst);
    stack.origin.start().await;
    eventually("the others", async || count(200) >= 2).await;

    let taken = taken.lock().unwrap();
    let mut states: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut ids = vec![];
    for (_, headers, body) in taken.iter() {
        let (id, message) = checked(headers, body);
        let video = message["data"]["id"].as_str().unwrap().to_owned();
        states.entry(video).or_default().push(message["type"].as_str().unwrap().to_owned());
        assert!(message["timestamp"].as_str().unwrap().ends_with('Z'), "{message}");
        ids.push(id);
    }
    for states in states.values_mut() {
        states.dedup();
    }
    assert_eq!(states[&first], ["video.queued", "video.deleted"]);
    assert_eq!(states[&second], ["video.queued"]);
    let numbers: Vec<u64> = ids.iter().map(|id| id.strip_prefix("msg_").unwrap().parse().unwrap()).collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
    assert!(numbers.windows(2).any(|two| two[0] == two[1]), "one that was sent again has the same id");
}

/// Opens a stream of events: what happens from now on is in it.
async fn open(url: &str, last: Option<&str>) -> Response {
    let mut request = client::client().get(url).header("accept", "text/event-stream");
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer
}

/// Reads events until one satisfies: its id, and all of them by name and data.
async fn until(mut stream: Response, done: impl Fn(&str, &Value) -> bool) -> (String, Vec<(String, Value)>) {
    let (mut text, mut seen) = (String::new(), vec![]);
    loop {
        let piece = stream.chunk().await.unwrap().expect("the stream goes on");
        text.push_str(std::str::from_utf8(&piece).unwrap());
        while let Some((frame, rest)) = text.split_once("\n\n").map(|(a, b)| (a.to_owned(), b.to_owned())) {
            text = rest;
            let of = |name: &str| frame.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            let (Some(name), Some(data)) = (of("event:"), of("data:")) else { continue };
            let data: Value = serde_json::from_str(data).unwrap();
            seen.push((name.to_owned(), data.clone()));
            if done(name, &data) {
                return (of("id:").unwrap().to_owned(), seen);
            }
        }
    }
}

#[tokio::test]
async fn the_events_of_all_videos_go_on_where_they_were_left() {
    let stack = Stack::with(Options { hold_transcoder: true, ..Options::default() }).await;
    let (edge, url) = (stack.edge(), format!("{}/v1/events", stack.edge()));
    let stream = open(&url, None).await;
    let first = client::put(&edge, "one.mp4", pattern(1_000, 1)).await["id"].as_str().unwrap().to_owned();
    let (last, seen) = until(stream, |name, _| name == "video").await;
    assert_eq!((&seen[0].1["id"], &seen[0].1["state"]), (&first.as_str().into(), &"queued".into()));

    // What happens while nobody listens is told to whoever names the last event that it had.
    let second = client::put(&edge, "two.mp4", pattern(1_000, 2)).await["id"].as_str().unwrap().to_owned();
    delete(&edge, &first).await;
    let (_, seen) = until(open(&url, Some(&last)).await, |name, _| name == "deleted").await;
    let ids: Vec<(&str, &str)> =
        seen.iter().map(|(name, data)| (name.as_str(), data["id"].as_str().unwrap())).collect();
    assert!(ids.contains(&("video", &second)), "{ids:?}");
    assert_eq!(ids.last(), Some(&("deleted", first.as_str())));
}

#[tokio::test]
async fn what_is_more_than_the_quota_is_refused_and_takes_nothing_from_what_is_there() {
    let origin = vec![("quota.bytes", "10000".to_owned()), ("quota.uploads", "2".to_owned())];
    let stack = Stack::with(Options { origin, hold_transcoder: true, ..Options::default() }).await;
    let (edge, http) = (stack.edge(), client::client());
    let kept = client::put(&edge, "kept.mp4", pattern(6_000, 1)).await["id"].as_str().unwrap().to_owned();
    let status = async |length: usize| {
        let sent =
            http.put(format!("{edge}/v1/videos/more.mp4")).body(pattern(length, 9)).send().await.unwrap();
        sent.status().as_u16()
    };
    assert_eq!(status(4_001).await, 507);
    assert_eq!(status(10_001).await, 413, "it would never fit");
    let form = reqwest::multipart::Part::bytes(pattern(4_001, 3)).file_name("form.mp4");
    let form = reqwest::multipart::Form::new().part("file", form);
    let form = http.post(format!("{edge}/v1/videos")).multipart(form).send().await.unwrap();
    assert_eq!(form.status(), 507, "its length is known at its end");

    let begin = async |length: Option<u64>| {
        let made = http.post(format!("{edge}/v1/uploads")).header("tus-resumable", "1.0.0");
        let made = match length {
            Some(length) => made.header("upload-length", length),
            None => made.header("upload-defer-length", "1"),
        };
        made.send().await.unwrap()
    };
    let open = begin(Some(1_000)).await;
    assert_eq!(open.status(), 201);
    assert_eq!(begin(None).await.status(), 201);
    assert_eq!(begin(Some(10)).await.status(), 429, "two are under way");
    let url = format!("{edge}{}", client::header(&open, "location"));
    let ended = http.delete(url).header("tus-resumable", "1.0.0").send().await.unwrap();
    assert_eq!(ended.status(), 204);
    assert_eq!(status(4_000).await, 201, "room that was given back, to the last byte");
    delete(&edge, &kept).await;
    assert_eq!(status(6_000).await, 201);
}
