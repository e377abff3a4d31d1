//! From the commit of what apps write until each of three edges answers a plain read with it.

use super::Ground;
use super::scene::{Differs, Scene, sent, version};
use crate::look::{self, LIMIT};
use crate::report::progress;
use crate::statistics::{millis, percentile};
use anyhow::{Context, ensure};
use futures::future::{try_join, try_join_all};
use reqwest::Method;
use serde_json::{Value, json};
use sluice_wire::Tag;
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval};

/// The edges' names.
const EDGES: [&str; 3] = ["near-a", "near-b", "near-c"];
/// Writes of each kind before those that count.
const WARM_UP: usize = 3;

/// What is written, and by that read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Liked,
    Posted,
    Answered,
    Deleted,
    Priced,
    Stocked,
}

impl Kind {
    const ALL: [Self; 6] =
        [Self::Liked, Self::Posted, Self::Answered, Self::Deleted, Self::Priced, Self::Stocked];

    /// What it is called in the table.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Liked => "a like -> the post's counts",
            Self::Posted => "a post -> its author's posts",
            Self::Answered => "a reply -> the conversation",
            Self::Deleted => "a post deleted -> gone",
            Self::Priced => "a price -> the product",
            Self::Stocked => "units that come in -> the stock",
        }
    }
}

/// Milliseconds of one kind of write.
#[derive(Debug, Default)]
pub(super) struct Delays {
    /// From the call to its answer.
    pub(super) answered: Vec<f64>,
    /// From the call, and from its answer, until an edge answers with what is new: three of each write.
    pub(super) call_to_fresh: Vec<f64>,
    pub(super) answer_to_fresh: Vec<f64>,
}

impl Delays {
    fn add(&mut self, other: &Self) {
        self.answered.extend(&other.answered);
        self.call_to_fresh.extend(&other.call_to_fresh);
        self.answer_to_fresh.extend(&other.answer_to_fresh);
    }
}

/// What was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) kinds: Vec<(Kind, Delays)>,
    pub(super) commands: Vec<String>,
}

impl Found {
    /// All writes together.
    pub(super) fn all(&self) -> Delays {
        let mut all = Delays::default();
        self.kinds.iter().for_each(|(_, delays)| all.add(delays));
        all
    }
}

/// Measures it: one write after the other, the kinds in turn.
pub(super) async fn run(ground: &Ground) -> anyhow::Result<Found> {
    let origin = ["--apps.run", "feed,commerce"];
    let scene = Scene::start(Differs { edges: &EDGES, origin: &origin, ..Differs::default() }).await?;
    let town = Town::made(&scene).await?;
    progress(format!("feed: {} writes of each kind at {} a second", ground.writes, ground.rate));
    let mut kinds: Vec<(Kind, Delays)> = Kind::ALL.map(|kind| (kind, Delays::default())).into();
    let mut tick = interval(Duration::from_secs_f64(1.0 / ground.rate));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 0..WARM_UP + ground.writes {
        for (kind, delays) in &mut kinds {
            let write = town.write(*kind, number).await?;
            tick.tick().await;
            let taken = town.take(&write).await.with_context(|| format!("{kind:?}, {number}"))?;
            if number >= WARM_UP {
                delays.add(&taken);
            }
        }
    }
    let commands = scene.fleet.commands();
    scene.stop().await;
    let found = Found { kinds, commands };
    progress(format!("feed: fresh, p99 {:.1} ms", percentile(&found.all().call_to_fresh, 0.99)));
    Ok(found)
}

/// A write, and what is read that shows it.
#[derive(Debug)]
struct Write {
    method: Method,
    path: String,
    token: String,
    body: Value,
    read: String,
    tag: Tag,
}

/// What there is to read and to write.
#[derive(Debug)]
struct Town<'s> {
    scene: &'s Scene,
    /// Tokens of who posts and likes, and of who does the rest: nobody else changes the list of ann's posts.
    ann: String,
    ben: String,
    post: String,
    product: String,
    variant: String,
}

impl<'s> Town<'s> {
    async fn made(scene: &'s Scene) -> anyhow::Result<Self> {
        let (ann, ben) = (scene.author("ann").await?.token, scene.author("ben").await?.token);
        let (product, variant) = scene.fleet.product(&scene.boss, 0).await?;
        let post = scene.post(0, &ann, "what is liked").await?;
        Ok(Self { scene, ann, ben, post, product, variant })
    }

    /// The nth write of a kind; what it needs is made.
    async fn write(&self, kind: Kind, number: usize) -> anyhow::Result<Write> {
        let Self { scene, ann, ben, post, product, variant } = self;
        let (method, path, token, body, read, tag) = match kind {
            Kind::Liked => {
                let method = if number.is_multiple_of(2) { Method::PUT } else { Method::DELETE };
                let read = format!("/v1/feed/posts/{post}");
                (method, format!("{read}/like"), ben, Value::Null, read, format!("post:{post}"))
            }
            Kind::Posted => {
                let (path, read) = ("/v1/feed/posts".to_owned(), "/v1/feed/users/ann/posts".to_owned());
                let body = json!({ "text": format!("posted {number}") });
                (Method::POST, path, ann, body, read, "user:ann".to_owned())
            }
            Kind::Answered => {
                let made = scene.post(0, ben, &format!("to be answered {number}")).await?;
                let body = json!({ "text": "answered", "reply_to": made });
                let read = format!("/v1/feed/posts/{made}/thread");
                (Method::POST, "/v1/feed/posts".to_owned(), ben, body, read, format!("thread:{made}"))
            }
            Kind::Deleted => {
                let made = scene.post(0, ben, &format!("to be deleted {number}")).await?;
                let read = format!("/v1/feed/posts/{made}");
                (Method::DELETE, read.clone(), ben, Value::Null, read, format!("post:{made}"))
            }
            Kind::Priced => {
                let path = format!("/v1/shop/products/{product}");
                let prices = json!([{ "id": variant, "prices": { "de": 1_000 + number } }]);
                let (body, read) = (json!({ "variants": prices }), format!("{path}?market=de"));
                (Method::PATCH, path, &scene.boss, body, read, format!("product:{product}"))
            }
            Kind::Stocked => {
                let path = format!("/v1/shop/stock/{variant}");
                let body = json!({ "quantity": 1 });
                (Method::POST, path.clone(), &scene.boss, body, path, format!("stock:{variant}"))
            }
        };
        Ok(Write { method, path, token: token.clone(), body, read, tag: Tag::new(tag)? })
    }

    /// What an edge answers now: the version, and the text.
    async fn read(&self, edge: usize, write: &Write) -> anyhow::Result<(u64, String)> {
        let url = format!("{}{}", self.scene.fleet.edges[edge].url()?, write.read);
        let answer = self.scene.fleet.client.get(url).send().await?;
        let version = version(&answer, &write.tag)?;
        Ok((version, answer.text().await?))
    }

    /// Writes, while a client of each edge looks for what is new.
    async fn take(&self, write: &Write) -> anyhow::Result<Delays> {
        let old = try_join_all((0..EDGES.len()).map(|edge| self.read(edge, write))).await?;
        let begun = Instant::now();
        let call = async {
            let url = format!("{}{}", self.scene.fleet.origin.url()?, write.path);
            let asked = self.scene.fleet.client.request(write.method.clone(), url);
            let answer = sent(asked.bearer_auth(&write.token).timeout(LIMIT), write.body.clone()).await?;
            let (status, text) = (answer.status(), answer.text().await?);
            ensure!(status.is_success(), "{status} of {}: {text}", write.path);
            anyhow::Ok(millis(begun))
        };
        let looks = old.iter().enumerate().map(|(edge, old)| self.fresh(edge, write, begun, old));
        let (answered, fresh) = try_join(call, try_join_all(looks)).await?;
        Ok(Delays {
            answered: vec![answered],
            answer_to_fresh: fresh.iter().map(|fresh| (fresh - answered).max(0.0)).collect(),
            call_to_fresh: fresh,
        })
    }

    /// Asks an edge until it answers with a newer version; the text is another one then.
    async fn fresh(
        &self,
        edge: usize,
        write: &Write,
        begun: Instant,
        (old, old_text): &(u64, String),
    ) -> anyhow::Result<f64> {
        look::until(begun, look::EVERY, &write.read, async || {
            let (version, text) = self.read(edge, write).await?;
            ensure!(version <= *old || text != *old_text, "version {version} with the text of {old}");
            anyhow::Ok(version > *old)
        })
        .await
    }
}
