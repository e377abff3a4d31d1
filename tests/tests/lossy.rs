//! Play over a line that loses and reorders: 50 ms there and back, more or less by 10, 2 % lost and 1 % reordered each way,
//! three times the media's bitrate.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use sluice_tests::h3::H3;
use sluice_tests::link::{Link, Weather};
use sluice_tests::origin::{ScriptedOrigin, answer, pattern};
use sluice_tests::process::Process;
use sluice_tests::stack::lone_edge;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::time::Instant;

/// Bits a second of the media, and seconds of a segment.
const BITRATE: usize = 800_000;
const SEGMENT: usize = 2;
/// Seconds of media: ten minutes with `--cfg slow`. What is ahead grows with each segment, so that the first of them decide.
const MEDIA: usize = if cfg!(slow) { 600 } else { 36 };
const STARTUP: Duration = Duration::from_secs(3);
const WEATHER: Weather =
    Weather { delay_ms: 25.0, jitter_ms: 5.0, loss: 2.0, reorder: 1.0, rate: 3 * BITRATE as u64 };

/// How a play went.
#[derive(Debug)]
struct Play {
    startup: Duration,
    /// Segments that came later than they were due.
    stalls: usize,
    /// The least that was ahead of what was played.
    least: Duration,
    took: Duration,
}

struct Player {
    begun: Instant,
    play: Option<Play>,
}

impl Player {
    fn new() -> Self {
        Self { begun: Instant::now(), play: None }
    }

    /// A segment has come. Playing begins with the first.
    fn came(&mut self, number: usize, bytes: usize) {
        assert_eq!(bytes, BITRATE / 8 * SEGMENT);
        let now = self.begun.elapsed();
        let (startup, least) = (now, Duration::MAX);
        let play = self.play.get_or_insert(Play { startup, stalls: 0, least, took: now });
        let due = play.startup + Duration::from_secs((number * SEGMENT) as u64);
        if number > 0 {
            play.stalls += usize::from(now > due);
            play.least = play.least.min(due.saturating_sub(now));
        }
        play.took = now;
    }
}

async fn over_h3(at: SocketAddr) -> Play {
    let mut client = H3::from(Ipv4Addr::UNSPECIFIED, at);
    let mut player = Player::new();
    for number in 0..MEDIA / SEGMENT {
        let (status, body) = client.get(&format!("/segment/{number}")).await.unwrap();
        assert_eq!(status, 200);
        player.came(number, body.len());
    }
    assert_eq!(client.opened, 1);
    player.play.unwrap()
}

async fn over_h2(at: SocketAddr) -> Play {
    let client = reqwest::Client::builder()
        .danger_accept_invalid_certs(true)
        .resolve("localhost", at)
        .timeout(Duration::from_secs(60))
        .build()
        .unwrap();
    let mut player = Player::new();
    for number in 0..MEDIA / SEGMENT {
        let url = format!("https://localhost:{}/segment/{number}", at.port());
        let answer = client.get(url).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, http::Version::HTTP_2));
        player.came(number, answer.bytes().await.unwrap().len());
    }
    player.play.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn play_is_smooth_over_a_line_that_loses() {
    if let Err(missing) = Link::is_possible() {
        return eprintln!("skipped: {missing}");
    }
    let origin = ScriptedOrigin::start(|request| async move {
        let seed = request.uri().path().len() as u32;
        answer(200, &[("cache-control", "max-age=600")], pattern(BITRATE / 8 * SEGMENT, seed))
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let flags = [("listen.https", "0.0.0.0:0"), ("listen.h3", "true")];
    let mut edge: Process = lone_edge(dir.path(), "edge-a", &origin.url(), &flags);
    edge.start().await;
    let port = edge.at.h3.as_ref().unwrap().parse::<SocketAddr>().unwrap().port();
    let lines = [Link::start(0, WEATHER), Link::start(1, WEATHER)];
    let [h2, h3] = [&lines[0], &lines[1]].map(|line| SocketAddr::from((line.here, port)));
    let (h2, h3) = (lines[0].beyond(move || over_h2(h2)), lines[1].beyond(move || over_h3(h3)));
    for (name, playing) in [("h2", h2), ("h3", h3)] {
        let play = tokio::task::spawn_blocking(|| playing.join()).await.unwrap().unwrap();
        eprintln!("{name}: {MEDIA} s of media, {play:?}");
        assert_eq!(play.stalls, 0, "{name}");
        assert!(play.startup <= STARTUP, "{name}");
    }
}
