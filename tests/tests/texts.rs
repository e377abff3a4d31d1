//! Text beside a video: sent as SubRip, shown by players, gone when it is replaced.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sluice_tests::client::{self, client, get, header};
use sluice_tests::programs::printed;
use sluice_tests::sources::eventually;
use sluice_tests::stack::{Options, Stack};
use sluice_tests::{clips, ffprobe};
use std::path::{Path, PathBuf};
use std::process::Command;

const SUBRIP: &str = "1\r\n00:00:00,500 --> 00:00:07,500\r\n<font color=\"#ff0\">Salt & <i>pepper</i></font>\r\n\r\n\
                      2\r\n00:01:30,000 --> 00:01:31,000\r\nafter the end\r\n";
const WEBVTT: &str = "WEBVTT\n\n00:01.000 --> 00:02.000 line:0\n[door creaks]\n";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// A stack with pages, and a video on it.
async fn published() -> (Stack, String) {
    let pages = root().join("player-demo/web/dist");
    assert!(pages.join("index.html").is_file(), "the pages are not built: `make web` builds them");
    let stack = Stack::with(Options { pages: Some(pages), ..Options::default() }).await;
    let made = client::put(&stack.edge(), "clip.mp4", clips::made(9, "320x180", 25)).await;
    let id = made["id"].as_str().unwrap().to_owned();
    client::wait_ready(&stack.edge(), &id).await;
    (stack, id)
}

async fn ask(method: Method, url: &str, body: &str) -> (StatusCode, String, Value) {
    let answer = client().request(method, url).body(body.to_owned()).send().await.unwrap();
    let (status, kind) = (answer.status(), header(&answer, "content-type"));
    (status, kind, answer.json().await.unwrap_or_default())
}

#[tokio::test]
async fn subtitles_are_sent_shown_replaced_and_deleted() {
    let (stack, id) = published().await;
    let (edge, tracks) = (stack.edge(), format!("{}/v1/videos/{id}/text", stack.edge()));
    let (status, _, made) = ask(Method::PUT, &format!("{tracks}/subtitles/EN?label=English"), SUBRIP).await;
    assert_eq!(
        (status, &made["language"], &made["cues"]),
        (StatusCode::CREATED, &json!("en"), &json!(2)),
        "{made}"
    );
    let (status, ..) = ask(Method::PUT, &format!("{tracks}/captions/pt-BR"), WEBVTT).await;
    assert_eq!(status, StatusCode::CREATED);
    refused(&tracks).await;

    // The listing and the playlist are pushed: what edges keep of them is forgotten.
    let master = format!("{edge}/v/{id}/master.m3u8");
    let lists = async |wanted: &str| {
        client::bytes(&master).await.windows(wanted.len()).any(|w| w == wanted.as_bytes())
    };
    eventually("both are listed", async || lists("text/captions.pt-br/index.m3u8").await).await;
    let text = String::from_utf8(client::bytes(&master).await).unwrap();
    assert!(text.contains("TYPE=SUBTITLES,GROUP-ID=\"text\",LANGUAGE=\"en\",NAME=\"English\""), "{text}");
    let listed: Value = client().get(&tracks).send().await.unwrap().json().await.unwrap();
    let kinds: Vec<_> =
        listed["text"].as_array().unwrap().iter().map(|t| t["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["captions", "subtitles"], "{listed}");

    let folder = format!("{edge}/v/{id}/text/subtitles.en");
    let list = String::from_utf8(client::bytes(&format!("{folder}/index.m3u8")).await).unwrap();
    let uri = list.lines().find(|line| line.ends_with(".vtt")).unwrap();
    assert!(list.contains("#EXTINF:9.0") && list.ends_with("#EXT-X-ENDLIST\n"), "{list}");
    let segment = get(&format!("{folder}/{uri}")).await;
    assert_eq!(header(&segment, "content-type"), "text/vtt");
    assert!(header(&segment, "cache-control").contains("immutable"));
    assert_eq!(
        segment.text().await.unwrap(),
        "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n\n00:00:00.500 --> 00:00:07.500\nSalt &amp; <i>pepper</i>\n"
    );
    opened_by_others(&edge, &id);
    in_a_browser(&stack, &id);

    let (status, _, made) = ask(Method::PUT, &format!("{tracks}/subtitles/en?label=English"), WEBVTT).await;
    assert_eq!((status, &made["cues"]), (StatusCode::OK, &json!(1)), "{made}");
    let old = format!("{folder}/{uri}");
    eventually("what was replaced is gone", async || {
        client().get(&old).send().await.unwrap().status() == StatusCode::NOT_FOUND
    })
    .await;
    let (status, ..) = ask(Method::DELETE, &format!("{tracks}/subtitles/en"), "").await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (status, ..) = ask(Method::DELETE, &format!("{tracks}/subtitles/en"), "").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    eventually("what is deleted is not listed", async || !lists("subtitles.en").await).await;

    // Text of a private video is for those with a token, as its film is.
    let private = json!({ "visibility": "private" }).to_string();
    let (status, ..) = ask(Method::PATCH, &format!("{edge}/v1/videos/{id}"), &private).await;
    assert_eq!(status, StatusCode::OK);
    let playlist = format!("{edge}/v/{id}/text/captions.pt-br/index.m3u8");
    eventually("private text is refused", async || {
        client().get(&playlist).send().await.unwrap().status() == StatusCode::UNAUTHORIZED
    })
    .await;
}

async fn refused(tracks: &str) {
    for (path, body, wanted, words) in [
        ("subtitles/en", "1\n00:00:01 --> 00:00:02\nx\n", 422, "line 2"),
        ("subtitles/en", "", 422, "no cue"),
        ("subtitles/english_us", SUBRIP, 400, "BCP 47"),
        ("songs/en", SUBRIP, 404, "kinds"),
        ("subtitles/en?label=%0a", SUBRIP, 400, "label"),
    ] {
        let (status, kind, problem) = ask(Method::PUT, &format!("{tracks}/{path}"), body).await;
        assert_eq!(
            (status.as_u16(), kind.as_str()),
            (wanted, "application/problem+json"),
            "{path} {problem}"
        );
        assert!(problem["detail"].as_str().unwrap().contains(words), "{problem}");
    }
    let large = "x".repeat((2 << 20) + 1);
    assert_eq!(ask(Method::PUT, &format!("{tracks}/subtitles/en"), &large).await.0.as_u16(), 413);
}

fn opened_by_others(edge: &str, id: &str) {
    for text in ["text/captions.pt-br/index.m3u8", "manifest.mpd"] {
        let found = ffprobe::streams(&format!("{edge}/v/{id}/{text}"));
        let streams = found["streams"].as_array().unwrap();
        assert!(streams.iter().any(|s| s["codec_name"] == "webvtt"), "{text}: {found}");
    }
}

fn in_a_browser(stack: &Stack, id: &str) {
    let output = Command::new("node")
        .current_dir(root().join("tests/browser"))
        .args(["text.mjs", &stack.edge(), id])
        .arg(root().join("target/browser"))
        .output()
        .expect("node is installed by `make setup`");
    let text = printed("text.mjs", &output);
    let report: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(report["shown"], "Salt & pepper", "{report}");
    assert_eq!(report["choices"], json!(["Off", "pt-BR", "English"]), "{report}");
    assert_eq!(report["uploaded"], json!(["Deutsch", "English", "pt-BR"]), "{report}");
    assert_eq!(report["errors"].as_array().unwrap().len(), 0, "no error in the console: {report}");
}
