//! Conversations on two origins over one database: whoever is killed in between, what was acknowledged is there once, in one
//! order for all; and who has left sees and finds nothing.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use reqwest::{Client, Method};
use serde_json::{Value, json};
use sluice_storage::testing::Postgres;
use sluice_tests::client::{client, header};
use sluice_tests::process::{Process, binary};
use sluice_tests::programs::printed;
use sluice_tests::stack::Engines;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// How long anything may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);
/// Messages of a device.
const EACH: usize = 20;

/// Two origins over one database.
struct Scene {
    origins: [Process; 2],
    http: Client,
    _dir: TempDir,
}

#[derive(Clone)]
struct Account {
    id: String,
    handle: String,
    token: String,
}

fn origin(dir: &Path, name: &str, engines: &Engines) -> Process {
    let flags = [
        ("listen.http", "127.0.0.1:0".to_owned()),
        ("listen.admin", "127.0.0.1:0".to_owned()),
        ("storage.database", engines.database.clone()),
        ("storage.bus", engines.bus.clone()),
        ("storage.objects", engines.objects.clone()),
        ("playback.key_file", dir.join("key.pem").display().to_string()),
    ];
    Process::new(name, "sluice-origin", dir, &flags)
}

impl Scene {
    async fn new(database: Option<String>) -> Self {
        let dir = tempfile::Builder::new().prefix("sluice-chat-").tempdir().unwrap();
        let mut engines = Engines::embedded(dir.path());
        engines.database = database.unwrap_or(engines.database);
        let mut key = std::process::Command::new(binary("sluice"));
        printed("sluice key", &key.arg("key").arg(dir.path().join("key.pem")).output().unwrap());
        let mut origins = ["origin-a", "origin-b"].map(|name| origin(dir.path(), name, &engines));
        for origin in &mut origins {
            origin.start().await;
        }
        Self { origins, http: client(), _dir: dir }
    }

    fn urls(&self) -> [String; 2] {
        [self.origins[0].url(), self.origins[1].url()]
    }

    async fn account(&self, handle: &str) -> Account {
        let body = json!({ "handle": handle, "password": "correct horse" });
        let url = format!("{}/v1/accounts", self.urls()[0]);
        let made = self.http.post(url).json(&body).send().await.unwrap();
        assert_eq!(made.status(), 201);
        let made: Value = made.json().await.unwrap();
        let text = |key: &str| made[key].as_str().unwrap().to_owned();
        Account { id: text("account"), handle: handle.into(), token: text("access_token") }
    }

    /// Asks the first origin; status and document.
    async fn ask(&self, who: &Account, method: Method, path: &str, body: Value) -> (u16, Value) {
        self.ask_at(0, who, method, path, body).await
    }

    async fn ask_at(
        &self,
        at: usize,
        who: &Account,
        method: Method,
        path: &str,
        body: Value,
    ) -> (u16, Value) {
        let asked = self.http.request(method, format!("{}/v1/chat{path}", self.urls()[at]));
        let asked = asked.bearer_auth(&who.token);
        let asked = if body.is_null() { asked } else { asked.json(&body) };
        let answer = asked.send().await.unwrap();
        let status = answer.status().as_u16();
        assert!(status >= 300 || header(&answer, "cache-control") == "no-store", "{path} is kept by nobody");
        (status, answer.json().await.unwrap_or_default())
    }

    /// All that happened, as a device that was away fetches it: in small answers, now here and now there.
    async fn events(&self, who: &Account, chat: &str) -> Vec<Value> {
        let (mut all, mut after, mut at) = (vec![], 0, 0);
        loop {
            let path = format!("/{chat}/events?after={after}&limit=37");
            let (status, page) = self.ask_at(at, who, Method::GET, &path, Value::Null).await;
            assert_eq!(status, 200, "{page}");
            all.extend(page["events"].as_array().unwrap().clone());
            after = page["last"].as_i64().unwrap();
            at = 1 - at;
            if page["more"] == false {
                return all;
            }
        }
    }
}

/// What was acknowledged: `(client id, message's id, seq)`, only ever added to.
type Ledger = Arc<Mutex<Vec<(String, String, i64)>>>;

/// A device that sends its messages one after another, each until it is acknowledged, by whichever origin answers.
async fn device(urls: [String; 2], who: Account, chat: String, name: String, ledger: Ledger) {
    let http = Client::builder().timeout(Duration::from_secs(10)).build().unwrap();
    let begun = Instant::now();
    for n in 0..EACH {
        let client_id = format!("{name}-{n}");
        let body = json!({ "client_id": client_id, "text": format!("message {n} of {name}") });
        let mut at = usize::from(rand::random::<bool>());
        let (mut acknowledged, mut wanted) = (None, 1 + usize::from(n % 4 == 0));
        // Every fourth is sent again after its acknowledgement, as by a device that missed it.
        while wanted > 0 {
            assert!(begun.elapsed() < LIMIT, "{client_id} is never taken");
            let url = format!("{}/v1/chat/{chat}/messages", urls[at]);
            at = 1 - at;
            let sent = http.post(url).bearer_auth(&who.token).json(&body).send().await;
            let Ok(answer) = sent else {
                sleep(Duration::from_millis(20)).await;
                continue;
            };
            let status = answer.status().as_u16();
            let Ok(said) = answer.json::<Value>().await else { continue };
            assert!(matches!(status, 200 | 201 | 500 | 503), "{status}: {said}");
            if status >= 500 {
                continue;
            }
            let got = (said["id"].as_str().unwrap().to_owned(), said["seq"].as_i64().unwrap());
            assert_eq!(*acknowledged.get_or_insert_with(|| got.clone()), got, "sent again it is the same");
            wanted -= 1;
        }
        let (id, seq) = acknowledged.unwrap();
        ledger.lock().unwrap().push((client_id, id, seq));
    }
}

/// Kills an origin whenever some more messages were acknowledged, and starts it again.
async fn kill(victim: &mut Process, ledger: &Ledger, all: usize) {
    for round in 1..=3 {
        let begun = Instant::now();
        let until = all * round / 4 + rand::random_range(0..all / 8);
        while ledger.lock().unwrap().len() < until {
            assert!(begun.elapsed() < LIMIT, "{} are acknowledged", ledger.lock().unwrap().len());
            sleep(Duration::from_millis(1)).await;
        }
        victim.kill9();
        victim.start().await;
    }
}

async fn once_in_one_order(database: Option<String>) {
    let mut scene = Scene::new(database).await;
    let mut people = vec![];
    for handle in ["ann", "ben", "cat"] {
        people.push(scene.account(handle).await);
    }
    let body = json!({ "kind": "group", "name": "Three", "members": ["@ben", people[2].id] });
    let (status, made) = scene.ask(&people[0], Method::POST, "", body).await;
    assert_eq!(status, 201, "{made}");
    let chat = made["id"].as_str().unwrap().to_owned();
    let ledger = Ledger::default();
    let mut devices = JoinSet::new();
    for who in &people {
        for n in 1..=2 {
            let name = format!("{}{n}", who.handle);
            let one = device(scene.urls(), who.clone(), chat.clone(), name, Arc::clone(&ledger));
            devices.spawn(one);
        }
    }
    let all = devices.len() * EACH;
    let ((), ()) = tokio::join!(kill(&mut scene.origins[1], &ledger, all), async {
        while let Some(done) = devices.join_next().await {
            done.unwrap();
        }
    });

    let seen = scene.events(&people[0], &chat).await;
    for other in &people[1..] {
        assert_eq!(scene.events(other, &chat).await, seen, "the same for all");
    }
    let seqs: Vec<i64> = seen.iter().map(|event| event["seq"].as_i64().unwrap()).collect();
    assert_eq!(seqs, (1..=seqs.len() as i64).collect::<Vec<_>>(), "without gaps");
    let messages: Vec<&Value> = seen.iter().filter(|event| event["type"] == "message").collect();
    let found: BTreeMap<&str, &Value> =
        messages.iter().map(|said| (said["client_id"].as_str().unwrap(), *said)).collect();
    let ledger = ledger.lock().unwrap().clone();
    assert_eq!((ledger.len(), messages.len(), found.len()), (all, all, all), "each once, and nothing else");
    for (client_id, id, seq) in &ledger {
        let said = found[client_id.as_str()];
        assert_eq!((said["id"].as_str(), said["seq"].as_i64()), (Some(id.as_str()), Some(*seq)));
        let (device, n) = client_id.rsplit_once('-').unwrap();
        assert_eq!(said["text"], format!("message {n} of {device}"));
    }
    // In the order in which each device sent them.
    let names: BTreeSet<&str> = found.keys().map(|id| id.rsplit_once('-').unwrap().0).collect();
    for device in names {
        let of = |said: &&&Value| said["client_id"].as_str().unwrap().rsplit_once('-').unwrap().0 == device;
        let order: Vec<String> =
            messages.iter().filter(of).map(|said| said["client_id"].to_string()).collect();
        let sent: Vec<String> = (0..EACH).map(|n| format!("\"{device}-{n}\"")).collect();
        assert_eq!(order, sent);
    }
    told_by_the_log(&scene, &chat, &seen).await;
}

/// What all edges hear is the same: each version of the conversation's tag is a change's seq.
async fn told_by_the_log(scene: &Scene, chat: &str, seen: &[Value]) {
    let mut feed = scene.http.get(format!("{}/v1/log?after=0", scene.urls()[0])).send().await.unwrap();
    let (mut text, mut versions) = (Vec::new(), 0);
    while versions < seen.len() {
        text.extend(tokio::time::timeout(LIMIT, feed.chunk()).await.unwrap().unwrap().unwrap());
        while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = text.drain(..=end).collect();
            let event: Value = serde_json::from_slice(&line).unwrap();
            if event["tag"] == format!("chat:{chat}") {
                versions += 1;
                assert_eq!(event["version"], versions);
                assert_eq!(event["data"].get("live"), None, "what is said is for who listens");
            }
        }
    }
}

/// What is changed, deleted, read and left; asked here and there.
async fn changed_and_left(database: Option<String>) {
    let scene = Scene::new(database).await;
    let (ann, ben) = (scene.account("ann").await, scene.account("ben").await);
    let at = async |at: usize, who: &Account, method: Method, path: &str, body: Value, wanted: u16| {
        let (status, said) = scene.ask_at(at, who, method.clone(), path, body).await;
        assert_eq!(status, wanted, "{method} {path}: {said}");
        said
    };
    // One conversation of two, whoever begins it.
    let direct = at(0, &ann, Method::POST, "", json!({ "kind": "direct", "with": "@ben" }), 201).await;
    let again = at(1, &ben, Method::POST, "", json!({ "kind": "direct", "with": ann.id }), 200).await;
    assert_eq!(direct["id"], again["id"]);
    let group = json!({ "kind": "group", "name": "Two", "members": ["@ben"] });
    let made = at(0, &ann, Method::POST, "", group, 201).await;
    let chat = made["id"].as_str().unwrap();
    let messages = format!("/{chat}/messages");
    let say = async |who: &Account, client_id: &str, text: &str| {
        let body = json!({ "client_id": client_id, "text": text });
        let said = at(1, who, Method::POST, &messages, body, 201).await;
        said["id"].as_str().unwrap().to_owned()
    };
    let first = say(&ann, "1", "the tide is high").await;
    say(&ann, "2", "the moon is full").await;
    let found = async |who: &Account, q: &str| {
        let q = q.replace(' ', "%20");
        let hits = scene.http.get(format!("{}/v1/chat/search?q={q}", scene.urls()[1]));
        let hits: Value = hits.bearer_auth(&who.token).send().await.unwrap().json().await.unwrap();
        hits["hits"].as_array().unwrap_or_else(|| panic!("{hits}")).len()
    };
    assert_eq!((found(&ben, "the is").await, found(&ben, "TIDE from:ann").await), (2, 1));
    assert_eq!((found(&ben, "from:@ANN").await, found(&ben, "from:ben").await), (2, 0));
    assert_eq!((found(&ben, "tide from:ben").await, found(&ben, "tide before:2020-01-01").await), (0, 0));
    let unread = async || {
        let list = at(1, &ben, Method::GET, "", Value::Null, 200).await;
        let of = |listed: &&Value| listed["id"] == chat;
        list["conversations"].as_array().unwrap().iter().find(of).unwrap()["unread"].clone()
    };
    assert_eq!(unread().await, 2);

    let one = format!("{messages}/{first}");
    at(0, &ben, Method::PUT, &one, json!({ "text": "no" }), 403).await;
    at(0, &ann, Method::PUT, &one, json!({ "text": "the ebb is low" }), 200).await;
    assert_eq!((found(&ben, "tide").await, found(&ben, "ebb from:ann").await), (0, 1));
    let thumb = format!("{one}/reactions/%F0%9F%91%8D");
    for origin in [0, 1] {
        at(origin, &ben, Method::PUT, &thumb, Value::Null, 200).await;
    }
    let page = at(1, &ben, Method::GET, &format!("/{chat}/history/0"), Value::Null, 200).await;
    assert_eq!((&page["settled"], &page["content"]["reactions"][0]["count"]), (&json!(false), &json!(1)));

    // Cursors never go back; a receipt is told of a message once.
    let cursor = format!("/{chat}/cursor");
    for (read, is) in [(3, 3), (1, 3), (99, 5)] {
        let body = json!({ "device": "phone", "delivered": read, "read": read });
        let now = at(read % 2, &ben, Method::PUT, &cursor, body, 200).await;
        assert_eq!(now["read"].as_i64().unwrap().min(5), is, "{now}");
    }
    assert_eq!(unread().await, 0);
    let kinds: Vec<Value> =
        scene.events(&ann, chat).await.iter().map(|event| event["type"].clone()).collect();
    assert_eq!(kinds, ["made", "message", "message", "edit", "reaction", "receipt"]);

    at(1, &ann, Method::DELETE, &one, Value::Null, 200).await;
    let all = json!(scene.events(&ben, chat).await).to_string();
    assert!(!all.contains("tide") && !all.contains("ebb") && all.contains(&first), "{all}");
    assert_eq!((found(&ann, "ebb").await, found(&ann, "moon").await), (0, 1));

    // Who has left sees and finds nothing, anywhere.
    at(0, &ann, Method::POST, &format!("/{chat}/leave"), Value::Null, 200).await;
    assert_eq!((found(&ann, "moon").await, found(&ben, "moon").await), (0, 1));
    for path in ["", "/events", "/history/0", "/members", "/cursor"] {
        at(1, &ann, Method::GET, &format!("/{chat}{path}"), Value::Null, 403).await;
    }
    at(0, &ann, Method::POST, "/token", json!({ "conversations": [chat] }), 403).await;
    let token = at(0, &ben, Method::POST, "/token", Value::Null, 200).await;
    assert!(token["channels"].as_array().unwrap().contains(&json!(format!("chat:{chat}"))), "{token}");
    let members = at(1, &ben, Method::GET, &format!("/{chat}/members"), Value::Null, 200).await;
    assert_eq!(members["members"][0]["role"], "owner", "who is left inherits");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_deleted_or_left_is_neither_seen_nor_found_on_sqlite() {
    changed_and_left(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_deleted_or_left_is_neither_seen_nor_found_on_postgres() {
    let postgres = Postgres::start().await;
    changed_and_left(Some(postgres.url())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_once_in_one_order_on_sqlite() {
    once_in_one_order(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_once_in_one_order_on_postgres() {
    let postgres = Postgres::start().await;
    once_in_one_order(Some(postgres.url())).await;
}

/// Messages that fill a page of history, and some.
const PAGE: usize = 105;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_settled_page_is_kept_at_the_edge_for_all_who_may_read_it_and_nobody_else() {
    let scene = sluice_tests::chat::Scene::new(1, 2).await;
    let (tokens, chat) = scene.group(&["ann", "ben", "cat", "dan"]).await;
    let (origin, edges) = (scene.origins[0].url(), [scene.edges[0].url(), scene.edges[1].url()]);
    let mut first = Value::Null;
    for n in 0..PAGE {
        let body = json!({ "client_id": n.to_string(), "text": format!("said {n}") });
        let url = format!("{origin}/v1/chat/{chat}/messages");
        let (status, said) = sluice_tests::shop::post(&url, &tokens[0], &body).await;
        assert_eq!(status, 201, "{said}");
        first = if n == 0 { said } else { first };
    }
    let history = async |edge: usize, who: usize| {
        let url = format!("{}/v1/chat/{chat}/history/0", edges[edge]);
        sluice_tests::shop::get(&url, &tokens[who]).await
    };
    let hits = async |edge: usize| {
        scene.edges[edge].metric("sluice_edge_requests_total", &["outcome=\"hit\""]).await
    };
    let (status, page) = history(0, 0).await;
    assert_eq!((status, page["settled"].as_bool()), (200, Some(true)), "{page}");
    assert_eq!(page["content"]["events"].as_array().unwrap().len(), 100);
    assert_eq!(page["content"]["events"][1]["text"], "said 0");

    // The second reader's page was there, and the third's.
    let before = hits(0).await;
    assert_eq!((history(0, 1).await, history(0, 2).await), ((200, page.clone()), (200, page.clone())));
    assert_eq!(hits(0).await, before + 2.0, "an origin was asked whether, and not what");

    // A change is seen with the next look, at every edge, however far it is in the log.
    assert_eq!(history(1, 1).await.0, 200);
    let url = format!("{}/v1/chat/{chat}/messages/{}", edges[0], first["id"].as_str().unwrap());
    for n in 0..5 {
        let text = format!("in other words {n}");
        let edited = scene_put(&url, &tokens[0], &json!({ "text": text })).await;
        assert_eq!(edited, 200);
        for edge in [1, 0] {
            assert_eq!(history(edge, 1).await.1["content"]["events"][1]["text"], text);
        }
    }

    // Who has left sees nothing at once, neither by the history nor by the page's own name.
    let leave = format!("{}/v1/chat/{chat}/leave", edges[1]);
    assert_eq!(sluice_tests::shop::post(&leave, &tokens[3], &Value::Null).await.0, 200);
    for edge in [0, 1] {
        assert_eq!(history(edge, 3).await.0, 403);
    }
    let fragment = page["fragment"].as_str().unwrap();
    for at in edges.iter().chain([&origin]) {
        for token in [&tokens[3], &tokens[0]] {
            let (status, said) = sluice_tests::shop::get(&format!("{at}{fragment}"), token).await;
            assert!(matches!(status, 401 | 403), "{status} {said}");
        }
        let forged =
            client().get(format!("{at}{fragment}")).header("sluice-access", "list").send().await.unwrap();
        assert!(matches!(forged.status().as_u16(), 401 | 403), "{}", forged.status());
    }
    assert_eq!(history(0, 0).await.0, 200);
}

async fn scene_put(url: &str, token: &str, body: &Value) -> u16 {
    client().put(url).bearer_auth(token).json(body).send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_deleted_is_said_to_nobody_who_comes_later() {
    let scene = sluice_tests::chat::Scene::new(1, 1).await;
    let (tokens, chat) = scene.group(&["ann", "ben"]).await;
    let origin = scene.origins[0].url();
    let body = json!({ "client_id": "1", "text": "the first secret" });
    let (_, said) =
        sluice_tests::shop::post(&format!("{origin}/v1/chat/{chat}/messages"), &tokens[0], &body).await;
    let one = format!("{origin}/v1/chat/{chat}/messages/{}", said["id"].as_str().unwrap());
    assert_eq!(scene_put(&one, &tokens[0], &json!({ "text": "the second secret" })).await, 200);
    let heard = async |until: u64| {
        let edge = scene.edges[0].url();
        let (_, told) =
            sluice_tests::shop::post(&format!("{edge}/v1/chat/token"), &tokens[1], &json!({})).await;
        let url = format!("{edge}/v1/live/poll?channel=chat:{chat}&after=1&wait=5");
        let begun = Instant::now();
        loop {
            let told = sluice_tests::shop::get(&url, told["token"].as_str().unwrap()).await.1;
            if told["seq"] == until {
                return told;
            }
            assert!(begun.elapsed() < LIMIT, "{told}");
        }
    };
    // Who listens before hears what was said, and the edge keeps it for who comes back.
    let told = heard(3).await;
    assert!(["first", "second"].iter().all(|one| told.to_string().contains(&format!("the {one} secret"))));
    let gone = client().delete(one).bearer_auth(&tokens[0]).send().await.unwrap();
    assert_eq!(gone.status(), 200);
    let told = heard(4).await;
    let data: Vec<&Value> = told["frames"].as_array().unwrap().iter().map(|frame| &frame["data"]).collect();
    assert_eq!((data.len(), data[0], data[1]), (3, &Value::Null, &Value::Null), "{told}");
    assert!(data[2]["type"] == "delete" && !told.to_string().contains("secret"), "{told}");
}
