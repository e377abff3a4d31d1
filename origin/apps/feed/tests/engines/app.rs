//! The app, alone in a process, and what it answers.

use std::io::Cursor;
use std::time::Duration;

use axum::body::Body;
use http::Request;
use image::{ImageFormat, RgbImage};
use serde_json::{Value, json};
use sluice_feed::Config;
use sluice_platform::AccountsConfig;
use sluice_platform::testing::Alone;
pub(super) use sluice_platform::testing::Reply as Answer;
use sluice_storage::rows::sea_orm::{ConnectionTrait, Statement};
use sluice_storage::testing::Postgres;
use sluice_storage::{NewVideo, StorageError, VideoState};
use sluice_wire::VideoId;
use tokio::time::{Instant, sleep};

/// How long what happens behind a request may take on a busy machine.
pub(super) const LIMIT: Duration = Duration::from_secs(20);

/// The app, alone in a process.
pub(super) struct App {
    pub(super) alone: Alone,
    /// Nothing is done twice: on PostgreSQL, a transaction that lost to another one is done again, and counts again.
    exact: bool,
}

impl App {
    pub(super) async fn start(database: Option<&Postgres>, config: &Config) -> Self {
        let accounts = AccountsConfig { admins: vec!["root".into()], ..AccountsConfig::default() };
        let mut alone = Alone::start(database, &accounts).await;
        let app = sluice_feed::start(&alone.ground, config).await.unwrap();
        alone.serve(app);
        Self { alone, exact: database.is_none() }
    }

    pub(super) async fn ask(&self, method: &str, path: &str, token: &str, body: Value) -> Answer {
        self.alone.ask(method, path, token, &body).await
    }

    /// Sends a request as it is.
    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        self.alone.send(request).await
    }

    /// Holds a write to its number of statements.
    pub(super) fn took(&self, answer: &Answer, statements: u64) {
        let took = answer.statements;
        assert!(took == statements || (!self.exact && took > statements), "{took}, not {statements}");
    }

    /// A new account's access token.
    pub(super) async fn join(&self, handle: &str) -> String {
        self.alone.join(handle).await.1
    }

    pub(super) async fn post(&self, token: &str, text: &str) -> String {
        let answer = self.ask("POST", "/v1/feed/posts", token, json!({ "text": text })).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.body["id"].as_str().unwrap().to_owned()
    }

    /// A video that is added to the library.
    pub(super) async fn video(&self, id: VideoId) {
        let storage = &self.alone.ground.storage;
        let (videos, new) = (
            &storage.videos(),
            &NewVideo {
                id,
                name: "film.mkv".into(),
                title: "A film".into(),
                state: VideoState::Queued,
                bytes: None,
                sha256: None,
                edition_of: None,
            },
        );
        let write = storage
            .database
            .write::<_, StorageError, _>(|tx| Box::pin(async move { videos.create(tx, new).await }));
        write.await.unwrap();
    }

    /// Ids of a home page by time.
    pub(super) async fn home(&self, token: &str) -> Vec<String> {
        let answer = self.ask("GET", "/v1/feed/home?order=latest", token, Value::Null).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        ids(&answer.body)
    }

    /// What explains a home page.
    pub(super) async fn whys(&self, token: &str) -> Vec<String> {
        let answer = self.ask("GET", "/v1/feed/home/explain", token, Value::Null).await;
        answer.body["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["why"].as_str().unwrap().into())
            .collect()
    }

    /// Waits until a reader's home comes from its list alone, of so many entries.
    pub(super) async fn listed(&self, token: &str, entries: usize) {
        let begun = Instant::now();
        while self.whys(token).await.iter().filter(|why| *why == "pushed").count() != entries {
            assert!(begun.elapsed() < LIMIT, "the list was not there: {:?}", self.whys(token).await);
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// A number out of the tables.
    pub(super) async fn number(&self, sql: &str) -> i64 {
        let reader = self.alone.ground.storage.database.reader();
        let ask = Statement::from_string(reader.get_database_backend(), sql);
        reader.query_one_raw(ask).await.unwrap().unwrap().try_get("", "n").unwrap()
    }

    /// Waits until every post was brought to all.
    pub(super) async fn brought(&self) {
        let begun = Instant::now();
        while self.number("SELECT COUNT(*) AS n FROM feed_work").await != 0 {
            assert!(begun.elapsed() < LIMIT, "posts are not brought");
            sleep(Duration::from_millis(10)).await;
        }
    }

    pub(super) async fn end(self) {
        self.alone.end().await;
    }
}

/// Sends a picture, to be kept as a photo.
pub(super) fn picture(token: &str) -> Request<Body> {
    let mut bytes = Cursor::new(vec![]);
    RgbImage::new(8, 8).write_to(&mut bytes, ImageFormat::Png).unwrap();
    let request = Request::post("/v1/feed/photos")
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "image/png")
        .body(Body::from(bytes.into_inner()));
    request.unwrap()
}

pub(super) fn ids(page: &Value) -> Vec<String> {
    let last = |item: &Value| item["f"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    page["items"].as_array().unwrap().iter().map(last).collect()
}
