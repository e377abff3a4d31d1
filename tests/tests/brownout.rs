//! An edge with more to send than it can: what nobody waits for goes first, then the highest rung, then those who begin; who plays
//! goes on.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use sluice_tests::client::{client, get, header};
use sluice_tests::origin::{ScriptedOrigin, answer, pattern};
use sluice_tests::process::Process;
use sluice_tests::stack::lone_edge;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const MASTER: &str = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=5000000,RESOLUTION=1920x1080\nv1080/index.m3u8\n\
    #EXT-X-STREAM-INF:BANDWIDTH=2000000,RESOLUTION=1280x720\nv720/index.m3u8\n";
const MPD: &str = "<MPD><Period><AdaptationSet><Representation id=\"v1080\" height=\"1080\"/>\
    <Representation id=\"v720\" height=\"720\"/></AdaptationSet></Period></MPD>";
const FILM: &str = "/v/05b05hcr0ydvv";
const SEGMENT: &str = "/v/05b05hcr0ydvv/v720/1-0123456789abcdef0123456789abcdef.m4s";

/// Sends so much that a stage comes, and waits for it.
async fn push(edge: &Process, megabytes: usize, stage: f64) {
    let begun = Instant::now();
    loop {
        for _ in 0..megabytes {
            assert_eq!(
                get(&format!("{}{SEGMENT}", edge.url())).await.bytes().await.unwrap().len(),
                1_000_000
            );
        }
        if edge.metric("sluice_edge_overload_stage", &[]).await >= stage {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "stage {stage} never came");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Whether a film that is asked for the first time has less, for players of both kinds.
async fn is_capped(edge: &str, nth: usize) -> bool {
    let ask = async |name: &str| {
        let asked = get(&format!("{edge}/v/05b05hcr0yd{nth:02}/{name}")).await;
        asked.text().await.unwrap()
    };
    let (master, mpd) = (ask("master.m3u8").await, ask("manifest.mpd").await);
    assert!(master.contains("v720") && mpd.contains("v720"), "{master} {mpd}");
    !master.contains("1080") && !mpd.contains("1080")
}

#[tokio::test]
async fn those_who_begin_have_less_before_anybody_is_refused_and_who_plays_goes_on() {
    let origin = ScriptedOrigin::start(|request| async move {
        let fields = [("cache-control", "max-age=600")];
        match request.uri().path() {
            path if path.ends_with("master.m3u8") => answer(200, &fields, MASTER),
            path if path.ends_with("manifest.mpd") => answer(200, &fields, MPD),
            path if path.ends_with(".m4s") => answer(200, &fields, pattern(1_000_000, 1)),
            _ => answer(200, &fields, "download"),
        }
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    // A segment of a megabyte is a tenth of what it can send in a second.
    let mut edge = lone_edge(
        dir.path(),
        "near-a",
        &origin.url(),
        &[("overload.capacity_mbps", "80"), ("overload.calm_ms", "2000")],
    );
    edge.start().await;
    let master = format!("{}{FILM}/master.m3u8", edge.url());
    let download = format!("{}{FILM}/download/v720.mp4", edge.url());
    assert_eq!(get(&master).await.text().await.unwrap(), MASTER);
    assert_eq!(get(&download).await.status(), 200);

    push(&edge, 20, 3.0).await;
    // Full: there is no other edge, so that those who begin are refused, with a time; downloads wait longer.
    let begins = client().get(&master).send().await.unwrap();
    assert_eq!((begins.status().as_u16(), header(&begins, "retry-after")), (503, "5".into()));
    let downloads = client().get(&download).send().await.unwrap();
    assert_eq!((downloads.status().as_u16(), header(&downloads, "retry-after")), (503, "30".into()));
    assert_eq!(get(&format!("{}{SEGMENT}", edge.url())).await.status(), 200, "who plays goes on");

    // It has calmed, and those who begin have all but the highest rung; a while later they have that too.
    let capped = MASTER
        .lines()
        .filter(|line| !line.contains("1080"))
        .map(|line| format!("{line}\n"))
        .collect::<String>();
    let begun = Instant::now();
    let (mut seen, mut others) = (vec![], 0);
    loop {
        let begins = client().get(&master).send().await.unwrap();
        let (status, kept) = (begins.status(), header(&begins, "cache-control"));
        let told = begins.text().await.unwrap();
        let now = if status == 503 {
            "refused"
        } else if told == capped {
            "capped"
        } else {
            "whole"
        };
        assert_eq!(
            now == "capped",
            kept == "no-store" && status == 200,
            "a capped playlist is for nobody to keep"
        );
        if now == "capped" {
            others += usize::from(is_capped(&edge.url(), seen.len() + others).await);
        }
        if seen.last() != Some(&now) {
            seen.push(now);
        }
        if now == "whole" {
            assert_eq!(told, MASTER);
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{seen:?}");
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(seen, ["refused", "capped", "whole"]);
    assert!(others > 0, "a film that nobody has asked for, and its description");
    assert!(edge.metric("sluice_edge_shed_total", &["capped"]).await >= 1.0);
}
