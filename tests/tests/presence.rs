//! Who is here, as those hear it who listen to a conversation: at most once a second, of no number, and kept nowhere.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use sluice_storage::testing::Redis;
use sluice_tests::chat::Scene;
use sluice_tests::client::client;
use sluice_tests::process::Process;
use sluice_tests::shop;
use sluice_wire::Tag;
use sluice_wire::compact::talk::{PROTOCOL, Said, Told};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// Time for anything that is waited for.
const LIMIT: Duration = Duration::from_secs(20);

struct Ear(WebSocketStream<TcpStream>);

impl Ear {
    async fn open(edge: &Process, protocol: Option<&str>) -> Self {
        let at = edge.at.http.clone().unwrap();
        let mut request = format!("ws://{at}/v1/live").into_client_request().unwrap();
        protocol.map(|name| request.headers_mut().insert("sec-websocket-protocol", name.parse().unwrap()));
        let stream = TcpStream::connect(&at).await.unwrap();
        Self(tokio_tungstenite::client_async(request, stream).await.unwrap().0)
    }

    /// One that speaks JSON, and listens to a conversation from now on.
    async fn of(edge: &Process, chat: &str, account: &str) -> Self {
        let mut ear = Self::open(edge, None).await;
        let token = token(edge, account).await;
        ear.0
            .send(Message::text(json!({ "subscribe": format!("chat:{chat}"), "token": token }).to_string()))
            .await
            .unwrap();
        assert!(ear.json().await["subscribed"].is_string());
        ear
    }

    async fn hear(&mut self) -> Message {
        loop {
            match timeout(LIMIT, self.0.next()).await.expect("a message in time").unwrap().unwrap() {
                Message::Ping(_) | Message::Pong(_) => {}
                said => return said,
            }
        }
    }

    async fn json(&mut self) -> Value {
        serde_json::from_str(self.hear().await.to_text().unwrap()).unwrap()
    }
}

async fn token(edge: &Process, account: &str) -> String {
    let (_, told) = shop::post(&format!("{}/v1/chat/token", edge.url()), account, &json!({})).await;
    told["token"].as_str().unwrap().to_owned()
}

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
    let mut ear = Ear::of(edge, &chat, &tokens[1]).await;
    let mut compact = Ear::open(edge, Some(PROTOCOL)).await;
    let subscribe = Said::Subscribe {
        channel: Tag::new(format!("chat:{chat}")).unwrap(),
        after: None,
        token: Some(token(edge, &tokens[2]).await),
    };
    let mut bytes = vec![];
    subscribe.encode(&mut bytes).unwrap();
    compact.0.send(Message::binary(bytes)).await.unwrap();
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
    while let Ok(Some(said)) = timeout_at(until, ear.0.next()).await {
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
    while let Ok(Some(said)) = timeout_at(until, ear.0.next()).await {
        let said = said.unwrap();
        assert!(!said.is_text(), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_origin_is_told_is_heard_by_way_of_another_over_redis() {
    let redis = Redis::start().await;
    let scene = Scene::on(&redis.url(), 2, 1).await;
    let (tokens, chat) = scene.group(&["ann", "ben"]).await;
    let mut ear = Ear::of(&scene.edges[0], &chat, &tokens[1]).await;
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
