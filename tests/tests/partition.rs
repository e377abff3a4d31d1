//! Partitions between an edge, its shield and their origin: noticed soon, nobody hangs, and whole again soon after they heal.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use futures::future::join_all;
use sluice_tests::client::client;
use sluice_tests::origin::{ScriptedOrigin, answer};
use sluice_tests::process::Process;
use sluice_tests::proxy::{Line, Proxy};
use sluice_tests::stack::lone_edge;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Nobody waits longer, whatever is wrong.
const HUNG: Duration = Duration::from_secs(15);
/// After this long a partition is known: who comes then is answered soon.
const NOTICED: Duration = Duration::from_secs(10);

struct Chain {
    _dir: tempfile::TempDir,
    _origin: ScriptedOrigin,
    _shield: Process,
    near: Process,
    to_shield: Proxy,
    to_origin: Proxy,
    next: AtomicU32,
}

/// Near edge, line, shield, line, origin.
async fn chain() -> Chain {
    let dir = tempfile::tempdir().unwrap();
    let origin =
        ScriptedOrigin::start(|_| async { answer(200, &[("cache-control", "max-age=600")], "here") }).await;
    let to_origin = Proxy::start(origin.at);
    let mut shield = lone_edge(dir.path(), "shield", &to_origin.url(), &[("tier", "shield")]);
    shield.start().await;
    let to_shield = Proxy::start(shield.at.http.as_ref().unwrap().parse().unwrap());
    let mut near = lone_edge(dir.path(), "near", &to_shield.url(), &[]);
    near.start().await;
    Chain { _dir: dir, _origin: origin, _shield: shield, near, to_shield, to_origin, next: AtomicU32::new(0) }
}

impl Chain {
    /// Asks for something that nobody has asked for before. Its status and how long it took.
    async fn cold(&self) -> (u16, Duration) {
        let target = format!("{}/object/{}", self.near.url(), self.next.fetch_add(1, Ordering::Relaxed));
        let begun = Instant::now();
        let status = client().get(target).send().await.map_or(0, |answer| answer.status().as_u16());
        (status, begun.elapsed())
    }

    async fn partition(&self, line: &Proxy, how: Line) {
        assert_eq!(self.cold().await.0, 200, "whole before");
        line.set(how);
        let begun = Instant::now();
        let first = join_all((0..10).map(|_| self.cold())).await;
        assert!(first.iter().all(|(status, took)| *status >= 500 && *took < HUNG), "{how:?}: {first:?}");
        assert!(begun.elapsed() < HUNG);
        while begun.elapsed() < NOTICED {
            sleep(Duration::from_millis(20)).await;
            if self.cold().await.1 < Duration::from_secs(3) {
                break;
            }
        }
        let (status, took) = self.cold().await;
        assert!(
            status >= 500 && took < Duration::from_secs(5),
            "{how:?}: noticed, so nobody waits long: {took:?}"
        );
        line.set(Line::Up);
        let healed = Instant::now();
        while self.cold().await.0 != 200 {
            assert!(healed.elapsed() < Duration::from_secs(5), "{how:?}: not whole again");
        }
    }
}

#[tokio::test]
async fn a_line_that_is_reset_is_noticed_and_heals() {
    let chain = chain().await;
    chain.partition(&chain.to_shield, Line::Reset).await;
    chain.partition(&chain.to_origin, Line::Reset).await;
}

#[tokio::test]
async fn a_line_that_brings_nothing_back_is_noticed_and_heals() {
    let (one, other) = (chain().await, chain().await);
    tokio::join!(
        one.partition(&one.to_shield, Line::OneWay),
        other.partition(&other.to_origin, Line::OneWay)
    );
}

#[tokio::test]
async fn a_queue_that_is_full_is_noticed_and_heals() {
    let (one, other) = (chain().await, chain().await);
    tokio::join!(one.partition(&one.to_shield, Line::Full), other.partition(&other.to_origin, Line::Full));
}

#[tokio::test]
async fn connections_that_are_half_open_are_given_up_and_others_made() {
    for above in [true, false] {
        let chain = chain().await;
        let line = if above { &chain.to_origin } else { &chain.to_shield };
        // As many connections as there are askers at once, all at rest.
        let warm = join_all((0..20).map(|_| chain.cold())).await;
        assert!(warm.iter().all(|(status, _)| *status == 200), "{warm:?}");
        line.set(Line::HalfOpen);
        let first = join_all((0..10).map(|_| chain.cold())).await;
        assert!(first.iter().all(|(_, took)| *took < HUNG), "{first:?}");
        let (begun, mut in_a_row) = (Instant::now(), 0);
        while in_a_row < 15 {
            in_a_row = if chain.cold().await.0 == 200 { in_a_row + 1 } else { 0 };
            assert!(begun.elapsed() < Duration::from_secs(5), "the dead connections are still asked");
        }
    }
}

#[tokio::test]
async fn a_line_that_falls_silent_is_noticed_and_heals() {
    let (one, other) = (chain().await, chain().await);
    tokio::join!(
        one.partition(&one.to_shield, Line::Silent),
        other.partition(&other.to_origin, Line::Silent)
    );
}
