//! An origin with all apps behind an edge, people who write to it without a pause, and what they were acknowledged.

use crate::client::client;
use crate::process::{Process, binary, free_port};
use crate::shop;
use crate::stack::lone_edge;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use sluice_wire::token::mint::SigningKey;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// How long anything may take that comes by itself.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long one request may take: a store that stands still is noticed by then.
const REQUEST: Duration = Duration::from_secs(8);
/// Between two requests of one writer.
const PAUSE: Duration = Duration::from_millis(20);
/// Which writer pays for what it orders.
const BUYER: usize = 3;
/// Units that there are to buy.
pub const UNITS: i64 = 100_000;

/// A town.
#[derive(Debug)]
pub struct Town {
    /// Folders, keys, databases.
    pub dir: TempDir,
    /// The origin.
    pub origin: Process,
    /// The edge in front of it.
    pub edge: Process,
    /// Ann's token, and the administrator's.
    pub ann: String,
    /// See `ann`.
    pub boss: String,
    /// The variant that is bought.
    pub variant: String,
    /// The conversation that is written to.
    pub chat: String,
    flags: Vec<(&'static str, String)>,
    /// How often writers began: what they write is new each time.
    rounds: AtomicU32,
}

/// What was acknowledged, in order.
#[derive(Debug, Clone, Default)]
pub struct Acked {
    /// Texts of messages.
    pub messages: Vec<String>,
    /// Orders that nobody pays.
    pub orders: Vec<String>,
    /// Orders that were paid, or are taken to their end by themselves.
    pub paid: Vec<String>,
    /// Posts.
    pub posts: Vec<String>,
}

impl Acked {
    fn note(&mut self, kind: usize, name: String, id: String) {
        match kind {
            0 => self.messages.push(name),
            1 => self.orders.push(id),
            BUYER => self.paid.push(id),
            _ => self.posts.push(id),
        }
    }
}

/// Writers under way.
#[derive(Debug)]
pub struct Writers {
    acked: Arc<Mutex<Acked>>,
    stop: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Town {
    /// Starts one on a database, or on SQLite in its own folder. `flags` are the origin's.
    pub async fn start(database: Option<String>, flags: &[(&'static str, String)]) -> Self {
        let dir = tempfile::Builder::new().prefix("sluice-town-").tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        std::fs::write(at("key.pem"), SigningKey::generate().unwrap()).unwrap();
        let database = database.unwrap_or_else(|| format!("sqlite:{}", at("sluice.db")));
        let mut all = vec![
            ("listen.http", format!("127.0.0.1:{}", free_port())),
            ("listen.admin", "127.0.0.1:0".to_owned()),
            ("storage.database", database),
            ("storage.objects", format!("file:{}", at("objects"))),
            ("playback.key_file", at("key.pem")),
            ("accounts.admins", "boss".to_owned()),
            ("accounts.access_ttl_s", "3600".to_owned()),
            // Who finds a payment that a crash left waits no longer than for three questions and a second.
            ("apps.commerce.gateway.timeout_ms", "500".to_owned()),
        ];
        all.extend(flags.iter().cloned());
        let mut origin = Process::new("origin", "sluice-origin", dir.path(), &all);
        origin.start().await;
        let keys = format!("{}/v1/keys", origin.url());
        let mut edge = lone_edge(dir.path(), "near-a", &origin.url(), &[("access.keys_url", &keys)]);
        edge.start().await;
        let url = origin.url();
        let (boss, ann) = (shop::sign_up(&url, "boss").await, shop::sign_up(&url, "ann").await);
        let (_, variant) = shop::product(&url, &boss, UNITS).await;
        let group = json!({ "kind": "group", "name": "all" });
        let (status, chat) = shop::post(&format!("{url}/v1/chat"), &ann, &group).await;
        assert_eq!(status, 201, "{chat}");
        let chat = chat["id"].as_str().unwrap().to_owned();
        Self { dir, origin, edge, ann, boss, variant, chat, flags: all, rounds: AtomicU32::new(0) }
    }

    /// The origin on another database, at the same address; not started.
    #[must_use]
    pub fn moved(&self, database: &str) -> Process {
        let mut origin = Process::new("origin-2", "sluice-origin", self.dir.path(), &self.flags);
        origin.set("storage.database", database);
        origin
    }

    /// One of the origin's commands, on a database.
    pub async fn command(&self, database: &str, args: &[&str]) -> Output {
        let mut command = Command::new(binary("sluice-origin"));
        command.args(args).args(["--storage.database", database]).current_dir(self.dir.path());
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    /// A file of the town.
    #[must_use]
    pub fn file(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// Has Ann write messages, place orders, post, and order and pay, each as soon as the one before is acknowledged. What fails is
    /// sent again with the same key until it is settled.
    #[must_use]
    pub fn write(&self) -> Writers {
        let (acked, stop, mut tasks) =
            (Arc::new(Mutex::new(Acked::default())), Arc::new(AtomicBool::new(false)), JoinSet::new());
        let (url, round) = (self.origin.url(), self.rounds.fetch_add(1, Ordering::Relaxed));
        let order = json!({ "market": "de", "lines": [{ "variant": self.variant, "quantity": 1 }] });
        let kinds: [(String, Value); 4] = [
            (format!("{url}/v1/chat/{}/messages", self.chat), Value::Null),
            (format!("{url}/v1/shop/orders"), order.clone()),
            (format!("{url}/v1/feed/posts"), json!({ "text": "good morning" })),
            (format!("{url}/v1/shop/orders"), order),
        ];
        for (kind, (at, body)) in kinds.into_iter().enumerate() {
            let (acked, stop, token) = (Arc::clone(&acked), Arc::clone(&stop), self.ann.clone());
            tasks.spawn(async move {
                let http = Client::builder().timeout(REQUEST).build().unwrap();
                let mut n = 0;
                while !stop.load(Ordering::Relaxed) {
                    n += 1;
                    let name = format!("{kind}-{round}-{n}");
                    let message = json!({ "client_id": name, "text": name });
                    let body = if body.is_null() { &message } else { &body };
                    let told = settled(&http, &at, &token, &name, body).await;
                    let id = told["id"].as_str().unwrap_or_default().to_owned();
                    if kind == BUYER {
                        let (pays, with) =
                            (format!("{at}/{id}/payment"), json!({ "method": "pm_card_visa" }));
                        settled(&http, &pays, &token, &format!("{name}-paid"), &with).await;
                    }
                    acked.lock().unwrap().note(kind, name, id);
                    sleep(PAUSE).await;
                }
            });
        }
        Writers { acked, stop, tasks }
    }

    /// Everything that was acknowledged is there, once, and the sums are right. `all` when nothing else may be there.
    pub async fn has(&self, url: &str, acked: &Acked, all: bool) {
        let messages = self.messages(url).await;
        let orders = self.listed(url, "/v1/shop/orders", "orders", |order| order["id"].as_str()).await;
        let last = |post: &'static str| {
            move |item: &Value| item[post].as_str().map(|f| f.rsplit('/').next().unwrap().to_owned())
        };
        let posts = self.listed_by(url, "/v1/feed/users/ann/posts", "items", last("f")).await;
        let ordered = [acked.orders.clone(), acked.paid.clone()].concat();
        for (what, there, acked) in [
            ("message", &messages, &acked.messages),
            ("order", &orders, &ordered),
            ("post", &posts, &acked.posts),
        ] {
            let unique: std::collections::BTreeSet<&String> = there.iter().collect();
            assert_eq!(unique.len(), there.len(), "a {what} is there twice");
            let missing: Vec<_> = acked.iter().filter(|id| !unique.contains(id)).collect();
            assert!(
                missing.is_empty(),
                "{} of {} {what}s are missing: {missing:?}",
                missing.len(),
                acked.len()
            );
            assert!(
                !all || there.len() == acked.len(),
                "{} {what}s are there, {} were acknowledged",
                there.len(),
                acked.len()
            );
        }
        let [available, reserved, sold] = shop::counts(url, &self.boss, &self.variant).await;
        assert_eq!(available + reserved + sold, UNITS, "{available} {reserved} {sold}");
        assert_eq!(reserved + sold, i64::try_from(orders.len()).unwrap(), "each order has one");
        self.is_paid(url, &acked.paid).await;
    }

    /// What was paid is confirmed, and the gateway took the money for that and for nothing else, once.
    async fn is_paid(&self, url: &str, paid: &[String]) {
        let begun = Instant::now();
        let orders = loop {
            let orders = shop::all_orders(url, std::slice::from_ref(&self.ann)).await;
            let Some(moving) = orders.values().find(|order| order["state"] == "paying") else { break orders };
            assert!(begun.elapsed() < PATIENCE, "it is never paid: {moving}");
            sleep(Duration::from_millis(200)).await;
        };
        for id in paid {
            assert_eq!(orders[id]["state"], "confirmed", "{}", orders[id]);
        }
        let confirmed = orders.values().filter(|order| order["state"] == "confirmed").count();
        let confirmed = i64::try_from(confirmed).unwrap();
        assert_eq!(shop::counts(url, &self.boss, &self.variant).await[2], confirmed);
        // The books of each order are zero in all, too.
        assert_eq!(shop::balance(url, &self.boss, "gateway", "EUR").await, 1_190 * confirmed);
        assert_eq!(shop::balance(url, &self.boss, "buyers", "EUR").await, 0);
    }

    async fn messages(&self, url: &str) -> Vec<String> {
        let (mut texts, mut after) = (vec![], 0);
        loop {
            let at = format!("{url}/v1/chat/{}/events?after={after}&limit=1000", self.chat);
            let (status, told) = shop::get(&at, &self.ann).await;
            assert_eq!(status, 200, "{told}");
            let said = told["events"].as_array().unwrap().iter();
            texts.extend(
                said.filter_map(|event| event["text"].as_str())
                    .filter(|text| text.starts_with("0-"))
                    .map(str::to_owned),
            );
            if told["more"] == false {
                return texts;
            }
            after = told["last"].as_u64().unwrap();
        }
    }

    async fn listed(
        &self,
        url: &str,
        path: &str,
        name: &str,
        id: impl Fn(&Value) -> Option<&str>,
    ) -> Vec<String> {
        self.listed_by(url, path, name, |item| id(item).map(str::to_owned)).await
    }

    async fn listed_by(
        &self,
        url: &str,
        path: &str,
        name: &str,
        id: impl Fn(&Value) -> Option<String>,
    ) -> Vec<String> {
        let (mut ids, mut after) = (vec![], String::new());
        loop {
            let (status, told) = shop::get(&format!("{url}{path}?limit=100{after}"), &self.ann).await;
            // Who has never posted is nobody to the feed.
            if status == 404 {
                return ids;
            }
            assert_eq!(status, 200, "{told}");
            ids.extend(told[name].as_array().unwrap().iter().filter_map(&id));
            let Some(next) = told["next"].as_str() else { return ids };
            after = format!("&after={next}");
        }
    }

    /// What an account is answered at the edge.
    pub async fn ask(&self, method: Method, path: &str, token: &str, body: &Value) -> (u16, Value) {
        let asked = client().request(method, format!("{}{path}", self.edge.url()));
        let asked = if token.is_empty() { asked } else { asked.bearer_auth(token) };
        let asked = if body.is_null() { asked } else { asked.json(body) };
        let answer = asked.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }
}

/// Sends a document until it is taken, with one key.
async fn settled(http: &Client, at: &str, token: &str, key: &str, body: &Value) -> Value {
    let begun = Instant::now();
    loop {
        let sent = http.post(at).bearer_auth(token).header("idempotency-key", key).json(body).send().await;
        let why = match sent {
            Ok(answer) if answer.status().is_success() => match answer.json().await {
                Ok(told) => return told,
                Err(error) => error.to_string(),
            },
            // Another try of the same is under way, or the store is away.
            Ok(answer)
                if answer.status().is_server_error() || matches!(answer.status().as_u16(), 409 | 429) =>
            {
                answer.status().to_string()
            }
            Ok(answer) => panic!("{at}: {} {}", answer.status(), answer.text().await.unwrap_or_default()),
            Err(error) => error.to_string(),
        };
        assert!(begun.elapsed() < PATIENCE, "{at} is never settled: {why}");
        sleep(PAUSE).await;
    }
}

impl Writers {
    /// What was acknowledged so far.
    #[must_use]
    pub fn acked(&self) -> Acked {
        self.acked.lock().unwrap().clone()
    }

    /// Waits until each of them was acknowledged this many more; how long that took.
    pub async fn more(&self, count: usize) -> Duration {
        let (begun, before) = (Instant::now(), self.acked());
        loop {
            let now = self.acked();
            let all = now.messages.len() >= before.messages.len() + count
                && now.orders.len() >= before.orders.len() + count
                && now.posts.len() >= before.posts.len() + count;
            if all {
                return begun.elapsed();
            }
            assert!(begun.elapsed() < PATIENCE, "the writes never come back");
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Ends them once what they are at is settled; all that was acknowledged.
    pub async fn end(mut self) -> Acked {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        self.acked()
    }

    /// Ends them wherever they are; all that was acknowledged.
    pub async fn cut(mut self) -> Acked {
        self.tasks.shutdown().await;
        self.acked()
    }
}
