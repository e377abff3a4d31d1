//! A conversation while edges, origins and devices are killed and sockets are cut in the middle of a frame: what was acknowledged
//! is on every device once, in one order, and who can come back is back within two seconds.
#![allow(clippy::print_stdout, reason = "what was done and what it took is for whoever reads along")]
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use futures::{SinkExt, StreamExt};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use sluice_storage::rows::sea_orm::{ConnectionTrait, Statement};
use sluice_storage::testing::{Postgres, Redis};
use sluice_storage::{Storage, StorageConfig, StorageError};
use sluice_tests::chat::Scene;
use sluice_tests::device::{Device, Ledger, all_have};
use sluice_tests::hearing::WAYS;
use sluice_tests::process::Process;
use sluice_tests::proxy::{Line, Proxy};
use sluice_tests::shop;
use sluice_tests::stack::Engines;
use sluice_wire::{AccountId, EventKind, Tag};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// How long anything may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);
/// Within what a device is back, once what it needs is.
const RESUMED: Duration = Duration::from_secs(2);
/// Faults that follow one another, each as likely as it says below.
const ROUNDS: u32 = 14;
/// How long a round lasts, beside what is started anew in it.
const ROUND: Duration = Duration::from_millis(350);
/// Of a hundred sockets, those that are cut in a round; and devices that are killed.
const CUT: u32 = 20;
const KILLED: u32 = 15;

/// The devices of a story, their lives and their lines.
struct Crowd {
    devices: Vec<Device>,
    lines: Vec<Proxy>,
    lives: JoinSet<()>,
    handles: Vec<AbortHandle>,
    cuts: u32,
    kills: u32,
}

impl Crowd {
    /// Two devices of each person, at different edges, that listen in all ways there are.
    fn start(scene: &Scene, tokens: &[String], chat: &str, ledger: &Ledger) -> Self {
        let (mut devices, mut lines, mut lives, mut handles) = (vec![], vec![], JoinSet::new(), vec![]);
        for (n, token) in tokens.iter().enumerate() {
            for (edge, number) in scene.edges.iter().zip(1..) {
                let line = Proxy::start(edge.at.http.as_ref().unwrap().parse().unwrap());
                // Each way, and some of them at both edges.
                let way = WAYS[(devices.len() + n) % WAYS.len()];
                let name = format!("p{n}d{number}");
                let device = Device::new(&name, token, chat, (line.at, way), ledger);
                handles.push(device.start(&mut lives));
                devices.push(device);
                lines.push(line);
            }
        }
        Self { devices, lines, lives, handles, cuts: 0, kills: 0 }
    }

    /// A fifth of the sockets is cut, each after some bytes more, and some devices are killed and come back.
    async fn round(&mut self, dice: &mut StdRng) {
        let is_cut: Vec<bool> = self.lines.iter().map(|_| dice.random_ratio(CUT, 100)).collect();
        let cut = || self.lines.iter().zip(&is_cut).filter(|(_, cut)| **cut).map(|(line, _)| line);
        for line in cut() {
            line.set(Line::Cut(dice.random_range(0..2_000)));
        }
        sleep(ROUND / 3).await;
        cut().for_each(|line| line.set(Line::Reset));
        self.cuts += u32::try_from(cut().count()).unwrap();
        for (n, device) in self.devices.iter().enumerate() {
            if dice.random_ratio(KILLED, 100) {
                self.handles[n].abort();
                self.handles[n] = device.start(&mut self.lives);
                self.kills += 1;
            }
        }
        sleep(ROUND / 3).await;
        cut().for_each(|line| line.set(Line::Up));
        sleep(ROUND / 3).await;
        self.look();
    }

    /// A device that found a fault has ended.
    fn look(&mut self) {
        while let Some(ended) = self.lives.try_join_next() {
            if let Err(error) = ended
                && error.is_panic()
            {
                std::panic::resume_unwind(error.into_panic());
            }
        }
    }

    /// Waits until all have everything up to a seq, and not too long since something is back.
    async fn resumed(&mut self, what: &str, seq: u64, back: Instant) {
        all_have(&self.devices, seq, LIMIT).await;
        self.look();
        let took = back.elapsed();
        println!("{what}: all are back after {} ms", took.as_millis());
        assert!(took <= RESUMED, "{what}: {took:?}");
    }
}

fn dice() -> StdRng {
    let seed = std::env::var("SEED").ok().map_or_else(rand::random::<u64>, |seed| seed.parse().unwrap());
    println!("SEED={seed}");
    StdRng::seed_from_u64(seed)
}

/// Kills one of the servers, as the dice say, and starts it again.
async fn kill_one(scene: &mut Scene, dice: &mut StdRng) -> &'static str {
    let (some, name) = match dice.random_range(0..4) {
        0 | 1 => (&mut scene.edges, "edge"),
        2 => (&mut scene.origins, "origin"),
        _ => return "nothing",
    };
    let which = dice.random_range(0..some.len());
    some[which].kill9();
    some[which].start().await;
    name
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_killed_or_cut_everybody_has_everything_once_in_one_order_on_sqlite() {
    everybody_has_everything_once_in_one_order(Scene::new(2, 2).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_killed_or_cut_everybody_has_everything_once_in_one_order_on_postgres() {
    let (postgres, redis) = (Postgres::start().await, Redis::start().await);
    let database = postgres.fresh_database().await;
    let scene = Scene::at(Some(database), &redis.url(), 2, 2).await;
    everybody_has_everything_once_in_one_order(scene).await;
}

async fn everybody_has_everything_once_in_one_order(mut scene: Scene) {
    let mut dice = dice();
    let (tokens, chat) = scene.group(&["ann", "ben", "cat"]).await;
    let ledger = Ledger::default();
    let mut crowd = Crowd::start(&scene, &tokens, &chat, &ledger);
    let mut killed = BTreeMap::new();
    for _ in 0..ROUNDS {
        *killed.entry(kill_one(&mut scene, &mut dice).await).or_insert(0) += 1;
        crowd.round(&mut dice).await;
    }
    crowd.devices.iter().for_each(Device::hush);
    each_fault_by_itself(&mut scene, &mut crowd, &tokens[0], &chat).await;

    // What was acknowledged is there, once, and every device has the same.
    let seen = scene.events(&tokens[0], &chat).await;
    all_have(&crowd.devices, seen.len() as u64, LIMIT).await;
    crowd.look();
    for device in &crowd.devices {
        let has = device.events();
        // A receipt may have come since.
        assert_eq!(has[..seen.len()], seen[..], "{}", device.name());
    }
    let of_devices = |said: &&Value| said["client_id"].as_str().is_some_and(|id| id.starts_with('p'));
    let mut found: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for said in seen.iter().filter(of_devices) {
        found.entry(said["client_id"].as_str().unwrap()).or_default().push(said);
    }
    assert!(found.values().all(|said| said.len() == 1), "nothing is there twice");
    let ledger = ledger.lock().unwrap();
    for (client_id, id, seq) in ledger.iter() {
        let said = found[client_id.as_str()][0];
        assert_eq!(
            (said["id"].as_str(), said["seq"].as_u64()),
            (Some(id.as_str()), Some(*seq)),
            "{client_id}"
        );
    }
    let sum = |of: fn(&sluice_tests::device::Counts) -> u64| -> u64 {
        crowd.devices.iter().map(|device| of(device.counts())).sum()
    };
    println!(
        "{} acknowledged, {} events, on {} devices; killed {killed:?}, {} devices, {} sockets cut of {}, {} gaps, {} fetches",
        ledger.len(),
        seen.len(),
        crowd.devices.len(),
        crowd.kills,
        crowd.cuts,
        sum(|counts| counts.sockets.load(Ordering::Relaxed)),
        sum(|counts| counts.gaps.load(Ordering::Relaxed)),
        sum(|counts| counts.fetches.load(Ordering::Relaxed)),
    );
    assert!(ledger.len() > 50 && crowd.cuts > 0 && crowd.kills > 0, "hardly anything happened");
}

/// One fault after another, and how long it takes until everybody has what was said meanwhile.
async fn each_fault_by_itself(scene: &mut Scene, crowd: &mut Crowd, token: &str, chat: &str) {
    let first = scene.say(0, token, chat, "quiet").await;
    all_have(&crowd.devices, first, LIMIT).await;

    crowd.lines.iter().for_each(|line| line.set(Line::Reset));
    let said = scene.say(1, token, chat, "while-all-were-cut").await;
    crowd.lines.iter().for_each(|line| line.set(Line::Up));
    crowd.resumed("all sockets", said, Instant::now()).await;

    scene.edges[0].kill9();
    let said = scene.say(0, token, chat, "while-an-edge-was-away").await;
    scene.edges[0].start().await;
    crowd.resumed("an edge", said, Instant::now()).await;

    scene.origins[0].kill9();
    let said = scene.say(1, token, chat, "while-an-origin-was-away").await;
    crowd.resumed("the other origin", said, Instant::now()).await;
    scene.origins[1].kill9();
    sleep(RESUMED).await;
    scene.origins[0].start().await;
    let back = Instant::now();
    let said = scene.say(0, token, chat, "after-both-were-away").await;
    crowd.resumed("both origins", said, back).await;
    scene.origins[1].start().await;

    crowd.handles.iter().for_each(AbortHandle::abort);
    let said = scene.say(0, token, chat, "while-all-devices-were-off").await;
    let back = Instant::now();
    for (handle, device) in crowd.handles.iter_mut().zip(&crowd.devices) {
        *handle = device.start(&mut crowd.lives);
    }
    crowd.resumed("all devices", said, back).await;
}

/// Messages that somebody misses.
const MISSED: u64 = 10_000;

/// Says messages into the database, as an origin does, all in one transaction.
async fn say_in_bulk(storage: &Storage, chat: &str, author: &str, from: u64) {
    let tag = &Tag::new(format!("chat:{chat}")).unwrap();
    // Ids of all kinds are written alike.
    let number = |id: &str| id.parse::<AccountId>().unwrap().as_i64();
    let (chat, author) = (number(chat), number(author));
    let done = storage.database.write::<_, StorageError, _>(|tx| {
        Box::pin(async move {
            let backend = tx.conn().get_database_backend();
            for n in 0..MISSED {
                let live = json!({ "live": { "type": "message", "text": format!("missed {n}") } });
                let seq = tx.emit(tag, EventKind::Changed, live).await?.0;
                assert_eq!(seq, from + n + 1);
                let sql = "INSERT INTO chat_messages \
                    (chat, seq, id, author, at_ms, name, client_id, text, attachments) \
                    VALUES ($1, $2, $3, $4, 1, 'ann', $5, $6, '[]')";
                let values = [
                    chat.into(),
                    (seq as i64).into(),
                    (n as i64 + 1).into(),
                    author.into(),
                    format!("m{n}").into(),
                    format!("missed {n}").into(),
                ];
                tx.conn().execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
            }
            let sql = "UPDATE chats SET seq = $1, message_seq = $1 WHERE id = $2";
            let values = [((from + MISSED) as i64).into(), chat.into()];
            tx.conn().execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
            Ok(())
        })
    });
    done.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_away_for_ten_thousand_messages_gets_them_all_in_order_by_few_questions() {
    /// Seqs of one answer, at most.
    const PAGE: u64 = 1_000;
    let scene = Scene::new(1, 1).await;
    let (tokens, chat) = scene.group(&["ann", "ben"]).await;
    let before = scene.say(0, &tokens[0], &chat, "before").await;
    let made = scene.events(&tokens[1], &chat).await;
    let author = made.last().unwrap()["from"].as_str().unwrap();
    let Engines { database, bus, objects } = scene.engines.clone();
    let storage = Storage::open(&StorageConfig { database, bus, objects }).await.unwrap();
    say_in_bulk(&storage, &chat, author, before).await;
    let after = scene.say(0, &tokens[0], &chat, "after").await;
    assert_eq!(after, before + MISSED + 1);

    let edge = scene.edges[0].url();
    let body = json!({ "conversations": [chat] });
    let (_, told) = shop::post(&format!("{edge}/v1/chat/token"), &tokens[1], &body).await;
    let mut socket = Socket::open(&scene.edges[0]).await;
    socket.subscribe(&chat, before, told["token"].as_str().unwrap()).await;
    let (mut seqs, mut questions) = (vec![before], 0);
    let mut heard = socket.json().await;
    if let Some(to) = heard["gap"]["to"].as_u64() {
        assert_eq!(heard["gap"]["from"], before + 1);
        while *seqs.last().unwrap() < to {
            let url = format!("{edge}/v1/chat/{chat}/events?after={}&limit={PAGE}", seqs.last().unwrap());
            let (status, page) = shop::get(&url, &tokens[1]).await;
            assert_eq!(status, 200);
            questions += 1;
            for event in page["events"].as_array().unwrap() {
                let seq = event["seq"].as_u64().unwrap();
                let text = match seq {
                    _ if seq == after => "after".into(),
                    seq => format!("missed {}", seq - before - 1),
                };
                assert_eq!(event["text"], text);
                seqs.push(seq);
            }
        }
    } else {
        panic!("{heard}: an edge keeps no ten thousand");
    }
    let now = scene.say(0, &tokens[0], &chat, "now").await;
    while *seqs.last().unwrap() < now {
        heard = socket.json().await;
        seqs.extend(heard["seq"].as_u64().filter(|seq| seq > seqs.last().unwrap()));
    }
    assert_eq!(seqs, (before..=now).collect::<Vec<_>>(), "all, once, in order");
    println!("{MISSED} missed: {questions} questions");
    assert!(questions <= MISSED / PAGE + 1, "{questions} questions");
}

/// A device that only listens.
struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    async fn open(edge: &Process) -> Self {
        let at = edge.at.http.clone().unwrap();
        let stream = TcpStream::connect(&at).await.unwrap();
        Self(tokio_tungstenite::client_async(format!("ws://{at}/v1/live"), stream).await.unwrap().0)
    }

    async fn json(&mut self) -> Value {
        loop {
            let said = timeout(LIMIT, self.0.next()).await.expect("a message in time").unwrap().unwrap();
            if let Message::Text(text) = said {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    /// Asks for a conversation, from after a seq on.
    async fn ask(&mut self, chat: &str, after: u64, token: &str) {
        let ask = json!({ "subscribe": format!("chat:{chat}"), "after": after, "token": token });
        self.0.send(Message::text(ask.to_string())).await.unwrap();
    }

    async fn subscribe(&mut self, chat: &str, after: u64, token: &str) {
        self.ask(chat, after, token).await;
        let (said, channel) = (self.json().await, format!("chat:{chat}"));
        assert_eq!((&said["subscribed"], said["seq"].as_u64()), (&json!(channel), Some(after)), "{said}");
    }

    /// Goes on in all conversations after what it has, and hears so many that it missed of each: all, once, in order, and no
    /// word of a gap.
    async fn resume(&mut self, chats: &[String], heads: &[u64], missed: u64, token: &str) {
        let mut next = BTreeMap::new();
        for (chat, head) in chats.iter().zip(heads) {
            self.ask(chat, *head, token).await;
            next.insert(format!("chat:{chat}"), head + 1);
        }
        for _ in 0..chats.len() as u64 * (1 + missed) {
            let said = self.json().await;
            if let Some(channel) = said["subscribed"].as_str() {
                assert_eq!(said["seq"].as_u64(), Some(next[channel] - 1), "{said}");
            } else {
                let channel = said["channel"].as_str().unwrap_or_default();
                let next = next.get_mut(channel).unwrap_or_else(|| panic!("{said}"));
                assert_eq!(said["seq"].as_u64(), Some(*next), "{said}");
                *next += 1;
            }
        }
    }

    /// Hears a seq of a conversation next.
    async fn hears(&mut self, chat: &str, seq: u64) {
        let said = self.json().await;
        assert_eq!(
            (&said["channel"], said["seq"].as_u64()),
            (&json!(format!("chat:{chat}")), Some(seq)),
            "{said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_who_come_back_at_once_are_one_subscription_for_each_conversation_and_edge() {
    const CROWD: usize = 500;
    /// Messages of each conversation that are said meanwhile.
    const AWAY: u64 = 3;
    /// Times two seconds that they may take here, where the devices, unoptimised edges and whatever else a machine does share two
    /// cores: a second's work of each edge is five for the story. What is counted holds however busy the machine is.
    const NOISE: u32 = 5;
    let mut scene = Scene::new(1, 2).await;
    let (tokens, first) = scene.group(&["ann", "ben"]).await;
    let mut chats = vec![first];
    for _ in 0..2 {
        chats.push(scene.make(&tokens[0], &["@ben".into()]).await);
    }
    let edge = scene.edges[0].url();
    let body = json!({ "conversations": chats });
    let (_, told) = shop::post(&format!("{edge}/v1/chat/token"), &tokens[1], &body).await;
    let token = told["token"].as_str().unwrap();
    let mut heads = vec![];
    for chat in &chats {
        heads.push(scene.say(0, &tokens[0], chat, "hello").await);
    }
    let crowd = async |scene: &Scene| {
        let coming = (0..CROWD).map(async |n| {
            let mut socket = Socket::open(&scene.edges[n % 2]).await;
            for (chat, head) in chats.iter().zip(&heads) {
                socket.subscribe(chat, *head, token).await;
            }
            socket
        });
        futures::future::join_all(coming).await
    };
    let asked =
        async |scene: &Scene| scene.origins[0].metric("sluice_channel_subscriptions_total", &[]).await;
    let sockets = crowd(&scene).await;
    assert_eq!(asked(&scene).await, (2 * chats.len()) as f64, "one for each conversation and edge");

    // Both edges are gone, something is said, and all come back at once.
    drop(sockets);
    scene.edges.iter_mut().for_each(Process::kill9);
    for chat in &chats {
        for n in 0..AWAY {
            scene.say(0, &tokens[0], chat, &format!("while-all-were-away-{n}")).await;
        }
    }
    for edge in &mut scene.edges {
        edge.start().await;
        edge.until("sluice_edge_feed_live", &[], |live| live == 1.0).await;
    }
    let requests = async |scene: &Scene| scene.origins[0].metric("sluice_http_requests_total", &[]).await;
    let (before, back) = (requests(&scene).await, Instant::now());
    let coming = (0..CROWD).map(async |n| {
        let mut socket = Socket::open(&scene.edges[n % 2]).await;
        socket.resume(&chats, &heads, AWAY, token).await;
        (socket, back.elapsed())
    });
    let (mut sockets, mut took): (Vec<_>, Vec<_>) =
        futures::future::join_all(coming).await.into_iter().unzip();
    took.sort_unstable();
    let (p99, last) = (took[CROWD * 99 / 100], took[CROWD - 1]);
    let requests = requests(&scene).await - before;
    println!("{CROWD} have what they missed after {p99:?} (p99), {last:?} (the last); {requests} requests");
    assert_eq!(asked(&scene).await, (4 * chats.len()) as f64, "the edges are new, and ask once more each");
    assert_eq!(scene.origins[0].metric("sluice_channel_streams", &[]).await, 2.0);
    assert!(requests < (CROWD / 2) as f64, "{requests} requests: devices are not asked for one by one");
    assert!(p99 <= NOISE * RESUMED, "p99 {p99:?}");
    for chat in &chats {
        let seq = scene.say(0, &tokens[0], chat, "again").await;
        futures::future::join_all(sockets.iter_mut().map(|socket| socket.hears(chat, seq))).await;
    }
    assert_eq!(asked(&scene).await, (4 * chats.len()) as f64);
}
