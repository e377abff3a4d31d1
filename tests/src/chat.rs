//! Conversations on origins of a story's own, behind edges.

use crate::process::{Process, binary};
use crate::shop;
use crate::stack::{Engines, lone_edge};
use serde_json::{Value, json};
use std::path::PathBuf;
use tempfile::TempDir;

/// Origins over one database, and edges before them.
#[derive(Debug)]
pub struct Scene {
    /// The origins.
    pub origins: Vec<Process>,
    /// The edges. Each has all origins.
    pub edges: Vec<Process>,
    /// What the origins are on: embedded engines, but for the bus and the database.
    pub engines: Engines,
    dir: TempDir,
}

impl Scene {
    /// Starts so many of each.
    pub async fn new(origins: usize, edges: usize) -> Self {
        Self::on("local:", origins, edges).await
    }

    /// The same, on a bus.
    pub async fn on(bus: &str, origins: usize, edges: usize) -> Self {
        Self::at(None, bus, origins, edges).await
    }

    /// The same, on a database; SQLite without.
    pub async fn at(database: Option<String>, bus: &str, origins: usize, edges: usize) -> Self {
        let dir = tempfile::Builder::new().prefix("sluice-chats-").tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        let made =
            std::process::Command::new(binary("sluice")).args(["key", &at("key.pem")]).output().unwrap();
        std::fs::write(at("keys.json"), made.stdout).unwrap();
        let embedded = Engines::embedded(dir.path());
        let database = database.unwrap_or_else(|| embedded.database.clone());
        let engines = Engines { database, bus: bus.into(), ..embedded };
        let mut scene = Self { origins: vec![], edges: vec![], engines, dir };
        for n in 0..origins {
            let mut origin = scene.origin(&format!("origin-{n}"));
            origin.start().await;
            scene.origins.push(origin);
        }
        let urls: Vec<String> = scene.origins.iter().map(|origin| format!("\"{}\"", origin.url())).collect();
        let keys = scene.keys();
        for n in 0..edges {
            let flags = [
                ("access.keys_file", keys.as_str()),
                // All devices have one address.
                ("listen.limits.connections_per_client", "5000"),
            ];
            let name = format!("edge-{n}");
            let mut edge = lone_edge(scene.dir.path(), &name, &format!("[{}]", urls.join(",")), &flags);
            edge.start().await;
            edge.until("sluice_edge_feed_live", &[], |live| live == 1.0).await;
            scene.edges.push(edge);
        }
        scene
    }

    /// The file with the keys that edges check tokens by.
    #[must_use]
    pub fn keys(&self) -> String {
        self.dir.path().join("keys.json").display().to_string()
    }

    /// The folder of the object store.
    #[must_use]
    pub fn objects(&self) -> PathBuf {
        self.dir.path().join("objects")
    }

    fn origin(&self, name: &str) -> Process {
        let flags = [
            ("listen.http", "127.0.0.1:0".to_owned()),
            ("listen.admin", "127.0.0.1:0".to_owned()),
            ("storage.database", self.engines.database.clone()),
            ("storage.bus", self.engines.bus.clone()),
            ("storage.objects", self.engines.objects.clone()),
            ("playback.key_file", self.dir.path().join("key.pem").display().to_string()),
            ("accounts.access_ttl_s", "3600".to_owned()),
        ];
        Process::new(name, "sluice-origin", self.dir.path(), &flags)
    }

    /// Accounts with these handles, and a group of them: tokens, and its id.
    pub async fn group(&self, handles: &[&str]) -> (Vec<String>, String) {
        let mut tokens = vec![];
        for handle in handles {
            tokens.push(shop::sign_up(&self.origins[0].url(), handle).await);
        }
        let members: Vec<String> = handles[1..].iter().map(|handle| format!("@{handle}")).collect();
        let chat = self.make(&tokens[0], &members).await;
        (tokens, chat)
    }

    /// Makes a group; its id.
    pub async fn make(&self, token: &str, members: &[String]) -> String {
        let body = json!({ "kind": "group", "name": "All", "members": members });
        let (status, made) = shop::post(&format!("{}/v1/chat", self.origins[0].url()), token, &body).await;
        assert_eq!(status, 201, "{made}");
        made["id"].as_str().unwrap().to_owned()
    }

    /// Says something at an origin, which is its client id too; its seq.
    pub async fn say(&self, origin: usize, token: &str, chat: &str, client_id: &str) -> u64 {
        let url = format!("{}/v1/chat/{chat}/messages", self.origins[origin].url());
        let body = json!({ "client_id": client_id, "text": client_id });
        let (status, said) = shop::post(&url, token, &body).await;
        assert_eq!(status, 201, "{said}");
        said["seq"].as_u64().unwrap()
    }

    /// A conversation's events, as an origin has them.
    pub async fn events(&self, token: &str, chat: &str) -> Vec<Value> {
        let mut all = vec![];
        loop {
            let url =
                format!("{}/v1/chat/{chat}/events?after={}&limit=1000", self.origins[0].url(), all.len());
            let (status, page) = shop::get(&url, token).await;
            assert_eq!(status, 200, "{page}");
            all.extend(page["events"].as_array().unwrap().clone());
            if page["more"] == false {
                return all;
            }
        }
    }
}
