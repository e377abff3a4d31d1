//! A person's device in a conversation: it listens at an edge, fetches what it misses, says things, and tells how far it is.
//!
//! It has a disk, which outlives it, and a life, which a story ends at any moment. A device that comes back goes on from what
//! its cursor at the server says, and sends again what was not acknowledged. What it is told twice or out of order on a socket
//! ends the story.

use crate::hearing::{Hearing, Way};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};

/// How long a device waits for an answer before it asks again.
const PATIENCE: Duration = Duration::from_secs(4);
/// Time between two tries.
const AGAIN: Duration = Duration::from_millis(40);
/// Time between two words, as of somebody who types fast.
const PAUSE: Duration = Duration::from_millis(15);
/// Time between two looks at whether the cursor is to be told.
const TELL: Duration = Duration::from_millis(60);
/// Silence after which a socket counts as dead: a conversation under faults is never silent for so long.
const SILENCE: Duration = Duration::from_secs(8);

/// What was acknowledged: `(client id, message's id, seq)`, only ever added to.
pub type Ledger = Arc<Mutex<Vec<(String, String, u64)>>>;

/// What a device has on its disk.
#[derive(Debug, Default)]
struct Disk {
    /// Event n + 1 at place n.
    events: Vec<Value>,
    /// Messages that were acknowledged.
    sent: usize,
}

/// What a device was through.
#[derive(Debug, Default)]
pub struct Counts {
    /// Lives that ended and began again.
    pub lives: AtomicU64,
    /// Sockets that were opened.
    pub sockets: AtomicU64,
    /// Questions for what was missed.
    pub fetches: AtomicU64,
    /// Gaps that it was told of.
    pub gaps: AtomicU64,
}

/// A device. Clones are the same.
#[derive(Debug, Clone)]
pub struct Device(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    token: String,
    chat: String,
    /// Where its edge is, or what stands before it.
    at: SocketAddr,
    way: Way,
    disk: Mutex<Disk>,
    ledger: Ledger,
    talks: AtomicBool,
    counts: Arc<Counts>,
}

/// A request, or a socket, came to nothing: it is tried again.
#[derive(Debug)]
pub(crate) struct Cut;

impl Device {
    /// A device of whom a token is, that speaks with an edge at an address, and listens there in some way. It begins to live with
    /// [`start`](Self::start).
    #[must_use]
    pub fn new(name: &str, token: &str, chat: &str, (at, way): (SocketAddr, Way), ledger: &Ledger) -> Self {
        Self(Arc::new(Inner {
            name: name.into(),
            token: token.into(),
            chat: chat.into(),
            at,
            way,
            disk: Mutex::default(),
            ledger: Arc::clone(ledger),
            talks: AtomicBool::new(true),
            counts: Arc::default(),
        }))
    }

    /// Begins a life; it ends with the handle, at any place where the device waits.
    pub fn start(&self, lives: &mut JoinSet<()>) -> AbortHandle {
        lives.spawn(live(Arc::clone(&self.0)))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What it was through.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.0.counts
    }

    /// Says nothing more, but what is not acknowledged yet.
    pub fn hush(&self) {
        self.0.talks.store(false, Ordering::Relaxed);
    }

    /// The last seq that it has.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.0.last()
    }

    /// What it has, event n + 1 at place n.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        self.0.disk.lock().unwrap().events.clone()
    }
}

/// A life: until it is ended.
async fn live(me: Arc<Inner>) {
    me.counts.lives.fetch_add(1, Ordering::Relaxed);
    let http = crate::client::plain().timeout(PATIENCE).build().unwrap();
    // What it knows of itself is what the server does.
    let known = me.ask(&http, Method::GET, "/cursor", Value::Null).await;
    let of_mine = |device: &&Value| device["device"] == me.name.as_str();
    let mine = known["devices"].as_array().unwrap().iter().find(of_mine);
    let cursor = mine.map_or(0, |device| device["delivered"].as_u64().unwrap());
    {
        let mut disk = me.disk.lock().unwrap();
        assert!(cursor <= disk.events.len() as u64, "{}: a cursor beyond what it ever had", me.name);
        disk.events.truncate(usize::try_from(cursor).unwrap());
    }
    tokio::join!(listen(&me, &http), talk(&me, &http), tell(&me, &http));
}

/// Listens, on one socket after another.
async fn listen(me: &Inner, http: &Client) {
    loop {
        let path = format!("http://{}/v1/chat/token", me.at);
        let body = json!({ "conversations": [me.chat] });
        let told = me.again(http, Method::POST, &path, &body).await;
        drop(hear(me, http, told["token"].as_str().unwrap()).await);
        sleep(AGAIN).await;
    }
}

/// One socket's life.
async fn hear(me: &Inner, http: &Client, token: &str) -> Result<(), Cut> {
    let channel = format!("chat:{}", me.chat);
    let mut at = me.last();
    let begun = timeout(PATIENCE, Hearing::begin(me.way, me.at, (&channel, at, token)));
    let mut hearing = begun.await.map_err(|_| Cut)??;
    me.counts.sockets.fetch_add(1, Ordering::Relaxed);
    loop {
        let said = timeout(SILENCE, hearing.next()).await.map_err(|_| Cut)??;
        if said["subscribed"] == channel.as_str() {
            assert_eq!(said["seq"].as_u64(), Some(at), "{}: from elsewhere than it asked", me.name);
        } else if let Some(seq) = said["seq"].as_u64() {
            assert_eq!(seq, at + 1, "{}: twice, out of order or not at all", me.name);
            at = seq;
            if seq == me.last() + 1 && said["data"].is_object() {
                me.take(said["data"].clone(), seq);
            } else if seq > me.last() {
                me.fetch(http).await;
            }
        } else if said["gap"].is_object() {
            assert_eq!(said["gap"]["from"].as_u64(), Some(at + 1), "{}: a gap from elsewhere", me.name);
            at = said["gap"]["to"].as_u64().unwrap();
            me.counts.gaps.fetch_add(1, Ordering::Relaxed);
            me.fetch(http).await;
        } else if said["aside"].is_null() {
            let status = said["problem"]["status"].as_u64().unwrap_or_default();
            assert!(status >= 500, "{}: {said}", me.name);
            return Err(Cut);
        }
    }
}

/// Says its messages one after another, each until it is acknowledged. Every fourth goes out twice at the same time, as by a
/// device that lost patience.
async fn talk(me: &Inner, http: &Client) {
    let path = me.path("/messages");
    loop {
        let n = me.disk.lock().unwrap().sent;
        if me.talks.load(Ordering::Relaxed) {
            let client_id = format!("{}-{n}", me.name);
            let body = json!({ "client_id": client_id, "text": format!("message {n} of {}", me.name) });
            let said = match n % 4 {
                0 => {
                    let send = || me.again(http, Method::POST, &path, &body);
                    let (one, other) = tokio::join!(send(), send());
                    assert_eq!(
                        (&one["id"], &one["seq"]),
                        (&other["id"], &other["seq"]),
                        "sent twice it is one"
                    );
                    one
                }
                _ => me.again(http, Method::POST, &path, &body).await,
            };
            let id = said["id"].as_str().unwrap().to_owned();
            me.ledger.lock().unwrap().push((client_id, id, said["seq"].as_u64().unwrap()));
            me.disk.lock().unwrap().sent += 1;
        }
        sleep(PAUSE).await;
    }
}

/// Tells how far it is, whenever that has changed. One that shows messages to somebody tells that they were read.
async fn tell(me: &Inner, http: &Client) {
    let mut told = 0;
    loop {
        sleep(TELL).await;
        let last = me.last();
        if last > told {
            let read = if me.name.ends_with('1') { last } else { 0 };
            let body = json!({ "device": me.name, "delivered": last, "read": read });
            me.ask(http, Method::PUT, "/cursor", body).await;
            told = last;
        }
    }
}

impl Inner {
    fn last(&self) -> u64 {
        self.disk.lock().unwrap().events.len() as u64
    }

    fn path(&self, below: &str) -> String {
        format!("http://{}/v1/chat/{}{below}", self.at, self.chat)
    }

    /// Keeps the next event. The channel says each without its number, which stands beside it.
    fn take(&self, mut event: Value, seq: u64) {
        event["seq"] = json!(seq);
        let mut disk = self.disk.lock().unwrap();
        assert_eq!(seq, disk.events.len() as u64 + 1);
        disk.events.push(event);
    }

    /// Fetches what it has not, until there is no more.
    async fn fetch(&self, http: &Client) {
        loop {
            let path = format!("/events?after={}&limit=100", self.last());
            let page = self.ask(http, Method::GET, &path, Value::Null).await;
            self.counts.fetches.fetch_add(1, Ordering::Relaxed);
            for event in page["events"].as_array().unwrap() {
                self.take(event.clone(), event["seq"].as_u64().unwrap());
            }
            if page["more"] == false {
                return;
            }
        }
    }

    async fn ask(&self, http: &Client, method: Method, below: &str, body: Value) -> Value {
        self.again(http, method, &self.path(below), &body).await
    }

    /// Asks until it is answered. What is refused for good ends the story.
    async fn again(&self, http: &Client, method: Method, url: &str, body: &Value) -> Value {
        loop {
            let asking = http.request(method.clone(), url).bearer_auth(&self.token);
            let asking = if body.is_null() { asking } else { asking.json(body) };
            if let Ok(answer) = asking.send().await {
                let status = answer.status().as_u16();
                match answer.json::<Value>().await {
                    Ok(said) if status < 300 => return said,
                    Ok(said) => assert!(status >= 500, "{}: {url}: {status} {said}", self.name),
                    // The answer was cut.
                    Err(_) => {}
                }
            }
            sleep(AGAIN).await;
        }
    }
}

/// Waits until devices have everything up to a seq; how long that took.
pub async fn all_have(devices: &[Device], seq: u64, limit: Duration) -> Duration {
    let begun = Instant::now();
    while let Some(behind) = devices.iter().find(|device| device.last() < seq) {
        assert!(begun.elapsed() < limit, "{} has {} of {seq}", behind.name(), behind.last());
        sleep(Duration::from_millis(5)).await;
    }
    begun.elapsed()
}
