//! Processes that are killed with -9 while they write to one SQLite file.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::Stdio;

use futures::StreamExt;
use serde_json::json;
use sluice_storage::{Storage, StorageConfig, StorageError};
use sluice_wire::{Event, EventKind, Tag};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::ground::{Ground, soon};

const ROUNDS: u64 = 6;
const SETTINGS: &str = "SLUICE_TEST_STORAGE";
const ROUND: &str = "SLUICE_TEST_ROUND";

#[tokio::test]
async fn what_was_acknowledged_before_a_kill_is_in_the_log_exactly_once() {
    let ground = Ground::sqlite();
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        let (mut victim, mut survivor) = (start(&ground, 2 * round), start(&ground, 2 * round + 1));
        let (some, more) =
            tokio::join!(told(&mut victim, 10 + rand::random_range(0..20)), told(&mut survivor, 30),);
        acknowledged.extend(some);
        acknowledged.extend(more);
        soon("the kill", victim.kill()).await.unwrap();
        soon("the kill", survivor.kill()).await.unwrap();
    }

    let heir = ground.open().await;
    let (drain, mut tasks) = (CancellationToken::new(), JoinSet::new());
    tasks.spawn(heir.relay().run(drain.clone()));
    let version = heir.log().version_of(&Tag::everything()).await.unwrap().0;
    let limit = usize::try_from(version).unwrap();
    let events: Vec<Event> = soon("all is relayed", heir.log().tail(0).take(limit).collect()).await;
    assert!(events.iter().map(|e| e.seq).eq(1..=version), "no gap");
    assert!(events.iter().map(|e| e.version.0).eq(1..=version), "in order");
    let mut times: BTreeMap<String, u32> = BTreeMap::new();
    for event in &events {
        *times.entry(event.data.as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert!(times.values().all(|&n| n == 1), "nothing twice");
    for name in &acknowledged {
        assert!(times.contains_key(name), "{name} was acknowledged and is gone");
    }
    assert!(acknowledged.len() >= 40 * usize::try_from(ROUNDS).unwrap());
    drain.cancel();
    soon("the relay ends", tasks.join_all()).await;
}

/// The process that is killed: it writes and relays until then, and says what was acknowledged.
#[tokio::test]
#[ignore = "not a story: the process that the story above starts and kills"]
async fn writer() {
    let config: StorageConfig = serde_json::from_str(&std::env::var(SETTINGS).unwrap()).unwrap();
    let round = std::env::var(ROUND).unwrap();
    let storage = Storage::open(&config).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(storage.relay().run(CancellationToken::new()));
    for n in 0.. {
        let name = &format!("{round}-{n}");
        let write = storage.database.write::<_, StorageError, _>(|tx| {
            Box::pin(async move { tx.emit(&Tag::everything(), EventKind::Changed, json!(name)).await })
        });
        write.await.unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "acknowledged {name}").unwrap();
        out.flush().unwrap();
    }
}

fn start(ground: &Ground, round: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::writer", "--ignored", "--nocapture"])
        .env(SETTINGS, serde_json::to_string(&ground.config()).unwrap())
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// The next writes that the process says were acknowledged.
async fn told(child: &mut Child, count: usize) -> Vec<String> {
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    let mut names = Vec::new();
    while names.len() < count {
        let line = soon("a line", lines.next_line()).await.unwrap().unwrap();
        if let Some((_, name)) = line.split_once("acknowledged ") {
            names.push(name.to_owned());
        }
    }
    names
}
