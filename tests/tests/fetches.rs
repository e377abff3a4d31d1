//! Uploads by URL: taken whole, gone on with after a kill, and never from where no client may lead an origin.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use axum::body::Body;
use futures::StreamExt;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HOST, IF_RANGE, LOCATION, RANGE};
use serde_json::{Value, json};
use sluice_tests::client::{self, header};
use sluice_tests::clips;
use sluice_tests::origin::{ScriptedOrigin, answer, pattern};
use sluice_tests::sources::{self, eventually};
use sluice_tests::stack::{Options, Stack};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Bytes of a source that takes a while.
const LARGE: usize = 6 << 20;
const UPLOADS: &str = "sluice_origin_uploads_total";

/// A stack whose origin may fetch from loopback, where stories serve.
async fn stack(hold_transcoder: bool) -> Stack {
    let origin = vec![("fetch.internal", "127.0.0.1/32".to_owned())];
    Stack::with(Options { origin, hold_transcoder, ..Options::default() }).await
}

async fn order(edge: &str, body: &Value) -> reqwest::Response {
    client::client().post(format!("{edge}/v1/videos")).json(body).send().await.unwrap()
}

/// Orders a source; the video's id.
async fn ordered(edge: &str, url: &str) -> String {
    let answer = order(edge, &json!({ "url": url, "title": "From afar" })).await;
    assert_eq!(answer.status(), 202, "{:?}", answer.text().await);
    let location = header(&answer, "location");
    let document: Value = answer.json().await.unwrap();
    assert_eq!(document["title"], "From afar");
    let id = document["id"].as_str().unwrap().to_owned();
    assert_eq!(location, format!("/v1/videos/{id}"));
    id
}

/// Serves bytes in pieces with pauses, as whoever has little bandwidth; by range if asked and if it can.
fn slowly(request: &axum::extract::Request, whole: &Arc<Vec<u8>>, ranges: bool) -> axum::response::Response {
    let asked = request.headers().get(RANGE).filter(|_| ranges).and_then(|v| v.to_str().ok());
    let from: usize =
        asked.map_or(0, |v| v.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap());
    if from > 0 {
        assert_eq!(request.headers()[IF_RANGE], "\"one\"");
    }
    let rest = whole[from..].to_vec();
    let length = rest.len();
    let pieces: Vec<bytes::Bytes> = rest.chunks(64 << 10).map(bytes::Bytes::copy_from_slice).collect();
    let body = futures::stream::iter(pieces).then(|piece| async move {
        tokio::time::sleep(Duration::from_millis(40)).await;
        Ok::<_, std::io::Error>(piece)
    });
    let mut answer = axum::response::Response::new(Body::from_stream(body));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_LENGTH, length.into());
    headers.insert(ETAG, "\"one\"".parse().unwrap());
    if from > 0 {
        let range = format!("bytes {from}-{}/{}", whole.len() - 1, whole.len());
        headers.insert(CONTENT_RANGE, range.parse().unwrap());
        *answer.status_mut() = http::StatusCode::PARTIAL_CONTENT;
    }
    answer
}

#[tokio::test]
async fn a_url_becomes_a_video_through_redirects() {
    let stack = stack(false).await;
    let (edge, source) = (stack.edge(), clips::made(4, "320x240", 25));
    let served = source.clone();
    let afar = ScriptedOrigin::start(move |request| {
        let served = served.clone();
        async move {
            assert!(!request.headers().contains_key("referer") && request.headers().contains_key(HOST));
            match request.uri().path() {
                "/old" => answer(302, &[(LOCATION.as_str(), "/films/a%20film.mp4")], vec![]),
                "/films/a%20film.mp4" => answer(200, &[], served),
                "/round" => answer(307, &[(LOCATION.as_str(), "/round")], vec![]),
                "/inside" => answer(302, &[(LOCATION.as_str(), "http://169.254.169.254/latest")], vec![]),
                "/file" => answer(302, &[(LOCATION.as_str(), "file:///etc/passwd")], vec![]),
                _ => answer(404, &[], vec![]),
            }
        }
    })
    .await;
    let id = ordered(&edge, &format!("{}/old", afar.url())).await;
    let document = client::wait_ready(&edge, &id).await;
    assert_eq!((&document["sha256"], &document["name"]), (&client::sha256(&source).into(), &"old".into()));
    // What leads nowhere fails, with its reason, and keeps nothing.
    for (path, why) in
        [("/round", "redirects"), ("/inside", "public net"), ("/file", "http"), ("/none", "404")]
    {
        let id = ordered(&edge, &format!("{}{path}", afar.url())).await;
        let failed = client::wait_until(&edge, &id, "failed", |v| v["state"] == "failed").await;
        assert!(failed["error"].as_str().unwrap().contains(why), "{failed}");
    }
    assert!(stack.origin.metric(UPLOADS, &["url", "refused"]).await >= 4.0);
}

#[tokio::test]
async fn urls_that_lead_inside_are_refused_in_every_spelling() {
    let stack = Stack::with(Options { hold_transcoder: true, ..Options::default() }).await;
    let edge = stack.edge();
    let inside = ScriptedOrigin::start(|_| async { answer(200, &[], b"secret".to_vec()) }).await;
    let port = inside.at.port();
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "localhost",
        "localhost.",
        "0.0.0.0",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "10.0.0.1",
        "[fe80::1]",
        "100.64.0.1",
    ] {
        let answer = order(&edge, &json!({ "url": format!("http://{host}:{port}/") })).await;
        assert_eq!(answer.status(), 400, "{host}");
        let problem: Value = answer.json().await.unwrap();
        assert!(problem["type"].as_str().unwrap().ends_with("url-refused"), "{problem}");
    }
    for wrong in [
        json!({ "url": "http://8.8.8.8:22/" }),
        json!({ "url": "http://user@8.8.8.8/" }),
        json!({ "url": "file:///etc/passwd" }),
        json!({ "url": "nothing" }),
        json!({}),
        json!({ "url": "http://8.8.8.8/", "extra": 1 }),
        json!("http://8.8.8.8/"),
    ] {
        assert_eq!(order(&edge, &wrong).await.status(), 400, "{wrong}");
    }
    // A name that leads inside is found out when it is resolved: this machine's own name does.
    let own = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let answer = order(&edge, &json!({ "url": format!("http://{}:{port}/", own.trim()) })).await;
    if answer.status() == 202 {
        let id = answer.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned();
        let failed = client::wait_until(&edge, &id, "failed", |v| v["state"] == "failed").await;
        assert!(failed["error"].as_str().unwrap().contains("public net"), "{failed}");
    }
    assert_eq!(inside.asked_in_all(), 0, "nobody knocked");
}

#[tokio::test]
async fn a_fetch_survives_the_death_of_its_origin_with_ranges_and_without() {
    let mut stack = stack(true).await;
    let edge = stack.edge();
    let whole = Arc::new(pattern(LARGE, 7));
    let served = Arc::clone(&whole);
    let ranged = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&ranged);
    let afar = ScriptedOrigin::start(move |request| {
        let (served, counted) = (Arc::clone(&served), Arc::clone(&counted));
        async move {
            let ranges = request.uri().path() == "/ranges.mp4";
            if ranges && request.headers().contains_key(RANGE) {
                counted.fetch_add(1, Ordering::SeqCst);
            }
            slowly(&request, &served, ranges)
        }
    })
    .await;
    let ids = [
        ordered(&edge, &format!("{}/ranges.mp4", afar.url())).await,
        ordered(&edge, &format!("{}/plain.mp4", afar.url())).await,
    ];
    let storage = sources::storage(stack.engines()).await;
    let here = async |id: &String| {
        let id: sluice_wire::UploadId = id.parse().unwrap();
        storage.uploads().get(id).await.unwrap().unwrap().offset
    };
    eventually("some of both is here", async || here(&ids[0]).await > 0 && here(&ids[1]).await > 0).await;
    stack.origin.kill9();
    let kept = [here(&ids[0]).await, here(&ids[1]).await];
    assert!(kept.iter().all(|kept| *kept < LARGE as u64), "{kept:?}");
    stack.origin.start().await;
    for id in &ids {
        let hash = client::sha256(&whole);
        client::wait_until(&edge, id, "hashed", |v| v["sha256"] == hash.as_str() && v["state"] == "queued")
            .await;
        assert!(sources::bytes(&storage, id).await == *whole);
    }
    assert!(ranged.load(Ordering::SeqCst) >= 1, "what was here was not asked for again");
}

#[tokio::test]
async fn a_source_that_changes_meanwhile_fails_and_one_that_is_deleted_is_left() {
    let stack = stack(true).await;
    let edge = stack.edge();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let afar = ScriptedOrigin::start(move |request| {
        let time = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            if request.uri().path() == "/slow" {
                return slowly(&request, &Arc::new(pattern(8 * LARGE, 3)), false);
            }
            // Cut after a part of it; another film the next time.
            let bytes = pattern(400_000, u64::try_from(time).unwrap_or(0).try_into().unwrap());
            let cut = futures::stream::iter([bytes::Bytes::from(bytes)]).map(Ok);
            let cut = cut.chain(futures::stream::once(async {
                // What was sent before has left by then.
                tokio::time::sleep(Duration::from_millis(700)).await;
                Err(std::io::Error::other("cut"))
            }));
            let mut answer = axum::response::Response::new(Body::from_stream(cut));
            answer.headers_mut().insert(CONTENT_LENGTH, 800_000.into());
            answer
        }
    })
    .await;
    let id = ordered(&edge, &format!("{}/film", afar.url())).await;
    let failed = client::wait_until(&edge, &id, "failed", |v| v["state"] == "failed").await;
    assert!(failed["error"].as_str().unwrap().contains("changed"), "{failed}");
    assert!(asked.load(Ordering::SeqCst) >= 2);

    let id = ordered(&edge, &format!("{}/slow", afar.url())).await;
    let folder = stack.dir().join("objects/uploads").join(&id);
    eventually("some is here", async || folder.exists()).await;
    let gone = client::client().delete(format!("{edge}/v1/videos/{id}")).send().await.unwrap();
    assert_eq!(gone.status(), 204);
    let storage = sources::storage(stack.engines()).await;
    eventually("the fetch is gone", async || {
        storage.uploads().claim_fetch("nobody", Duration::from_secs(1)).await.unwrap().is_none()
            && !folder.exists()
    })
    .await;
}
