//! Downloads: one MP4 of a rung and the sound, over the segments as they are stored.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use serde_json::Value;
use sluice_tests::client::{self, client, get, header};
use sluice_tests::programs::printed;
use sluice_tests::stack::Stack;
use sluice_tests::{clips, ffprobe};
use std::path::Path;
use std::process::Command;

/// Packets of a file as ffmpeg's own demuxer sees them: their time and a hash of their bytes.
fn packets(file: &str, stream: &str, from: Option<&str>) -> Vec<String> {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error"]);
    if let Some(from) = from {
        command.args(["-ss", from]);
    }
    let output =
        command.args(["-i", file, "-map", stream, "-c", "copy", "-f", "framehash", "-"]).output().unwrap();
    let text = printed("ffmpeg", &output);
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

fn hash(line: &str) -> &str {
    line.rsplit(',').next().unwrap().trim()
}

fn seconds(value: &Value) -> f64 {
    value.as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_rung_is_downloaded_as_one_file() {
    let stack = Stack::start().await;
    let edge = stack.edge();
    let made = client::put(&edge, "A film: \"one\".mp4", clips::made(11, "640x360", 30)).await;
    let id = made["id"].as_str().unwrap().to_owned();
    let video = client::wait_ready(&edge, &id).await;
    let url = format!("{edge}/v/{id}/download/v360.mp4");
    let whole = get(&url).await;
    let (etag, disposition) = (header(&whole, "etag"), header(&whole, "content-disposition"));
    assert!(etag.starts_with('"') && disposition.starts_with("attachment; filename"), "{etag} {disposition}");
    let bytes = whole.bytes().await.unwrap();
    let moov = bytes.windows(4).position(|w| w == b"moov").unwrap();
    assert!(moov < 64, "the index is in front");

    // As other readers see it: as long as the video, sound and picture together, each picture decodes.
    let file = stack.dir().join("download.mp4");
    std::fs::write(&file, &bytes).unwrap();
    let file = file.to_str().unwrap();
    let found = ffprobe::streams(file);
    let length = video["duration_ms"].as_f64().unwrap() / 1_000.0;
    for stream in found["streams"].as_array().unwrap() {
        assert!((seconds(&stream["duration"]) - length).abs() < 0.1, "{found}");
        assert!(seconds(&stream["start_time"]).abs() < 0.001, "{found}");
    }
    assert!((seconds(&found["format"]["duration"]) - length).abs() < 0.1, "{found}");
    decodes(file);

    // The very packets that players of HLS get, and at their times.
    let rungs = client::rungs(&edge, &id).await;
    for (name, stream) in [("v360", "0:v"), ("a128", "0:a")] {
        let Some(rung) = rungs.iter().find(|rung| rung.name == name) else { continue };
        let streamed = stack.dir().join(format!("{name}.mp4"));
        std::fs::write(&streamed, rung.whole().await).unwrap();
        let (streamed, downloaded) =
            (packets(streamed.to_str().unwrap(), "0", None), packets(file, stream, None));
        assert!(
            streamed.len() > 100
                && streamed.iter().map(|line| hash(line)).eq(downloaded.iter().map(|line| hash(line))),
            "{name}"
        );
    }
    let late = packets(file, "0:v", Some("8"));
    let all = packets(file, "0:v", None);
    assert!(
        late.len() < all.len() / 2 && all.iter().map(|line| hash(line)).any(|h| h == hash(&late[0])),
        "it seeks"
    );

    // Ranges and validators.
    let part = client()
        .get(&url)
        .header("range", "bytes=1000-200999")
        .header("if-range", &etag)
        .send()
        .await
        .unwrap();
    assert_eq!((part.status().as_u16(), header(&part, "etag")), (206, etag.clone()));
    assert_eq!(part.bytes().await.unwrap(), bytes.slice(1_000..201_000));
    let tail = client().get(&url).header("range", "bytes=-777").send().await.unwrap();
    assert_eq!(tail.bytes().await.unwrap(), bytes.slice(bytes.len() - 777..));
    let known = client().get(&url).header("if-none-match", &etag).send().await.unwrap();
    assert_eq!(known.status().as_u16(), 304);

    let sound = rungs.iter().find(|rung| rung.name.starts_with('a')).unwrap();
    let alone = stack.dir().join("sound.mp4");
    std::fs::write(&alone, client::bytes(&format!("{edge}/v/{id}/download/{}.mp4", sound.name)).await)
        .unwrap();
    let found = ffprobe::streams(alone.to_str().unwrap());
    assert_eq!(found["streams"].as_array().unwrap().len(), 1, "{found}");
    assert_eq!(found["streams"][0]["codec_type"], "audio");
    let missing = client().get(format!("{edge}/v/{id}/download/v9999.mp4")).send().await.unwrap();
    assert_eq!(missing.status().as_u16(), 404);

    let preview = stack.dir().join("preview.mp4");
    std::fs::write(&preview, client::bytes(&format!("{edge}/v/{id}/preview.mp4")).await).unwrap();
    let found = ffprobe::streams(preview.to_str().unwrap());
    assert_eq!(found["streams"].as_array().unwrap().len(), 1, "{found}");
    assert!((2.0..5.0).contains(&seconds(&found["format"]["duration"])), "{found}");
    decodes(preview.to_str().unwrap());
}

fn decodes(file: &str) {
    assert!(Path::new(file).is_file());
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-xerror", "-i", file, "-f", "null", "-"])
        .output()
        .expect("ffmpeg is installed by `make setup`");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{}: {said}", output.status);
}
