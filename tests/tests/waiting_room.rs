//! A crowd in front of few units: edges hold it in order, let in as many as there is something for, and say by themselves when
//! nothing is left.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use futures::future::join_all;
use reqwest::Client;
use serde_json::{Value, json};
use sluice_tests::client::client;
use sluice_tests::crowd::{InLine, take};
use sluice_tests::process::Process;
use sluice_tests::shop::{Shop, counts, open_room, product, sign_up};
use std::time::Duration;
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
    _shop: Shop,
}

impl Sale {
    async fn of(units: i64, room: Value) -> Self {
        let mut shop = Shop::sqlite();
        shop.flags = vec![("accounts.access_ttl_s", "3600".to_owned())];
        // Nobody pays here.
        let mut origin = shop.origin("origin", "http://127.0.0.1:9");
        origin.start().await;
        let url = origin.url();
        let mut edges = ["near-a", "near-b"].map(|name| shop.edge(name, std::slice::from_ref(&url)));
        for edge in &mut edges {
            edge.start().await;
        }
        let (boss, ann) = (sign_up(&url, "boss").await, sign_up(&url, "ann").await);
        let (_, variant) = product(&url, &boss, units).await;
        let at: Vec<String> = edges.iter().map(Process::url).collect();
        let room = open_room(&at, &boss, &variant, &room).await;
        Self { origin, edges, http: client(), boss, ann, variant, room, _shop: shop }
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
