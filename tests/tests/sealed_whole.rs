//! Videos that are sealed whole (AES-128), from outside: openssl opens them with keys that only a token gives.
#![allow(
    clippy::unwrap_used,
    clippy::string_slice,
    reason = "helpers of tests report a broken assumption by panicking"
)]

use reqwest::StatusCode;
use sluice_tests::sealed::Story;
use sluice_tests::{client, sources};

#[tokio::test]
async fn whole_segments_are_opened_with_keys_that_a_token_gives() {
    let story = Story::start().await;
    let (id, other) = tokio::join!(story.video("whole.mp4"), story.other());
    let mut clear = vec![];
    for rung in story.rungs(&id).await {
        let text = client::get(&story.url(&id, &format!("{rung}/index.m3u8"))).await.text().await.unwrap();
        for name in text.lines().filter(|line| line.ends_with(".m4s")) {
            let url = story.url(&id, &format!("{rung}/{name}"));
            clear.push((url.clone(), client::bytes(&url).await));
        }
    }
    let segments = clear.len();
    let downloads = story.rungs(&id).await.into_iter().map(|rung| format!("download/{rung}.mp4"));
    for name in downloads.chain(["preview.mp4".into()]) {
        let url = story.url(&id, &name);
        clear.push((url.clone(), client::bytes(&url).await));
    }
    story.protect(&id, "aes-128").await;
    story.protect(&other, "aes-128").await;
    let token = story.token(&id).await;
    let (mut names, mut keys, mut number) = (vec![], vec![], 0);
    for rung in story.rungs(&id).await {
        for (seq, listed) in story.listed(&id, &rung).await.into_iter().enumerate() {
            let sealed = client::bytes(&story.url(&id, &format!("{rung}/{}", listed.segment))).await;
            let key = story.key(&id, &listed, &token).await;
            assert!(story.opened(&sealed, &key, seq) == clear[number].1, "{rung} {seq} byte for byte");
            names.push(listed.key);
            keys.push(key);
            number += 1;
        }
    }
    assert_eq!(number, segments);
    names.dedup();
    keys.dedup();
    let periods = story.rungs(&id).await.len() * 2;
    assert_eq!((names.len(), keys.len()), (periods, periods), "a key for each rung and period");
    let first = story.url(&id, names[0].trim_start_matches("../"));
    story
        .refused(&id, &other, async |token| {
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
