//! The binary replaced while HTTP/3 is spoken: what is under way goes on in the old process, what is new begins in the new.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use axum::extract::Request;
use nix::sys::signal::Signal;
use sluice_tests::client::sha256;
use sluice_tests::h3::{Exchange, H3};
use sluice_tests::origin::{ScriptedOrigin, answer, pattern};
use sluice_tests::process::binary;
use sluice_tests::swapped::{LIMIT, Swapped};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

const CONFIG: &str = "drain_grace_ms = 60000\n[listen]\nhttps = \"127.0.0.1:0\"\nh3 = true\n";
/// Bytes of a download that takes longer than a swap.
const LARGE: usize = 24 << 20;
/// Swaps of the binary under load, clients, and requests over all swaps at least.
const SWAPS: usize = 10;
const CLIENTS: usize = 4;
const REQUESTS: u64 = 5_000;

async fn origin() -> ScriptedOrigin {
    ScriptedOrigin::start(|request: Request| async move {
        match request.uri().path() {
            "/large" => answer(200, &[("cache-control", "max-age=600")], pattern(LARGE, 7)),
            "/upload" => {
                let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
                answer(200, &[], format!("{} bytes", body.len()))
            }
            "/kept" => answer(200, &[("cache-control", "max-age=600")], "the answer"),
            _ => answer(200, &[("cache-control", "no-store")], "the answer"),
        }
    })
    .await
}

async fn scene() -> (ScriptedOrigin, Swapped) {
    let origin = origin().await;
    let edge = Swapped::start(&origin.url(), CONFIG).await;
    (origin, edge)
}

/// A download of which the beginning has come.
async fn begun(client: &mut H3) -> (Exchange, Vec<u8>) {
    let mut exchange = client.begin("/large").await.unwrap();
    let mut had = vec![];
    while had.len() < 1 << 20 {
        had.extend_from_slice(&exchange.piece().await.unwrap().unwrap());
    }
    (exchange, had)
}

async fn goes_on((mut exchange, mut had): (Exchange, Vec<u8>)) {
    while let Some(piece) = exchange.piece().await.unwrap() {
        had.extend_from_slice(&piece);
    }
    assert_eq!((had.len(), sha256(&had)), (LARGE, sha256(&pattern(LARGE, 7))));
}

/// Waits until a series of the newest process has a value.
async fn shows(edge: &Swapped, series: &str, value: f64) {
    let begun = Instant::now();
    while edge.metric(series).await.to_bits() != value.to_bits() {
        assert!(begun.elapsed() < LIMIT, "{series} is {}", edge.metric(series).await);
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_way_outlives_the_swap_and_what_is_new_does_not_wait_for_it() {
    let (_origin, edge) = scene().await;
    let at = edge.h3.unwrap();
    let (mut downloading, mut uploading, mut idle) = (H3::new(at), H3::new(at), H3::new(at));
    assert_eq!(idle.get("/kept").await.unwrap(), (200, b"the answer".to_vec()));
    let mut upload = uploading.upload("/upload").await.unwrap();
    upload.send("before, ").await.unwrap();
    let download = begun(&mut downloading).await;

    edge.swap().await;
    edge.logged("HTTP/3 is served here from now on", 1).await;
    shows(&edge, "sluice_quic_elders", 1.0).await;
    assert_eq!(idle.get("/kept").await.unwrap(), (200, b"the answer".to_vec()));
    let mut new = H3::new(at);
    assert_eq!(new.get("/alone").await.unwrap().0, 200);
    assert!(
        edge.metric("sluice_http_requests_total{protocol=\"h3\",status=\"2xx\"}").await >= 1.0,
        "by the new process"
    );
    assert!(!edge.log().contains("drained"), "the old one lives");

    upload.send("after").await.unwrap();
    assert_eq!(upload.end().await.unwrap(), (200, b"13 bytes".to_vec()));
    goes_on(download).await;
    assert_eq!((downloading.opened, uploading.opened), (1, 1), "over the connections they had");
    edge.logged("drained", 1).await;
    assert!(!edge.log().contains("cut after the grace"));

    // Nobody is passed anything any more.
    shows(&edge, "sluice_quic_elders", 0.0).await;
    let passed = edge.metric("sluice_quic_relayed_total{result=\"passed\"}").await;
    assert!(passed > 0.0);
    assert_eq!(idle.get("/kept").await.unwrap().0, 200);
    assert_eq!(edge.metric("sluice_quic_relayed_total{result=\"passed\"}").await.to_bits(), passed.to_bits());
    eprintln!("{passed} datagrams were passed on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_processes_share_a_port_and_each_finishes_what_it_has() {
    let (_origin, edge) = scene().await;
    let at = edge.h3.unwrap();
    let mut clients = [H3::new(at), H3::new(at), H3::new(at)];
    let mut downloads = vec![];
    for (turn, client) in clients.iter_mut().enumerate() {
        downloads.push(begun(client).await);
        if turn < 2 {
            edge.swap().await;
            edge.logged("HTTP/3 is served here from now on", turn + 1).await;
        }
    }
    shows(&edge, "sluice_quic_elders", 2.0).await;
    for download in downloads {
        goes_on(download).await;
    }
    edge.logged("drained", 2).await;
    shows(&edge, "sluice_quic_elders", 0.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_process_that_is_killed_leaves_the_old_one_its_connections() {
    let (_origin, edge) = scene().await;
    let mut client = H3::new(edge.h3.unwrap());
    let download = begun(&mut client).await;
    edge.swap().await;
    edge.logged("HTTP/3 is served here from now on", 1).await;
    edge.signal(edge.pid(), Signal::SIGKILL);
    edge.logged("the port is read here again", 1).await;
    goes_on(download).await;
    assert_eq!(client.opened, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_process_that_is_killed_before_it_is_relied_on_has_read_nothing() {
    let (_origin, edge) = scene().await;
    let at = edge.h3.unwrap();
    let (mut downloading, mut client) = (H3::new(at), H3::new(at));
    let download = begun(&mut downloading).await;
    for (number, moment) in ["0", "0.5"].into_iter().enumerate() {
        edge.turn_link(&edge.doomed(&format!("doomed{number}"), moment));
        edge.signal(edge.pid(), Signal::SIGUSR2);
        let begun = Instant::now();
        while edge.log().matches("did not take over").count() == number {
            assert!(begun.elapsed() < LIMIT, "{}", edge.log());
            assert_eq!(client.get("/alone").await.unwrap().0, 200);
            assert_eq!(H3::new(at).get("/kept").await.unwrap().0, 200);
        }
    }
    assert_eq!((edge.killed(), client.opened), (2, 1));
    edge.turn_link(&binary("sluice-edge"));
    edge.swap().await;
    edge.logged("HTTP/3 is served here from now on", 1).await;
    assert_eq!(H3::new(at).get("/kept").await.unwrap().0, 200);
    goes_on(download).await;
    assert_eq!(downloading.opened, 1);
    edge.logged("drained", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_binaries_one_after_another_fail_no_request_over_http3() {
    let (_origin, edge) = scene().await;
    let at = edge.h3.unwrap();
    let (over, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (over, done) = (Arc::clone(&over), Arc::clone(&done));
        clients.spawn(async move {
            let (mut client, mut failures) = (H3::new(at), vec![]);
            for path in ["/kept", "/kept", "/kept", "/alone"].iter().cycle() {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                match client.get(path).await {
                    Ok((200, body)) if body == b"the answer" => {}
                    other => failures.push(format!("{path}: {other:?}")),
                }
                done.fetch_add(1, Ordering::Relaxed);
            }
            (client.opened, failures)
        });
    }
    let reaches = async |count: u64| {
        let begun = Instant::now();
        while done.load(Ordering::Relaxed) < count {
            assert!(begun.elapsed() < LIMIT, "{} of {count}", done.load(Ordering::Relaxed));
            sleep(Duration::from_millis(10)).await;
        }
    };
    for swap in 0..SWAPS {
        reaches(REQUESTS * swap as u64 / SWAPS as u64).await;
        edge.swap().await;
    }
    reaches(REQUESTS).await;
    edge.logged("drained", SWAPS).await;
    over.store(true, Ordering::Relaxed);
    let (opened, failures): (Vec<usize>, Vec<Vec<String>>) = clients.join_all().await.into_iter().unzip();
    let (done, failures) = (done.load(Ordering::Relaxed), failures.concat());
    assert!(failures.is_empty(), "{} of {done}: {:#?}", failures.len(), &failures[..failures.len().min(5)]);
    eprintln!("{SWAPS} swaps, 0 failed of {done} requests over HTTP/3, {opened:?} connections");
}
