//! A crowd in front of few units: edges hold it in order, let in as many as there is something for, and say by themselves when
//! nothing is left.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use axum::body::Body;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures::future::join_all;
use futures::stream;
use reqwest::Client;
use serde_json::{Value, json};
use sluice_tests::client::client;
use sluice_tests::crowd::{InLine, take};
use sluice_tests::ear::Ear;
use sluice_tests::origin::ScriptedOrigin;
use sluice_tests::process::Process;
use sluice_tests::shop::{Shop, counts, open_room_at, product, sign_up};
use sluice_tests::stack::lone_edge;
use sluice_wire::token::jwt::Claims;
use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// How long anybody waits to be let in here.
const PATIENCE: Duration = Duration::from_secs(60);

/// An origin behind two edges, a variant with so many units, and its room.
struct Sale {
    origin: Process,
    edges: [Process; 2],
    http: Client,
    boss: String,
    ann: String,
    variant: String,
    room: String,
    shop: Shop,
}

impl Sale {
    async fn of(units: i64, room: Value) -> Self {
        Self::behind(&[], units, room).await
    }

    /// One whose edges name these origins before the one that sells.
    async fn behind(others: &[String], units: i64, room: Value) -> Self {
        let mut shop = Shop::sqlite();
        shop.flags = vec![("accounts.access_ttl_s", "3600".to_owned())];
        // Nobody pays here.
        let mut origin = shop.origin("origin", "http://127.0.0.1:9");
        origin.start().await;
        let url = origin.url();
        let origins = [others, std::slice::from_ref(&url)].concat();
        let mut edges = ["near-a", "near-b"].map(|name| shop.edge(name, &origins));
        for edge in &mut edges {
            edge.start().await;
        }
        let (boss, ann) = (sign_up(&url, "boss").await, sign_up(&url, "ann").await);
        let (_, variant) = product(&url, &boss, units).await;
        let at: Vec<String> = edges.iter().map(Process::url).collect();
        let by = if others.is_empty() { &at[0] } else { &url };
        let room = open_room_at(by, &at, &boss, &variant, &room).await;
        Self { origin, edges, http: client(), boss, ann, variant, room, shop }
    }

    /// Orders one at an address, with an admission; status and document.
    async fn order(&self, at: &str, admission: Option<&str>, key: &str) -> (u16, Value) {
        let body = json!({ "market": "de", "lines": [{ "variant": self.variant, "quantity": 1 }] });
        let mut asked = self.http.post(format!("{at}/v1/shop/orders")).bearer_auth(&self.ann);
        if let Some(admission) = admission {
            asked = asked.header("sluice-admission", admission);
        }
        let answer = asked.header("idempotency-key", key).json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    /// An admission as it will be so many seconds after its end.
    fn over_for(&self, admission: &str, seconds: u64) -> String {
        let claims = BASE64_URL_SAFE_NO_PAD.decode(admission.split('.').nth(1).unwrap()).unwrap();
        let claims: Claims = serde_json::from_slice(&claims).unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        self.shop.key().token(&Claims { exp: Some((now - seconds).into()), ..claims })
    }

    /// Takes a ticket at an edge.
    async fn ticket(&self, edge: usize) -> InLine {
        take(&self.http, &self.edges[edge].url(), &self.room).await.unwrap()
    }

    /// Orders that the origin has seen.
    async fn seen(&self) -> f64 {
        let labels = ["method=\"POST\"", "route=\"/v1/shop/orders\""];
        self.origin.metric("sluice_origin_statements_count", &labels).await
    }
}

fn kind(told: &(u16, Value)) -> (u16, &str) {
    (told.0, told.1["type"].as_str().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_waits_in_order_and_the_origin_sees_what_it_can_serve() {
    const UNITS: usize = 10;
    let sale = Sale::of(i64::try_from(UNITS).unwrap(), json!({ "rate": 1_000, "hold_ms": 60_000 })).await;
    let none = sale.order(&sale.edges[0].url(), None, "none").await;
    assert_eq!(kind(&none), (403, "/problems/admission-needed"));
    let forged = sale.order(&sale.edges[1].url(), Some("a.b.c"), "forged").await;
    assert_eq!(kind(&forged), (403, "/problems/admission-refused"));
    assert_eq!(sale.seen().await, 0.0, "edges refuse by themselves");
    let past = sale.order(&sale.origin.url(), None, "past").await;
    assert_eq!(kind(&past), (403, "/problems/admission-needed"), "nor is there a way around them");

    // Two hundred come, in the order of their tickets; each asks whether its turn has come, and orders when it has.
    let mut lines: [Vec<InLine>; 2] = [vec![], vec![]];
    for n in 0..200 {
        // Those who come when all are let in are told at once.
        match take(&sale.http, &sale.edges[n % 2].url(), &sale.room).await {
            Ok(ticket) => lines[n % 2].push(ticket),
            Err(told) => assert_eq!(kind(&told), (409, "/problems/sold-out")),
        }
    }
    let came = lines.iter().map(Vec::len).sum::<usize>();
    let here = &sale;
    let buyers = lines.iter().flatten().enumerate().map(|(n, ticket)| async move {
        let sale = here;
        let admission = match ticket.let_in(&sale.http, &sale.room, PATIENCE).await {
            Ok(admission) => admission,
            Err(told) => {
                assert_eq!(kind(&told), (409, "/problems/sold-out"));
                return None;
            }
        };
        // Whichever edge it goes to; and asked again it is the same order.
        let at = sale.edges[n % 2].url();
        let first = sale.order(&at, Some(&admission), &format!("buyer-{n}")).await;
        assert_eq!(first.0, 201, "{first:?}");
        Some((ticket.ticket.clone(), admission))
    });
    let bought: Vec<Option<(String, String)>> = join_all(buyers).await;
    let admissions: Vec<&String> = bought.iter().flatten().map(|(_, admission)| admission).collect();
    assert_eq!(admissions.len(), UNITS, "of {came} who came");
    assert!(
        admissions.iter().enumerate().all(|(n, one)| !admissions[..n].contains(one)),
        "each is one's own"
    );
    assert_eq!(counts(&sale.origin.url(), &sale.boss, &sale.variant).await, [0, 10, 0]);
    for line in &lines {
        let is_in = |place: &InLine| bought.iter().flatten().any(|(ticket, _)| *ticket == place.ticket);
        let turns: Vec<bool> = line.iter().map(is_in).collect();
        assert!(turns.is_sorted_by(|one, next| one >= next), "who came first is let in first: {turns:?}");
    }
    // One order was refused that came past the edges; of the others, each was one that could be served.
    let seen = sale.seen().await;
    assert!(seen <= 1.0 + 2.0 * 10.0, "{seen}");

    // An admission is good once.
    let again = sale.order(&sale.edges[0].url(), Some(admissions[0]), "again").await;
    assert_eq!(kind(&again), (409, "/problems/sold-out"), "{again:?}");
    let seen = sale.seen().await;
    for edge in &sale.edges {
        let told = sale.order(&edge.url(), None, "late").await;
        assert_eq!(kind(&told), (409, "/problems/sold-out"));
        let told = take(&sale.http, &edge.url(), &sale.room).await.unwrap_err();
        assert_eq!(kind(&told), (409, "/problems/sold-out"));
        assert!(edge.metric("sluice_edge_room_guarded_total", &["sold-out"]).await >= 1.0);
    }
    assert_eq!(sale.seen().await, seen, "edges say so by themselves");

    // More come in: those in line are let in without asking anybody again; and an admission that was used is told so.
    let (stock, more) =
        (format!("{}/v1/shop/stock/{}", sale.origin.url(), sale.variant), json!({ "quantity": 1 }));
    sluice_tests::shop::post(&stock, &sale.boss, &more).await;
    let again = sale.order(&sale.edges[0].url(), Some(admissions[0]), "once more").await;
    assert_eq!(kind(&again), (409, "/problems/admission-used"), "{again:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_keeps_its_place_when_its_edge_or_the_origin_is_gone_for_a_while() {
    let mut sale = Sale::of(1, json!({ "rate": 1_000, "hold_ms": 5_000 })).await;
    let (ann, ben, cid) = (sale.ticket(0).await, sale.ticket(0).await, sale.ticket(0).await);
    ann.let_in(&sale.http, &sale.room, PATIENCE).await.unwrap();

    // The one unit is held for Ann, who does nothing. The edge is killed meanwhile: it knows nobody any more, and Cid is
    // the first who asks. But Ben's ticket says that he was before.
    sale.edges[0].kill9();
    sale.edges[0].start().await;
    let begun = Instant::now();
    while cid.ask(&sale.http, &sale.room, 0).await.0 != 200 {
        assert!(begun.elapsed() < PATIENCE, "the edge knows nothing of the room");
        sleep(Duration::from_millis(20)).await;
    }
    let asking = async {
        loop {
            cid.ask(&sale.http, &sale.room, 1).await;
        }
    };
    let admission = tokio::select! {
        admission = ben.let_in(&sale.http, &sale.room, PATIENCE) => admission.unwrap(),
        () = asking => unreachable!(),
    };
    let (status, told) = cid.ask(&sale.http, &sale.room, 0).await;
    assert_eq!((status, &told["state"]), (200, &json!("waiting")));

    // At another edge it is the same ticket, with the same admission.
    let elsewhere = InLine { edge: sale.edges[1].url(), ..ben.clone() };
    let same = elsewhere.let_in(&sale.http, &sale.room, PATIENCE).await.unwrap();
    assert_eq!(same, admission);
    let (status, order) = sale.order(&sale.edges[1].url(), Some(&same), "ben").await;
    assert_eq!(status, 201, "{order}");
    let told = elsewhere.ask(&sale.http, &sale.room, 0).await;
    assert!(matches!(kind(&told), (409 | 410 | 200, _)), "{told:?}");

    // Edges hold the crowd without an origin, and let it go when the room is closed.
    let stock = format!("{}/v1/shop/stock/{}", sale.origin.url(), sale.variant);
    sluice_tests::shop::post(&stock, &sale.boss, &json!({ "quantity": 3 })).await;
    let mut dan = take(&sale.http, &sale.edges[1].url(), &sale.room).await;
    while dan.is_err() {
        assert!(begun.elapsed() < PATIENCE, "{dan:?}");
        sleep(Duration::from_millis(20)).await;
        dan = take(&sale.http, &sale.edges[1].url(), &sale.room).await;
    }
    sale.origin.kill9();
    sale.ticket(1).await;
    sale.origin.start().await;
    dan.unwrap().let_in(&sale.http, &sale.room, PATIENCE).await.unwrap();
    let at = format!("{}/v1/shop/rooms/{}", sale.origin.url(), sale.variant);
    let closed = sale.http.delete(at).bearer_auth(&sale.boss).send().await.unwrap();
    assert_eq!(closed.status(), 200);
    let begun = Instant::now();
    loop {
        let told = take(&sale.http, &sale.edges[1].url(), &sale.room).await;
        if told.as_ref().is_err_and(|told| kind(told) == (404, "/problems/no-room")) {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "the room is not closed: {told:?}");
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(sale.order(&sale.edges[1].url(), None, "free").await.0, 201, "open to all again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_let_in_orders_over_a_socket_and_reads_there_what_came_of_it() {
    let sale = Sale::of(5, json!({ "rate": 1_000 })).await;
    let mut ear = Ear::open(&sale.edges[0], None).await;
    ear.say(json!({ "authorize": sale.ann })).await;
    let order = json!({
        "call": "order", "method": "POST", "path": "/v1/shop/orders", "key": "one",
        "body": { "market": "de", "lines": [{ "variant": sale.variant, "quantity": 1 }] },
    });
    ear.say(order.clone()).await;
    let told = ear.json().await;
    assert_eq!((&told["status"], &told["body"]["type"]), (&json!(403), &json!("/problems/admission-needed")));
    let admission = sale.ticket(0).await.let_in(&sale.http, &sale.room, PATIENCE).await.unwrap();
    let mut with = order;
    with["admission"] = admission.into();
    ear.say(with).await;
    let told = ear.json().await;
    assert_eq!((&told["answer"], &told["status"]), (&json!("order"), &json!(201)), "{told}");
    let stock = format!("stock:{}", sale.variant);
    let versions = told["body"]["versions"].as_str().unwrap();
    let made = versions.split(' ').find(|member| member.starts_with(&stock)).unwrap().to_owned();

    let read = |at_least: &str| {
        json!({
            "call": "read", "method": "GET", "path": format!("/v1/shop/stock/{}", sale.variant),
            "at_least": at_least,
        })
    };
    ear.say(read(&made)).await;
    let told = ear.json().await;
    assert_eq!((&told["status"], &told["body"]["available"]), (&json!(200), &json!(4)), "{told}");
    assert_eq!(told["versions"], made.as_str(), "{told}");
    ear.say(read(&format!("{stock}=1000000"))).await;
    assert_eq!(ear.json().await["status"], 412, "nobody has what is wanted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whose_answer_was_lost_is_given_it_when_the_admissions_time_is_over() {
    let sale = Sale::of(5, json!({ "rate": 1_000 })).await;
    let at = sale.edges[0].url();
    let admission = sale.ticket(0).await.let_in(&sale.http, &sale.room, PATIENCE).await.unwrap();
    let first = sale.order(&at, Some(&admission), "one").await;
    assert_eq!(first.0, 201, "{first:?}");
    let late = sale.over_for(&admission, 600);
    assert_eq!(sale.order(&at, Some(&late), "one").await, first, "the order, and not another one");
    let other = sale.order(&at, Some(&late), "two").await;
    assert_eq!(kind(&other), (403, "/problems/admission-expired"), "the origin gives nothing new for it");

    // Edges say so by themselves of what has no key, and of what was over long ago.
    let seen = sale.seen().await;
    let body = json!({ "market": "de", "lines": [{ "variant": sale.variant, "quantity": 1 }] });
    let asked = sale.http.post(format!("{at}/v1/shop/orders")).bearer_auth(&sale.ann);
    let told = asked.header("sluice-admission", &late).json(&body).send().await.unwrap();
    assert_eq!(told.status(), 403);
    let told = sale.order(&at, Some(&sale.over_for(&admission, 7_200)), "one").await;
    assert_eq!(kind(&told), (403, "/problems/admission-expired"));
    assert_eq!(sale.seen().await, seen);
    // And nobody reaches the origin with it again and again.
    let keys: Vec<String> = (0..40).map(|n| format!("more-{n}")).collect();
    let all = join_all(keys.iter().map(|key| sale.order(&at, Some(&late), key))).await;
    let passed = all.iter().filter(|told| kind(told) == (403, "/problems/admission-expired")).count();
    let kept = all.iter().filter(|told| kind(told) == (429, "/problems/too-many-tries")).count();
    assert!(passed + kept == all.len() && kept > 0, "{passed} of {}", all.len());
    assert_eq!(counts(&sale.origin.url(), &sale.boss, &sale.variant).await, [4, 1, 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_that_never_answers_holds_up_nobody() {
    let hung = ScriptedOrigin::start(|_| pending::<Response>()).await;
    let sale = Sale::behind(&[hung.url()], 200, json!({ "rate": 10, "hold_ms": 60_000 })).await;
    let mut crowd = vec![];
    for n in 0..60 {
        crowd.push(sale.ticket(n % 2).await);
    }
    let let_in = crowd.iter().map(|ticket| ticket.let_in(&sale.http, &sale.room, PATIENCE));
    let told = join_all(let_in).await;
    assert!(told.iter().all(Result::is_ok), "{told:?}");
    // It takes three seconds to find out that it does not: once for each edge, and not with every question.
    let asked = hung.asked(&sluice_wire::room::admissions(&sale.room));
    assert!(asked <= 2, "{asked} times");
}

/// Questions that nobody has answered yet.
#[derive(Debug, Clone, Default)]
struct Open(Arc<AtomicUsize>);

impl Open {
    /// One that is never answered; it counts until whoever asks gives up.
    async fn ask(self) {
        self.0.fetch_add(1, Ordering::SeqCst);
        let _here = Closed(self);
        pending().await
    }
}

/// Where such a question ends.
struct Closed(Open);

impl Drop for Closed {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// An origin with the rooms `slow`, of which it says nothing more, and `quick`.
async fn two_rooms(slow: Open, serving: &mut JoinSet<()>) -> String {
    let room = |name: &str| {
        let guard = json!({ "path": "/p", "word": name });
        json!({
            "name": name, "version": 1, "open": true, "opened_ms": 1, "left": 9, "guard": guard, "secret": "s",
        })
    };
    let listed = format!("{}\n{}\n", room("slow"), room("quick"));
    let log = || async {
        Body::from_stream(stream::unfold(true, |first| async move {
            if !first {
                sleep(Duration::from_millis(500)).await;
            }
            Some((Ok::<_, Infallible>(Bytes::from_static(b"{\"heartbeat\":0}\n")), false))
        }))
    };
    let let_in = |Json(ask): Json<Value>| async move {
        let admit =
            |ticket: &Value| json!({ "ticket": ticket, "token": "t", "until_ms": 4_102_444_800_000_u64 });
        let all: Vec<Value> = ask["tickets"].as_array().unwrap().iter().map(admit).collect();
        Json(json!({ "left": 9, "admissions": all, "used": [] }))
    };
    let app = Router::new()
        .route("/v1/log", get(log))
        .route("/v1/rooms", get(move || async move { listed }))
        .route("/v1/rooms/slow/admissions", post(move || slow.ask()))
        .route("/v1/rooms/quick/admissions", post(let_in));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    serving.spawn(async move { axum::serve(listener, app).await.unwrap() });
    url
}

/// A place in line at an edge that is to hear of the room.
async fn taken(http: &Client, edge: &str, room: &str) -> InLine {
    let begun = Instant::now();
    loop {
        match take(http, edge, room).await {
            Ok(ticket) => return ticket,
            Err(told) => assert!(begun.elapsed() < PATIENCE, "{told:?}"),
        }
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_that_nobody_answers_for_holds_up_no_other() {
    let (dir, slow, mut serving) = (tempfile::tempdir().unwrap(), Open::default(), JoinSet::new());
    let origin = two_rooms(slow.clone(), &mut serving).await;
    let mut edge = lone_edge(dir.path(), "near-a", &origin, &[]);
    edge.start().await;
    let (http, begun) = (client(), Instant::now());
    taken(&http, &edge.url(), "slow").await;
    while slow.0.load(Ordering::SeqCst) == 0 {
        assert!(begun.elapsed() < PATIENCE, "the origin is never asked");
        sleep(Duration::from_millis(5)).await;
    }
    let quick = taken(&http, &edge.url(), "quick").await;
    assert_eq!(quick.let_in(&http, "quick", PATIENCE).await.unwrap(), "t");
    assert_eq!(slow.0.load(Ordering::SeqCst), 1, "while the question before it was open");
}
