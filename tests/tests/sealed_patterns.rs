//! Videos that are sealed by patterns (cbcs), from outside: ffmpeg opens them, keyframe by keyframe too, and a licence has their keys.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use reqwest::StatusCode;
use serde_json::{Value, json};
use sluice_tests::authoring::{check, fetch::presentation};
use sluice_tests::sealed::{Listed, Story, decoded, fragments, ran};
use sluice_tests::{client, ffprobe};
use std::path::Path;

#[tokio::test]
async fn patterns_are_opened_with_a_licence() {
    let story = Story::start().await;
    let (id, other) = tokio::join!(story.video("patterns.mp4"), story.other());
    let names = story.rungs(&id).await;
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
        let all = story.listed(&id, rung).await;
        for (number, listed) in all.iter().enumerate() {
            let init = client::bytes(&story.url(&id, &format!("{rung}/{}", listed.map))).await;
            let sealed = client::bytes(&story.url(&id, &format!("{rung}/{}", listed.segment))).await;
            let key = story.key(&id, listed, &token).await;
            let before = fragments(&clear[number + 1]);
            for (sealed, clear_one) in fragments(&sealed).into_iter().zip(before) {
                let opened = decoded(&story.kept("sealed.mp4", &[&init, sealed]), Some(&key));
                let before = decoded(&story.kept("clear.mp4", &[&clear[0], clear_one]), None);
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
            opener = story.key(id, &wanted, &token).await;
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
        let opened = first(&story.kept("keyframe.mp4", &[&init, &sealed]), Some(&opener));
        assert_eq!(opened, first(&story.kept("clear.mp4", &[&clear[0], before]), None), "{rung} {begun:?}");
    }
    assert_eq!(periods, 2, "{rung}: a key for each period");
}

/// The checksum of the first picture of a file.
fn first(file: &Path, key: Option<&[u8]>) -> String {
    let hex = hex::encode(key.unwrap_or_default());
    let opener = key.map_or_else(Vec::new, |_| vec!["-decryption_key", &hex]);
    let words = ["-i", file.to_str().unwrap(), "-frames:v", "1", "-f", "framemd5", "-"];
    let text = String::from_utf8(ran("ffmpeg", &[&["-v", "quiet"][..], &opener, &words].concat())).unwrap();
    let line =
        text.lines().find(|line| !line.starts_with('#')).unwrap_or_else(|| panic!("no picture: {text}"));
    line.to_owned()
}

/// W3C Encrypted Media Extensions, section 9.1.
async fn licence(story: &Story, id: &str, other: &str, ids: &[String]) {
    let kid = |id: &str| BASE64_URL_SAFE_NO_PAD.encode(hex::decode(id).unwrap());
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
    story.refused(id, other, async |token| send(good.clone(), token).await).await;
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
