//! The library from outside: found and edited, deleted and brought back, and private videos that are played with a token
//! alone.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use sluice_tests::client::{client, get, header, put, rungs, wait_ready};
use sluice_tests::clips;
use sluice_tests::sources::eventually;
use sluice_tests::stack::{Options, Stack};
use sluice_wire::token::jwt::Claims;
use sluice_wire::token::mint::SigningKey;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// A stack whose origin signs, and whose edges know the key.
struct Story {
    stack: Stack,
    http: Client,
    key: SigningKey,
    _keys: TempDir,
}

impl Story {
    async fn start(hold_transcoder: bool) -> Self {
        let keys = tempfile::tempdir().unwrap();
        let (private, public) = (keys.path().join("private.pem"), keys.path().join("keys.json"));
        let pem = SigningKey::generate().unwrap();
        let key = SigningKey::from_pem(pem.as_bytes(), "2026").unwrap();
        std::fs::write(&private, &pem).unwrap();
        std::fs::write(&public, key.jwks().to_string()).unwrap();
        let origin = vec![
            ("playback.key_file", private.display().to_string()),
            ("playback.key_id", "2026".into()),
            ("library.sweep_ms", "50".into()),
        ];
        let edges = vec![("access.keys_file", public.display().to_string())];
        let options = Options { origin, edges, hold_transcoder, ..Options::default() };
        Self { stack: Stack::with(options).await, http: client(), key, _keys: keys }
    }

    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.stack.edge()))
    }

    async fn json(&self, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        let answer = self.ask(method, path).json(&body).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap_or_default())
    }

    async fn list(&self, query: &str) -> Vec<String> {
        let answer = self.ask(Method::GET, &format!("/v1/videos?{query}")).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{query}");
        let page: Value = answer.json().await.unwrap();
        page["videos"].as_array().unwrap().iter().map(|v| v["id"].as_str().unwrap().to_owned()).collect()
    }

    async fn see(&self, id: &str, visibility: &str) {
        let (status, video) =
            self.json(Method::PATCH, &format!("/v1/videos/{id}"), json!({ "visibility": visibility })).await;
        assert_eq!((status.as_u16(), video["visibility"].as_str()), (200, Some(visibility)), "{video}");
    }

    fn token(&self, path: Option<&str>, left_s: i64) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let exp = now.saturating_add_signed(left_s);
        let paths = path.map(|path| vec![path.to_owned()]);
        self.key.token(&Claims { exp: Some(exp.into()), paths, ..Claims::default() })
    }
}

async fn status(url: &str) -> u16 {
    client().get(url).send().await.unwrap().status().as_u16()
}

/// Waits until a URL is answered so; how long it took.
async fn until(url: &str, wanted: u16) -> Duration {
    let begun = Instant::now();
    loop {
        let now = status(url).await;
        if now == wanted {
            return begun.elapsed();
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{url}: still {now}, not {wanted}");
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_private_video_is_for_those_with_a_token_whatever_is_cached() {
    let story = Story::start(false).await;
    let edge = story.stack.edge();
    let made = put(&edge, "clip.mp4", clips::made(6, "320x180", 25)).await;
    let id = made["id"].as_str().unwrap().to_owned();
    wait_ready(&edge, &id).await;
    // What is made beside the film moves the video's version once more.
    let made = ["kind=\"extras\"", "outcome=\"done\""];
    story.stack.transcoder.until("sluice_transcode_jobs_total", &made, |done| done >= 1.0).await;
    let rung = rungs(&edge, &id).await.swap_remove(0);
    let folder = rung.init.rsplit_once('/').unwrap().0.to_owned();
    let assets = [
        format!("{edge}/v/{id}/master.m3u8"),
        format!("{edge}/v/{id}/poster.jpg"),
        format!("{folder}/index.m3u8"),
        rung.init.clone(),
        rung.segments[0].clone(),
    ];
    // Public, and in the caches of both tiers.
    for asset in &assets {
        let warm = get(asset).await;
        assert!(header(&warm, "cache-control").starts_with("public"), "{asset}");
        assert_eq!(header(&warm, "sluice-access"), "");
    }

    story.see(&id, "private").await;
    let late = until(&rung.segments[0], 401).await;
    assert!(late < Duration::from_secs(1), "refused after {late:?}");
    let other_edge = story.stack.near[1].url();
    for asset in &assets {
        until(asset, 401).await;
        until(&asset.replace(&edge, &other_edge), 401).await;
    }
    // A refusal is a challenge that pages can read and nobody keeps; an origin gives it to nobody.
    let refused = client().get(&assets[0]).send().await.unwrap();
    assert!(header(&refused, "www-authenticate").starts_with("Bearer"));
    assert_eq!(
        (header(&refused, "cache-control"), header(&refused, "sluice-access")),
        ("no-store".into(), String::new())
    );
    assert_eq!(status(&assets[3].replace(&edge, &story.stack.origin.url())).await, 401);

    let (code, playback) = story.json(Method::POST, &format!("/v1/videos/{id}/playback"), json!({})).await;
    assert_eq!((code.as_u16(), playback["key"].as_str()), (200, Some("2026")), "{playback}");
    let token = playback["token"].as_str().unwrap();
    for asset in &assets {
        // Cold, then warm, each with the token and without.
        for round in ["cold", "warm"] {
            let with = client().get(format!("{asset}?sluice-token={token}")).send().await.unwrap();
            assert_eq!(with.status(), 200, "{round} {asset}");
            assert!(header(&with, "cache-control").starts_with("private"), "{round} {asset}");
            assert_eq!(header(&with, "sluice-access"), "", "{asset}");
            if round == "warm" {
                assert!(
                    header(&with, "cache-status").contains("hit"),
                    "{asset}: {}",
                    header(&with, "cache-status")
                );
            }
            let cookie = header(&with, "set-cookie");
            assert!(
                cookie.starts_with("sluice-token=") && cookie.contains(&format!("Path=/v/{id};")),
                "{cookie}"
            );
            assert_eq!(status(asset).await, 401, "{round} {asset}");
        }
        let bearer = client().get(asset).bearer_auth(token).send().await.unwrap();
        assert_eq!(bearer.status(), 200, "{asset}");
        let part = client().get(asset).bearer_auth(token).header("range", "bytes=0-9").send().await.unwrap();
        assert_eq!(part.status(), 206, "{asset}");
        for (field, value) in [("range", "bytes=0-9"), ("if-none-match", &header(&bearer, "etag"))] {
            let refused = client().get(asset).header(field, value).send().await.unwrap();
            assert_eq!(refused.status(), 401, "{field} {asset}");
        }
        assert_eq!(client().head(asset).send().await.unwrap().status(), 401);
    }
    for (path, left, wanted) in [
        (Some("/v/0123456789abc"), 600, 403),
        (Some(format!("/v/{id}").as_str()), -600, 401),
        // One that lets its bearer everywhere is not about this video.
        (None, 600, 403),
        (Some(format!("/v/{id}").as_str()), 600, 200),
    ] {
        let token = story.token(path, left);
        assert_eq!(status(&format!("{}?sluice-token={token}", assets[3])).await, wanted, "{path:?} {left}");
    }
    let strange = SigningKey::from_pem(SigningKey::generate().unwrap().as_bytes(), "2026").unwrap();
    let forged = strange.token(&Claims {
        exp: Some(9_999_999_999_u64.into()),
        paths: Some(vec![format!("/v/{id}")]),
        ..Claims::default()
    });
    assert_eq!(status(&format!("{}?sluice-token={forged}", assets[3])).await, 401);

    // Public again, it plays without; private again, it does not, though it is cached.
    story.see(&id, "unlisted").await;
    for asset in &assets {
        until(asset, 200).await;
        get(asset).await;
    }
    assert!(!story.list("").await.contains(&id) && story.list("visibility=unlisted").await.contains(&id));
    story.see(&id, "private").await;
    let late = until(&rung.segments[0], 401).await;
    assert!(late < Duration::from_secs(1), "refused after {late:?}");

    // What is made beside the rungs comes after the video is ready.
    eventually("what is stored is accounted for", async || {
        let usage =
            story.ask(Method::GET, "/v1/storage").send().await.unwrap().json::<Value>().await.unwrap();
        usage["bytes"].as_u64() == Some(bytes_below(&story.stack.dir().join("objects")))
    })
    .await;
}

fn bytes_below(folder: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            let meta = entry.metadata().unwrap();
            if meta.is_dir() { bytes_below(&entry.path()) } else { meta.len() }
        })
        .sum()
}

#[tokio::test]
async fn videos_are_found_edited_deleted_and_brought_back() {
    let story = Story::start(true).await;
    let mut ids = vec![];
    for name in ["Über Berlin.mp4", "paris.mp4", "rome.mp4"] {
        let made = put(&story.stack.edge(), &name.replace(' ', "%20"), b"not a film".to_vec()).await;
        ids.push(made["id"].as_str().unwrap().to_owned());
    }
    let [berlin, paris, rome] = [&ids[0], &ids[1], &ids[2]];
    assert_eq!(story.list("").await, [rome.clone(), paris.clone(), berlin.clone()]);
    assert_eq!(story.list("sort=oldest&limit=2").await, [berlin.clone(), paris.clone()]);
    assert_eq!(story.list("q=uber+BER").await, std::slice::from_ref(berlin));
    assert_eq!(story.list("state=queued&q=r").await, std::slice::from_ref(rome));
    for wrong in ["visibility=x", "state=x", "sort=x", "after=x"] {
        let answer = story.ask(Method::GET, &format!("/v1/videos?{wrong}")).send().await.unwrap();
        assert!(answer.status().is_client_error(), "{wrong}");
    }

    // Of two who saw the same, one changes it.
    let at = format!("/v1/videos/{paris}");
    let seen = story.ask(Method::GET, &at).send().await.unwrap();
    let tag = header(&seen, "etag");
    let change = |title: &str| {
        let body = json!({ "title": title, "tags": ["City  Trip", "2026"], "description": "By the Seine" });
        story.ask(Method::PATCH, &at).header("if-match", &tag).json(&body).send()
    };
    let first = change("Lutetia").await.unwrap();
    assert_eq!(first.status(), 200);
    let changed: Value = first.json().await.unwrap();
    assert_eq!(
        (changed["title"].as_str(), &changed["tags"]),
        (Some("Lutetia"), &json!(["city trip", "2026"]))
    );
    let second = change("Paname").await.unwrap();
    assert_eq!(
        (second.status().as_u16(), header(&second, "content-type").as_str()),
        (412, "application/problem+json")
    );
    assert_eq!(story.list("q=lutetia+seine&tag=City+trip,2026").await, std::slice::from_ref(paris));
    for wrong in
        [json!({ "title": "" }), json!({ "tags": ["a,b"] }), json!({ "visibility": "x" }), json!({ "x": 1 })]
    {
        assert_eq!(story.json(Method::PATCH, &at, wrong.clone()).await.0, 400, "{wrong}");
    }
    assert_eq!(story.json(Method::PATCH, "/v1/videos/0123456789abc", json!({})).await.0, 404);

    // Deleted, it is nowhere but among the deleted; restored, it is as it was.
    assert_eq!(story.ask(Method::DELETE, &at).send().await.unwrap().status(), 204);
    assert_eq!(story.list("").await, [rome.clone(), berlin.clone()]);
    assert_eq!(story.list("q=lutetia").await, Vec::<String>::new());
    assert_eq!(story.list("state=deleted").await, std::slice::from_ref(paris));
    until(&format!("{}{at}", story.stack.edge()), 404).await;
    assert_eq!(story.json(Method::POST, &format!("{at}/restore"), json!({})).await.0, 200);
    assert_eq!(story.list("q=lutetia").await, std::slice::from_ref(paris));
    until(&format!("{}{at}", story.stack.edge()), 200).await;

    // For good: nothing is left of it, not even in the store.
    assert_eq!(story.ask(Method::DELETE, &format!("{at}?now=true")).send().await.unwrap().status(), 204);
    assert_eq!(story.json(Method::POST, &format!("{at}/restore"), json!({})).await.0, 404);
    assert!(!story.stack.dir().join("objects/uploads").join(paris).exists());
    assert!(story.stack.dir().join("objects/uploads").join(rome).exists());
    few_statements(&story).await;
}

/// No endpoint that reads the library sends more than three statements.
async fn few_statements(story: &Story) {
    let admin = story.stack.origin.at.admin.as_ref().unwrap();
    let text =
        sluice_tests::client::ask(format!("http://{admin}/metrics")).await.unwrap().text().await.unwrap();
    let value = |line: &str| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap();
    let mut seen = vec![];
    for count in text.lines().filter(|line| line.starts_with("sluice_origin_statements_count")) {
        let labels = count.split_once('{').unwrap().1.rsplit_once('}').unwrap().0;
        let reads = ["GET", "HEAD"].iter().any(|method| labels.contains(&format!("method=\"{method}\"")));
        let few = text.lines().find(|line| {
            line.starts_with("sluice_origin_statements_bucket")
                && line.contains(labels)
                && line.contains("le=\"3\"")
        });
        if reads {
            assert_eq!(value(few.unwrap()), value(count), "{labels}");
            seen.push(labels.to_owned());
        }
    }
    for route in ["/v1/videos\"", "/v1/videos/{id}\""] {
        assert!(seen.iter().any(|labels| labels.contains(route)), "{route}: {seen:?}");
    }
}
