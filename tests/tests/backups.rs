//! A backup under load, and back into an empty database of the other engine: everything that was acknowledged before it began is
//! there, the sums are right, edges show it and nothing of what came later; a damaged one is refused. And the log, told again.
#![allow(clippy::print_stdout, reason = "what was done and what it took is for whoever reads along")]
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use reqwest::Method;
use serde_json::{Value, json};
use sluice_storage::testing::Postgres;
use sluice_tests::client::client;
use sluice_tests::process::free_port;
use sluice_tests::programs::printed;
use sluice_tests::shop;
use sluice_tests::town::Town;
use std::process::Output;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long what is pushed may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(15);

/// What a command said that went well.
#[track_caller]
fn said(output: &Output) -> String {
    printed("a command", output)
}

/// Why a command did not go well.
#[track_caller]
fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(69), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Refuses with these words.
#[track_caller]
fn refused_for(output: &Output, words: &str) {
    let why = refused(output);
    assert!(why.contains(words), "{why}");
}

/// Asks an edge until it answers with a status.
async fn until(town: &Town, path: &str, wanted: u16) -> Value {
    let begun = Instant::now();
    loop {
        let (status, told) = town.ask(Method::GET, path, "", &Value::Null).await;
        if status == wanted {
            return told;
        }
        assert!(begun.elapsed() < LIMIT, "{path} is {status} and never {wanted}: {told}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// From one database to another, which is empty.
async fn a_life(from: Option<String>, to: String) {
    let mut town = Town::start(from.clone(), &[]).await;
    let from = from.unwrap_or_else(|| format!("sqlite:{}", town.file("sluice.db")));
    let url = town.origin.url();
    let ben = shop::sign_up(&url, "ben").await;
    let hello = shop::post(&format!("{url}/v1/feed/posts"), &ben, &json!({ "text": "hello" })).await.1;
    let hello = format!("/v1/feed/posts/{}", hello["id"].as_str().unwrap());
    let followed = town.ask(Method::PUT, "/v1/feed/users/ben/follow", &town.ann, &Value::Null).await;
    assert_eq!(followed.0, 200, "{}", followed.1);

    let writers = town.write();
    writers.more(10).await;
    let acked = writers.acked();
    let file = town.file("town.backup");
    println!("{}", said(&town.command(&from, &["backup", "--to", &file]).await));
    writers.more(10).await;
    // What comes after the backup is kept at the edge, and is to be gone with it.
    let late = shop::post(&format!("{url}/v1/feed/posts"), &ben, &json!({ "text": "too late" })).await.1;
    let late = format!("/v1/feed/posts/{}", late["id"].as_str().unwrap());
    assert_eq!(until(&town, &late, 200).await["text"], "too late");
    assert_eq!(until(&town, &hello, 200).await["text"], "hello");
    refused_for(&town.command(&from, &["restore", "--from", &file, "--replace"]).await, "stop all of them");
    town.origin.kill9();
    drop(writers.cut().await);

    refused_for(&town.command(&from, &["restore", "--from", &file]).await, "not empty");
    damaged_ones_are_refused(&town, &file, &to).await;
    assert!(said(&town.command(&to, &["restore", "--from", &file, "--check"]).await).starts_with("whole: "));
    println!("{}", said(&town.command(&to, &["restore", "--from", &file]).await));
    let mut origin = town.moved(&to);
    origin.start().await;
    town.has(&url, &acked, false).await;
    let (status, who) = shop::get(&format!("{url}/v1/accounts/me"), &town.ann).await;
    assert_eq!((status, &who["handle"]), (200, &json!("ann")), "sessions go on");
    until(&town, &late, 404).await;
    assert_eq!(until(&town, &hello, 200).await["text"], "hello");
    let home = town.ask(Method::GET, "/v1/feed/home", &town.ann, &Value::Null).await.1.to_string();
    assert!(home.contains("hello"), "who is followed is followed still: {home}");

    // Writing goes on, and the edge hears of it.
    let like = town.ask(Method::PUT, &format!("{hello}/like"), &town.ann, &Value::Null).await;
    assert_eq!(like.0, 200, "{}", like.1);
    let begun = Instant::now();
    while until(&town, &hello, 200).await["likes"] != 1 {
        assert!(begun.elapsed() < LIMIT, "the edge never hears of a like");
        sleep(Duration::from_millis(20)).await;
    }
    let before = town.edge.metric("sluice_edge_events_total", &[]).await;
    let again = said(&town.command(&to, &["replay", "--after", "0"]).await);
    let told: f64 = again.split(' ').nth(2).unwrap().parse().unwrap();
    assert!(told > 20.0, "{again}");
    town.edge.until("sluice_edge_events_total", &[], |events| events >= before + told).await;
    assert_eq!(until(&town, &hello, 200).await["likes"], 1, "it is told nothing new");
    let nobody = town.command(&to, &["replay", "--after", "0", "--reader", "nobody"]).await;
    refused_for(&nobody, "no reader of the log is called nobody");
    let writers = town.write();
    writers.more(3).await;
    let more = writers.end().await;
    town.has(&url, &more, false).await;
}

/// One that is torn off, and one with a flipped bit. Nothing is changed by them.
async fn damaged_ones_are_refused(town: &Town, file: &str, to: &str) {
    let (whole, bad) = (std::fs::read(file).unwrap(), town.file("bad.backup"));
    for n in [1, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&bad, &whole[..n]).unwrap();
        refused_for(&town.command(to, &["restore", "--from", &bad]).await, "the backup is damaged: line ");
        let mut flipped = whole.clone();
        flipped[n] ^= 4;
        std::fs::write(&bad, &flipped).unwrap();
        refused_for(&town.command(to, &["restore", "--from", &bad]).await, "the backup is damaged: line ");
    }
}

#[tokio::test]
async fn what_was_acknowledged_before_a_backup_of_sqlite_is_there_on_postgresql() {
    let postgres = Postgres::start().await;
    a_life(None, postgres.url()).await;
}

#[tokio::test]
async fn what_was_acknowledged_before_a_backup_of_postgresql_is_there_on_sqlite() {
    let (postgres, dir) = (Postgres::start().await, tempfile::tempdir().unwrap());
    a_life(Some(postgres.url()), format!("sqlite:{}", dir.path().join("sluice.db").display())).await;
}

/// The number of the newest event that an origin has.
async fn newest(url: &str) -> u64 {
    let mut answer = client().get(format!("{url}/v1/log")).send().await.unwrap();
    let piece = answer.chunk().await.unwrap().unwrap();
    let line = piece.split(|byte| *byte == b'\n').next().unwrap();
    let told: Value = serde_json::from_slice(line).unwrap();
    told["heartbeat"].as_u64().or_else(|| told["seq"].as_u64()).unwrap()
}

#[tokio::test]
async fn edges_forget_what_they_keep_after_each_restore_of_one_backup() {
    let mut town = Town::start(None, &[]).await;
    let [from, once, again] =
        ["sluice.db", "once.db", "again.db"].map(|name| format!("sqlite:{}", town.file(name)));
    let (url, file) = (town.origin.url(), town.file("town.backup"));
    let ben = shop::sign_up(&url, "ben").await;
    said(&town.command(&from, &["backup", "--to", &file]).await);
    town.origin.kill9();

    // The edge follows the first restore, and keeps what was written after it.
    said(&town.command(&once, &["restore", "--from", &file]).await);
    let mut origin = town.moved(&once);
    origin.start().await;
    let first = newest(&url).await;
    let late = shop::post(&format!("{url}/v1/feed/posts"), &ben, &json!({ "text": "too late" })).await.1;
    let late = format!("/v1/feed/posts/{}", late["id"].as_str().unwrap());
    assert_eq!(until(&town, &late, 200).await["text"], "too late");
    origin.kill9();

    // The second one has more to tell by the time at which the edge follows it: its log is not behind.
    said(&town.command(&again, &["restore", "--from", &file]).await);
    let mut elsewhere = town.moved(&again);
    elsewhere.set("listen.http", &format!("127.0.0.1:{}", free_port()));
    elsewhere.start().await;
    let second = newest(&elsewhere.url()).await;
    assert!(first < second, "{first} {second}");
    for n in 0..20 {
        let posted = json!({ "text": format!("more {n}") });
        let (status, told) = shop::post(&format!("{}/v1/feed/posts", elsewhere.url()), &ben, &posted).await;
        assert!(status < 300, "{status}: {told}");
    }
    elsewhere.kill9();
    let mut origin = town.moved(&again);
    origin.start().await;
    until(&town, &late, 404).await;
}
