//! Sealed videos from outside: AES-128 and cbcs are opened by other programs with keys that only a token gives.
#![allow(
    clippy::unwrap_used,
    clippy::string_slice,
    reason = "helpers of tests report a broken assumption by panicking"
)]

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use sluice_tests::authoring::{check, fetch::presentation};
use sluice_tests::programs::printed;
use sluice_tests::stack::{Options, Stack};
use sluice_tests::{client, clips, ffprobe, sources};
use sluice_wire::token::jwt::Claims;
use sluice_wire::token::mint::SigningKey;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};
use tempfile::TempDir;
use tokio::time::{Duration, sleep};

/// A stack that seals, with a key for every two segments.
struct Story {
    stack: Stack,
    signer: SigningKey,
    keys: TempDir,
}

impl Story {
    async fn start() -> Self {
        Self::with(vec![]).await
    }

    /// With these flags of the transcoder.
    async fn with(transcoders: Vec<(&'static str, String)>) -> Self {
        let keys = tempfile::tempdir().unwrap();
        let at = |name: &str| keys.path().join(name);
        let pem = SigningKey::generate().unwrap();
        let signer = SigningKey::from_pem(pem.as_bytes(), "1").unwrap();
        std::fs::write(at("private.pem"), &pem).unwrap();
        std::fs::write(at("keys.json"), signer.jwks().to_string()).unwrap();
        std::fs::write(at("secrets"), format!("# of this story\n{}\n", "5e".repeat(32))).unwrap();
        let origin = vec![
            ("playback.key_file", at("private.pem").display().to_string()),
            ("protection.secret_file", at("secrets").display().to_string()),
            ("protection.period_segments", "2".into()),
        ];
        let edges = vec![("access.keys_file", at("keys.json").display().to_string())];
        let stack = Stack::with(Options { origin, edges, transcoders, ..Options::default() }).await;
        Self { stack, signer, keys }
    }

    /// A video of ten seconds: two periods.
    async fn video(&self, name: &str) -> String {
        self.video_of(name, 10).await
    }

    /// A stranger's video, with the same rungs.
    async fn other(&self) -> String {
        self.video_of("other.mp4", 2).await
    }

    async fn video_of(&self, name: &str, seconds: u32) -> String {
        let made = client::put(&self.stack.edge(), name, clips::made(seconds, "640x360", 25)).await;
        let id = made["id"].as_str().unwrap().to_owned();
        client::wait_ready(&self.stack.edge(), &id).await;
        id
    }

    async fn protect(&self, id: &str, how: &str) {
        let url = format!("{}/v1/videos/{id}", self.stack.edge());
        let answer = client::client().patch(url).json(&json!({ "protection": how })).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{:?}", answer.text().await);
        assert_eq!(answer.json::<Value>().await.unwrap()["protection"], how);
        // What an edge has kept of before is purged by an event.
        let lowest = format!("{}/v/{id}/v240/index.m3u8", self.stack.edge());
        let sealed = |text: &str| text.contains("EXT-X-KEY");
        for _ in 0..600 {
            if sealed(&client::get(&lowest).await.text().await.unwrap()) == (how != "none") {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("{id} never became {how}");
    }

    /// What a player gets for a video.
    async fn playback(&self, id: &str) -> Value {
        let url = format!("{}/v1/videos/{id}/playback", self.stack.edge());
        client::client().post(url).send().await.unwrap().json().await.unwrap()
    }

    async fn token(&self, id: &str) -> String {
        self.playback(id).await["token"].as_str().unwrap().to_owned()
    }

    fn expired(&self, id: &str) -> String {
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let paths = Some(vec![format!("/v/{id}")]);
        self.signer.token(&Claims { exp: Some((now_s - 600).into()), paths, ..Claims::default() })
    }

    fn url(&self, id: &str, path: &str) -> String {
        format!("{}/v/{id}/{path}", self.stack.edge())
    }
}

/// A playlist as far as these stories look: headers, keys and segments in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Listed {
    map: String,
    key: String,
    segment: String,
}

async fn listed(story: &Story, id: &str, rung: &str) -> Vec<Listed> {
    let text = client::get(&story.url(id, &format!("{rung}/index.m3u8"))).await.text().await.unwrap();
    let (mut map, mut key, mut all) = (String::new(), String::new(), vec![]);
    let uri = |line: &str| line.split("URI=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    for line in text.lines() {
        match line {
            line if line.starts_with("#EXT-X-MAP:") => map = uri(line),
            line if line.starts_with("#EXT-X-KEY:") && !line.contains("KEYFORMAT") => key = uri(line),
            line if line.starts_with('#') => {}
            segment => all.push(Listed { map: map.clone(), key: key.clone(), segment: segment.to_owned() }),
        }
    }
    assert!(all.len() >= 3 && all.iter().all(|l| l.key.starts_with("../keys/")), "{text}");
    all
}

/// The 16 bytes of a key, which nobody may keep.
async fn key(story: &Story, id: &str, listed: &Listed, token: &str) -> Vec<u8> {
    let url = story.url(id, listed.key.trim_start_matches("../"));
    let answer = client::get(&format!("{url}?sluice-token={token}")).await;
    assert_eq!(client::header(&answer, "cache-control"), "private, no-store");
    assert_eq!(client::header(&answer, "content-type"), "application/octet-stream");
    let key = answer.bytes().await.unwrap().to_vec();
    assert_eq!(key.len(), 16);
    key
}

/// Standard output of a program.
fn ran(program: &str, words: &[&str]) -> Vec<u8> {
    let output = Command::new("timeout").arg("60").arg(program).args(words).output().unwrap();
    printed(program, &output);
    output.stdout
}

fn kept(story: &Story, name: &str, parts: &[&[u8]]) -> PathBuf {
    let file = story.keys.path().join(name);
    std::fs::write(&file, parts.concat()).unwrap();
    file
}

/// Checksums of all that a file decodes to.
fn decoded(file: &Path, key: Option<&[u8]>) -> String {
    let hex: String = key.unwrap_or_default().iter().map(|b| format!("{b:02x}")).collect();
    let mut words = vec!["-v", "error", "-xerror"];
    if key.is_some() {
        words.extend(["-decryption_key", &hex]);
    }
    words.extend(["-i", file.to_str().unwrap(), "-f", "framemd5", "-"]);
    String::from_utf8(ran("ffmpeg", &words)).unwrap()
}

/// Each `moof` with its `mdat`: ffmpeg 5.1 opens what is encrypted in the first fragment of a file alone.
fn fragments(segment: &[u8]) -> Vec<&[u8]> {
    let (mut all, mut at, mut begun) = (vec![], 0, None);
    while at < segment.len() {
        let size = u32::from_be_bytes(segment[at..at + 4].try_into().unwrap()) as usize;
        match &segment[at + 4..at + 8] {
            b"moof" => begun = Some(at),
            b"mdat" => all.push(&segment[begun.take().unwrap()..at + size]),
            _ => {}
        }
        at += size;
    }
    all
}

/// Names of rungs with a picture, and of sound.
async fn rungs(story: &Story, id: &str) -> Vec<String> {
    let video = client::video(&story.stack.edge(), id).await;
    let names = video["rungs"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap().to_owned());
    names.collect()
}

/// Everybody who is to be refused a key, and how. The key is there.
async fn refused(story: &Story, id: &str, other: &str, ask: impl AsyncFn(Option<String>) -> Response) {
    for (token, status, kind) in [
        (None, 401, "access-missing"),
        (Some(story.token(other).await), 403, "access-path"),
        (Some(story.expired(id)), 401, "access-expired"),
        (Some("a.b.c".into()), 401, "access-"),
    ] {
        let answer = ask(token).await;
        assert_eq!(answer.status().as_u16(), status, "{kind}");
        assert_eq!(client::header(&answer, "content-type"), "application/problem+json");
        let problem: Value = answer.json().await.unwrap();
        assert!(problem["type"].as_str().unwrap().contains(kind), "{problem}");
    }
    assert_eq!(ask(Some(story.token(id).await)).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn whole_segments_are_opened_with_keys_that_a_token_gives() {
    let story = Story::start().await;
    let (id, other) = tokio::join!(story.video("whole.mp4"), story.other());
    let mut clear = vec![];
    for rung in rungs(&story, &id).await {
        let text = client::get(&story.url(&id, &format!("{rung}/index.m3u8"))).await.text().await.unwrap();
        for name in text.lines().filter(|line| line.ends_with(".m4s")) {
            let url = story.url(&id, &format!("{rung}/{name}"));
            clear.push((url.clone(), client::bytes(&url).await));
        }
    }
    let segments = clear.len();
    let downloads = rungs(&story, &id).await.into_iter().map(|rung| format!("download/{rung}.mp4"));
    for name in downloads.chain(["preview.mp4".into()]) {
        let url = story.url(&id, &name);
        clear.push((url.clone(), client::bytes(&url).await));
    }
    story.protect(&id, "aes-128").await;
    story.protect(&other, "aes-128").await;
    let token = story.token(&id).await;
    let (mut names, mut keys, mut number) = (vec![], vec![], 0);
    for rung in rungs(&story, &id).await {
        for (seq, listed) in listed(&story, &id, &rung).await.into_iter().enumerate() {
            let sealed = client::bytes(&story.url(&id, &format!("{rung}/{}", listed.segment))).await;
            let key: String =
                key(&story, &id, &listed, &token).await.iter().map(|b| format!("{b:02x}")).collect();
            let file = kept(&story, "sealed", &[&sealed]);
            let words = ["enc", "-d", "-aes-128-cbc", "-K", &key, "-iv", &format!("{seq:032x}"), "-in"];
            let opened = ran("openssl", &[&words[..], &[file.to_str().unwrap()]].concat());
            assert!(opened == clear[number].1, "{rung} {seq} byte for byte");
            names.push(listed.key);
            keys.push(key);
            number += 1;
        }
    }
    assert_eq!(number, segments);
    names.dedup();
    keys.dedup();
    let periods = rungs(&story, &id).await.len() * 2;
    assert_eq!((names.len(), keys.len()), (periods, periods), "a key for each rung and period");
    let first = story.url(&id, names[0].trim_start_matches("../"));
    refused(&story, &id, &other, async |token| {
        let token = token.map_or_else(String::new, |token| format!("?sluice-token={token}"));
        client::client().get(format!("{first}{token}")).send().await.unwrap()
    })
    .await;
    let path = first.strip_prefix(&story.stack.edge()).unwrap();
    let bare = client::client().get(format!("{}{path}", story.stack.origin.url())).send().await.unwrap();
    assert_eq!(bare.status(), StatusCode::UNAUTHORIZED, "an origin gives keys to edges alone");
    let later = format!("{}{:08x}.key", &first[..first.len() - 12], 9);
    let later = client::client().get(format!("{later}?sluice-token={token}")).send().await.unwrap();
    assert_eq!(later.status(), StatusCode::NOT_FOUND, "no key of a period that has not begun");
    for (url, _) in &clear {
        assert_eq!(
            client::client().get(url).send().await.unwrap().status(),
            404,
            "{url}: neither segments nor files made of them are clear any more"
        );
    }
    let dash = client::client().get(story.url(&id, "manifest.mpd")).send().await.unwrap();
    assert_eq!(dash.status(), StatusCode::NOT_FOUND, "whole segments are for HLS alone");
    let keyframes = client::client().get(story.url(&id, "v240/iframes.m3u8")).send().await.unwrap();
    assert_eq!(keyframes.status(), StatusCode::NOT_FOUND, "no range of a whole can be opened alone");
    story.protect(&id, "none").await;
    sources::eventually("clear again", async || {
        let answer = client::client().get(&clear[0].0).send().await.unwrap();
        answer.status() == StatusCode::OK && answer.bytes().await.unwrap() == clear[0].1
    })
    .await;
    let gone = client::client().get(format!("{first}?sluice-token={token}")).send().await.unwrap();
    assert_eq!(gone.status(), StatusCode::NOT_FOUND, "nothing has that key now");
}

#[tokio::test]
async fn patterns_are_opened_with_a_licence() {
    let story = Story::start().await;
    let (id, other) = tokio::join!(story.video("patterns.mp4"), story.other());
    let names = rungs(&story, &id).await;
    let mut clear = vec![];
    for rung in &names {
        let text = client::get(&story.url(&id, &format!("{rung}/index.m3u8"))).await.text().await.unwrap();
        let of = |end: &str| {
            let part = text.split('"').chain(text.lines()).find(|part| part.ends_with(end)).unwrap();
            part.trim_start_matches("#EXT-X-MAP:URI=").to_owned()
        };
        let mut whole = vec![client::bytes(&story.url(&id, &format!("{rung}/{}", of(".mp4")))).await];
        for name in text.lines().filter(|line| line.ends_with(".m4s")) {
            whole.push(client::bytes(&story.url(&id, &format!("{rung}/{name}"))).await);
        }
        clear.push(whole);
    }
    story.protect(&id, "cbcs").await;
    story.protect(&other, "cbcs").await;
    let token = story.token(&id).await;
    let mut ids = vec![];
    for (rung, clear) in names.iter().zip(&clear) {
        let all = listed(&story, &id, rung).await;
        for (number, listed) in all.iter().enumerate() {
            let init = client::bytes(&story.url(&id, &format!("{rung}/{}", listed.map))).await;
            let sealed = client::bytes(&story.url(&id, &format!("{rung}/{}", listed.segment))).await;
            let key = key(&story, &id, listed, &token).await;
            let before = fragments(&clear[number + 1]);
            for (sealed, clear_one) in fragments(&sealed).into_iter().zip(before) {
                let opened = decoded(&kept(&story, "sealed.mp4", &[&init, sealed]), Some(&key));
                let before = decoded(&kept(&story, "clear.mp4", &[&clear[0], clear_one]), None);
                assert_eq!(opened, before, "{rung} {number}: picture for picture");
            }
            ids.push(listed.key.trim_start_matches("../keys/").trim_end_matches(".key").to_owned());
        }
        if rung.starts_with('v') {
            keyframes_alone(&story, &id, rung, clear).await;
        }
        // Read without a key it is what it says it is, and gives nothing away.
        let init = client::bytes(&story.url(&id, &format!("{rung}/{}", all[0].map))).await;
        let same = init.windows(4).any(|w| w == b"cbcs") && init.len() < clear[0].len() + 300;
        assert!(same, "{rung}: a header of {} bytes", init.len());
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 2, "a key for each period, of all rungs: {ids:?}");
    licence(&story, &id, &other, &ids).await;
    let probed = ffprobe::streams(&story.url(&other, "manifest.mpd"));
    assert_eq!(probed["streams"].as_array().unwrap().len(), names.len(), "others read the description");
    let found = check(&presentation(&story.url(&id, "master.m3u8")).await);
    assert_eq!(found, vec![]);
}

#[tokio::test]
async fn a_rung_that_was_never_made_is_made_and_sealed_for_who_asks() {
    let story = Story::with(vec![("defer", "360".into())]).await;
    let (whole, patterns) = tokio::join!(story.video("whole.mp4"), story.video("patterns.mp4"));
    story.protect(&whole, "aes-128").await;
    story.protect(&patterns, "cbcs").await;
    let mut sealed = vec![];
    for id in [&whole, &patterns] {
        let token = story.token(id).await;
        for listed in listed(&story, id, "v360").await {
            let url = |name: &str| story.url(id, &format!("v360/{name}"));
            let parts = [client::bytes(&url(&listed.map)).await, client::bytes(&url(&listed.segment)).await];
            sealed.push((parts, key(&story, id, &listed, &token).await));
        }
    }
    assert_eq!(story.stack.transcoder.metric("sluice_segments_made_when_asked_total", &[]).await, 6.0);
    // Of one source: what is clear of the one is clear of the other.
    story.protect(&whole, "none").await;
    let rung = client::rungs(&story.stack.edge(), &whole).await;
    let rung = rung.into_iter().find(|rung| rung.name == "v360").unwrap();
    let init = client::bytes(&rung.init).await;
    for (number, url) in rung.segments.iter().enumerate() {
        let clear = client::bytes(url).await;
        let ([_, by_all], key) = &sealed[number];
        let (file, hex) = (kept(&story, "sealed", &[by_all]), key.iter().map(|b| format!("{b:02x}")));
        let (hex, iv) = (hex.collect::<String>(), format!("{number:032x}"));
        let words = ["enc", "-d", "-aes-128-cbc", "-K", &hex, "-iv", &iv, "-in", file.to_str().unwrap()];
        assert!(ran("openssl", &words) == clear, "{number}: byte for byte");
        let ([map, by_patterns], key) = &sealed[number + rung.segments.len()];
        for (one, before) in fragments(by_patterns).into_iter().zip(fragments(&clear)) {
            let opened = decoded(&kept(&story, "sealed.mp4", &[map, one]), Some(key));
            let before = decoded(&kept(&story, "clear.mp4", &[&init, before]), None);
            assert_eq!(opened, before, "{number}: picture for picture");
        }
    }
    let ranges = story.url(&patterns, "v360/iframes.m3u8");
    sources::eventually("its keyframes are known", async || {
        client::client().get(&ranges).send().await.is_ok_and(|answer| answer.status() == StatusCode::OK)
    })
    .await;
}

/// Each keyframe is a range of what is sealed: opened alone, it is the picture that it was.
async fn keyframes_alone(story: &Story, id: &str, rung: &str, clear: &[Vec<u8>]) {
    let text = client::bytes(&story.url(id, &format!("{rung}/iframes.m3u8"))).await;
    let (_, list) = m3u8_rs::parse_media_playlist(&text).unwrap();
    assert!(list.i_frames_only && list.segments.len() >= 5, "{list:?}");
    let token = story.token(id).await;
    let (mut init, mut opener, mut periods) = (vec![], vec![], 0);
    let mut begun = (String::new(), 0);
    for listed in &list.segments {
        if let (Some(map), Some(named)) = (&listed.map, &listed.key) {
            init = client::bytes(&story.url(id, &format!("{rung}/{}", map.uri))).await;
            let key_uri = named.uri.clone().unwrap();
            let wanted = Listed { map: map.uri.clone(), key: key_uri, segment: listed.uri.clone() };
            opener = key(story, id, &wanted, &token).await;
            periods += 1;
        }
        begun = if begun.0 == listed.uri { (begun.0, begun.1 + 1) } else { (listed.uri.clone(), 0) };
        let range = listed.byte_range.as_ref().unwrap();
        let (from, to) = (range.offset.unwrap(), range.offset.unwrap() + range.length - 1);
        let request = client::client().get(story.url(id, &format!("{rung}/{}", listed.uri)));
        let answer = request.header("range", format!("bytes={from}-{to}")).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::PARTIAL_CONTENT);
        let sealed = answer.bytes().await.unwrap();
        let number: usize = listed.uri.split('-').next().unwrap().parse().unwrap();
        let before = fragments(&clear[number + 1])[begun.1];
        let opened = first(&kept(story, "keyframe.mp4", &[&init, &sealed]), Some(&opener));
        assert_eq!(opened, first(&kept(story, "clear.mp4", &[&clear[0], before]), None), "{rung} {begun:?}");
    }
    assert_eq!(periods, 2, "{rung}: a key for each period");
}

/// The checksum of the first picture of a file.
fn first(file: &Path, key: Option<&[u8]>) -> String {
    let hex: String = key.unwrap_or_default().iter().map(|b| format!("{b:02x}")).collect();
    let opener = key.map_or_else(Vec::new, |_| vec!["-decryption_key", &hex]);
    let words = ["-i", file.to_str().unwrap(), "-frames:v", "1", "-f", "framemd5", "-"];
    let text = String::from_utf8(ran("ffmpeg", &[&["-v", "quiet"][..], &opener, &words].concat())).unwrap();
    let line =
        text.lines().find(|line| !line.starts_with('#')).unwrap_or_else(|| panic!("no picture: {text}"));
    line.to_owned()
}

/// W3C Encrypted Media Extensions, section 9.1.
async fn licence(story: &Story, id: &str, other: &str, ids: &[String]) {
    let kid = |hex: &str| {
        let bytes: Vec<u8> =
            (0..16).map(|n| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap()).collect();
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    };
    let kids: Vec<String> = ids.iter().map(|id| kid(id)).collect();
    let url = story.url(id, "licence");
    let send = async |body: Value, token: Option<String>| {
        let request = client::client().post(&url).json(&body);
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        request.send().await.unwrap()
    };
    let good = json!({ "kids": kids, "type": "temporary" });
    refused(story, id, other, async |token| send(good.clone(), token).await).await;
    let token = story.token(id).await;
    let answer = send(good, Some(token.clone())).await;
    assert_eq!(client::header(&answer, "cache-control"), "private, no-store");
    let licence: Value = answer.json().await.unwrap();
    let keys = licence["keys"].as_array().unwrap();
    assert_eq!((keys.len(), &licence["type"]), (2, &json!("temporary")));
    assert!(keys.iter().zip(&kids).all(|(key, kid)| key["kty"] == "oct" && key["kid"] == *kid), "{licence}");
    assert_ne!(keys[0]["k"], keys[1]["k"], "each period has its own");
    for (body, status) in [
        (json!({ "kids": [kid(&"00".repeat(16))] }), 404),
        (json!({ "kids": [] }), 400),
        (json!({ "kids": ["?"] }), 400),
        (json!({ "kids": kids, "type": "persistent-license" }), 400),
        (json!([]), 400),
    ] {
        assert_eq!(send(body.clone(), Some(token.clone())).await.status().as_u16(), status, "{body}");
    }
    // A stranger's video has other keys.
    let url = story.url(other, "licence");
    let request = client::client().post(url).bearer_auth(story.token(other).await);
    let answer = request.json(&json!({ "kids": kids })).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn stock_players_play_what_is_sealed() {
    let story = Story::start().await;
    let mut plays = vec![];
    for (how, players) in [("aes-128", &["hls"][..]), ("cbcs", &["shaka-dash", "shaka-hls"])] {
        let id = story.video(&format!("{how}.mp4")).await;
        story.protect(&id, how).await;
        let playback = story.playback(&id).await;
        assert_eq!(playback["protection"], how);
        for player in players {
            plays.push(json!({ "how": how, "player": player, "id": id, "token": playback["token"] }));
        }
    }
    let output = Command::new("node")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("browser"))
        .args(["sealed.mjs", &story.stack.edge(), &Value::from(plays.clone()).to_string()])
        .output()
        .expect("node is installed by `make setup`");
    let text = printed("sealed.mjs", &output);
    let report: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    for (play, seen) in plays.iter().zip(report.as_array().unwrap()) {
        assert!(seen["ended"].as_bool().unwrap(), "{play}: {seen}");
        assert!(seen["frames"].as_u64().unwrap() > 200, "{play}: {seen}");
        assert!(seen["keys"].as_u64().unwrap() >= 1, "{play}: {seen}");
        assert_eq!(seen["refused"], json!(true), "{play}: without a token nothing is decoded: {seen}");
    }
}
