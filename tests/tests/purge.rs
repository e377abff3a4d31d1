//! What is changed or purged is gone from every tier, and drained edges get nobody new.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use serde_json::{Value, json};
use sluice_tests::client::{self, header};
use sluice_tests::clips;
use sluice_tests::stack::Stack;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Asks until the answer satisfies; what an outside client can wait for.
async fn eventually(what: &str, url: &str, good: impl Fn(&reqwest::Response) -> bool) -> reqwest::Response {
    let begun = Instant::now();
    loop {
        let answer = client::client().get(url).send().await.unwrap();
        if good(&answer) {
            return answer;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{what}: still {} of {url}", answer.status());
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn purges_deletes_and_drains_reach_every_tier() {
    let stack = Stack::start().await;
    let (a, b, control) = (stack.near[0].url(), stack.near[1].url(), stack.control.url());
    let document = client::put(&a, "gone.mp4", clips::made(4, "320x240", 25)).await;
    let id = document["id"].as_str().unwrap();
    client::wait_ready(&a, id).await;
    let poster = format!("/v/{id}/poster.jpg");
    for edge in [&a, &b] {
        client::kept(&format!("{edge}{poster}")).await;
    }

    let purged = client::client()
        .post(format!("{control}/v1/purge?wait=10000"))
        .json(&json!({"tags": [format!("v:{id}")], "prefixes": [format!("/v/{id}/")]}))
        .send()
        .await
        .unwrap();
    assert_eq!(purged.status(), 200, "every edge has said that it has applied it");
    let answer: Value = purged.json().await.unwrap();
    assert_eq!(answer["purged"].as_array().unwrap().len(), 2, "{answer}");
    assert_eq!(answer["applied"]["nodes"].as_array().unwrap().len(), 3, "{answer}");
    assert_eq!(stack.control.metric("sluice_control_purge_seconds_count", &[]).await, 1.0);
    for edge in [&a, &b] {
        let after = client::get(&format!("{edge}{poster}")).await;
        assert!(!last(&after).contains("; hit"), "nothing to wait for: {}", last(&after));
    }

    // Steering and redirect name both edges, and one only while the other drains.
    let steer: Value = client::get(&format!("{control}/steer/v/{id}")).await.json().await.unwrap();
    assert_eq!(steer["VERSION"], 1);
    assert!(steer["RELOAD-URI"].as_str().unwrap().starts_with("http"), "absolute: {steer}");
    assert_eq!(steer["PATHWAY-CLONES"].as_array().unwrap().len(), 2, "{steer}");
    let drained = client::client().post(format!("{control}/v1/nodes/near-a/drain")).send().await.unwrap();
    assert!(drained.status().is_success(), "{}", drained.status());
    eventually("redirected away", &format!("{control}/r/{id}"), |r| header(r, "location").starts_with(&b))
        .await;
    let fleet: Value = client::get(&format!("{control}/v1/nodes")).await.json().await.unwrap();
    let state = |name: &str| {
        let nodes = fleet["nodes"].as_array().unwrap();
        nodes.iter().find(|node| node["report"]["node"] == name).unwrap()["state"].clone()
    };
    assert_eq!((state("near-a"), state("near-b")), (json!("draining"), json!("ready")));
    // Whoever still asks it for media is sent on, though it has it; all else it serves, till it is in again.
    let sent = eventually("sent on", &format!("{a}{poster}"), |r| r.status() == 307).await;
    assert!(header(&sent, "location").starts_with(&format!("{b}{poster}")), "{}", header(&sent, "location"));
    assert!(last(&sent).ends_with("detail=drained"), "{}", last(&sent));
    assert_eq!(client::get(&header(&sent, "location")).await.status(), 200);
    assert_eq!(client::get(&format!("{a}/v1/videos/{id}")).await.status(), 200);
    let back = client::client().delete(format!("{control}/v1/nodes/near-a/drain")).send().await.unwrap();
    assert!(back.status().is_success(), "{}", back.status());
    eventually("in again", &format!("{a}{poster}"), |r| r.status() == 200).await;

    let deleted = client::client().delete(format!("{a}/v1/videos/{id}")).send().await.unwrap();
    assert!(deleted.status().is_success(), "{}", deleted.status());
    for edge in [&a, &b] {
        eventually("deleted", &format!("{edge}{poster}"), |r| r.status() == 404).await;
        eventually("deleted", &format!("{edge}/v1/videos/{id}"), |r| r.status() == 404).await;
    }
}

fn last(answer: &reqwest::Response) -> String {
    header(answer, "cache-status").rsplit(", ").next().unwrap_or_default().to_owned()
}
