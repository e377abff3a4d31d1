//! H.265 and AV1 beside H.264, from outside: what a policy makes of an upload, read and played by others.
#![allow(
    clippy::unwrap_used,
    clippy::string_slice,
    reason = "helpers of tests report a broken assumption by panicking"
)]

use serde_json::{Value, json};
use sluice_tests::authoring::{Presentation, check, fetch::presentation};
use sluice_tests::programs::printed;
use sluice_tests::stack::{Options, Stack};
use sluice_tests::{client, clips, ffprobe};
use std::path::Path;
use std::process::Command;
use tokio::time::{Duration, sleep};

const ALL: &str = "h264,hevc,av1";

async fn stack(codecs: &str, origin: Vec<(&'static str, String)>) -> Stack {
    let transcoders = vec![("codecs", codecs.to_owned())];
    Stack::with(Options { transcoders, origin, ..Options::default() }).await
}

async fn published(stack: &Stack, name: &str, clip: Vec<u8>) -> Value {
    let made = client::put(&stack.edge(), name, clip).await;
    client::wait_ready(&stack.edge(), made["id"].as_str().unwrap()).await
}

/// Name, beginning of the codecs string and range of each picture rung, as the API tells them.
fn rungs(video: &Value) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let pictures = video["rungs"].as_array().unwrap().iter().filter(|rung| rung["kind"] == "video");
    pictures.map(|r| (text(&r["name"]), text(&r["codecs"])[..4].to_owned(), text(&r["range"]))).collect()
}

/// Each variant's rung, range and score, in order.
fn variants(all: &Presentation) -> Vec<(String, String, u32)> {
    let variants = all.master.variants.iter().filter(|v| !v.is_i_frame && v.resolution.is_some());
    let said = variants.map(|v| {
        let other = |name: &str| v.other_attributes.as_ref().unwrap()[name].to_string();
        let rung = v.uri.split('/').next().unwrap().to_owned();
        (rung, other("VIDEO-RANGE"), other("SCORE").parse().unwrap())
    });
    said.collect()
}

/// What ffprobe says of a rung, all of it decoded: codec, format, transfer, frames.
async fn decoded(stack: &Stack, id: &str, name: &str) -> (String, String, String, String) {
    let all = client::rungs(&stack.edge(), id).await;
    let rung = all.iter().find(|rung| rung.name == name).unwrap();
    let file = tempfile::Builder::new().suffix(".mp4").tempfile().unwrap();
    std::fs::write(file.path(), rung.whole().await).unwrap();
    let found = ffprobe::counted(file.path().to_str().unwrap());
    let stream = &found["streams"][0];
    let text = |key: &str| stream[key].as_str().unwrap_or_default().to_owned();
    (text("codec_name"), text("pix_fmt"), text("color_transfer"), text("nb_read_frames"))
}

fn expected(codec: &str, format: &str, transfer: &str, frames: u32) -> (String, String, String, String) {
    (codec.to_owned(), format.to_owned(), transfer.to_owned(), frames.to_string())
}

#[tokio::test]
async fn a_policy_adds_codecs_that_switch_like_those_of_h264() {
    let stack = stack(ALL, vec![]).await;
    let video = published(&stack, "clip.mp4", clips::made(6, "400x304", 25)).await;
    let id = video["id"].as_str().unwrap();
    let said = |name: &str, codec: &str| (name.to_owned(), codec.to_owned(), "sdr".to_owned());
    assert_eq!(
        rungs(&video),
        [
            said("av1x240", "av01"),
            said("av1x304", "av01"),
            said("hevc240", "hvc1"),
            said("hevc304", "hvc1"),
            said("v240", "avc1"),
            said("v304", "avc1"),
        ]
    );
    let all = presentation(&format!("{}/v/{id}/master.m3u8", stack.edge())).await;
    assert_eq!(check(&all), vec![]);
    let scored = |name: &str, score| (name.to_owned(), "SDR".to_owned(), score);
    assert_eq!(
        variants(&all),
        [
            scored("v304", 5),
            scored("v240", 2),
            scored("hevc240", 3),
            scored("hevc304", 6),
            scored("av1x240", 4),
            scored("av1x304", 7),
        ]
    );
    let average = |name: &str| {
        video["rungs"].as_array().unwrap().iter().find(|r| r["name"] == name).unwrap()["average_bandwidth"]
            .as_u64()
            .unwrap()
    };
    assert!(average("hevc304") < average("v304") && average("av1x304") < average("v304"), "{video}");
    for (name, codec) in [("v304", "h264"), ("hevc304", "hevc"), ("av1x304", "av1"), ("av1x240", "av1")] {
        assert_eq!(decoded(&stack, id, name).await, expected(codec, "yuv420p", "bt709", 150), "{name}");
    }
    let description =
        client::get(&format!("{}/v/{id}/manifest.mpd", stack.edge())).await.text().await.unwrap();
    assert_eq!(description.matches("contentType=\"video\"").count(), 3, "{description}");
    the_pictures_beside_are_of_h264(&stack, id).await;
    played_by_chromium(&stack, id);
}

/// Previews and storyboards are for everybody.
async fn the_pictures_beside_are_of_h264(stack: &Stack, id: &str) {
    let preview = client::bytes(&format!("{}/v/{id}/preview.mp4", stack.edge())).await;
    assert!(preview.windows(4).any(|kind| kind == b"avcC"));
    let download = client::bytes(&format!("{}/v/{id}/download/hevc304.mp4", stack.edge())).await;
    let file = tempfile::Builder::new().suffix(".mp4").tempfile().unwrap();
    std::fs::write(file.path(), download).unwrap();
    let found = ffprobe::counted(file.path().to_str().unwrap());
    assert_eq!(
        (&found["streams"][0]["codec_name"], &found["streams"][0]["nb_read_frames"]),
        (&json!("hevc"), &json!("150"))
    );
}

fn played_by_chromium(stack: &Stack, id: &str) {
    let output = Command::new("node")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("browser"))
        .args(["shaka.mjs", &stack.edge(), id, "av01"])
        .output()
        .expect("node is installed by `make setup`");
    let said = printed("shaka.mjs", &output);
    let report: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    for manifest in ["master.m3u8", "manifest.mpd"] {
        let played = &report[manifest];
        assert_eq!(played["errors"], json!([]), "{report}");
        assert!(played["played"].as_str().unwrap().starts_with("av01"), "{report}");
        assert!((played["duration"].as_f64().unwrap() - 6.0).abs() < 0.2, "{report}");
    }
}

#[tokio::test]
async fn bright_sources_stay_bright_beside_what_every_screen_shows() {
    let stack = stack(ALL, vec![]).await;
    for (transfer, range, number) in [("smpte2084", "pq", 16), ("arib-std-b67", "hlg", 18)] {
        let video = published(&stack, "bright.mp4", clips::bright(3, "160x120", transfer)).await;
        let id = video["id"].as_str().unwrap();
        let said =
            |name: &str, codec: &str, range: &str| (name.to_owned(), codec.to_owned(), range.to_owned());
        assert_eq!(
            rungs(&video),
            [said("av1x120", "av01", range), said("hevc120", "hvc1", range), said("v120", "avc1", "sdr")]
        );
        let all = presentation(&format!("{}/v/{id}/master.m3u8", stack.edge())).await;
        assert_eq!(check(&all), vec![]);
        let ranges: Vec<_> = variants(&all).into_iter().map(|(rung, range, _)| (rung, range)).collect();
        let (wide, sdr) = (range.to_uppercase(), "SDR".to_owned());
        assert_eq!(
            ranges,
            [("v120".into(), sdr), ("hevc120".into(), wide.clone()), ("av1x120".into(), wide.clone())]
        );
        assert_eq!(decoded(&stack, id, "v120").await, expected("h264", "yuv420p", "bt709", 75));
        assert_eq!(decoded(&stack, id, "hevc120").await, expected("hevc", "yuv420p10le", transfer, 75));
        assert_eq!(decoded(&stack, id, "av1x120").await, expected("av1", "yuv420p10le", transfer, 75));
        let description =
            client::get(&format!("{}/v/{id}/manifest.mpd", stack.edge())).await.text().await.unwrap();
        let property = format!("urn:mpeg:mpegB:cicp:TransferCharacteristics\" value=\"{number}\"");
        assert_eq!(description.matches(&property).count(), 2, "{description}");
        // The checker sees a range that is not said.
        let mut wrong = all.clone();
        let variant = wrong.master.variants.iter_mut().find(|v| v.uri.starts_with("hevc")).unwrap();
        variant.other_attributes.as_mut().unwrap().remove("VIDEO-RANGE");
        assert!(check(&wrong).iter().any(|finding| finding.rule == "9.16"));
    }
}

#[tokio::test]
async fn what_patterns_do_not_seal_is_left_out_and_says_so() {
    let secrets = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secrets.path(), "5e".repeat(32)).unwrap();
    let origin = vec![("protection.secret_file", secrets.path().display().to_string())];
    let stack = stack("h264,av1", origin).await;
    let video = published(&stack, "clip.mp4", clips::made(4, "160x120", 25)).await;
    let id = video["id"].as_str().unwrap();
    let url = |file: &str| format!("{}/v/{id}/{file}", stack.edge());
    let text = async |file: &str| client::get(&url(file)).await.text().await.unwrap();
    assert!(text("master.m3u8").await.contains("av1x120/index.m3u8"));
    for (how, there) in [("cbcs", false), ("aes-128", true)] {
        let answer = client::client().patch(format!("{}/v1/videos/{id}", stack.edge()));
        let answer = answer.json(&json!({ "protection": how })).send().await.unwrap();
        assert!(answer.status().is_success(), "{:?}", answer.text().await);
        let method = if there { "METHOD=AES-128" } else { "METHOD=SAMPLE-AES" };
        // What edges have kept of before is purged by an event.
        let mut tries = 0;
        while !text("v120/index.m3u8").await.contains(method)
            || text("master.m3u8").await.contains("av1x120") != there
        {
            tries += 1;
            assert!(tries < 600, "{how}: {}", text("master.m3u8").await);
            sleep(Duration::from_millis(50)).await;
        }
        // An edge keeps a refusal for a moment, too.
        let mut tries = 0;
        loop {
            let direct = client::client().get(url("av1x120/index.m3u8")).send().await.unwrap();
            let status = direct.status().as_u16();
            let said = direct.text().await.unwrap();
            if (status == 200, said.contains("not-sealed")) == (there, !there) {
                break;
            }
            tries += 1;
            assert!(tries < 600, "{how}: {said}");
            sleep(Duration::from_millis(50)).await;
        }
    }
}
