//! Home lists on PostgreSQL that are kept in Redis, while readers follow and cease to, the origin is killed and a post is deleted
//! before it is with everybody: nobody's home misses a post, and none has one twice.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use sluice_storage::testing::{Postgres, Redis};
use sluice_tests::shop;
use sluice_tests::social::{Social, told};
use sluice_wire::AccountId;
use tokio::time::{Instant, sleep};

/// How long what happens behind a request may take on a busy machine; less than a kept list lives.
const LIMIT: Duration = Duration::from_secs(60);
/// Readers that come often and do nothing.
const CROWD: u32 = 40;
/// Posts that are made while readers come and go.
const POSTS: usize = 8;

/// An author, readers who stay, and some who come and go. A post comes to three readers at a time.
struct Scene {
    social: Social,
    ann: String,
    stay: Vec<String>,
    go: Vec<String>,
    /// All posts, the newest first.
    posts: Vec<String>,
    _engines: (Postgres, Redis),
}

impl Scene {
    async fn start() -> Self {
        let (postgres, redis) = (Postgres::start().await, Redis::start().await);
        let (database, bus) = (postgres.fresh_database().await, redis.url());
        let flags = [
            ("storage.database", database.as_str()),
            ("storage.bus", bus.as_str()),
            ("apps.feed.chunk", "3"),
            ("apps.feed.rest_ms", "20"),
        ];
        let social = Social::start(&flags, &[]).await;
        let origin = social.origin.url();
        let (root, ann) = (shop::sign_up(&origin, "root").await, shop::sign_up(&origin, "ann").await);
        let mut readers = vec![];
        // In the order of their ids, which is that of a post's steps: who goes is before who stays.
        for n in 0..6 {
            readers.push(shop::sign_up(&origin, &format!("reader{n}")).await);
        }
        let stay = readers.split_off(3);
        let mut scene = Self { social, ann, stay, go: readers, posts: vec![], _engines: (postgres, redis) };
        scene.post("the first").await;
        for reader in scene.stay.iter().chain(&scene.go) {
            scene.follow(Method::PUT, reader).await;
        }
        let of = |n: u32| json!([AccountId::from_parts(1_800_000_000_000, n), format!("r{n}")]);
        let crowd: Vec<Value> = (0..CROWD).map(of).collect();
        let body = json!({ "author": "ann", "readers": crowd, "active": true });
        scene.social.done(Method::POST, "/v1/feed/import", &root, body).await;
        scene
    }

    async fn post(&mut self, text: &str) {
        let post = self.social.post(&self.ann, text).await;
        self.posts.insert(0, post);
    }

    async fn follow(&self, method: Method, reader: &str) {
        self.social.done(method, "/v1/feed/users/ann/follow", reader, Value::Null).await;
    }

    /// Ids of the first home page of a reader, by time.
    async fn home(&self, reader: &str) -> Vec<String> {
        let asked =
            self.social.ask(&self.social.origin, Method::GET, "/v1/feed/home?order=latest&limit=100", reader);
        let (status, page) = told(asked.send().await.unwrap()).await;
        assert_eq!(status, 200, "{page}");
        let last = |item: &Value| item["f"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        let ids: Vec<String> = page["items"].as_array().unwrap().iter().map(last).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "none twice: {ids:?}");
        ids
    }

    /// Waits until each of these readers' homes has every post.
    async fn complete(&self, readers: &[String]) {
        for reader in readers {
            let begun = Instant::now();
            while self.home(reader).await != self.posts {
                assert!(begun.elapsed() < LIMIT, "{:?} are not {:?}", self.home(reader).await, self.posts);
                sleep(Duration::from_millis(20)).await;
            }
        }
    }

    /// Ceases to follow, follows again and looks, until the posts are made.
    async fn comes_and_goes(&self, reader: &str, made: &AtomicBool) {
        while !made.load(Ordering::Relaxed) {
            self.follow(Method::DELETE, reader).await;
            self.home(reader).await;
            self.follow(Method::PUT, reader).await;
            self.home(reader).await;
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Looks again and again, so that its list is kept, until the posts are made.
    async fn looks(&self, reader: &str, made: &AtomicBool) {
        while !made.load(Ordering::Relaxed) {
            self.home(reader).await;
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Posts, each once those who stay have the one before; the newest first.
    async fn post_some(&self, made: &AtomicBool) -> Vec<String> {
        let mut posts = vec![];
        for n in 0..POSTS {
            let post = self.social.post(&self.ann, &format!("post {n}")).await;
            for reader in &self.stay {
                let begun = Instant::now();
                while !self.home(reader).await.contains(&post) {
                    assert!(begun.elapsed() < LIMIT, "{post} is missing");
                    sleep(Duration::from_millis(5)).await;
                }
            }
            posts.insert(0, post);
        }
        made.store(true, Ordering::Relaxed);
        posts
    }

    /// Posts while some come and go and the others look.
    async fn post_among_them(&mut self) {
        let (scene, made) = (&*self, &AtomicBool::new(false));
        let going = join_all(scene.go.iter().map(|reader| scene.comes_and_goes(reader, made)));
        let staying = join_all(scene.stay.iter().map(|reader| scene.looks(reader, made)));
        let (mut posts, _, _) = tokio::join!(scene.post_some(made), going, staying);
        posts.append(&mut self.posts);
        self.posts = posts;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_home_misses_a_post_while_readers_come_and_go_and_the_origin_is_killed() {
    let mut scene = Scene::start().await;
    scene.complete(&scene.stay).await;
    scene.post_among_them().await;
    scene.complete(&scene.stay).await;
    scene.complete(&scene.go).await;
    let kept = scene.social.origin.metric("sluice_feed_homes_total", &["\"kept\""]).await;
    assert!(kept > 0.0, "lists were kept meanwhile");

    // More than a dozen steps are left of it when the origin dies.
    scene.post("before the crash").await;
    scene.social.origin.kill9();
    scene.social.origin.start().await;
    scene.post_among_them().await;
    scene.complete(&scene.stay).await;
    scene.complete(&scene.go).await;

    let wrong = scene.social.post(&scene.ann, "to be deleted").await;
    scene.social.done(Method::DELETE, &format!("/v1/feed/posts/{wrong}"), &scene.ann, Value::Null).await;
    for reader in scene.stay.iter().chain(&scene.go) {
        assert_eq!(scene.home(reader).await, scene.posts, "at once");
    }
    scene.post("the last").await;
    scene.complete(&scene.stay).await;
    scene.complete(&scene.go).await;
}
