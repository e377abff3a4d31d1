//! Live channels of an origin that edges stand before: what is said there, and what is heard without a socket.

use crate::client::client;
use crate::ear::{Ear, within};
use crate::process::{Process, free_port};
use crate::stack::{Engines, lone_edge};
use serde_json::{Value, json};
use sluice_storage::{Storage, StorageConfig, StorageError};
use sluice_wire::token::jwt::Claims;
use sluice_wire::token::mint::SigningKey;
use sluice_wire::{EventKind, Tag};
use std::ops::RangeInclusive;
use std::time::{SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

/// An origin with a log that the story writes into, and edges before it.
#[derive(Debug)]
pub struct Story {
    /// The origin, on embedded engines. Channels below `stock:` are open; those below `chat:` are not.
    pub origin: Process,
    /// Near edges, without a control plane.
    pub edges: Vec<Process>,
    /// What the origin's log is written by.
    pub storage: Storage,
    key: SigningKey,
    dir: TempDir,
}

impl Story {
    /// Starts them, and waits until each edge follows the log.
    pub async fn start(edges: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = SigningKey::from_pem(SigningKey::generate().unwrap().as_bytes(), "first").unwrap();
        let keys = dir.path().join("keys.json");
        std::fs::write(&keys, key.jwks().to_string()).unwrap();
        let engines = Engines::embedded(dir.path());
        let port = free_port();
        let flags = [
            ("listen.http", format!("127.0.0.1:{port}")),
            ("listen.admin", "127.0.0.1:0".into()),
            ("storage.database", engines.database.clone()),
            ("storage.bus", engines.bus.clone()),
            ("storage.objects", engines.objects.clone()),
            ("channels.open", "stock:".into()),
            ("channels.by_token", "chat:".into()),
        ];
        let mut origin = Process::new("origin", "sluice-origin", dir.path(), &flags);
        origin.start().await;
        let config = StorageConfig { database: engines.database, bus: engines.bus, objects: engines.objects };
        let storage = Storage::open(&config).await.unwrap();
        let mut story = Self { origin, edges: vec![], storage, key, dir };
        for n in 0..edges {
            story.edges.push(story.edge(&format!("edge-{n}"), &story.origin.url()).await);
        }
        story
    }

    /// Starts an edge before some origin, and waits until it follows the log.
    pub async fn edge(&self, name: &str, origin: &str) -> Process {
        let keys = self.dir.path().join("keys.json").display().to_string();
        let flags = [
            ("access.keys_file", keys.as_str()),
            ("drain_grace_ms", "2000"),
            // The whole crowd has one address.
            ("listen.limits.connections_per_client", "5000"),
        ];
        let mut edge = lone_edge(self.dir.path(), name, origin, &flags);
        edge.start().await;
        edge.until("sluice_edge_feed_live", &[], |live| live == 1.0).await;
        edge
    }

    /// Writes something that a channel says; its number.
    pub async fn say(&self, channel: &str, data: Value) -> u64 {
        let tag = &Tag::new(channel).unwrap();
        let emit = self.storage.database.write::<_, StorageError, _>(|tx| {
            let data = data.clone();
            Box::pin(async move { tx.emit(tag, EventKind::Changed, data).await })
        });
        emit.await.unwrap().0
    }

    /// Has a channel say so many things to those who listen; the last one's number.
    pub async fn say_live(&self, channel: &str, count: usize) -> u64 {
        let mut last = 0;
        for n in 0..count {
            last = self.say(channel, json!({ "live": { "n": n } })).await;
        }
        last
    }

    /// A token of somebody for these channels, good for ten minutes.
    #[must_use]
    pub fn token(&self, subject: &str, channels: &[&str]) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        self.key.token(&Claims {
            sub: Some(subject.into()),
            exp: Some((now.as_secs() + 600).into()),
            iat_ms: Some(now.as_millis() as u64),
            channels: Some(channels.iter().map(|name| (*name).to_owned()).collect()),
            ..Claims::default()
        })
    }

    /// One that listens to nothing yet, at an edge.
    pub async fn ear(&self, edge: usize) -> Ear {
        Ear::open(&self.edges[edge], None).await
    }

    /// A URL of an edge.
    #[must_use]
    pub fn url(&self, edge: usize, path: &str) -> String {
        format!("{}{path}", self.edges[edge].url())
    }
}

/// Reads server-sent events until so many frames have come; their numbers and the last id.
pub async fn events(url: &str, last_event_id: Option<&str>, frames: usize) -> (Vec<u64>, String) {
    let (seen, id) = streamed(url, last_event_id, frames).await;
    (seen.into_iter().map(|(_, seq)| seq).collect(), id)
}

/// The same, each with its channel.
pub async fn streamed(url: &str, last_event_id: Option<&str>, frames: usize) -> (Vec<(String, u64)>, String) {
    let mut request = client().get(url);
    if let Some(id) = last_event_id {
        request = request.header("last-event-id", id);
    }
    let mut answer = within("a head", request.send()).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let (mut text, mut seen, mut id) = (String::new(), vec![], String::new());
    while seen.len() < frames {
        text +=
            std::str::from_utf8(&within("a piece", answer.chunk()).await.unwrap().expect("no end")).unwrap();
        while let Some((block, rest)) = text.split_once("\n\n").map(|(b, r)| (b.to_owned(), r.to_owned())) {
            text = rest;
            for line in block.lines() {
                if let Some(told) = line.strip_prefix("id: ") {
                    id = told.to_owned();
                }
                if let Some(data) = line.strip_prefix("data: ").filter(|_| !block.contains("event: ")) {
                    let frame: Value = serde_json::from_str(data).unwrap();
                    let channel = frame["channel"].as_str().unwrap().to_owned();
                    seen.push((channel, frame["seq"].as_u64().unwrap()));
                }
            }
        }
    }
    (seen, id)
}

/// What one poll is answered: status and document.
pub async fn poll(url: &str) -> (u16, Value) {
    let answer = within("a poll", client().get(url).send()).await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or_default())
}

/// These numbers of a channel, as [`streamed`] has them.
#[must_use]
pub fn numbers(channel: &str, numbers: RangeInclusive<u64>) -> Vec<(String, u64)> {
    numbers.map(|seq| (channel.to_owned(), seq)).collect()
}
