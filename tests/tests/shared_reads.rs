//! Public reads of the feed are everybody's: they cost the origin what changes, and not what is read.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use futures::stream::iter;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::Method;
use serde_json::Value;
use sluice_tests::client::header;
use sluice_tests::process::Process;
use sluice_tests::shop;
use sluice_tests::social::Social;
use tokio::time::{Instant, sleep};

/// How long an event may take to edges on a busy machine.
const LIMIT: Duration = Duration::from_secs(10);

/// Reads something of an edge at once so often, and gives the bodies.
async fn crowd(scene: &Social, at: &Process, path: &str, size: usize) -> Vec<Value> {
    let reads = (0..size).map(|_| async {
        let answer = scene.http.get(format!("{}{path}", at.url())).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.json().await.unwrap()
    });
    join_all(reads).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hot_post_costs_one_render_for_each_edge_and_version() {
    let scene = Social::start(&[], &[]).await;
    let (ann, ben) =
        (shop::sign_up(&scene.origin.url(), "ann").await, shop::sign_up(&scene.origin.url(), "ben").await);
    let post = scene.post(&ann, "hot").await;
    let path = format!("/v1/feed/posts/{post}");
    let renders = async || scene.asked("GET", "/v1/feed/posts/{id}\"").await;
    for edge in &scene.edges {
        crowd(&scene, edge, &path, 100).await;
    }
    assert_eq!(renders().await, 2.0, "one for each edge, however many ask at once");
    for (version, likes) in [(1, 1), (2, 0), (3, 1)] {
        let method = if likes == 1 { Method::PUT } else { Method::DELETE };
        scene.done(method, &format!("{path}/like"), &ben, Value::Null).await;
        for edge in &scene.edges {
            let begun = Instant::now();
            // Once an edge knows of the change it shows nothing older.
            loop {
                let demanded = scene.http.get(format!("{}{path}", edge.url()));
                let demanded = demanded.header("sluice-at-least", format!("post:{post}={version}"));
                let answer = demanded.send().await.unwrap();
                if answer.status() == 200
                    && header(&answer, "sluice-version") == format!("post:{post}={version}")
                {
                    break;
                }
                assert!(begun.elapsed() < LIMIT, "version {version} does not come: {}", answer.status());
                sleep(Duration::from_millis(10)).await;
            }
            let seen = crowd(&scene, edge, &path, 100).await;
            assert!(seen.iter().all(|post| post["likes"] == likes), "version {version}: {:?}", seen[0]);
        }
        assert_eq!(renders().await, 2.0 + 2.0 * f64::from(version), "version {version}");
    }
}

/// Draws ranks with a probability of one over the rank: Zipf's law with an exponent of 1.
struct Zipf(Vec<f64>);

impl Zipf {
    fn new(size: usize) -> Self {
        let sums = (1..=size).scan(0.0, |sum, rank| {
            *sum += 1.0 / rank as f64;
            Some(*sum)
        });
        Self(sums.collect())
    }

    fn draw(&self, chance: &mut StdRng) -> usize {
        let at = chance.random_range(0.0..*self.0.last().unwrap());
        self.0.partition_point(|sum| *sum <= at)
    }
}

/// What is read of ten authors with ten posts each, most of which nobody answers: the most popular first.
async fn library(scene: &Social) -> (Vec<String>, Vec<String>) {
    let (mut paths, mut tokens, mut posts) = (vec![], vec![], vec![]);
    for n in 0..10 {
        let token = shop::sign_up(&scene.origin.url(), &format!("author{n}")).await;
        for post in 0..10 {
            posts.push(scene.post(&token, &format!("post {post} of author {n}")).await);
        }
        tokens.push(token);
        paths.push(format!("/v1/feed/users/author{n}"));
        paths.push(format!("/v1/feed/users/author{n}/posts"));
    }
    for (n, post) in posts.iter().enumerate() {
        paths.push(format!("/v1/feed/posts/{post}"));
        if n % 3 == 0 {
            paths.push(format!("/v1/feed/posts/{post}/thread"));
        }
    }
    (paths, tokens)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_most_one_public_read_of_twenty_reaches_the_origin_while_people_post_and_like() {
    const READS: usize = 12_000;
    /// One read of so many is followed by a write: two in a hundred people do more than read.
    const WRITE_EVERY: usize = 200;
    let scene = Social::start(&[], &[]).await;
    let (mut paths, tokens) = library(&scene).await;
    let mut chance = StdRng::seed_from_u64(1);
    // Which is how popular has nothing to do with what it is.
    for at in (1..paths.len()).rev() {
        paths.swap(at, chance.random_range(0..=at));
    }
    let zipf = Zipf::new(paths.len());
    let before = scene.asked("GET", "/v1/feed/").await;
    let mut writes = 0;
    for round in 0..READS / WRITE_EVERY {
        let reads: Vec<String> = (0..WRITE_EVERY)
            .map(|n| format!("{}{}", scene.edges[n % 2].url(), paths[zipf.draw(&mut chance)]))
            .collect();
        let answers = iter(reads).map(|url| scene.http.get(url).send()).buffer_unordered(16);
        answers.for_each(|answer| async { assert_eq!(answer.unwrap().status(), 200) }).await;
        let token = &tokens[round % tokens.len()];
        let liked = &paths[zipf.draw(&mut chance)];
        match liked.strip_suffix("/thread").unwrap_or(liked) {
            post if post.starts_with("/v1/feed/posts/") => {
                scene.done(Method::PUT, &format!("{post}/like"), token, Value::Null).await;
            }
            _ => _ = scene.post(token, "one more").await,
        }
        writes += 1;
    }
    let reached = scene.asked("GET", "/v1/feed/").await - before;
    let share = reached / READS as f64;
    assert!(share <= 0.05, "{reached} of {READS} reads reached the origin, with {writes} writes: {share:.3}");
    // It is shared, and not merely refused: the origin was asked for what there is at least once.
    assert!(reached >= paths.len() as f64 / 2.0, "{reached}");
}
