//! Home lists that are kept in Redis, and what their readers see when it is emptied, stopped, killed or given an older state of
//! itself: all that was posted, once each, and no error. The database's share of the work at most doubles meanwhile.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use sluice_storage::testing::Redis;
use sluice_tests::shop;
use sluice_tests::social::{Social, told};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

/// How long what happens behind a request may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);
/// How soon lists are kept again once the engine is back (row R53).
const BACK: Duration = Duration::from_secs(5);
/// What a write may take while the engine stands still: less than a command to it waits.
const UNHURT: Duration = Duration::from_millis(1_500);
/// Reads of a measurement.
const READS: usize = 40;

/// An origin whose bus is Redis, an author, and a reader who follows.
struct Scene {
    social: Social,
    redis: Redis,
    ann: String,
    ben: String,
    /// All posts, the newest first.
    posts: Vec<String>,
}

impl Scene {
    async fn start() -> Self {
        let redis = Redis::start().await;
        let social = Social::start(&[("storage.bus", &redis.url())], &[]).await;
        let ann = shop::sign_up(&social.origin.url(), "ann").await;
        let ben = shop::sign_up(&social.origin.url(), "ben").await;
        let mut scene = Self { social, redis, ann, ben, posts: vec![] };
        for n in 0..30 {
            scene.post(&format!("post {n}")).await;
        }
        scene.social.done(Method::PUT, "/v1/feed/users/ann/follow", &scene.ben, Value::Null).await;
        scene
    }

    async fn post(&mut self, text: &str) {
        let post = self.social.post(&self.ann, text).await;
        self.posts.insert(0, post);
    }

    /// One command, as one types it.
    async fn command(&self, command: &str) {
        let url = self.redis.url();
        let at = url.trim_start_matches("redis://").split('/').next().unwrap();
        let mut connection = TcpStream::connect(at).await.unwrap();
        connection.write_all(format!("{command}\r\n").as_bytes()).await.unwrap();
        let mut answer = [0; 5];
        timeout(LIMIT, connection.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(&answer, b"+OK\r\n");
    }

    /// Ben's whole home by time, page by page.
    async fn home(&self) -> Vec<String> {
        let (mut all, mut after) = (vec![], String::new());
        loop {
            let path = format!("/v1/feed/home?order=latest{after}");
            let begun = Instant::now();
            let asked = self.social.ask(&self.social.origin, Method::GET, &path, &self.ben);
            let (status, page) = told(asked.send().await.unwrap()).await;
            assert_eq!(status, 200, "{page}");
            assert!(begun.elapsed() < Duration::from_secs(3), "a page took {:?}", begun.elapsed());
            let items = page["items"].as_array().unwrap();
            assert!(!items.is_empty() || !after.is_empty(), "an empty page");
            all.extend(
                items.iter().map(|item| item["f"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()),
            );
            let Some(next) = page["next"].as_str() else { return all };
            after = format!("&after={next}");
        }
    }

    /// Ben's home has every post from this moment on, but for a time in which a Redis that went back may go unnoticed; then his list
    /// is kept again, and has it all.
    async fn recovers(&self) {
        let begun = Instant::now();
        while self.home().await != self.posts {
            assert!(begun.elapsed() < BACK, "ben sees the past");
        }
        self.kept(BACK.saturating_sub(begun.elapsed())).await;
        for _ in 0..READS {
            assert_eq!(self.home().await, self.posts, "what is kept has it all");
        }
    }

    /// Waits until ben's home has every post, each once.
    async fn complete(&self) {
        let begun = Instant::now();
        loop {
            let home = self.home().await;
            let mut once = home.clone();
            once.dedup();
            assert_eq!(once, home, "none twice");
            if home == self.posts {
                return;
            }
            assert!(begun.elapsed() < LIMIT, "{} of {} posts", home.len(), self.posts.len());
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn homes(&self, from: &str) -> f64 {
        self.social.origin.metric("sluice_feed_homes_total", &[&format!("\"{from}\"")]).await
    }

    /// Waits until ben's list is kept.
    async fn kept(&self, within: Duration) {
        let (begun, before) = (Instant::now(), self.homes("kept").await);
        while self.homes("kept").await == before {
            self.home().await;
            assert!(begun.elapsed() < within, "the list is not kept");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Statements that readings of a home take, with those behind them.
    async fn load(&self) -> f64 {
        let statements = async || {
            let asked = ["method=\"GET\"", "route=\"/v1/feed/home\""];
            let asked = self.social.origin.metric("sluice_origin_statements_sum", &asked).await;
            asked + self.social.origin.metric("sluice_feed_list_fills_total", &[]).await
        };
        let before = statements().await;
        for _ in 0..READS {
            self.home().await;
        }
        statements().await - before
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_list_is_read_from_no_row_and_has_what_is_posted_followed_and_deleted() {
    let mut scene = Scene::start().await;
    scene.complete().await;
    scene.kept(LIMIT).await;
    let rows = scene.homes("rows").await + scene.homes("follows").await;
    scene.load().await;
    assert_eq!(scene.homes("rows").await + scene.homes("follows").await, rows, "warm reads are from no row");

    scene.post("one more").await;
    scene.complete().await;
    let gone = scene.posts.remove(3);
    scene.social.done(Method::DELETE, &format!("/v1/feed/posts/{gone}"), &scene.ann, Value::Null).await;
    assert_eq!(scene.home().await, scene.posts, "at once");
    for post in scene.posts.drain(..).take(28).collect::<Vec<_>>() {
        scene.social.done(Method::DELETE, &format!("/v1/feed/posts/{post}"), &scene.ann, Value::Null).await;
    }
    let left = scene.home().await;
    assert_eq!(left.len(), 2, "{left:?}");
    scene.social.done(Method::DELETE, "/v1/feed/users/ann/follow", &scene.ben, Value::Null).await;
    let asked = scene.social.ask(&scene.social.origin, Method::GET, "/v1/feed/home", &scene.ben);
    let (_, page) = told(asked.send().await.unwrap()).await;
    assert_eq!(page["items"].as_array().map(Vec::len), Some(0), "with a follow, its posts go: {page}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_is_emptied_stopped_or_killed_costs_no_post_and_no_error() {
    let mut scene = Scene::start().await;
    scene.complete().await;
    scene.kept(LIMIT).await;
    let warm = scene.load().await;

    scene.command("FLUSHALL").await;
    let emptied = scene.load().await;
    assert!(emptied <= 2.0 * warm, "{emptied} statements, {warm} before");
    scene.kept(BACK).await;

    scene.redis.pause(Duration::from_secs(5)).await;
    let paused = Instant::now();
    scene.post("while it stands still").await;
    assert!(paused.elapsed() < UNHURT, "a post waited {:?} for it", paused.elapsed());
    let stopped = scene.load().await;
    assert!(stopped <= 2.0 * warm, "{stopped} statements, {warm} before");
    scene.complete().await;
    sleep(Duration::from_secs(5).saturating_sub(paused.elapsed())).await;
    scene.kept(BACK).await;
    assert_eq!(scene.home().await, scene.posts, "what it still has is not believed");

    scene.redis.stop();
    scene.post("while it is away").await;
    let killed = scene.load().await;
    assert!(killed <= 2.0 * warm, "{killed} statements, {warm} before");
    scene.complete().await;
    scene.redis.start_again().await;
    scene.kept(BACK).await;
    assert_eq!(scene.home().await, scene.posts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_goes_back_to_what_it_had_before_shows_nobody_the_past_for_long() {
    let mut scene = Scene::start().await;
    let replica = Redis::start().await;
    scene.complete().await;
    scene.kept(LIMIT).await;

    // A replica that has not heard of the last post, nor of what went, is the primary now.
    replica.take_over(&scene.redis).await;
    scene.post("that the replica never had").await;
    let gone = scene.posts.remove(5);
    scene.social.done(Method::DELETE, &format!("/v1/feed/posts/{gone}"), &scene.ann, Value::Null).await;
    scene.complete().await;
    scene.redis.take_over(&replica).await;
    scene.recovers().await;

    // A snapshot that it is started from again.
    scene.redis.save().await;
    scene.post("since the snapshot").await;
    scene.complete().await;
    scene.redis.stop();
    scene.redis.start_again().await;
    scene.recovers().await;
    scene.post("after it all").await;
    scene.complete().await;
    assert!(scene.social.origin.metric("sluice_feed_list_generations_total", &[]).await >= 2.0);
}
