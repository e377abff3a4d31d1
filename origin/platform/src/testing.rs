//! An app alone in a process, for tests: its routes are asked without a socket, on an engine of its own, and each answer says how
//! many statements it took.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request};
use serde_json::{Value, json};
use sluice_service::{Drain, Metrics};
use sluice_storage::testing::Postgres;
use sluice_storage::{SharedClock, Storage, StorageConfig, SystemClock, count_statements, note_statements};
use sluice_wire::token::mint::SigningKey;
use tempfile::TempDir;
use tower::ServiceExt;

use crate::{AccountsConfig, Ground, Hub};

/// Bytes of an answer's body at most.
const MAX_BODY: usize = 1 << 20;

/// What an app stands on, and routes. Its files are gone with it.
#[derive(Debug)]
pub struct Alone {
    /// What the app is started on.
    pub ground: Ground,
    /// What its tokens are signed with.
    pub signer: Arc<SigningKey>,
    routes: Router,
    _folder: TempDir,
}

impl Drop for Alone {
    /// What goes on behind the app ends, and gives back its connections.
    fn drop(&mut self) {
        self.ground.drain.begin();
    }
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its header fields.
    pub headers: HeaderMap,
    /// Its document; null where it has none.
    pub body: Value,
    /// Its body.
    pub text: String,
    /// Statements that it took.
    pub statements: u64,
}

/// A GET of a description, a request for it, and the statements that this takes at most.
pub type Read = (&'static str, Request<Body>, u64);

impl Alone {
    /// On an empty database of the server's, or on SQLite; with the routes of accounts.
    ///
    /// # Panics
    /// When the engine does not start.
    pub async fn start(server: Option<&Postgres>, accounts: &AccountsConfig) -> Self {
        Self::start_at(server, accounts, Arc::new(SystemClock)).await
    }

    /// The same by a clock.
    ///
    /// # Panics
    /// As [`Alone::start`].
    pub async fn start_at(server: Option<&Postgres>, accounts: &AccountsConfig, clock: SharedClock) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = match server {
            Some(server) => server.fresh_database().await,
            None => format!("sqlite:{}", folder.path().join("sluice.db").display()),
        };
        let objects = format!("file:{}", folder.path().display());
        let config = StorageConfig { database, objects, ..StorageConfig::default() };
        let storage = Storage::open_with(&config, clock).await.unwrap();
        let signer = SigningKey::from_pem(SigningKey::generate().unwrap().as_bytes(), "k").unwrap();
        let (signer, drain) = (Arc::new(signer), Drain::new(Duration::from_secs(1)));
        let hub = Hub::start(storage.log(), &drain).await.unwrap();
        let ground = Ground::open(storage, &hub, Arc::clone(&signer), accounts, Metrics::default(), drain);
        let ground = ground.await.unwrap();
        Self { routes: ground.routes(), ground, signer, _folder: folder }
    }

    /// Statements that a write's events take, however many they are: the versions of their tags, and the rows that the log is made of;
    /// on SQLite, where they are in the log at once, their numbers, too.
    #[must_use]
    pub fn events(&self) -> u64 {
        if self.ground.storage.database.has_one_writer() { 3 } else { 2 }
    }

    /// Has an app's routes answered, too.
    pub fn serve(&mut self, app: Router) {
        self.routes = std::mem::take(&mut self.routes).merge(app);
    }

    /// Sends a request.
    ///
    /// # Panics
    /// When the body of its answer is longer than a megabyte.
    pub async fn send(&self, request: Request<Body>) -> Reply {
        let (answer, statements) = count_statements(self.routes.clone().oneshot(request)).await;
        // For whoever counts around this, too.
        note_statements(statements);
        let (head, body) = answer.unwrap().into_parts();
        let body = axum::body::to_bytes(body, MAX_BODY).await.unwrap();
        Reply {
            status: head.status.as_u16(),
            headers: head.headers,
            body: serde_json::from_slice(&body).unwrap_or_default(),
            text: String::from_utf8_lossy(&body).into_owned(),
            statements,
        }
    }

    /// Sends what [`request`] makes.
    pub async fn ask(&self, method: &str, path: &str, token: &str, body: &Value) -> Reply {
        self.send(request(method, path, token, body)).await
    }

    /// Holds GETs to their lines, and a description, which is at a path, to lines for all that it has.
    ///
    /// # Panics
    /// When one has no line, fails, takes more statements than its line says, or answers with another document than is described.
    pub async fn hold_reads(&self, description: &str, reads: Vec<Read>) {
        let described = self.ask("GET", description, "", &Value::Null).await.body;
        let paths = described["paths"].as_object().unwrap().iter();
        let gets = paths.filter(|(_, methods)| methods.get("get").is_some());
        let gets: BTreeSet<&str> = gets.map(|(path, _)| path.as_str()).collect();
        assert_eq!(gets, reads.iter().map(|(path, ..)| *path).collect(), "each has a line");
        for (path, request, most) in reads {
            let asked = request.uri().to_string();
            let Reply { status, statements, body, text, .. } = self.send(request).await;
            assert!(status < 300, "{asked}: {status} {text}");
            assert!(statements <= most, "{path} as {asked}: {statements} statements");
            hold_document(&described, path, &body);
        }
    }

    /// A new account's id and access token.
    ///
    /// # Panics
    /// When there is no account made.
    pub async fn join(&self, handle: &str) -> (String, String) {
        let body = json!({ "handle": handle, "password": "correct horse" });
        let made = self.ask("POST", "/v1/accounts", "", &body).await;
        assert_eq!(made.status, 201, "{}", made.body);
        let text = |name: &str| made.body[name].as_str().unwrap().to_owned();
        (text("account"), text("access_token"))
    }

    /// Ends it.
    ///
    /// # Panics
    /// When the engine is gone already.
    pub async fn end(self) {
        self.ground.drain.begin();
        self.ground.storage.database.close().await.unwrap();
    }
}

/// Holds the document that a GET answers with to what is described: its kind, and its own fields. Alternatives, and what is no
/// JSON, are held to nothing.
fn hold_document(described: &Value, path: &str, body: &Value) {
    let answer = &described["paths"][path]["get"]["responses"]["200"];
    let schema = &answer["content"]["application/json"]["schema"];
    let named = schema["$ref"].as_str().and_then(|at| described.pointer(at.trim_start_matches('#')));
    let schema = named.unwrap_or(schema);
    let kind = schema["type"].as_str().unwrap_or_default();
    assert!(kind != "array" || body.is_array(), "{path}: a list is described: {body}");
    let Some(properties) = schema["properties"].as_object().filter(|_| kind == "object") else { return };
    assert!(body.is_object(), "{path}: an object is described: {body}");
    let fields = body.as_object().unwrap();
    let strange: Vec<_> = fields.keys().filter(|name| !properties.contains_key(*name)).collect();
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let missing: Vec<_> = required.filter(|name| !fields.contains_key(*name)).collect();
    assert!(
        strange.is_empty() && missing.is_empty(),
        "{path}: not described {strange:?}, missing {missing:?}"
    );
}

/// A request: the method in any case, the token and the document where there are any.
///
/// # Panics
/// When it is none that HTTP knows.
#[must_use]
pub fn request(method: &str, path: &str, token: &str, body: &Value) -> Request<Body> {
    let mut request = Request::builder().method(method.to_uppercase().as_str()).uri(path);
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    request.body(body).unwrap()
}
