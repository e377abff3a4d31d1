//! What a home page costs the origin once an edge has the posts: the reader's own list, and nothing else.

use super::Ground;
use super::readers::{Reader, Readers};
use super::scene::{Differs, Scene};
use super::visible::{BROUGHT, EDGES};
use crate::fleet::good;
use crate::report::progress;
use crate::statistics::millis;
use anyhow::{Context, ensure};
use futures::stream::{StreamExt, TryStreamExt, iter};
use reqwest::Method;
use serde_json::Value;
use std::time::Instant;

/// Authors and posts of each: twice as many as a page has.
const AUTHORS: usize = 8;
const POSTS: usize = 6;
/// Posts of a page.
pub(super) const PAGE: usize = 24;
/// Readers, and the part of posts that each likes.
const READERS: usize = 32;
const LIKED: usize = 3;
/// Reads at most, and at a time.
const READS: usize = 4_000;
const AT_ONCE: usize = 8;

/// What a read costs.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) reads: usize,
    /// Requests that reached the origin for lists, and for anything else, a read.
    pub(super) lists: f64,
    pub(super) others: f64,
    /// Bytes of the list itself, and all that came over the wire for each read.
    pub(super) list: f64,
    pub(super) wire: f64,
    /// Bytes that a reader has of it.
    pub(super) page: f64,
    /// Milliseconds of each.
    pub(super) took: Vec<f64>,
    pub(super) commands: Vec<String>,
}

/// Measures it.
pub(super) async fn run(ground: &Ground) -> anyhow::Result<Found> {
    let origin = ["--apps.run", "feed"];
    let scene = Scene::start(Differs { edges: &EDGES, origin: &origin, counted: true }).await?;
    let readers = gathered(&scene).await?;
    // Lists are there, edges have the posts.
    for _ in 0..2 {
        for edge in 0..EDGES.len() {
            for reader in &readers {
                page(&scene, edge, reader).await?;
            }
        }
    }
    let wire = scene.fleet.wire.as_ref().context("bytes are counted")?;
    let before = (scene.reached("/v1/feed/home").await?, scene.reached("/v1/feed/").await?, wire.sent());
    let reads = ground.reads.min(READS);
    let asked = iter(0..reads).map(|number| {
        let reader = &readers[number / EDGES.len() % readers.len()];
        page(&scene, number, reader)
    });
    let pages: Vec<(usize, f64)> = asked.buffer_unordered(AT_ONCE).try_collect().await?;
    let sent = wire.sent() - before.2;
    let lists = scene.reached("/v1/feed/home").await? - before.0;
    let all = scene.reached("/v1/feed/").await? - before.1;
    let mut list = 0;
    for reader in &readers {
        let url = format!("{}/v1/feed/home?order=latest", scene.fleet.origin.url()?);
        let answer = scene.fleet.client.get(url).bearer_auth(&reader.token).send().await?;
        list += answer.error_for_status()?.bytes().await?.len();
    }
    let each = |all: f64| all / reads as f64;
    let found = Found {
        reads,
        lists: each(lists),
        others: each(all - lists),
        list: list as f64 / readers.len() as f64,
        wire: each(sent as f64),
        page: each(pages.iter().map(|(bytes, _)| *bytes).sum::<usize>() as f64),
        took: pages.iter().map(|(_, took)| *took).collect(),
        commands: scene.fleet.commands(),
    };
    progress(format!(
        "feed: a warm read is {:.0} bytes of a list, {:.0} on the wire",
        found.list, found.wire
    ));
    scene.stop().await;
    Ok(found)
}

/// Authors with posts, and readers who follow all of them and like some.
async fn gathered(scene: &Scene) -> anyhow::Result<Vec<Reader>> {
    let (readers, mut posts) = (Readers { count: READERS }, vec![]);
    for author in 0..AUTHORS {
        let handle = format!("author{author}");
        let account = scene.author(&handle).await?;
        for post in 0..POSTS {
            let text = format!("What author {author} has to say, for the {post}th time, in a line or so.");
            posts.push(scene.post(0, &account.token, &text).await?);
        }
        readers.follow(scene, &handle).await?;
    }
    scene.brought(BROUGHT).await?;
    let all: Vec<Reader> = (0..READERS).map(|number| readers.one(scene, number)).collect::<Result<_, _>>()?;
    for (number, reader) in all.iter().enumerate() {
        for post in posts.iter().skip(number % LIKED).step_by(LIKED) {
            scene
                .done(Method::PUT, &format!("/v1/feed/posts/{post}/like"), &reader.token, Value::Null)
                .await?;
        }
    }
    Ok(all)
}

/// A home page of an edge, which must be whole: its bytes and milliseconds.
async fn page(scene: &Scene, edge: usize, reader: &Reader) -> anyhow::Result<(usize, f64)> {
    let begun = Instant::now();
    let asked = scene.ask(edge, Method::GET, "/v1/feed/home?order=latest", &reader.token)?;
    let page = good(asked.send().await?).await?;
    let took = millis(begun);
    let whole = page["items"]
        .as_array()
        .map_or(0, |items| items.iter().filter(|item| item["c"]["text"].is_string()).count());
    ensure!(whole == PAGE, "{whole} posts on a page: {page}");
    Ok((page.to_string().len(), took))
}
