//! An origin with apps behind edges, an administrator, and the rows of the database to count.

use super::readers::Reader;
use crate::fleet::{Account, Fleet, Wanted, good};
use anyhow::Context;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use sluice_storage::rows::sea_orm::{ConnectionTrait, QueryResult, Statement};
use sluice_storage::{Storage, StorageConfig};
use sluice_wire::Tag;
use sluice_wire::headers::SLUICE_VERSION;
use sluice_wire::tag::parse_versions;
use std::collections::BTreeMap;
use std::time::Duration;
use tempfile::TempDir;

/// What is running.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) fleet: Fleet,
    /// The administrator's access token.
    pub(super) boss: String,
    rows: Storage,
    _folder: TempDir,
}

/// What of it differs between parts.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Differs<'d> {
    pub(super) edges: &'d [&'d str],
    /// Further flags of the origin.
    pub(super) origin: &'d [&'d str],
    /// Whether what the origin sends to edges is counted.
    pub(super) counted: bool,
}

impl Scene {
    /// Starts it on a new SQLite file.
    pub(super) async fn start(differs: Differs<'_>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let at = |name: &str| folder.path().join(name).display().to_string();
        let (database, objects) = (format!("sqlite:{}", at("sluice.db")), format!("file:{}", at("objects")));
        let origin = [&["--accounts.admins", "boss"][..], differs.origin].concat();
        let Differs { edges, counted, .. } = differs;
        let wanted =
            Wanted { edges, origin: &origin, database: Some(&database), counted, ..Wanted::default() };
        let fleet = Fleet::start(folder.path(), &wanted).await?;
        let boss = fleet.account("boss").await?.token;
        let config = StorageConfig { database: database.clone(), objects, ..StorageConfig::default() };
        Ok(Self { rows: Storage::open(&config).await?, fleet, boss, _folder: folder })
    }

    /// Somebody who has signed up, and whom the feed knows.
    pub(super) async fn author(&self, handle: &str) -> anyhow::Result<Account> {
        let account = self.fleet.account(handle).await?;
        self.done(Method::GET, "/v1/feed/home", &account.token, Value::Null).await?;
        Ok(account)
    }

    /// A request of an account at an edge.
    pub(super) fn ask(
        &self,
        edge: usize,
        method: Method,
        path: &str,
        token: &str,
    ) -> anyhow::Result<RequestBuilder> {
        let url = format!("{}{path}", self.fleet.edges[edge % self.fleet.edges.len()].url()?);
        Ok(self.fleet.client.request(method, url).bearer_auth(token))
    }

    /// What an account is told at the origin, which must be good news.
    pub(super) async fn done(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Value,
    ) -> anyhow::Result<Value> {
        let asked = self.fleet.client.request(method, format!("{}{path}", self.fleet.origin.url()?));
        good(sent(asked.bearer_auth(token), body).await?).await
    }

    /// A new post's id; it is sent to an edge.
    pub(super) async fn post(&self, edge: usize, token: &str, text: &str) -> anyhow::Result<String> {
        let asked = self.ask(edge, Method::POST, "/v1/feed/posts", token)?;
        let made = good(asked.json(&json!({ "text": text })).send().await?).await?;
        Ok(made["id"].as_str().context("a post has an id")?.to_owned())
    }

    /// The texts on the first page of a reader's home by time, as an edge puts it together.
    pub(super) async fn texts(
        &self,
        edge: usize,
        reader: &Reader,
        limit: usize,
    ) -> anyhow::Result<Vec<String>> {
        let path = format!("/v1/feed/home?order=latest&limit={limit}");
        let page = good(self.ask(edge, Method::GET, &path, &reader.token)?.send().await?).await?;
        let items = page["items"].as_array().with_context(|| format!("no page: {page}"))?;
        let text = |item: &Value| Some(item["c"]["text"].as_str()?.to_owned());
        items.iter().map(|item| text(item).with_context(|| format!("without a post: {item}"))).collect()
    }

    /// Reads that reached the origin so far, of routes that begin so.
    pub(super) async fn reached(&self, routes: &str) -> anyhow::Result<f64> {
        let (name, route) = ("sluice_origin_statements_count", format!("route=\"{routes}"));
        self.fleet.origin.metric_of(&self.fleet.client, name, &["method=\"GET\"", &route]).await
    }

    /// The first number of a question in SQL.
    pub(super) async fn number(&self, sql: &str) -> anyhow::Result<i64> {
        let row = self.select(sql).await?.into_iter().next().context("no row")?;
        Ok(row.try_get_by_index(0)?)
    }

    /// How many rows each table has.
    pub(super) async fn rows(&self) -> anyhow::Result<BTreeMap<String, i64>> {
        let tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
        let mut rows = BTreeMap::new();
        for table in self.select(tables).await? {
            let table: String = table.try_get_by_index(0)?;
            let count = self.number(&format!("SELECT COUNT(*) FROM \"{table}\"")).await?;
            rows.insert(table, count);
        }
        Ok(rows)
    }

    async fn select(&self, sql: &str) -> anyhow::Result<Vec<QueryResult>> {
        let reader = self.rows.database.reader();
        Ok(reader.query_all_raw(Statement::from_string(reader.get_database_backend(), sql)).await?)
    }

    /// Waits until every post has been brought to its readers.
    pub(super) async fn brought(&self, limit: Duration) -> anyhow::Result<()> {
        let waiting = async {
            while self.number("SELECT COUNT(*) FROM feed_work").await? > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(limit, waiting).await.context("posts are not brought to their readers")?
    }

    pub(super) async fn stop(self) {
        self.fleet.stop().await;
    }
}

/// Sends a request with a body, if there is one.
pub(super) async fn sent(asked: RequestBuilder, body: Value) -> anyhow::Result<Response> {
    Ok(if body.is_null() { asked } else { asked.json(&body) }.send().await?)
}

/// The version of a tag that an answer reflects.
pub(super) fn version(answer: &Response, tag: &Tag) -> anyhow::Result<u64> {
    let text = answer.headers().get(SLUICE_VERSION).and_then(|value| value.to_str().ok());
    let versions = parse_versions(text.unwrap_or_default());
    let of = versions.into_iter().find(|(name, _)| name == tag);
    let (_, version) = of.with_context(|| {
        format!("{} of {} does not reflect {tag}: {text:?}", answer.status(), answer.url().path())
    })?;
    Ok(version.0)
}
