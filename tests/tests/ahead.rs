//! What players announce is there when they ask for it, and little is fetched that nobody asks for.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use sluice_tests::client::{client, header};
use sluice_tests::origin::{ScriptedOrigin, answer, pattern};
use sluice_tests::process::Process;
use sluice_tests::stack::lone_edge;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Films that nobody has seen here yet, and segments of each.
const FILMS: usize = 20;
const SEGMENTS: usize = 20;

fn path(film: usize, segment: usize) -> String {
    format!(
        "/v/05b05hcr0yd{}{}/v720/{segment}-{:032x}.m4s",
        letter(film / 10),
        letter(film % 10),
        film * 1_000 + segment
    )
}

/// Names of videos have these.
fn letter(n: usize) -> char {
    char::from(b"0123456789abcdef"[n])
}

/// Asks for a segment, and announces the next.
async fn asks(edge: &Process, film: usize, segment: usize, announces: bool) -> String {
    let next = if announces {
        format!("nor%3D%22{}%22%2C", path(film, segment + 1).rsplit('/').next().unwrap())
    } else {
        String::new()
    };
    let url = format!("{}{}?CMCD={next}ot%3Dv%2Csid%3D%22{film}%22", edge.url(), path(film, segment));
    let answer = client().get(url).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let status = header(&answer, "cache-status");
    assert_eq!(answer.bytes().await.unwrap().len(), 10_000);
    status
}

async fn until(what: &str, good: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !good().await {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn the_first_viewer_waits_for_the_first_segment_alone() {
    let origin = ScriptedOrigin::start(|_| async {
        answer(200, &[("cache-control", "max-age=31536000, immutable")], pattern(10_000, 1))
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let mut edge = lone_edge(dir.path(), "near-a", &origin.url(), &[]);
    edge.start().await;
    let mut waited = 0;
    for film in 0..FILMS {
        // A tenth of them leave in the middle.
        let last = if film % 10 == 9 { SEGMENTS / 2 } else { SEGMENTS - 1 };
        for segment in 0..=last {
            let announces = segment < SEGMENTS - 1;
            let status = asks(&edge, film, segment, announces).await;
            waited += usize::from(status.contains("fwd=uri-miss") && !status.contains("collapsed"));
            if announces {
                until("fetched ahead", async || origin.asked(&path(film, segment + 1)) == 1).await;
            }
        }
    }
    assert_eq!(waited, FILMS, "for the first segment of each film");
    let count = async |result: &str| edge.metric("sluice_edge_ahead_total", &[result]).await;
    let (begun, used) = (count("begun").await, count("used").await);
    assert_eq!(begun - used, 2.0, "of those who left");
    assert!((begun - used) / begun < 0.05, "{begun} {used}");
    let asked =
        (0..FILMS).map(|film| (0..SEGMENTS).map(|s| origin.asked(&path(film, s))).max().unwrap()).max();
    assert_eq!(asked, Some(1), "each once");

    // What is of another video, another host or no segment is not fetched.
    for next in
        ["/v/05b05hcr0ydzz/v720/1-00000000000000000000000000000000.m4s", "http://elsewhere/x", "master.m3u8"]
    {
        let next = next.replace('/', "%2F").replace(':', "%3A");
        let url = format!("{}{}?CMCD=nor%3D%22{next}%22%2Csid%3D%22x%22", edge.url(), path(0, 0));
        assert_eq!(client().get(url).send().await.unwrap().status(), 200);
    }
    assert_eq!(count("begun").await, begun);
}
