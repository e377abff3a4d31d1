//! The three apps behind the same edges: what is written by way of one is read, and heard, by way of the other.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use reqwest::{Client, Method};
use serde_json::{Value, json};
use sluice_tests::client::{client, header};
use sluice_tests::process::{Process, binary};
use sluice_tests::shop;
use sluice_tests::stack::{Engines, lone_edge};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// How long what is pushed may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(10);

/// An origin for each app, on one database, behind two near edges.
struct Scene {
    origins: Vec<Process>,
    edges: Vec<Process>,
    http: Client,
    _dir: TempDir,
}

impl Scene {
    async fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("sluice-apps-").tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        let made = Command::new(binary("sluice")).args(["key", &at("key.pem")]).output().unwrap();
        std::fs::write(at("keys.json"), made.stdout).unwrap();
        let mut origins = vec![];
        for app in ["commerce", "chat", "feed"] {
            let engines = Engines::embedded(dir.path());
            let flags = [
                ("listen.http", "127.0.0.1:0".to_owned()),
                ("listen.admin", "127.0.0.1:0".to_owned()),
                ("storage.database", engines.database),
                ("storage.objects", engines.objects),
                ("playback.key_file", at("key.pem")),
                ("accounts.admins", "boss".to_owned()),
                ("apps.run", app.to_owned()),
            ];
            let mut origin = Process::new(app, "sluice-origin", dir.path(), &flags);
            origin.start().await;
            origins.push(origin);
        }
        let upstream = |app: &str, n: usize| {
            format!("[[upstreams]]\nprefix = \"/v1/{app}\"\norigins = [\"{}\"]\n", origins[n].url())
        };
        std::fs::write(
            at("edge.toml"),
            [upstream("shop", 0), upstream("chat", 1), upstream("feed", 2)].concat(),
        )
        .unwrap();
        let all: Vec<String> = origins.iter().map(|origin| format!("\"{}\"", origin.url())).collect();
        let mut edges = vec![];
        for name in ["near-a", "near-b"] {
            let flags = [("config", at("edge.toml")), ("access.keys_file", at("keys.json"))];
            let flags: Vec<(&str, &str)> = flags.iter().map(|(key, value)| (*key, value.as_str())).collect();
            let mut edge = lone_edge(dir.path(), name, &format!("[{}]", all.join(",")), &flags);
            edge.start().await;
            edges.push(edge);
        }
        Self { origins, edges, http: client(), _dir: dir }
    }

    /// What an account is answered at an edge.
    async fn ask(&self, edge: usize, method: Method, path: &str, token: &str, body: Value) -> (u16, Value) {
        let asked = self.http.request(method, format!("{}{path}", self.edges[edge].url())).bearer_auth(token);
        let asked = if body.is_null() { asked } else { asked.json(&body) };
        let answer = asked.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    async fn get(&self, edge: usize, path: &str, token: &str) -> Value {
        let (status, told) = self.ask(edge, Method::GET, path, token, Value::Null).await;
        assert_eq!(status, 200, "{path}: {told}");
        told
    }

    async fn done(&self, edge: usize, method: Method, path: &str, token: &str, body: Value) -> Value {
        let (status, told) = self.ask(edge, method, path, token, body).await;
        assert!((200..300).contains(&status), "{path}: {status} {told}");
        told
    }

    /// What comes on a channel at an edge after a number: the numbers, and what each says.
    async fn heard(&self, edge: usize, channel: &str, after: u64, token: &str) -> Vec<(u64, Value)> {
        let path = format!("/v1/live/poll?channel={channel}&after={after}&wait=10");
        let told = self.get(edge, &path, token).await;
        let frames = told["frames"].as_array().unwrap();
        frames.iter().map(|frame| (frame["seq"].as_u64().unwrap(), frame["data"].clone())).collect()
    }
}

#[tokio::test]
async fn a_post_is_everybodys_fragment_and_its_likes_are_pushed() {
    let scene = Scene::new().await;
    let edge = scene.edges[0].url();
    let (ann, ben) = (shop::sign_up(&edge, "ann").await, shop::sign_up(&edge, "ben").await);
    let post = scene.done(0, Method::POST, "/v1/feed/posts", &ben, json!({ "text": "hello" })).await;
    let post = post["id"].as_str().unwrap();
    scene.done(1, Method::PUT, "/v1/feed/users/ben/follow", &ann, Value::Null).await;
    let begun = Instant::now();
    let content = loop {
        let home = scene.get(1, "/v1/feed/home", &ann).await;
        if let Some(item) = home["items"].get(0) {
            break item["c"].clone();
        }
        assert!(begun.elapsed() < LIMIT, "the post never comes: {home}");
        sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(
        (&content["text"], &content["likes"]),
        (&json!("hello"), &json!(0)),
        "put in at the edge: {content}"
    );

    let path = format!("/v1/feed/posts/{post}");
    let shown = scene.http.get(format!("{}{path}", scene.edges[1].url())).send().await.unwrap();
    assert!(header(&shown, "cache-status").contains("hit"), "{}", header(&shown, "cache-status"));
    let version: u64 = header(&shown, "sluice-version").rsplit_once('=').unwrap().1.parse().unwrap();
    let channel = format!("post:{post}");
    let listening = scene.heard(1, &channel, version, "");
    let like = format!("{path}/like");
    let liking = scene.done(0, Method::PUT, &like, &ann, Value::Null);
    let (heard, _) = tokio::join!(listening, liking);
    assert_eq!((heard[0].0, &heard[0].1["likes"]), (version + 1, &json!(1)), "{heard:?}");
    let demanded = scene.http.get(format!("{}{path}", scene.edges[0].url()));
    let demanded =
        demanded.header("sluice-at-least", format!("{channel}={}", version + 1)).send().await.unwrap();
    assert_eq!(demanded.json::<Value>().await.unwrap()["likes"], 1);
}

#[tokio::test]
async fn a_message_sent_at_one_edge_is_heard_at_the_other_by_members_alone() {
    let scene = Scene::new().await;
    let edge = scene.edges[0].url();
    let (ann, ben) = (shop::sign_up(&edge, "ann").await, shop::sign_up(&edge, "ben").await);
    let eve = shop::sign_up(&edge, "eve").await;
    let whom = scene.get(0, "/v1/accounts/me", &ben).await["account"].clone();
    let chat = scene.done(0, Method::POST, "/v1/chat", &ann, json!({ "kind": "direct", "with": whom })).await;
    let chat = chat["id"].as_str().unwrap();
    let listen =
        scene.done(1, Method::POST, "/v1/chat/token", &ben, json!({ "conversations": [chat] })).await;
    let token = listen["token"].as_str().unwrap();
    let said = json!({ "client_id": "a1", "text": "good morning" });
    let sent = scene.done(0, Method::POST, &format!("/v1/chat/{chat}/messages"), &ann, said).await;
    let seq = sent["seq"].as_u64().unwrap();
    let channel = format!("chat:{chat}");
    let heard = scene.heard(1, &channel, seq - 1, token).await;
    assert_eq!((heard[0].0, &heard[0].1["text"]), (seq, &json!("good morning")), "{heard:?}");
    let path = format!("/v1/live/poll?channel={channel}&after=0&wait=1");
    assert_eq!(
        scene.ask(1, Method::GET, &path, &eve, Value::Null).await.0,
        401,
        "who is no member has no token for it"
    );
    assert_eq!(scene.ask(1, Method::GET, &format!("/v1/chat/{chat}/events"), &eve, Value::Null).await.0, 403);
}

/// What edges keep of each app.
struct Kept {
    product: String,
    stock: String,
    /// The path of a poll, and who may listen.
    heard: (String, String),
    post: String,
}

impl Scene {
    /// What an edge keeps of an app is served.
    async fn keeps(&self, app: &str, kept: &Kept) {
        match app {
            "commerce" => {
                assert_eq!(self.get(1, &kept.product, "").await["title"], "Shirt");
                assert_eq!(self.get(1, &kept.stock, "").await["available"], 2);
            }
            // What is said is heard at edges; a page of history asks who may read it.
            "chat" => {
                let (path, token) = &kept.heard;
                let begun = Instant::now();
                loop {
                    let (status, told) = self.ask(1, Method::GET, path, token, Value::Null).await;
                    if told["frames"][0]["data"]["text"] == "good morning" {
                        return;
                    }
                    assert!(begun.elapsed() < LIMIT, "{status} {told}");
                    sleep(Duration::from_millis(20)).await;
                }
            }
            _ => assert_eq!(self.get(1, &kept.post, "").await["text"], "here to stay"),
        }
    }

    /// Has something of each app be there, and at an edge.
    async fn fill(&self, boss: &str, (product, variant): (&str, &str)) -> Kept {
        let words = json!({ "text": "here to stay" });
        let post = self.done(0, Method::POST, "/v1/feed/posts", boss, words).await;
        let group = json!({ "kind": "group", "name": "all" });
        let chat = self.done(0, Method::POST, "/v1/chat", boss, group).await["id"].clone();
        let listen = json!({ "conversations": [chat] });
        let listen = self.done(0, Method::POST, "/v1/chat/token", boss, listen).await;
        let chat = chat.as_str().unwrap();
        let said = json!({ "client_id": "a1", "text": "good morning" });
        let sent = self.done(0, Method::POST, &format!("/v1/chat/{chat}/messages"), boss, said).await;
        let before = sent["seq"].as_u64().unwrap() - 1;
        Kept {
            product: format!("/v1/shop/products/{product}?market=de"),
            stock: format!("/v1/shop/stock/{variant}"),
            heard: (
                format!("/v1/live/poll?channel=chat:{chat}&after={before}&wait=1"),
                listen["token"].as_str().unwrap().to_owned(),
            ),
            post: post["fragment"].as_str().unwrap().to_owned(),
        }
    }

    /// Waits until an app answers at both edges.
    async fn answers(&self, path: &str, token: &str) {
        for edge in 0..self.edges.len() {
            let begun = Instant::now();
            while self.ask(edge, Method::GET, path, token, Value::Null).await.0 != 200 {
                assert!(begun.elapsed() < LIMIT, "{path} is not back");
                sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

#[tokio::test]
async fn each_app_is_killed_and_the_others_go_on_while_what_is_kept_of_it_is_served() {
    let mut scene = Scene::new().await;
    let edge = scene.edges[0].url();
    let (boss, ann) = (shop::sign_up(&edge, "boss").await, shop::sign_up(&edge, "ann").await);
    let (product, variant) = shop::product(&edge, &boss, 3).await;
    let kept = scene.fill(&boss, (&product, &variant)).await;
    assert_eq!(scene.get(1, &kept.stock, "").await["available"], 3);
    let order = json!({ "market": "de", "lines": [{ "variant": variant, "quantity": 1 }] });
    let placed = scene.done(1, Method::POST, "/v1/shop/orders", &boss, order.clone()).await;
    let placed = format!("/v1/shop/orders/{}", placed["id"].as_str().unwrap());
    assert_eq!(scene.ask(1, Method::GET, &placed, &ann, Value::Null).await.0, 404, "it is somebody else's");
    assert_eq!(scene.get(1, &placed, &boss).await["state"], "reserved", "which hides it from nobody");
    let left = async || scene.get(1, &kept.stock, "").await["available"].clone();
    let begun = Instant::now();
    while left().await != 2 {
        assert!(begun.elapsed() < LIMIT, "the edge never hears that one is held");
        sleep(Duration::from_millis(20)).await;
    }

    // Each app, what it says to one account alone, and what is written to it.
    let apps = [
        ("commerce", "/v1/shop/orders", "/v1/shop/orders", order),
        ("chat", "/v1/chat", "/v1/chat", json!({ "kind": "group", "name": "others" })),
        ("feed", "/v1/feed/home", "/v1/feed/posts", json!({ "text": "somebody is away" })),
    ];
    for (killed, (app, private, ..)) in apps.iter().enumerate() {
        scene.edges[1].until("sluice_edge_feed_live", &[], |live| live >= 1.0).await;
        scene.keeps(app, &kept).await;
        scene.origins[killed].kill9();
        scene.keeps(app, &kept).await;
        assert!(scene.ask(1, Method::GET, private, &ann, Value::Null).await.0 >= 502, "{app} is away");
        for (_, private, written, body) in apps.iter().filter(|(other, ..)| other != app) {
            scene.done(0, Method::POST, written, &boss, body.clone()).await;
            scene.get(1, private, &boss).await;
        }
        scene.keeps(app, &kept).await;
        scene.origins[killed].start().await;
        scene.answers(private, &boss).await;
    }
    let home = scene.get(0, "/v1/feed/home?order=latest", &boss).await;
    assert_eq!(home["items"][0]["c"]["text"], "somebody is away", "{home}");
}
