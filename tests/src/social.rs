//! An origin with every app behind near edges, and what people do there.

use crate::client::client;
use crate::process::{Process, binary};
use crate::programs::printed;
use crate::stack::{Engines, lone_edge};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// The origin, its edges, a client.
#[derive(Debug)]
pub struct Social {
    /// The origin, on SQLite.
    pub origin: Process,
    /// Near edges, without a control plane.
    pub edges: Vec<Process>,
    /// A client without credentials.
    pub http: Client,
    dir: TempDir,
}

impl Social {
    /// Starts them, with further flags of the origin and of each of two edges. `root` is an administrator.
    pub async fn start(origin: &[(&'static str, &str)], edge: &[(&str, &str)]) -> Self {
        let dir = tempfile::Builder::new().prefix("sluice-social-").tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        let made = Command::new(binary("sluice")).args(["key", &at("key.pem")]).output().unwrap();
        printed("sluice key", &made);
        std::fs::write(at("keys.json"), made.stdout).unwrap();
        let Engines { database, bus, objects } = Engines::embedded(dir.path());
        let mut flags = vec![
            ("listen.http", "127.0.0.1:0".to_owned()),
            ("listen.admin", "127.0.0.1:0".to_owned()),
            ("storage.database", database),
            ("storage.bus", bus),
            ("storage.objects", objects),
            ("playback.key_file", at("key.pem")),
            ("accounts.admins", "root".to_owned()),
        ];
        // The last one wins.
        flags.extend(origin.iter().map(|(flag, value)| (*flag, (*value).to_owned())));
        let mut process = Process::new("origin", "sluice-origin", dir.path(), &flags);
        process.start().await;
        let keys = at("keys.json");
        let flags = [&[("access.keys_file", keys.as_str())], edge].concat();
        let mut edges = vec![];
        for name in ["near-a", "near-b"] {
            let mut edge = lone_edge(dir.path(), name, &process.url(), &flags);
            edge.start().await;
            edge.until("sluice_edge_feed_live", &[], |live| live >= 1.0).await;
            edges.push(edge);
        }
        Self { origin: process, edges, http: client(), dir }
    }

    /// The folder that holds their state.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A request of an account, at one of the processes.
    pub fn ask(&self, at: &Process, method: Method, path: &str, token: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", at.url())).bearer_auth(token)
    }

    /// What an account is told at the origin; it must be good news.
    pub async fn done(&self, method: Method, path: &str, token: &str, body: Value) -> Value {
        let asked = self.ask(&self.origin, method, path, token);
        let asked = if body.is_null() { asked } else { asked.json(&body) };
        let (status, said) = told(asked.send().await.unwrap()).await;
        assert!((200..300).contains(&status), "{path}: {status} {said}");
        said
    }

    /// A new post's id.
    pub async fn post(&self, token: &str, text: &str) -> String {
        let made = self.done(Method::POST, "/v1/feed/posts", token, json!({ "text": text })).await;
        made["id"].as_str().unwrap().to_owned()
    }

    /// Requests that the origin was asked by a method, at routes that begin so.
    pub async fn asked(&self, method: &str, routes: &str) -> f64 {
        let (method, route) = (format!("method=\"{method}\""), format!("route=\"{routes}"));
        self.origin.metric("sluice_origin_statements_count", &[&method, &route]).await
    }
}

/// An answer's status and document, which is a problem where something went wrong.
pub async fn told(answer: Response) -> (u16, Value) {
    let status = answer.status().as_u16();
    if status >= 400 {
        assert_eq!(crate::client::header(&answer, "content-type"), "application/problem+json");
    }
    (status, answer.json().await.unwrap_or_default())
}
