//! Live channels, as clients of edges have them: the same numbers whatever carries them, and nothing lost whatever ends meanwhile.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use serde_json::{Value, json};
use sluice_tests::channels::{Story, events, numbers, poll, streamed};
use sluice_tests::client::client;
use sluice_tests::ear::LIMIT;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn the_numbers_are_the_same_whatever_carries_them() {
    let story = Story::start(2).await;
    let at = story.say_live("stock:1", 2).await;
    let mut ears = [story.ear(0).await, story.ear(1).await];
    for ear in &mut ears {
        assert_eq!(ear.subscribe("stock:1", None, None).await, at);
    }
    let polled = poll(&story.url(0, "/v1/live/poll?channel=stock:1")).await;
    assert_eq!(polled, (200, json!({ "channel": "stock:1", "seq": 2, "frames": [] })));
    let streamed = story.url(0, "/v1/live/events?channel=stock:1&channel=stock:2");
    let streaming = events(&streamed, None, 5);
    let polling = story.url(1, "/v1/live/poll?channel=stock:1&after=2&wait=20");
    let saying = async {
        // The stream is there when it has subscribed.
        story.edges[0].until("sluice_edge_live_channels", &[], |channels| channels == 2.0).await;
        story.edges[0].until("sluice_edge_live_clients", &["events"], |clients| clients == 1.0).await;
        sleep(Duration::from_millis(200)).await;
        story.say_live("stock:1", 5).await
    };
    let ((seen, id), (status, found), last) = tokio::join!(streaming, poll(&polling), saying);
    assert_eq!((seen, last), (vec![3, 4, 5, 6, 7], 7));
    assert!(id.contains("stock:1=7"), "{id}");
    assert_eq!((status, found["frames"][0]["seq"].as_u64()), (200, Some(3)));
    assert_eq!(found["frames"][0]["data"], json!({ "n": 0 }));
    for ear in &mut ears {
        ear.hears("stock:1", 3..=7).await;
    }
    // Resumed by what each is given to resume by.
    assert_eq!(events(&streamed, Some("stock:1=5 stock:2=0"), 2).await.0, [6, 7]);
    let (_, found) = poll(&story.url(0, "/v1/live/poll?channel=stock:1&after=4")).await;
    assert_eq!((found["seq"].as_u64(), found["frames"].as_array().unwrap().len()), (Some(7), 3));
    assert_eq!(poll(&story.url(0, "/v1/live/poll?channel=stock:1&after=7&wait=0")).await.0, 204);

    // What there is not.
    assert_eq!(poll(&story.url(0, "/v1/live/poll?channel=nothing:1")).await.0, 404);
    assert_eq!(poll(&story.url(0, "/v1/live/poll")).await.0, 400);
    for inner in ["/v1/log", "/v1/channels", "/v1/%6cog?after=0", "/v1/log/"] {
        assert_eq!(poll(&story.url(0, inner)).await.0, 404, "{inner}");
    }
    let plain = client().get(story.url(0, "/v1/live")).send().await.unwrap();
    assert_eq!(plain.status(), 426);
}

#[tokio::test]
async fn a_stream_that_is_cut_goes_on_in_channels_that_had_not_begun() {
    let story = Story::start(1).await;
    // The edge keeps what both have said.
    let mut ear = story.ear(0).await;
    ear.subscribe("stock:1", None, None).await;
    ear.subscribe("stock:2", None, None).await;
    let (many, few) = (story.say_live("stock:1", 200).await, story.say_live("stock:2", 5).await);
    for _ in 0..many + few {
        ear.json().await;
    }
    // The first has so much to say that the second waits; then the line is cut.
    let url = story.url(0, "/v1/live/events?channel=stock:1&channel=stock:2");
    let (seen, id) = streamed(&url, Some("stock:1=0 stock:2=0"), 1).await;
    let at = seen.len() as u64;
    assert_eq!((seen, id.as_str()), (numbers("stock:1", 1..=at), format!("stock:1={at} stock:2=0").as_str()));
    let left = usize::try_from(many - at + few).unwrap();
    let (mut seen, id) = streamed(&url, Some(&id), left).await;
    seen.sort();
    assert_eq!(seen, [numbers("stock:1", at + 1..=many), numbers("stock:2", 1..=few)].concat());
    assert_eq!(id, format!("stock:1={many} stock:2={few}"));

    // What the last id does not say, the address does.
    let from = format!("{url}&after=stock:1%3D0%20stock:2%3D{}", few - 2);
    let (mut seen, _) = streamed(&from, Some(&format!("stock:1={}", many - 2)), 4).await;
    seen.sort();
    assert_eq!(seen, [numbers("stock:1", many - 1..=many), numbers("stock:2", few - 1..=few)].concat());
}

#[tokio::test]
async fn a_crowd_that_comes_back_costs_an_origin_one_subscription_for_each_edge() {
    let story = Story::start(2).await;
    story.say_live("stock:1", 20).await;
    let mut crowd = futures::future::join_all((0..300).map(|n| story.ear(n % 2))).await;
    let coming =
        crowd.iter_mut().enumerate().map(|(n, ear)| ear.subscribe("stock:1", Some(n as u64 % 20), None));
    futures::future::join_all(coming).await;
    for (n, ear) in crowd.iter_mut().enumerate() {
        ear.hears("stock:1", n as u64 % 20 + 1..=20).await;
    }
    let asked = async || story.origin.metric("sluice_channel_subscriptions_total", &[]).await;
    let first = asked().await;
    // Once for each edge, and once more where the first who came did not come with the oldest number.
    assert!((2.0..=4.0).contains(&first), "{first}");

    // All at once, as after an outage of their network.
    drop(crowd);
    for edge in &story.edges {
        edge.until("sluice_edge_live_clients", &[], |clients| clients == 0.0).await;
    }
    story.say_live("stock:1", 5).await;
    let mut crowd = futures::future::join_all((0..300).map(|n| story.ear(n % 2))).await;
    futures::future::join_all(crowd.iter_mut().map(|ear| ear.subscribe("stock:1", Some(20), None))).await;
    futures::future::join_all(crowd.iter_mut().map(|ear| ear.hears("stock:1", 21..=25))).await;
    assert_eq!(asked().await, first, "the origin was not asked again");
    assert_eq!(story.origin.metric("sluice_channel_streams", &[]).await, 2.0);
}

#[tokio::test]
async fn an_origin_that_is_killed_is_not_missed() {
    let mut story = Story::start(2).await;
    let mut ears = [story.ear(0).await, story.ear(1).await];
    for ear in &mut ears {
        ear.subscribe("stock:1", None, None).await;
    }
    story.say_live("stock:1", 10).await;
    for ear in &mut ears {
        ear.hears("stock:1", 1..=10).await;
    }
    story.origin.kill9();
    // Who comes now is served from what is kept here, and what is written meanwhile is not lost.
    let mut late = story.ear(0).await;
    assert_eq!(late.subscribe("stock:1", Some(4), None).await, 4);
    late.hears("stock:1", 5..=10).await;
    story.say_live("stock:1", 10).await;
    story.origin.start().await;
    story.say_live("stock:1", 10).await;
    for ear in ears.iter_mut().chain([&mut late]) {
        ear.hears("stock:1", 11..=30).await;
    }
    let end = story.say_live("stock:1", 1).await;
    for ear in ears.iter_mut().chain([&mut late]) {
        ear.hears("stock:1", end..=end).await;
    }
}

#[tokio::test]
async fn who_is_too_far_behind_is_told_of_a_gap() {
    let story = Story::start(1).await;
    story.say_live("stock:1", 1_100).await;
    story.origin.until("sluice_channel_streams", &[], |streams| streams == 0.0).await;
    let head = async || story.storage.log().head().await.unwrap();
    while head().await < 1_100 {
        sleep(Duration::from_millis(20)).await;
    }
    let mut ear = story.ear(0).await;
    ear.subscribe("stock:1", Some(3), None).await;
    let gap = ear.json().await;
    assert_eq!(gap, json!({ "channel": "stock:1", "gap": { "from": 4, "to": 1_100 } }));
    story.say_live("stock:1", 1).await;
    ear.hears("stock:1", 1_101..=1_101).await;
    // Within reach of the log, though not of what is kept here.
    let mut other = story.ear(0).await;
    assert_eq!(other.subscribe("stock:1", Some(200), None).await, 200);
    other.hears("stock:1", 201..=1_101).await;
    story.say_live("stock:1", 1).await;
    ear.hears("stock:1", 1_102..=1_102).await;
    other.hears("stock:1", 1_102..=1_102).await;
}

#[tokio::test]
async fn who_does_not_read_is_cut_and_resumes() {
    let story = Story::start(1).await;
    let mut ear = story.ear(0).await;
    ear.subscribe("stock:1", None, None).await;
    story.say("stock:1", json!({ "live": "x" })).await;
    ear.hears("stock:1", 1..=1).await;
    // 16 KB each: more than every buffer on the way, and the queue, hold.
    let text = "x".repeat(16_000);
    let mut last = 1;
    let cut = async || story.edges[0].metric("sluice_edge_live_ended_total", &["slow"]).await;
    let begun = Instant::now();
    while cut().await < 1.0 {
        for _ in 0..25 {
            last = story.say("stock:1", json!({ "live": text })).await;
        }
        assert!(begun.elapsed() < LIMIT * 3, "never cut");
    }
    let mut seen = 1;
    while let Some(message) = ear.heard().await {
        if let Message::Close(close) = message {
            assert_eq!(close.map(|close| u16::from(close.code)), Some(1013));
            break;
        }
        let frame: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
        seen += 1;
        assert_eq!(frame["seq"].as_u64(), Some(seen));
    }
    assert!(seen < last, "it was cut before the end");
    let mut again = story.ear(0).await;
    assert_eq!(again.subscribe("stock:1", Some(seen), None).await, seen);
    again.hears("stock:1", seen + 1..=last).await;
}
