//! Too little of what a process needs: it sheds, stays calm, and is itself again when there is enough.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use sluice_tests::client;
use sluice_tests::origin::{ScriptedOrigin, answer};
use sluice_tests::process::Process;
use sluice_tests::stack::lone_edge;
use std::process::Command;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

/// Processor time that a process has used, in seconds.
fn used(edge: &Process) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", edge.pid())).unwrap();
    // Behind the name in parentheses: state is the first, utime and stime are the 12th and 13th.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

#[tokio::test]
async fn an_edge_without_descriptors_or_memory_sheds_and_recovers() {
    let origin = ScriptedOrigin::start(|_| async {
        answer(200, &[("cache-control", "max-age=600")], vec![b'x'; 1_000])
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let flags = [
        ("listen.limits.connections_per_client", "10000"),
        ("cache.memory_bytes", "33554432"),
        ("cache.max_object_bytes", "1048576"),
    ];
    let mut edge = lone_edge(dir.path(), "edge-a", &origin.url(), &flags);
    edge.start().await;
    let url = format!("{}/a", edge.url());
    client::bytes(&url).await;
    let pid = edge.pid().to_string();
    let limited =
        Command::new("prlimit").args(["--pid", &pid, "--nofile=256:256", "--data=268435456"]).status();
    assert!(limited.unwrap().success());

    let at = edge.at.http.clone().unwrap();
    let mut held = vec![];
    for _ in 0..1_000 {
        // The kernel's queue takes them, whether the edge does or not.
        let Ok(Ok(mut stream)) = timeout(Duration::from_millis(500), TcpStream::connect(&at)).await else {
            break;
        };
        drop(stream.write_all(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await);
        held.push(stream);
    }
    assert!(held.len() >= 300, "more than it has descriptors for: {}", held.len());
    let mut first = [0; 12];
    timeout(Duration::from_secs(30), held[0].read_exact(&mut first)).await.unwrap().unwrap();
    assert_eq!(&first, b"HTTP/1.1 200", "who is in, is served");
    let (before, begun) = (used(&edge), Instant::now());
    sleep(Duration::from_secs(3)).await;
    let share = (used(&edge) - before) / begun.elapsed().as_secs_f64();
    assert!(share <= 0.2, "{share} of a processor while full");

    drop(held);
    let begun = Instant::now();
    loop {
        if client::client().get(&url).send().await.is_ok_and(|answer| answer.status() == 200) {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "it serves nobody any more");
        sleep(Duration::from_millis(100)).await;
    }
    assert!(std::path::Path::new(&format!("/proc/{pid}")).exists());
}
