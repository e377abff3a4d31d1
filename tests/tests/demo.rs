//! The launcher: one command brings a whole stack up with a video in it, a signal ends all of it, and the next start
//! finds the video again.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use sluice_tests::client;
use sluice_tests::clips;
use sluice_tests::process::binary;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::time::{Instant, sleep};

fn launch(dir: &Path, video: &Path) -> Child {
    let pages = dir.join("pages");
    std::fs::create_dir_all(&pages).unwrap();
    for page in ["index.html", "operations.html"] {
        std::fs::write(pages.join(page), "<!doctype html><title>Sluice</title>").unwrap();
    }
    drop(std::fs::remove_file(dir.join("stack.json")));
    Command::new(binary("sluice-demo"))
        .args(["--port", "0", "--dir"])
        .arg(dir.join("data"))
        .arg("--video")
        .arg(video)
        .arg("--pages")
        .arg(pages)
        .arg("--announce")
        .arg(dir.join("stack.json"))
        .stdout(std::fs::File::create(dir.join("said.txt")).unwrap())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "{what} never came");
        sleep(Duration::from_millis(100)).await;
    }
}

async fn stack(dir: &Path) -> Value {
    until("the stack", async || serde_json::from_slice(&std::fs::read(dir.join("stack.json")).ok()?).ok())
        .await
}

async fn said(dir: &Path, words: &str) -> String {
    until(words, async || {
        std::fs::read_to_string(dir.join("said.txt")).ok().filter(|text| text.contains(words))
    })
    .await
}

async fn end(mut demo: Child) {
    kill(Pid::from_raw(i32::try_from(demo.id()).unwrap()), Signal::SIGINT).unwrap();
    let status = until("the end", async || demo.try_wait().unwrap()).await;
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn the_demo_starts_plays_stops_and_finds_its_videos_again() {
    let dir = tempfile::tempdir().unwrap();
    let video = dir.path().join("short.mp4");
    std::fs::write(&video, clips::made(4, "320x240", 25)).unwrap();

    let demo = launch(dir.path(), &video);
    let addresses = stack(dir.path()).await;
    let text = said(dir.path(), "Ctrl-C").await;
    let near = format!("http://{}", addresses["near-a"]["http"].as_str().unwrap());
    assert!(text.contains(&format!("{near}/watch/")), "{text}");
    assert_eq!(text.matches("/metrics").count(), 6, "a metrics address per process: {text}");
    let link = text.split_whitespace().find(|word| word.contains("/#token=")).unwrap().to_owned();
    let (page, token) = link.split_once("/#token=").unwrap();
    assert!(client::get(page).await.text().await.unwrap().starts_with("<!doctype html>"));
    let me = client::client().get(format!("{page}/v1/me")).bearer_auth(token).send().await.unwrap();
    assert_eq!(me.json::<Value>().await.unwrap()["role"], "admin");
    let front = client::get(&format!("{near}/chat")).await;
    let policy = front.headers()["content-security-policy"].to_str().unwrap();
    for rule in ["script-src 'self';", "object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"] {
        assert!(policy.contains(rule), "{policy}");
    }
    assert_eq!(front.headers()["x-content-type-options"], "nosniff");
    let id = text.split("/watch/").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    client::get(&format!("{near}/v/{id}/master.m3u8")).await;
    for member in addresses.as_object().unwrap().values() {
        let admin = member["admin"].as_str().unwrap();
        client::get(&format!("http://{admin}/metrics")).await;
    }
    end(demo).await;
    for member in addresses.as_object().unwrap().values() {
        let admin: std::net::SocketAddr = member["admin"].as_str().unwrap().parse().unwrap();
        assert!(
            std::net::TcpStream::connect(admin).is_err(),
            "every process it started is gone: {addresses}"
        );
    }

    let demo = launch(dir.path(), &video);
    let addresses = stack(dir.path()).await;
    let text = said(dir.path(), "Ctrl-C").await;
    assert!(text.contains(token), "the operators are kept: {text}");
    let near = format!("http://{}", addresses["near-a"]["http"].as_str().unwrap());
    let library: Value = client::get(&format!("{near}/v1/videos")).await.json().await.unwrap();
    assert_eq!(
        library["videos"].as_array().unwrap().len(),
        1,
        "the video is there, and not twice: {library}"
    );
    assert_eq!(library["videos"][0]["id"], id.as_str());
    end(demo).await;
}
