//! Editions: a video made anew, or of another source, under the address it has. Who watches goes on with what they began.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use reqwest::StatusCode;
use serde_json::Value;
use sluice_tests::client::{self, client};
use sluice_tests::clips;
use sluice_tests::sources::eventually;
use sluice_tests::stack::{Options, Stack};
use std::sync::Mutex;

async fn ready(stack: &Stack, seconds: u32, size: &str) -> String {
    let made = client::put(&stack.edge(), "film.mp4", clips::made(seconds, size, 25)).await;
    let id = made["id"].as_str().unwrap().to_owned();
    client::wait_ready(&stack.edge(), &id).await;
    id
}

/// Sends another source for a video; the edition's document.
async fn replace(edge: &str, id: &str, name: &str, bytes: Vec<u8>) -> Value {
    let url = format!("{edge}/v1/videos/{name}?replaces={id}");
    let answer = client().put(url).body(bytes).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    answer.json().await.unwrap()
}

async fn settled(edge: &str, id: &str) -> Value {
    client::wait_until(edge, id, "without an edition to come", |video| video["next_edition"].is_null()).await
}

async fn listed(edge: &str) -> Vec<String> {
    let page: Value = client::get(&format!("{edge}/v1/videos")).await.json().await.unwrap();
    page["videos"].as_array().unwrap().iter().map(|video| video["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_video_is_made_anew_while_it_is_played() {
    let stack = Stack::start().await;
    let (edge, id) = (stack.edge(), ready(&stack, 12, "640x360").await);
    let before = client::played(&edge, &id).await;
    let anew = |how: &str| client().post(format!("{edge}/v1/videos/{id}/editions{how}")).send();
    let same = eventually_accepted(|| anew("")).await["id"].as_str().unwrap().to_owned();
    let same = client::wait_until(&edge, &same, "over", |edition| edition["state"] == "failed").await;
    assert!(same["error"].as_str().unwrap().contains("it would be the same"), "{same}");
    let made = eventually_accepted(|| anew("?force=true")).await;
    let edition = made["id"].as_str().unwrap().to_owned();
    assert_eq!((made["edition_of"].as_str(), made["state"].as_str()), (Some(id.as_str()), Some("queued")));
    let again = anew("").await.unwrap();
    assert_eq!(again.status(), StatusCode::CONFLICT, "one at a time");
    let video = client::video(&edge, &id).await;
    assert_eq!((video["state"].as_str(), video["next_edition"].as_str()), (Some("ready"), Some(&*edition)));
    assert_eq!(listed(&edge).await, [id.as_str()], "an edition is in no list");
    client::wait_ready(&edge, &edition).await;
    settled(&edge, &id).await;
    let own = client().get(format!("{edge}/v/{edition}/master.m3u8")).send().await.unwrap();
    assert_eq!(own.status(), StatusCode::NOT_FOUND, "it is played at its video's address alone");
    assert_eq!(
        client::played(&edge, &id).await,
        before,
        "of the same source by the same policy it is the same"
    );
    let shown = client().delete(format!("{edge}/v1/videos/{edition}")).send().await.unwrap();
    assert_eq!(shown.status(), StatusCode::CONFLICT, "what is shown is not deleted alone");
}

#[tokio::test]
async fn a_changed_policy_makes_a_video_anew_and_players_go_on() {
    let mut stack = Stack::start().await;
    let (edge, id) = (stack.edge(), ready(&stack, 6, "320x240").await);
    let playlists = client::rungs(&edge, &id).await;
    let before = client::played(&stack.origin.url(), &id).await;
    stack.transcoder.kill9();
    stack.transcoder.set("codecs", "h264,av1");
    stack.transcoder.start().await;
    let made = eventually_accepted(|| client().post(format!("{edge}/v1/videos/{id}/editions")).send()).await;
    client::wait_ready(&edge, made["id"].as_str().unwrap()).await;
    let video = settled(&edge, &id).await;
    let names: Vec<&str> =
        video["rungs"].as_array().unwrap().iter().map(|rung| rung["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["a64", "av1x240", "v240"]);
    let after = client::played(&edge, &id).await;
    assert!(before.iter().all(|object| after.contains(object)), "what the policy leaves alone is the same");
    for rung in playlists {
        assert!(!rung.whole().await.is_empty(), "{}", rung.name);
    }
}

/// An upload is looked through after it is complete: until then its video cannot be made anew.
async fn eventually_accepted<F: Future<Output = reqwest::Result<reqwest::Response>>>(
    ask: impl Fn() -> F,
) -> Value {
    let accepted = Mutex::new(None);
    eventually("it is made anew", async || {
        let answer = ask().await.unwrap();
        if answer.status() == StatusCode::ACCEPTED {
            let made: Value = answer.json().await.unwrap();
            *accepted.lock().unwrap() = Some(made);
        }
        accepted.lock().unwrap().is_some()
    })
    .await;
    accepted.into_inner().unwrap().unwrap()
}

#[tokio::test]
async fn another_source_takes_the_place_and_old_players_go_on() {
    let stack = Stack::start().await;
    let (edge, origin) = (stack.edge(), stack.origin.url());
    let id = ready(&stack, 12, "640x360").await;
    let title = client::video(&edge, &id).await["title"].clone();
    // What a player has that began before. No edge has its segments.
    let playlists = client::rungs(&edge, &id).await;
    let before = client::played(&origin, &id).await;
    let made = replace(&edge, &id, "other.mp4", clips::made(6, "320x240", 25)).await;
    let video = client::video(&edge, &id).await;
    assert!(video["duration_ms"].as_u64().unwrap() > 11_000, "it is shown as it was: {video}");
    client::wait_ready(&edge, made["id"].as_str().unwrap()).await;
    let video = settled(&edge, &id).await;
    assert!(video["duration_ms"].as_u64().unwrap() < 7_000 && video["state"] == "ready", "{video}");
    assert_eq!((video["name"].as_str(), &video["title"]), (Some("other.mp4"), &title));
    let names: Vec<&str> =
        video["rungs"].as_array().unwrap().iter().map(|rung| rung["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["a64", "v240"]);
    // Playlists are new at once, and complete.
    let after = client::rungs(&edge, &id).await;
    assert_eq!(after.len(), 2);
    for rung in &after {
        let seconds: f64 = rung.durations.iter().sum();
        assert!(rung.ended && (5.9..6.2).contains(&seconds), "{}: {seconds}", rung.name);
        assert!(!rung.whole().await.is_empty());
    }
    // And who has the old ones gets what they name.
    for rung in &playlists {
        for url in std::iter::once(&rung.init).chain(&rung.segments) {
            let name = format!("{}/{}", rung.name, url.rsplit('/').next().unwrap());
            let hash = client::sha256(&client::bytes(url).await);
            assert!(before.contains(&(name, hash)), "{url}");
        }
    }
}

#[tokio::test]
async fn a_source_that_is_no_video_replaces_nothing() {
    let stack = Stack::start().await;
    let (edge, id) = (stack.edge(), ready(&stack, 6, "320x240").await);
    let before = client::played(&edge, &id).await;
    let made = replace(&edge, &id, "letter.txt", b"no film at all, only words".to_vec()).await;
    let edition = made["id"].as_str().unwrap();
    let failed = client::wait_until(&edge, edition, "failed", |video| video["state"] == "failed").await;
    assert!(failed["error"].as_str().unwrap().contains("not a video or audio file"), "{failed}");
    let video = settled(&edge, &id).await;
    assert_eq!((video["state"].as_str(), video["error"].as_str()), (Some("ready"), None));
    assert_eq!(client::played(&edge, &id).await, before);
    for nothing in ["0000000000000", "x"] {
        let url = format!("{edge}/v1/videos/a.mp4?replaces={nothing}");
        let answer = client().put(url).body("words").send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{nothing}");
    }
}

#[tokio::test]
async fn what_was_shown_before_is_removed_in_time() {
    let origin = vec![("library.undo_ms", "1000".into()), ("library.sweep_ms", "100".into())];
    let stack = Stack::with(Options { origin, ..Options::default() }).await;
    let (edge, id) = (stack.edge(), ready(&stack, 6, "320x240").await);
    let media = stack.dir().join("objects/media");
    let rungs = |id: &str| media.join(id).join("v240").exists();
    let mut editions = vec![id.clone()];
    for seconds in [5, 4] {
        let made = replace(&edge, &id, "other.mp4", clips::made(seconds, "320x240", 25)).await;
        let edition = made["id"].as_str().unwrap().to_owned();
        client::wait_ready(&edge, &edition).await;
        settled(&edge, &id).await;
        let before = editions.last().unwrap();
        eventually("what was shown before is gone", async || !rungs(before)).await;
        assert!(rungs(&edition));
        editions.push(edition);
    }
    for rung in client::rungs(&edge, &id).await {
        assert!(!rung.whole().await.is_empty());
    }
    let sources = stack.dir().join("objects/uploads");
    eventually("sources that are not shown are gone", async || {
        std::fs::read_dir(&sources).unwrap().count() == 1
    })
    .await;
}
