//! What players say of themselves moves those who are served badly, and whoever lies moves nobody.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use serde_json::{Value, json};
use sluice_tests::cities::{Cities, GERMAN, first, next};
use sluice_tests::client::{client, plain};
use sluice_tests::origin::{ScriptedOrigin, answer};
use sluice_tests::process::Process;
use sluice_tests::stack::lone_edge;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Two edges in two cities, and who reports on them.
struct Fleet {
    cities: Cities,
    fra: Process,
    nyc: Process,
    _origin: ScriptedOrigin,
}

impl Fleet {
    async fn start() -> Self {
        let origin =
            ScriptedOrigin::start(|_| async { answer(200, &[("cache-control", "max-age=600")], "media") })
                .await;
        let cities = Cities::empty(&[("origins", origin.url())]).await;
        let control = cities.process.url();
        let mut edges = vec![];
        for (node, site) in [("fra-a", "fra"), ("nyc-a", "nyc")] {
            let flags = [("control", control.as_str()), ("site", site), ("report_ms", "100")];
            let mut edge = lone_edge(cities.dir(), node, &origin.url(), &flags);
            edge.start().await;
            edges.push(edge);
        }
        cities.all_are_there(2).await;
        let (nyc, fra) = (edges.pop().unwrap(), edges.pop().unwrap());
        Self { cities, fra, nyc, _origin: origin }
    }

    /// Waits until what operators are told of quality is as it should be.
    async fn until(&self, what: &str, good: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let told = self.cities.operator("/v1/quality").await;
            if good(&told) {
                return told;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{what}: {told}");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

fn place<'t>(told: &'t Value, name: &str) -> &'t Value {
    told["places"].as_array().unwrap().iter().find(|place| place["place"] == name).unwrap()
}

/// A player at an address, which asks an edge for media and says of itself what it is given.
struct Player {
    client: reqwest::Client,
    session: String,
}

impl Player {
    fn at(address: Ipv4Addr, session: &str) -> Self {
        let client = plain().local_address(Some(address.into())).build().unwrap();
        Self { client, session: session.into() }
    }

    async fn says(&self, edge: &Process, more: &str) {
        let record = format!("{more}ot=v,sid=\"{}\"", self.session);
        let record = record.replace('=', "%3D").replace(',', "%2C").replace('"', "%22");
        let url = format!("{}/film/1.m4s?CMCD={record}", edge.url());
        let answer = self.client.get(url).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }

    async fn plays(&self, edge: &Process) {
        for more in ["br=800,su,", "br=800,", "br=3000,"] {
            self.says(edge, more).await;
        }
    }
}

#[tokio::test]
async fn players_that_starve_take_the_others_away_from_their_edge() {
    let fleet = Fleet::start().await;
    let told = fleet.cities.steer(GERMAN).await;
    assert_eq!(first(&told), "fra-a");
    let players: Vec<Player> =
        (0..12).map(|n| Player::at(Ipv4Addr::new(127, 0, 1, 20 + n), &format!("p{n}"))).collect();
    for player in &players {
        player.plays(&fleet.fra).await;
    }
    let calm = fleet.until("all are seen", |told| place(told, "fra")["sessions"] == 12).await;
    assert_eq!(
        (&place(&calm, "fra")["score"], &place(&calm, "fra")["kbps"]["p50"]),
        (&json!(1.0), &json!(3_000))
    );
    assert_eq!(calm["networks"][0]["network"], 64_496);

    // They run out of what to play: who is on that edge is moved, and told why.
    for player in &players {
        player.says(&fleet.fra, "br=800,bs,su,").await;
    }
    let starved = fleet.until("the edge has fallen", |told| place(told, "fra")["score"] == 0.0).await;
    assert_eq!(place(&starved, "fra")["starved"], 12);
    let begun = Instant::now();
    let moved = loop {
        let moved = fleet.cities.asks(GERMAN, &next(&told)).await;
        if first(&moved) == "nyc-a" {
            break moved;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "{moved}");
        sleep(Duration::from_millis(20)).await;
    };
    let why = fleet.cities.asks(GERMAN, &next(&told).replace('?', "/why?")).await;
    assert_eq!(why["decision"]["reason"]["why"], "unwell", "{why} {moved}");
    assert_eq!(fleet.fra.metric("sluice_edge_sessions_starved", &[]).await, 12.0);

    // They go on at the other edge, and what they bring along is not charged there.
    for player in &players {
        player.says(&fleet.nyc, "br=800,bs,su,").await;
    }
    let after = fleet.until("they are there", |told| place(told, "nyc")["sessions"] == 12).await;
    assert_eq!((&place(&after, "nyc")["starved"], &place(&after, "nyc")["score"]), (&json!(0), &json!(1.0)));
}

#[tokio::test]
async fn whoever_lies_or_floods_moves_nobody() {
    let fleet = Fleet::start().await;
    for n in 0..40 {
        Player::at(Ipv4Addr::new(127, 0, 1, 20 + n), &format!("honest-{n}")).plays(&fleet.fra).await;
    }
    // One address makes up fifty sessions, all of them starving.
    for n in 0..50 {
        let liar = Player::at(Ipv4Addr::new(127, 0, 1, 7), &format!("liar-{n}"));
        liar.plays(&fleet.fra).await;
        liar.says(&fleet.fra, "bs,").await;
    }
    let told = fleet.until("liars are seen", |told| place(told, "fra")["starved"] == 4).await;
    assert_eq!(place(&told, "fra")["sessions"], 44);
    assert!(place(&told, "fra")["score"].as_f64().unwrap() > 0.6, "{told}");
    assert_eq!(first(&fleet.cities.steer(GERMAN).await), "fra-a");

    // Bodies: lines of the second version, JSON of the first; what is no record is refused, and so is a flood.
    let url = format!("{}/cmcd", fleet.fra.url());
    let send = |kind: &'static str, body: String| {
        let sent = client().post(&url).header("content-type", kind).body(body).send();
        async { sent.await.unwrap().status().as_u16() }
    };
    let lines = "e=ps,sid=\"x\",sta=p,v=2\ne=rr,rc=200,sid=\"x\",ttfb=41,v=2\n";
    assert_eq!(send("application/cmcd", lines.into()).await, 204);
    assert_eq!(send("application/json", "{\"sid\":\"x\",\"br\":800}".into()).await, 204);
    assert_eq!(send("application/cmcd", "br=-1".into()).await, 400);
    assert_eq!(send("application/cmcd", "x".repeat(100_000)).await, 413);
    let mut refused = 0;
    for _ in 0..100 {
        refused += usize::from(send("application/cmcd", "sid=\"x\"".into()).await == 429);
    }
    assert!((30..=60).contains(&refused), "60 in 10 seconds are taken: {refused} of 104 refused");
    assert_eq!(fleet.fra.metric("sluice_edge_cmcd_total", &["event", "absurd"]).await, 1.0);
    assert!(fleet.fra.metric("sluice_edge_cmcd_total", &["flood"]).await >= 30.0);
}
