//! The command line, as an operator's shell sees it.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use serde_json::Value;
use sluice_tests::client::{client, header};
use sluice_tests::origin::pattern;
use sluice_tests::process::binary;
use sluice_tests::programs::printed;
use sluice_tests::proxy::{Line, Proxy};
use sluice_tests::stack::{Options, Stack};
use sluice_tests::{clips, sources};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// A shell: a folder for state, and the server that is spoken to.
struct Shell {
    home: TempDir,
    edge: String,
}

impl Shell {
    fn new(edge: String) -> Self {
        Self { home: tempfile::tempdir().unwrap(), edge }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary("sluice"));
        command.args(args).env("SLUICE_EDGE", &self.edge).env("XDG_STATE_HOME", self.home.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    async fn run(&self, args: &[&str]) -> Output {
        let mut command = self.command(args);
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    /// What a command prints that goes well.
    async fn said(&self, args: &[&str]) -> String {
        let output = self.run(args).await;
        printed(args, &output).trim().to_owned()
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let file = self.home.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        file
    }

    /// What is remembered of uploads.
    fn remembered(&self) -> Vec<Value> {
        let Ok(files) = std::fs::read_dir(self.home.path().join("sluice/uploads")) else { return vec![] };
        let files =
            files.map(|file| file.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "json"));
        files.filter_map(|file| serde_json::from_slice(&std::fs::read(file).ok()?).ok()).collect()
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

async fn offset(url: &str) -> u64 {
    let answer = client().head(url).header("tus-resumable", "1.0.0").send().await.unwrap();
    header(&answer, "upload-offset").parse().unwrap_or(0)
}

#[tokio::test]
async fn an_upload_goes_on_after_its_process_was_killed() {
    let stack = Stack::with(Options { hold_transcoder: true, ..Options::default() }).await;
    let proxy = Proxy::start(stack.origin.at.http.as_ref().unwrap().parse().unwrap());
    let shell = Shell::new(proxy.url());
    let source = pattern(160 << 20, 7);
    let file = shell.file("film.bin", &source);
    let mut first = shell.command(&["upload", text(&file)]).spawn().unwrap();
    let begun = Instant::now();
    let url = loop {
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing is sent");
        if let Some(plan) = shell.remembered().pop() {
            let url = plan["whole"].as_str().unwrap().replace(&proxy.url(), &stack.origin.url());
            if offset(&url).await > 0 {
                break url;
            }
        }
        sleep(Duration::from_millis(5)).await;
    };
    proxy.set(Line::Silent);
    first.kill().unwrap();
    first.wait().unwrap();
    proxy.set(Line::Up);
    let reached = offset(&url).await;
    assert!(reached > 0 && reached < source.len() as u64, "it was cut in between: {reached}");

    let id = shell.said(&["upload", text(&file)]).await;
    assert!(url.ends_with(&id), "the same upload goes on: {url}, {id}");
    assert_eq!(shell.remembered(), Vec::<Value>::new());
    let storage = sources::storage(stack.engines()).await;
    assert!(sources::bytes(&storage, &id).await == source, "byte for byte");
    let taken = stack.origin.metric("sluice_origin_upload_bytes_total", &[]).await;
    assert!(taken <= source.len() as f64, "nothing that counted was sent again: {taken}");
    // Another file of this name is another upload.
    shell.file("film.bin", &source[..1_000]);
    assert_ne!(shell.said(&["upload", text(&file)]).await, id);
}

#[tokio::test]
async fn waiting_ends_with_the_right_code_and_films_arrive_as_they_are() {
    let stack = Stack::start().await;
    let shell = Shell::new(stack.edge());
    let storage = sources::storage(stack.engines()).await;
    for (name, flags, joined) in [("camera.mp4", "", true), ("web.mp4", "+faststart", false)] {
        let bytes = film(shell.home.path(), name, flags);
        let file = shell.home.path().join(name);
        let args = ["upload", text(&file), "--title", "A film", "--wait", "--json"];
        let video: Value = serde_json::from_str(&shell.said(&args).await).unwrap();
        assert_eq!((video["state"].as_str(), video["title"].as_str()), (Some("ready"), Some("A film")));
        let id = video["id"].as_str().unwrap();
        assert!(sources::bytes(&storage, id).await == bytes, "{name}: byte for byte");
        let head =
            client().head(format!("{}/v1/uploads/{id}", stack.edge())).header("tus-resumable", "1.0.0");
        let concat = header(&head.send().await.unwrap(), "upload-concat");
        assert_eq!(concat.starts_with("final;"), joined, "{name}: {concat}");
        let watched = shell.run(&["watch", id]).await;
        assert_eq!(watched.status.code(), Some(0));

        let edited =
            shell.said(&["edit", id, "--tag", "trip", "--tag", "2026", "--visibility", "unlisted"]).await;
        assert!(edited.contains("unlisted") && edited.contains("#trip #2026"), "{edited}");
        assert!(shell.said(&["list", "fil", "--tag", "trip"]).await.contains(id));
        assert_eq!(shell.said(&["list", "--visibility", "public"]).await, "");
        assert_eq!(
            shell.run(&["edit", id, "--title", "x", "--if-version", "1"]).await.status.code(),
            Some(1)
        );
        shell.said(&["delete", id]).await;
        assert!(shell.said(&["list", "--state", "deleted"]).await.contains(id));
        assert!(shell.said(&["restore", id]).await.contains(id));
        shell.said(&["delete", id, "--now"]).await;
    }
    let broken = shell.file("broken.mp4", b"no film at all");
    let id = shell.said(&["upload", text(&broken)]).await;
    let watched = shell.run(&["watch", &id]).await;
    assert_eq!(watched.status.code(), Some(3), "{}", String::from_utf8_lossy(&watched.stderr));
    assert!(String::from_utf8_lossy(&watched.stderr).contains("cannot be shown"));
    assert_eq!(shell.run(&["watch", "0123456789abc"]).await.status.code(), Some(1));
}

/// A film as a camera writes it, or as it is put on the web.
fn film(dir: &Path, name: &str, flags: &str) -> Vec<u8> {
    let made = dir.join("made.mp4");
    std::fs::write(&made, clips::made(3, "320x180", 25)).unwrap();
    let file = dir.join(name);
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-y", "-i", text(&made), "-c", "copy"]);
    if !flags.is_empty() {
        ffmpeg.args(["-movflags", flags]);
    }
    assert!(ffmpeg.arg(&file).status().unwrap().success());
    std::fs::read(file).unwrap()
}

#[tokio::test]
async fn completions_and_the_man_page_name_every_command() {
    let shell = Shell::new("http://127.0.0.1:9".into());
    let help = shell.said(&["--help"]).await;
    let listed = help.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    let commands: Vec<&str> = listed
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    for known in ["upload", "list", "show", "watch", "edit", "delete", "restore", "purge", "drain", "token"] {
        assert!(commands.contains(&known), "{known}: {commands:?}");
    }
    for page in [&["completions", "bash"][..], &["completions", "zsh"], &["completions", "fish"], &["man"]] {
        let text = shell.said(page).await;
        for command in &commands {
            let roff = command.replace('-', "\\-");
            assert!(text.contains(command) || text.contains(&roff), "{page:?} names {command}");
        }
    }
}
