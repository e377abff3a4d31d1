//! The ladder of a title, seen from outside: what is easy gets fewer and lower rungs than what is hard.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use sluice_tests::stack::{Options, Stack};
use sluice_tests::{client, clips};
use std::collections::BTreeMap;

/// Average bit/s of each picture rung of a video, by its name, as the multivariant playlist lists them.
async fn rungs(edge: &str, id: &str) -> BTreeMap<String, u64> {
    let text = client::bytes(&format!("{edge}/v/{id}/master.m3u8")).await;
    let (_, list) = m3u8_rs::parse_master_playlist(&text).unwrap();
    let pictures = list.variants.iter().filter(|v| !v.is_i_frame && v.resolution.is_some());
    pictures.map(|v| (v.uri.split('/').next().unwrap().to_owned(), v.average_bandwidth.unwrap())).collect()
}

async fn published(stack: &Stack, name: &str, clip: Vec<u8>) -> String {
    let made = client::put(&stack.edge(), name, clip).await;
    made["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_easy_title_gets_less_than_a_hard_one() {
    let transcoders = vec![("ladder", "per-title".to_owned())];
    let mut stack = Stack::with(Options { transcoders, hold_transcoder: true, ..Options::default() }).await;
    let still =
        "testsrc=size=1280x720:rate=25:duration=8,select=eq(n\\,0),loop=loop=-1:size=1,trim=duration=8";
    let zoom = "mandelbrot=size=1280x720:rate=25:start_scale=0.1,trim=duration=4";
    let mut ids = vec![];
    for (name, picture) in [("still.mp4", still), ("zoom.mp4", zoom)] {
        ids.push(published(&stack, name, clips::of(picture)).await);
    }
    // All of each source is there before any work begins.
    stack.transcoder.start().await;
    let mut all = vec![];
    for id in &ids {
        client::wait_ready(&stack.edge(), id).await;
        all.push(rungs(&stack.edge(), id).await);
    }
    let names = |rungs: &BTreeMap<String, u64>| rungs.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&all[0]), ["v240", "v720"], "between them is nothing that anybody needs: {all:?}");
    assert_eq!(names(&all[1]), ["v240", "v480", "v720"], "{all:?}");
    assert!(all[0]["v720"] * 3 < all[1]["v720"], "{all:?}");
}

#[tokio::test]
async fn without_the_setting_the_ladder_goes_by_size() {
    let stack = Stack::start().await;
    let id = published(&stack, "still.mp4", clips::of("testsrc=size=1280x720:rate=25:duration=4")).await;
    client::wait_ready(&stack.edge(), &id).await;
    let rungs = rungs(&stack.edge(), &id).await;
    assert_eq!(rungs.keys().collect::<Vec<_>>(), ["v240", "v480", "v720"], "{rungs:?}");
}
