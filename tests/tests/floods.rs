//! Floods over HTTP/2: each ends its connection, costs next to nothing, and leaves others served.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use sluice_tests::client;
use sluice_tests::h2::{self, END_HEADERS, END_STREAM, Frame, Sender, frame, kind};
use sluice_tests::origin::{ScriptedOrigin, answer};
use sluice_tests::process::Process;
use sluice_tests::stack::lone_edge;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// ENHANCE_YOUR_CALM (RFC 9113 section 7).
const CALM: u32 = 11;
/// Streams that an attacker opens, or frames it sends, unless it is stopped.
const MANY: u32 = 20_000;
/// Growth of the edge's memory that an attack may cause, in KiB.
const MOST_KIB: u64 = 8 << 10;

struct Scene {
    origin: ScriptedOrigin,
    edge: Process,
    _dir: tempfile::TempDir,
}

async fn scene() -> Scene {
    let origin = ScriptedOrigin::start(|request| async move {
        let kept = request.uri().path() == "/kept";
        if request.uri().path().starts_with("/work/") {
            // Work takes its time: what is given up is given up while it is under way.
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        answer(200, &[("cache-control", if kept { "max-age=600" } else { "no-store" })], "as it is")
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let mut edge = lone_edge(dir.path(), "edge-a", &origin.url(), &[]);
    edge.start().await;
    Scene { origin, edge, _dir: dir }
}

impl Scene {
    fn at(&self) -> String {
        self.edge.at.http.clone().unwrap()
    }

    async fn cuts(&self, reason: &str) -> f64 {
        self.edge.metric("sluice_connections_cut_total", &[&format!("reason=\"{reason}\"")]).await
    }
}

/// What came of an attack.
struct Outcome {
    frames: Vec<Frame>,
    /// Requests that the origin saw of it.
    asked: usize,
    grown_kib: u64,
}

impl Outcome {
    fn goaway(&self) -> Option<&Frame> {
        self.frames.iter().find(|frame| frame.kind == kind::GOAWAY && frame.number(4) != 0)
    }

    fn streams(&self) -> u32 {
        self.goaway().map_or(u32::MAX, |frame| frame.number(0).div_ceil(2))
    }
}

/// Has an attacker send what `one` gives for each turn, until the edge closes.
async fn attack(scene: &Scene, one: impl Fn(u32) -> Vec<u8> + Send + 'static) -> Outcome {
    attack_at(scene, Duration::ZERO, one).await
}

/// The same, with a pause between two turns.
async fn attack_at(scene: &Scene, pause: Duration, one: impl Fn(u32) -> Vec<u8> + Send + 'static) -> Outcome {
    let (asked, before) = (scene.origin.asked_in_all(), scene.edge.resident_kib());
    let (mut sender, receiver) = h2::connect(&scene.at(), &[]).await;
    let sending = async move {
        for turn in 0..MANY {
            if sender.bytes(&one(turn)).await.is_err() {
                return sender;
            }
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
        // Silence would have it wait for the idle deadline: a flood that was let through is seen by what was answered.
        drop(sender.send(kind::GOAWAY, 0, 0, &[0; 8]).await);
        sender
    };
    let (_sender, frames): (Sender, _) = tokio::join!(sending, receiver.rest());
    let grown_kib = scene.edge.resident_kib().saturating_sub(before);
    Outcome { frames, asked: scene.origin.asked_in_all() - asked, grown_kib }
}

/// A client of the common sort, beside the attackers; how long its requests took at the ninety-ninth percentile.
async fn bystander(url: String, ended: Arc<AtomicBool>) -> Duration {
    let http = client::client();
    let mut took = vec![];
    while !ended.load(Ordering::Relaxed) || took.is_empty() {
        let begun = Instant::now();
        let answer = http.get(&url).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.text().await.unwrap(), "as it is");
        took.push(begun.elapsed());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    took.sort();
    took[took.len() * 99 / 100]
}

/// Runs a story beside a bystander, who is served all the while.
async fn beside_a_bystander(scene: &Scene, story: impl Future<Output = ()>) {
    let url = format!("{}/kept", scene.edge.url());
    client::bytes(&url).await;
    let ended = Arc::new(AtomicBool::new(false));
    let stopping = Arc::clone(&ended);
    let story = async move {
        story.await;
        stopping.store(true, Ordering::Relaxed);
    };
    let ((), slowest) = tokio::join!(story, bystander(url, ended));
    // The row has twice the idle figure; a busy machine of two cores cannot hold that in a test.
    assert!(slowest < Duration::from_secs(10), "{slowest:?}");
}

fn asks(turn: u32, flags: u8) -> Vec<u8> {
    frame(kind::HEADERS, END_HEADERS | flags, turn * 2 + 1, &h2::get(&format!("/work/{turn}")))
}

#[tokio::test]
async fn rapid_reset_ends_within_two_hundred_streams() {
    let scene = scene().await;
    beside_a_bystander(&scene, async {
        // At once; and each after its request has begun, which HTTP/2 below does not count.
        for (pause, behind) in [(Duration::ZERO, 0), (Duration::from_millis(2), 1)] {
            let outcome = attack_at(&scene, pause, move |turn| {
                let mut both = asks(turn, END_STREAM);
                if let Some(reset) = turn.checked_sub(behind) {
                    both.extend(frame(kind::RST_STREAM, 0, reset * 2 + 1, &8u32.to_be_bytes()));
                }
                both
            })
            .await;
            assert_eq!(outcome.goaway().map(|frame| frame.number(4)), Some(CALM), "{pause:?}");
            assert!(outcome.streams() <= 200, "{pause:?}: {}", outcome.streams());
            assert!(outcome.asked <= 200, "{pause:?}: {}", outcome.asked);
            assert!(outcome.grown_kib <= MOST_KIB, "{pause:?}: {}", outcome.grown_kib);
        }
    })
    .await;
    assert!(scene.cuts("reset").await >= 1.0);
}

/// The six ways of MadeYouReset: what follows a request so that the server resets its stream.
fn provoked(way: usize, stream: u32) -> Vec<u8> {
    match way {
        0 => frame(kind::WINDOW_UPDATE, 0, stream, &0u32.to_be_bytes()),
        1 => frame(kind::WINDOW_UPDATE, 0, stream, &0x7fff_ffffu32.to_be_bytes()),
        2 => frame(kind::PRIORITY, 0, stream, &[0; 4]),
        3 => {
            let mut on_itself = stream.to_be_bytes().to_vec();
            on_itself.push(0);
            frame(kind::PRIORITY, 0, stream, &on_itself)
        }
        4 => frame(kind::DATA, END_STREAM, stream, b"more"),
        _ => frame(kind::HEADERS, END_HEADERS | END_STREAM, stream, &h2::block(&[("more", b"of it")])),
    }
}

#[tokio::test]
async fn made_you_reset_ends_within_a_hundred_streams_in_each_of_its_ways() {
    let scene = scene().await;
    beside_a_bystander(&scene, async {
        for way in 0..6 {
            let outcome = attack(&scene, move |turn| {
                let mut both = asks(turn, END_STREAM);
                both.extend(provoked(way, turn * 2 + 1));
                both
            })
            .await;
            let resets = outcome.frames.iter().filter(|frame| frame.kind == kind::RST_STREAM).count();
            assert!(outcome.goaway().is_some(), "{way}: {resets} resets, {} asked", outcome.asked);
            assert!(resets <= 100 && outcome.streams() <= 100, "{way}: {resets} of {}", outcome.streams());
            assert!(outcome.asked <= 200, "{way}: {}", outcome.asked);
            assert!(outcome.grown_kib <= MOST_KIB, "{way}: {}", outcome.grown_kib);
        }
    })
    .await;
}

#[tokio::test]
async fn frames_that_cost_nothing_are_counted() {
    let scene = scene().await;
    type Flood = fn(u32) -> Vec<u8>;
    let floods: [(&str, Flood); 9] = [
        ("settings", |_| frame(kind::SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 9])),
        ("settings", |_| frame(kind::SETTINGS, 1, 0, &[])),
        ("ping", |_| frame(kind::PING, 0, 0, &[7; 8])),
        ("priority", |turn| frame(kind::PRIORITY, 0, turn * 2 + 1, &[0, 0, 0, 0, 1])),
        ("priority", |_| frame(16, 0, 0, b"\0\0\0\x01u=3")),
        ("window-update", |_| frame(kind::WINDOW_UPDATE, 0, 0, &1u32.to_be_bytes())),
        ("other-frames", |_| frame(0xee, 0, 0, b"unheard of")),
        ("empty-data", |turn| {
            let text = h2::block(&[
                (":method", b"POST"),
                (":scheme", b"http"),
                (":authority", b"a"),
                (":path", b"/"),
            ]);
            if turn == 0 { frame(kind::HEADERS, END_HEADERS, 1, &text) } else { frame(kind::DATA, 0, 1, &[]) }
        }),
        ("continuation", |turn| {
            let kind = if turn == 0 { kind::HEADERS } else { kind::CONTINUATION };
            frame(kind, 0, 1, &h2::block(&[("a", b"b")]))
        }),
    ];
    beside_a_bystander(&scene, async {
        for (reason, one) in floods {
            let before = scene.cuts(reason).await;
            let outcome = attack(&scene, one).await;
            assert!(outcome.goaway().is_some(), "{reason}");
            // HTTP/2 below ends some by itself: acknowledgements of nothing, blocks of too many frames.
            let below = matches!(reason, "settings" | "continuation");
            assert!(below || scene.cuts(reason).await > before, "{reason}");
            assert!(outcome.grown_kib <= MOST_KIB, "{reason}: {}", outcome.grown_kib);
            assert!(outcome.asked <= 1, "{reason}: {}", outcome.asked);
        }
    })
    .await;
}

/// What a small header block becomes when it is unpacked.
#[tokio::test]
async fn a_header_list_that_unpacks_to_much_is_refused() {
    let scene = scene().await;
    beside_a_bystander(&scene, async {
        for crumbs in [false, true] {
            let outcome = attack(&scene, move |turn| {
                let mut block = h2::get("/bomb");
                if crumbs {
                    // `cookie: a`, its name out of the static table: 160 KiB of list in 16 KiB.
                    block.extend([0x0f, 0x11, 1, b'a'].repeat(4_000));
                } else {
                    // A field of 4,000 bytes into the dynamic table, then nothing but its number.
                    let mut kept = h2::block(&[("x", &[b'y'; 4_000])]);
                    kept[0] = 0x40;
                    block.extend(kept);
                    block.extend([0xbe; 12_000]);
                }
                frame(kind::HEADERS, END_HEADERS | END_STREAM, turn * 2 + 1, &block)
            })
            .await;
            assert_eq!(outcome.asked, 0, "none of it reaches the origin");
            assert!(outcome.goaway().is_some(), "crumbs: {crumbs}");
            assert!(outcome.grown_kib <= MOST_KIB, "{}", outcome.grown_kib);
        }
    })
    .await;
}

/// What a busy page or a player does on one connection in an hour, in seconds: nothing of it is a flood.
#[tokio::test]
async fn an_honest_client_with_ten_thousand_requests_is_served() {
    let scene = scene().await;
    let (mut sender, mut receiver) = h2::connect(&scene.at(), &[]).await;
    for turn in 0..10_000u32 {
        let stream = turn * 2 + 1;
        let asked: io::Result<()> = async {
            sender.request(stream, &h2::get("/kept")).await?;
            sender.send(kind::WINDOW_UPDATE, 0, 0, &8u32.to_be_bytes()).await?;
            if turn % 100 == 0 {
                sender.send(kind::PING, 0, 0, &[1; 8]).await?;
            }
            Ok(())
        }
        .await;
        asked.unwrap();
        loop {
            let frame = receiver.next_of(&[kind::HEADERS, kind::DATA, kind::GOAWAY]).await.unwrap();
            assert_ne!(frame.kind, kind::GOAWAY, "{turn}");
            assert!(frame.kind != kind::HEADERS || frame.status() == 200);
            if frame.flags & END_STREAM != 0 {
                break;
            }
        }
    }
}
