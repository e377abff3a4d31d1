//! Who is here, as those hear it who listen to a conversation: at most once a second, of no number, and kept nowhere.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use sluice_storage::testing::Redis;
use sluice_tests::chat::Scene;
use sluice_tests::client::client;
use sluice_tests::ear::{Ear, token};
use sluice_tests::shop;
use sluice_wire::Tag;
use sluice_wire::compact::talk::{PROTOCOL, Said, Told};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::tungstenite::Message;

/// Time for anything that is waited for.
const LIMIT: Duration = Duration::from_secs(20);

/// Says at an origin or an edge how one is; the status.
async fn says(at: &str, account: &str, state: &str, chat: Option<&str>) -> u16 {
    let body = json!({ "state": state, "conversation": chat });
    let put = client().put(format!("{at}/v1/chat/presence")).bearer_auth(account).json(&body);
    put.send().await.unwrap().status().as_u16()
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_listens_hears_who_is_here_at_most_once_a_second() {
    let scene = Scene::new(1, 1).await;
    let (tokens, chat) = scene.group(&["ann", "ben", "cat"]).await;
    let stranger = shop::sign_up(&scene.origins[0].url(), "dan").await;
    let (edge, at) = (&scene.edges[0], scene.edges[0].url());
    let mut ear = Ear::of(edge, &format!("chat:{chat}"), &tokens[1]).await;
    let mut compact = Ear::open(edge, Some(PROTOCOL)).await;
    let subscribe = Said::Subscribe {
        channel: Tag::new(format!("chat:{chat}")).unwrap(),
        after: None,
        token: Some(token(edge, &tokens[2]).await),
    };
    let mut bytes = vec![];
    subscribe.encode(&mut bytes).unwrap();
    compact.socket.send(Message::binary(bytes)).await.unwrap();
    compact.hear().await;
    let events = format!("{at}/v1/live/events?channel=chat:{chat}");
    let mut events = client().get(events).bearer_auth(token(edge, &tokens[2]).await).send().await.unwrap();

    // Ten signs of life are one or two asides.
    for _ in 0..10 {
        assert_eq!(says(&at, &tokens[0], "typing", Some(&chat)).await, 200);
    }
    let first = ear.json().await;
    let here = &first["aside"]["presence"][0];
    assert!(here["until_ms"].as_u64().unwrap() > now_ms() + 30_000, "{first}");
    assert!(here["typing_until_ms"].as_u64().unwrap() > now_ms() && first.get("seq").is_none(), "{first}");
    let Message::Binary(told) = compact.hear().await else { panic!("a record") };
    let Told::Aside { data, .. } = Told::decode(&told).unwrap().0 else { panic!("an aside") };
    assert_eq!(serde_json::from_str::<Value>(&data).unwrap()["presence"][0]["account"], here["account"]);
    let mut text = String::new();
    while !text.contains("event: aside") {
        let piece = timeout(LIMIT, events.chunk()).await.unwrap().unwrap().unwrap();
        text += std::str::from_utf8(&piece).unwrap();
    }
    let (mut more, until) = (0, Instant::now() + Duration::from_millis(1_500));
    while let Ok(Some(said)) = timeout_at(until, ear.socket.next()).await {
        more += u32::from(matches!(said.unwrap(), Message::Text(_)));
    }
    assert!(more <= 1, "{more} more");

    // What is said has the next number, and what has none took none.
    let seq = scene.say(0, &tokens[0], &chat, "hello").await;
    let said = ear.json().await;
    assert_eq!((said["seq"].as_u64(), &said["data"]["text"]), (Some(seq), &json!("hello")), "{said}");

    // Who goes is gone at once, who is not in it says nothing, and it is told how far all this reaches.
    assert_eq!(says(&at, &tokens[0], "offline", Some(&chat)).await, 200);
    let gone = ear.json().await;
    assert!(gone["aside"]["presence"][0]["until_ms"].as_u64().unwrap() <= now_ms(), "{gone}");
    assert_eq!(says(&at, &stranger, "online", Some(&chat)).await, 403);
    let account = here["account"].as_str().unwrap();
    let (_, seen) = shop::get(&format!("{at}/v1/chat/presence?of={account}"), &tokens[1]).await;
    assert_eq!(
        seen,
        json!({ "presence": [{ "account": account, "online": false, "typing": false }], "scope": "process" })
    );

    // Who leaves hears no more of it.
    let (status, _) = shop::post(&format!("{at}/v1/chat/{chat}/leave"), &tokens[1], &Value::Null).await;
    assert_eq!(status, 200);
    while ear.json().await.get("refused").is_none() {}
    assert_eq!(says(&at, &tokens[0], "online", Some(&chat)).await, 200);
    let until = Instant::now() + Duration::from_millis(2_500);
    while let Ok(Some(said)) = timeout_at(until, ear.socket.next()).await {
        let said = said.unwrap();
        assert!(!said.is_text(), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_origin_is_told_is_heard_by_way_of_another_over_redis() {
    let redis = Redis::start().await;
    let scene = Scene::on(&redis.url(), 2, 1).await;
    let (tokens, chat) = scene.group(&["ann", "ben"]).await;
    let mut ear = Ear::of(&scene.edges[0], &format!("chat:{chat}"), &tokens[1]).await;
    for origin in &scene.origins {
        let begun = Instant::now();
        // Again and again, as devices say it: an origin that has just started may not hear the bus yet.
        let heard = loop {
            assert_eq!(says(&origin.url(), &tokens[0], "online", Some(&chat)).await, 200);
            if let Ok(heard) = timeout(Duration::from_secs(2), ear.json()).await {
                break heard;
            }
            assert!(begun.elapsed() < LIMIT, "nothing is heard");
        };
        let account = heard["aside"]["presence"][0]["account"].as_str().unwrap();
        for other in &scene.origins {
            let url = format!("{}/v1/chat/presence?of={account}", other.url());
            loop {
                let (_, seen) = shop::get(&url, &tokens[1]).await;
                assert_eq!(seen["scope"], "fleet");
                if seen["presence"][0]["online"] == true {
                    break;
                }
                assert!(begun.elapsed() < LIMIT, "{seen}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_telephone_that_is_put_away_hides_no_laptop_and_a_laptop_stops_nobody_from_typing() {
    let scene = Scene::new(1, 1).await;
    let (tokens, chat) = scene.group(&["ann", "ben"]).await;
    let (edge, at) = (&scene.edges[0], scene.edges[0].url());
    let sign_in = json!({ "handle": "ann", "password": "correct horse", "device": "phone" });
    let session = client().post(format!("{}/v1/accounts/session", scene.origins[0].url())).json(&sign_in);
    let signed: Value = session.send().await.unwrap().json().await.unwrap();
    let (laptop, phone) = (tokens[0].as_str(), signed["access_token"].as_str().unwrap());
    let account = signed["account"].as_str().unwrap();
    let mut ear = Ear::of(edge, &format!("chat:{chat}"), &tokens[1]).await;
    let is = async |online: bool, typing: bool| {
        let url = format!("{at}/v1/chat/presence?of={account}&in={chat}");
        let (_, seen) = shop::get(&url, &tokens[1]).await;
        let wanted = json!([{ "account": account, "online": online, "typing": typing }]);
        assert_eq!(seen["presence"], wanted);
    };

    assert_eq!(says(&at, laptop, "online", Some(&chat)).await, 200);
    is(true, false).await;
    assert_eq!(says(&at, phone, "typing", Some(&chat)).await, 200);
    assert_eq!(says(&at, laptop, "online", Some(&chat)).await, 200);
    is(true, true).await;
    let mut told = ear.json().await;
    while told["aside"]["presence"][0].get("typing_until_ms").is_none() {
        told = ear.json().await;
    }
    assert_eq!(told["aside"]["presence"].as_array().unwrap().len(), 1, "of an account once: {told}");

    // The telephone is put away; the laptop is open still.
    assert_eq!(says(&at, phone, "offline", Some(&chat)).await, 200);
    is(true, false).await;
    while told["aside"]["presence"][0].get("typing_until_ms").is_some() {
        told = ear.json().await;
    }
    assert!(told["aside"]["presence"][0]["until_ms"].as_u64().unwrap() > now_ms() + 30_000, "{told}");
    assert_eq!(says(&at, laptop, "offline", Some(&chat)).await, 200);
    is(false, false).await;
}
