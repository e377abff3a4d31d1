//! DNS that fails, lies or moves: parents are reached at their last good addresses, and nowhere they must not be.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use axum::extract::Request;
use axum::response::Response;
use hickory_proto::op::ResponseCode;
use sluice_tests::client::client;
use sluice_tests::dns::{Says, ScriptedDns};
use sluice_tests::origin::{ScriptedOrigin, answer};
use sluice_tests::process::Process;
use sluice_tests::stack::lone_edge;
use std::future::ready;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::time::Instant;

const HERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 5);
const THERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 6);
const NOBODY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 7);
/// Where a name must not lead: this machine, as far as it is not named.
const TRAP: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Who answers, never kept, each time over a connection of its own: every request needs the name.
fn page(who: &'static str) -> impl Fn(Request) -> std::future::Ready<Response> {
    move |_| ready(answer(200, &[("cache-control", "no-store"), ("connection", "close")], who))
}

struct Net {
    dns: ScriptedDns,
    trap: ScriptedOrigin,
    edge: Process,
    _origins: [ScriptedOrigin; 2],
    _dir: tempfile::TempDir,
}

impl Net {
    async fn start(says: Says) -> Self {
        let dns = ScriptedDns::start(says).await.unwrap();
        let trap = ScriptedOrigin::start_at((TRAP, 0).into(), page("trap")).await;
        let port = trap.at.port();
        let here = ScriptedOrigin::start_at((HERE, port).into(), page("here")).await;
        let there = ScriptedOrigin::start_at((THERE, port).into(), page("there")).await;
        let dir = tempfile::tempdir().unwrap();
        let flags = [
            ("dns.servers", dns.at.to_string()),
            ("dns.internal", "127.0.0.5/32,127.0.0.6/32,127.0.0.7/32".to_owned()),
        ];
        let flags: Vec<(&str, &str)> = flags.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let mut edge = lone_edge(dir.path(), "edge", &format!("http://origin.test:{port}"), &flags);
        edge.start().await;
        Self { dns, trap, edge, _origins: [here, there], _dir: dir }
    }

    async fn get(&self) -> (u16, String) {
        let got = client().get(format!("{}/page", self.edge.url())).send().await.unwrap();
        (got.status().as_u16(), got.text().await.unwrap())
    }

    /// What the edge has counted of questions that ended so.
    async fn ended(&self, result: &str) -> f64 {
        self.edge.metric("sluice_edge_names_total", &[&format!("result=\"{result}\"")]).await
    }

    /// Asks without a pause until so many questions more have ended so; nobody may get less than an answer.
    async fn asks_until(&self, result: &str, more: f64, slowest: Duration) {
        let (begun, before) = (Instant::now(), self.ended(result).await);
        while self.ended(result).await < before + more {
            let asked = Instant::now();
            assert_eq!(self.get().await, (200, "here".into()), "while DNS is {result}");
            assert!(asked.elapsed() < slowest, "{:?} while DNS is {result}", asked.elapsed());
            assert!(begun.elapsed() < Duration::from_secs(30), "no more {result}");
        }
    }
}

/// What a server says once the edge has addresses, and what the edge counts it as, one after the other.
async fn last_good_stand_in(faults: Vec<(Says, &str)>) {
    let net = Net::start(Says::Addresses(vec![HERE], 0)).await;
    net.asks_until("answered", 2.0, Duration::from_secs(2)).await;
    for (says, result) in faults {
        net.dns.say(says);
        net.asks_until(result, 2.0, Duration::from_secs(2)).await;
    }
    // As much as a datagram holds, with one address in it that is any good.
    let trapped = (0..20u32).map(|n| Ipv4Addr::from(0x7f01_0000 + n));
    net.dns.say(Says::Addresses(trapped.chain([HERE]).collect(), 1));
    net.asks_until("answered", 2.0, Duration::from_secs(2)).await;
    assert_eq!(net.trap.asked_in_all(), 0, "nowhere internal");
}

#[tokio::test]
async fn last_good_addresses_stand_in_whatever_a_server_says() {
    let internal = vec![TRAP, Ipv4Addr::new(169, 254, 169, 254), Ipv4Addr::UNSPECIFIED];
    // Some seconds pass between two questions that fail, and more until one is late: three edges suffer side by side.
    tokio::join!(
        last_good_stand_in(vec![
            (Says::Code(ResponseCode::ServFail), "failed"),
            (Says::Code(ResponseCode::NXDomain), "absent"),
            (Says::Empty, "absent"),
        ]),
        last_good_stand_in(vec![(Says::Rubbish, "failed"), (Says::Addresses(internal, 300), "internal")]),
        last_good_stand_in(vec![(Says::Silence, "late")]),
    );
}

#[tokio::test]
async fn a_move_is_followed_when_its_time_has_come_and_no_sooner() {
    let net = Net::start(Says::Addresses(vec![NOBODY, HERE], 2)).await;
    assert_eq!(net.get().await, (200, "here".into()), "where one address is dead, the next is tried");
    net.dns.say(Says::Addresses(vec![THERE], 2));
    let (asked, told) = (net.dns.asked(), net.dns.last_asked());
    loop {
        let (status, who) = net.get().await;
        assert_eq!(status, 200);
        if who == "there" {
            break;
        }
        assert!(told.elapsed() < Duration::from_secs(10), "the move is never noticed");
    }
    assert!(told.elapsed() >= Duration::from_millis(1_990), "{:?}: its time to live counts", told.elapsed());
    assert!(net.dns.asked() - asked <= 4, "a question for each kind of address, and no more");
}

#[tokio::test]
async fn a_name_that_never_had_an_address_is_a_parent_that_is_away() {
    let net = Net::start(Says::Code(ResponseCode::NXDomain)).await;
    assert_eq!(net.get().await.0, 502);
    net.dns.say(Says::Addresses(vec![TRAP], 60));
    let begun = Instant::now();
    while net.ended("internal").await == 0.0 {
        assert_eq!(net.get().await.0, 502);
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
    net.dns.say(Says::Addresses(vec![HERE], 60));
    while net.get().await.0 != 200 {
        assert!(begun.elapsed() < Duration::from_secs(20), "never back");
    }
    assert_eq!(net.trap.asked_in_all(), 0);
}
