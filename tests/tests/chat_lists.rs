//! The list of conversations, followed without being asked for again: an account's own channel tells what it comes into, what it
//! is out of, and how much is unread. How far others have what was said is told on the conversation's own.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use serde_json::{Value, json};
use sluice_tests::chat::Scene;
use sluice_tests::client::client;
use sluice_tests::ear::Ear;
use sluice_tests::shop;

/// What an aside says is unread in a conversation; other words are passed over.
async fn unread(ear: &mut Ear, chat: &str, wanted: u64) {
    loop {
        let told = ear.json().await;
        let counts = told["aside"]["unread"].as_array().cloned().unwrap_or_default();
        let of = |one: &Value| one["conversation"] == chat && one["count"] == wanted;
        if counts.iter().any(of) {
            return;
        }
        assert!(told["data"].is_null(), "nothing else has a number: {told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_begins_is_told_at_ones_own_edge() {
    let scene = Scene::new(1, 2).await;
    let origin = scene.origins[0].url();
    let (ann, ben) = (shop::sign_up(&origin, "ann").await, shop::sign_up(&origin, "ben").await);
    let [near, far] = [&scene.edges[0], &scene.edges[1]].map(|edge| edge.url());
    let (_, told) = shop::post(&format!("{near}/v1/chat/token"), &ann, &json!({})).await;
    let own = told["own"]["channel"].as_str().unwrap().to_owned();
    assert_eq!((&told["own"]["seq"], &told["channels"]), (&json!(0), &json!([own])), "{told}");
    let (_, list) = shop::get(&format!("{near}/v1/chat"), &ann).await;
    assert_eq!(list["conversations"], json!([]));
    let mut ear = Ear::of(&scene.edges[0], &own, &ann).await;

    // Ben begins one at another edge, and says something in it.
    let body = json!({ "kind": "direct", "with": "@ann" });
    let (status, made) = shop::post(&format!("{far}/v1/chat"), &ben, &body).await;
    assert_eq!(status, 201, "{made}");
    let chat = made["id"].as_str().unwrap();
    let heard = ear.json().await;
    assert_eq!((&heard["seq"], &heard["data"]), (&json!(1), &json!({ "type": "in", "conversation": chat })));
    let (_, list) = shop::get(&format!("{near}/v1/chat"), &ann).await;
    assert_eq!(
        (&list["conversations"][0]["id"], &list["conversations"][0]["with"]["name"]),
        (&json!(chat), &json!("ben"))
    );

    // She is here: what is unread is counted for her, also as she reads it.
    let here = client().put(format!("{near}/v1/chat/presence")).bearer_auth(&ann);
    assert_eq!(here.json(&json!({ "state": "online" })).send().await.unwrap().status(), 200);
    scene.say(0, &ben, chat, "one").await;
    let seq = scene.say(0, &ben, chat, "two").await;
    unread(&mut ear, chat, 2).await;
    let read = client().put(format!("{near}/v1/chat/{chat}/cursor")).bearer_auth(&ann);
    let read = read.json(&json!({ "device": "phone", "delivered": seq, "read": seq }));
    assert_eq!(read.send().await.unwrap().status(), 200);
    unread(&mut ear, chat, 0).await;

    // Whoever comes into a group, or out of it, is told so; who listens to another's channel is refused.
    let group = scene.make(&ben, &["@ann".to_owned()]).await;
    let (status, _) = shop::post(&format!("{far}/v1/chat/{group}/leave"), &ann, &Value::Null).await;
    assert_eq!(status, 200);
    for (seq, what) in [(2, "in"), (3, "out")] {
        let mut heard = ear.json().await;
        while heard.get("aside").is_some() {
            heard = ear.json().await;
        }
        assert_eq!(
            (&heard["seq"], &heard["data"]),
            (&json!(seq), &json!({ "type": what, "conversation": group })),
            "{heard}"
        );
    }
    let mut other = Ear::open(&scene.edges[1], None).await;
    let asked = json!({ "subscribe": own, "token": sluice_tests::ear::token(&scene.edges[1], &ben).await });
    other.say(asked).await;
    assert_eq!(other.json().await["refused"], json!(own));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_to_anothers_device_is_told_at_ones_own_edge() {
    let scene = Scene::new(1, 2).await;
    let (tokens, chat) = scene.group(&["ann", "ben"]).await;
    let [ann, ben] = [&tokens[0], &tokens[1]];
    let (_, inside) = shop::get(&format!("{}/v1/chat/{chat}/members", scene.edges[0].url()), ann).await;
    let members = inside["members"].as_array().unwrap_or_else(|| panic!("{inside}"));
    let account = &members.iter().find(|member| member["name"] == "ben").unwrap()["account"];
    let channel = format!("chat:{chat}");
    let mut ear = Ear::of(&scene.edges[0], &channel, ann).await;
    let seq = scene.say(0, ann, &chat, "one").await;
    ear.hears(&channel, seq..=seq).await;

    // Ben's phone has it at another edge, and he does not look at it.
    let has = client().put(format!("{}/v1/chat/{chat}/cursor", scene.edges[1].url())).bearer_auth(ben);
    let has = has.json(&json!({ "device": "phone", "delivered": seq }));
    assert_eq!(has.send().await.unwrap().status(), 200);
    let told = json!({ "delivered": [{ "account": account, "seq": seq }] });
    assert_eq!(ear.json().await, json!({ "channel": channel, "aside": told }));
}
