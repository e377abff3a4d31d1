//! Asking servers, and saying what they answered.

use anyhow::{Context, anyhow};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::Value;
use sluice_wire::Problem;
use std::io::Write;
use std::time::Duration;

/// A client of one server.
pub(crate) struct Api {
    http: Client,
    base: String,
    token: Option<String>,
}

impl Api {
    pub(crate) fn new(base: &str) -> anyhow::Result<Self> {
        let http = Client::builder().connect_timeout(Duration::from_secs(5)).build()?;
        Ok(Self { http, base: base.trim_end_matches('/').to_owned(), token: None })
    }

    /// The same, bearing an operator's token.
    pub(crate) fn bearing(self, token: Option<String>) -> Self {
        Self { token, ..self }
    }

    /// A request for a path.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// A request for a URL that the server gave.
    pub(crate) fn at(&self, method: Method, url: &str) -> RequestBuilder {
        self.http.request(method, url)
    }

    /// The server's address, without a slash at its end.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.send(self.request(Method::GET, path).timeout(Duration::from_secs(30))).await
    }

    /// Sends a request; a problem becomes an error in words.
    pub(crate) async fn send(&self, request: RequestBuilder) -> anyhow::Result<Value> {
        let answer = request.send().await.with_context(|| format!("asking {}", self.base))?;
        if answer.status().is_success() {
            return Ok(serde_json::from_str(&answer.text().await?).unwrap_or(Value::Null));
        }
        Err(Self::problem(answer).await)
    }

    /// What an answer that refuses says, in words.
    pub(crate) async fn problem(answer: Response) -> anyhow::Error {
        let status = answer.status();
        let text = answer.text().await.unwrap_or_default();
        match serde_json::from_str::<Problem>(&text) {
            Ok(problem) => anyhow!("{}: {} ({status})", problem.title, problem.detail.unwrap_or_default()),
            Err(_) => anyhow!("{status}: {text:.200}"),
        }
    }
}

/// Prints an answer, as JSON or in words.
pub(crate) fn show(raw: bool, answer: &Value, words: impl FnOnce(&Value) -> String) {
    if raw { say(&format!("{answer:#}")) } else { say(words(answer).trim_end()) }
}

/// A value in words.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Writes a line for the reader. A closed terminal is no failure.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    drop(out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")));
}

/// Writes to standard error.
pub(crate) fn complain(text: &str) {
    drop(std::io::stderr().write_all(text.as_bytes()));
}
