//! Public reads of the feed and of the shop, some far more popular than others, through two edges, while people write: how
//! many of them reach the origin.

use super::Ground;
use super::scene::{Differs, Scene, sent};
use super::visible::EDGES;
use crate::fleet::{Account, good};
use crate::report::progress;
use crate::zipf::Zipf;
use anyhow::ensure;
use futures::stream::{StreamExt, TryStreamExt, iter};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};

/// Authors, posts of each, and one of so many posts that has a conversation that is read.
const AUTHORS: usize = 10;
const POSTS: usize = 10;
const ANSWERED: usize = 3;
/// Products, each with one variant.
const PRODUCTS: usize = 20;
/// A write comes after so many reads: two in a hundred people do more than read.
pub(super) const WRITE_EVERY: usize = 200;
/// Reads at a time.
const AT_ONCE: usize = 16;
/// How much more popular what comes first is.
pub(super) const SKEW: f64 = 1.0;

/// Something that is read by all, and what is written to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Page {
    /// A post: it is liked.
    Post(String),
    /// A conversation: it is answered.
    Thread(String),
    /// A profile and its posts: its author, by number, posts.
    Profile(usize),
    Posts(usize),
    /// A product and its variant: its price changes.
    Product(String, String),
    /// The stock of a variant: some comes in.
    Stock(String),
}

impl Page {
    fn path(&self) -> String {
        match self {
            Self::Post(id) => format!("/v1/feed/posts/{id}"),
            Self::Thread(id) => format!("/v1/feed/posts/{id}/thread"),
            Self::Profile(author) => format!("/v1/feed/users/author{author}"),
            Self::Posts(author) => format!("/v1/feed/users/author{author}/posts"),
            Self::Product(id, _) => format!("/v1/shop/products/{id}?market=de"),
            Self::Stock(variant) => format!("/v1/shop/stock/{variant}"),
        }
    }
}

/// What was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) pages: usize,
    pub(super) reads: usize,
    pub(super) writes: usize,
    /// Reads that reached the origin: of the feed, of the shop.
    pub(super) feed: f64,
    pub(super) shop: f64,
    pub(super) commands: Vec<String>,
}

impl Found {
    /// The part of reads that reached the origin.
    pub(super) fn share(&self) -> f64 {
        (self.feed + self.shop) / self.reads as f64
    }
}

/// Measures it.
pub(super) async fn run(ground: &Ground) -> anyhow::Result<Found> {
    let origin = ["--apps.run", "feed,commerce"];
    let scene = Scene::start(Differs { edges: &EDGES, origin: &origin, ..Differs::default() }).await?;
    let (mut pages, authors) = made(&scene).await?;
    let mut random = StdRng::seed_from_u64(1);
    // Which is how popular has nothing to do with what it is.
    for at in (1..pages.len()).rev() {
        pages.swap(at, random.random_range(0..=at));
    }
    let zipf = Zipf::new(pages.len(), SKEW);
    let reached = async || anyhow::Ok((scene.reached("/v1/feed/").await?, scene.reached("/v1/shop/").await?));
    let (before, mut reads, mut writes) = (reached().await?, 0, 0);
    while reads < ground.reads {
        let some = (0..WRITE_EVERY).map(|number| (number, pages[zipf.draw(&mut random)].path()));
        let answers = iter(some.collect::<Vec<_>>()).map(|(number, path)| read(&scene, number, path));
        answers.buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
        write(&scene, &pages[zipf.draw(&mut random)], &authors[writes % authors.len()], writes).await?;
        (reads, writes) = (reads + WRITE_EVERY, writes + 1);
    }
    let after = reached().await?;
    let commands = scene.fleet.commands();
    scene.stop().await;
    let (feed, shop) = (after.0 - before.0, after.1 - before.1);
    let found = Found { pages: pages.len(), reads, writes, feed, shop, commands };
    progress(format!("feed: {:.2} % of {reads} public reads reach the origin", found.share() * 100.0));
    Ok(found)
}

async fn read(scene: &Scene, edge: usize, path: String) -> anyhow::Result<()> {
    let url = format!("{}{path}", scene.fleet.edges[edge % EDGES.len()].url()?);
    let answer = scene.fleet.client.get(url).send().await?;
    ensure!(answer.status() == 200, "{} of {path}", answer.status());
    answer.bytes().await?;
    Ok(())
}

/// Everything there is to read, and who writes.
async fn made(scene: &Scene) -> anyhow::Result<(Vec<Page>, Vec<Account>)> {
    let (mut pages, mut authors) = (vec![], vec![]);
    for author in 0..AUTHORS {
        let account = scene.author(&format!("author{author}")).await?;
        for number in 0..POSTS {
            let post = scene.post(0, &account.token, &format!("post {number} of author {author}")).await?;
            if number % ANSWERED == 0 {
                pages.push(Page::Thread(post.clone()));
            }
            pages.push(Page::Post(post));
        }
        pages.extend([Page::Profile(author), Page::Posts(author)]);
        authors.push(account);
    }
    for number in 0..PRODUCTS {
        let (product, variant) = scene.fleet.product(&scene.boss, number).await?;
        pages.extend([Page::Stock(variant.clone()), Page::Product(product, variant)]);
    }
    Ok((pages, authors))
}

/// Somebody writes what belongs to a page, at one of the edges.
async fn write(scene: &Scene, page: &Page, who: &Account, number: usize) -> anyhow::Result<()> {
    let text = json!({ "text": format!("written {number}") });
    let price =
        |variant: &str| json!({ "variants": [{ "id": variant, "prices": { "de": 1_000 + number } }] });
    let (method, path, token, body) = match page {
        Page::Post(_) => (Method::PUT, format!("{}/like", page.path()), &who.token, Value::Null),
        Page::Thread(id) => {
            let body = json!({ "text": format!("answered {number}"), "reply_to": id });
            (Method::POST, "/v1/feed/posts".to_owned(), &who.token, body)
        }
        Page::Profile(_) | Page::Posts(_) => (Method::POST, "/v1/feed/posts".to_owned(), &who.token, text),
        Page::Product(id, variant) => {
            (Method::PATCH, format!("/v1/shop/products/{id}"), &scene.boss, price(variant))
        }
        Page::Stock(_) => (Method::POST, page.path(), &scene.boss, json!({ "quantity": 1 })),
    };
    good(sent(scene.ask(number, method, &path, token)?, body).await?).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_where_anybody_finds_them() {
        assert_eq!(Page::Thread("1".into()).path(), "/v1/feed/posts/1/thread");
        assert_eq!(Page::Posts(3).path(), "/v1/feed/users/author3/posts");
        assert_eq!(Page::Product("1".into(), "2".into()).path(), "/v1/shop/products/1?market=de");
    }
}
