//! What is made of a video beside its film: text and chapters that came with it, a storyboard.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use serde_json::{Value, json};
use sluice_tests::client::{self, client, header};
use sluice_tests::clips;
use sluice_tests::programs::printed;
use sluice_tests::sources::eventually;
use sluice_tests::stack::{Options, Stack};
use std::path::{Path, PathBuf};
use std::process::Command;

const SUBRIP: &str =
    "1\n00:00:01,000 --> 00:00:03,000\n<i>Hello</i> & welcome\n\n2\n00:00:04,000 --> 00:00:05,500\nagain\n";
const CHAPTERS: &str = ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=4000\ntitle=Opening\n\
                        [CHAPTER]\nTIMEBASE=1/1000\nSTART=4000\nEND=12000\ntitle=The rest\n";

/// A film with two tracks of text, of formats that the container has, and chapters.
fn film(ending: &str, codec: &str) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let of = |name: &str| dir.path().join(name);
    std::fs::write(of("film.mp4"), clips::made(12, "320x180", 25)).unwrap();
    std::fs::write(of("text.srt"), SUBRIP).unwrap();
    std::fs::write(of("chapters.txt"), CHAPTERS).unwrap();
    let made = of(&format!("made.{ending}"));
    let output = Command::new("ffmpeg")
        .current_dir(dir.path())
        .args(["-v", "error", "-i", "film.mp4", "-i", "text.srt", "-i", "text.srt", "-i", "chapters.txt"])
        .args([
            "-map",
            "0:v",
            "-map",
            "0:a",
            "-map",
            "1",
            "-map",
            "2",
            "-map_metadata",
            "3",
            "-map_chapters",
            "3",
        ])
        .args([
            "-c",
            "copy",
            "-c:s",
            codec,
            "-metadata:s:s:0",
            "language=ger",
            "-metadata:s:s:0",
            "title=Deutsch",
        ])
        .args(["-metadata:s:s:1", "language=eng", "-disposition:s:1", "hearing_impaired"])
        .arg(&made)
        .output()
        .expect("ffmpeg is installed by `make setup`");
    printed("ffmpeg", &output);
    std::fs::read(made).unwrap()
}

async fn texts(edge: &str, id: &str) -> Vec<Value> {
    let listed: Value =
        client().get(format!("{edge}/v1/videos/{id}/text")).send().await.unwrap().json().await.unwrap();
    listed["text"].as_array().unwrap().clone()
}

#[tokio::test]
async fn text_and_chapters_come_with_their_film_and_pictures_are_made_of_it() {
    let pages = root().join("player-demo/web/dist");
    assert!(pages.join("index.html").is_file(), "the pages are not built: `make web` builds them");
    let stack = Stack::with(Options { pages: Some(pages), ..Options::default() }).await;
    let edge = stack.edge();
    let mut ids = vec![];
    for (ending, codec) in [("mkv", "subrip"), ("mkv", "ass"), ("mp4", "mov_text")] {
        let made = client::put(&edge, &format!("film-{codec}.{ending}"), film(ending, codec)).await;
        ids.push((codec, made["id"].as_str().unwrap().to_owned()));
    }
    // What people send before is theirs.
    let sent = client()
        .put(format!("{edge}/v1/videos/{}/text/subtitles/de?label=Von%20Hand", ids[0].1))
        .body("WEBVTT\n\n00:01.000 --> 00:02.000\nvon Hand\n")
        .send()
        .await
        .unwrap();
    assert!(sent.status().is_success());
    for (codec, id) in &ids {
        client::wait_ready(&edge, id).await;
        eventually(codec, async || texts(&edge, id).await.len() == 3).await;
        let all = texts(&edge, id).await;
        let seen = |n: usize| json!([all[n]["kind"], all[n]["language"], all[n]["embedded"], all[n]["cues"]]);
        assert_eq!(seen(0), json!(["captions", "en", true, 2]), "{codec}");
        assert_eq!(seen(1), json!(["chapters", "und", true, 2]), "{codec}");
        let by_hand = *codec == "subrip";
        assert_eq!(seen(2), json!(["subtitles", "de", !by_hand, if by_hand { 1 } else { 2 }]), "{codec}");
        let text =
            String::from_utf8(client::bytes(&format!("{edge}{}", all[0]["url"].as_str().unwrap())).await)
                .unwrap();
        let first = text.lines().nth(3).unwrap();
        assert!(first.contains("Hello") && first.contains("&amp; welcome"), "{codec}: {text}");
        // A container may have moved all of it, by the priming of its sound.
        assert!(text.contains("\n00:00:01.0") || text.contains("\n00:00:00.9"), "{codec}: {text}");
        let chapters = client::bytes(&format!("{edge}{}", all[1]["url"].as_str().unwrap())).await;
        assert!(String::from_utf8(chapters).unwrap().contains("\nThe rest\n"), "{codec}");
    }
    let id = &ids[2].1;
    let board = format!("{edge}/v/{id}/storyboard.vtt");
    eventually("there is a storyboard", async || {
        client().get(&board).send().await.unwrap().status().is_success()
    })
    .await;
    let text = String::from_utf8(client::bytes(&board).await).unwrap();
    assert!((6..=7).contains(&text.matches(" --> ").count()), "one each two seconds: {text}");
    let uri = text.lines().find(|line| line.contains("#xywh=0,0,160,90")).unwrap();
    let url = format!("{edge}/v/{id}/{}", uri.split_once('#').unwrap().0);
    let sheet = client().get(&url).send().await.unwrap();
    assert_eq!((sheet.status().as_u16(), header(&sheet, "content-type")), (200, "image/jpeg".into()));
    assert!(header(&sheet, "cache-control").contains("immutable"));
    let jpeg = sheet.bytes().await.unwrap();
    assert!(jpeg.starts_with(&[0xff, 0xd8, 0xff]) && jpeg.len() > 5_000, "{} bytes", jpeg.len());

    let master = String::from_utf8(client::bytes(&format!("{edge}/v/{id}/master.m3u8")).await).unwrap();
    let said = "#EXT-X-SESSION-DATA:DATA-ID=\"com.apple.hls.chapters\",URI=\"chapters.json\"\n";
    assert!(master.contains(said), "{master}");
    let chapters: Value =
        client().get(format!("{edge}/v/{id}/chapters.json")).send().await.unwrap().json().await.unwrap();
    assert!((chapters[1]["start-time"].as_f64().unwrap() - 4.0).abs() < 0.1, "{chapters}");
    assert_eq!(chapters[1]["titles"], json!([{ "language": "und", "title": "The rest" }]), "{chapters}");
    in_a_browser(&edge, id);
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn in_a_browser(edge: &str, id: &str) {
    let output = Command::new("node")
        .current_dir(root().join("tests/browser"))
        .args(["beside.mjs", edge, id])
        .arg(root().join("target/browser"))
        .output()
        .expect("node is installed by `make setup`");
    let text = printed("beside.mjs", &output);
    let report: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(report["glimpse"], json!([true, true, 4]), "{report}");
    for kind in ["captions", "chapters", "metadata", "subtitles"] {
        assert!(report["tracks"].as_array().unwrap().contains(&json!(kind)), "{kind}: {report}");
    }
    assert!(report["downloads"].as_array().unwrap().len() >= 2, "{report}");
    assert!(report["speed"].as_str().unwrap().contains("8×") && report["paused"] == true, "{report}");
    assert!(report["at"].as_f64().unwrap() > 2.0, "{report}");
    assert_eq!(report["errors"].as_array().unwrap().len(), 0, "no error in the console: {report}");
}
