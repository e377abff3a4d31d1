//! From a post that is written to a home page that shows it: readers are brought it, or pull it from an author whom many
//! follow. Posts come at a steady rate, whether or not the one before has been seen.

use super::Ground;
use super::ear::Ear;
use super::readers::{Imported, Reader, Readers};
use super::scene::{Differs, Scene};
use crate::look;
use crate::report::progress;
use crate::statistics::{millis, percentile};
use anyhow::{Context, ensure};
use futures::future::{try_join, try_join_all};
use futures::stream::{FuturesUnordered, StreamExt};
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::time::{Duration, Instant};
use tokio::time::sleep_until;

/// Readers who look for each post, and readers who wait to be told of it.
pub(super) const LOOKERS: usize = 3;
pub(super) const LISTENERS: usize = 2;
/// One of so many posts is followed until all have it.
pub(super) const FOLLOWED: usize = 10;
/// Between two looks at a home: each costs the origin a page.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Posts of a page that is looked at: those that came meanwhile are among them.
const PAGE: usize = 8;
/// Posts that do not count: connections are made, statements prepared, and every reader is told for the first time.
pub(super) const WARM_UP: usize = 3;
/// Homes that are read in the end, and posts of each.
const READ: usize = 300;
const LAST: usize = 24;
/// Until the last post is at all its readers.
pub(super) const BROUGHT: Duration = Duration::from_secs(120);
/// The edges' names.
pub(super) const EDGES: [&str; 2] = ["near-a", "near-b"];

/// What was measured, in milliseconds.
#[derive(Debug, Default)]
pub(super) struct Delays {
    /// From sent to answered.
    pub(super) answered: Vec<f64>,
    /// From sent, and from answered, until a reader's home had it.
    pub(super) sent_to_seen: Vec<f64>,
    pub(super) answered_to_seen: Vec<f64>,
    /// From sent until a reader was told, and until it had then read it.
    pub(super) sent_to_told: Vec<f64>,
    pub(super) sent_to_read: Vec<f64>,
    /// From sent until every reader had it.
    pub(super) sent_to_all: Vec<f64>,
}

impl Delays {
    fn add(&mut self, one: Self) {
        self.answered.extend(one.answered);
        self.sent_to_seen.extend(one.sent_to_seen);
        self.answered_to_seen.extend(one.answered_to_seen);
        self.sent_to_told.extend(one.sent_to_told);
        self.sent_to_read.extend(one.sent_to_read);
        self.sent_to_all.extend(one.sent_to_all);
    }
}

/// What was found of an author who is brought to its readers.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) delays: Delays,
    pub(super) imported: Imported,
    pub(super) posts: usize,
    /// Entries of home lists that the posts made.
    pub(super) entries: i64,
    /// Homes that were read in the end, and found whole.
    pub(super) read: usize,
    pub(super) commands: Vec<String>,
}

/// Measures an author who has fewer readers than are pulled from.
pub(super) async fn run(ground: &Ground) -> anyhow::Result<Found> {
    let (readers, more) = (Readers { count: ground.audience }, (ground.audience + 1).to_string());
    let origin = ["--apps.run", "feed", "--apps.feed.push_below", &more];
    let scene = Scene::start(Differs { edges: &EDGES, origin: &origin, ..Differs::default() }).await?;
    let author = scene.author("ann").await?;
    let imported = readers.follow(&scene, "ann").await?;
    progress(format!("feed: {} posts to {} readers each", ground.posts, readers.count));
    let play = Play { scene: &scene, token: &author.token, readers, listeners: LISTENERS };
    let delays = play.posts(ground.posts, ground.post_rate).await?;
    scene.brought(BROUGHT).await?;
    let posts = ground.posts + WARM_UP;
    let entries = scene.number("SELECT COUNT(*) FROM feed_home WHERE post > 0").await?;
    let expected = i64::try_from(posts * readers.count)?;
    ensure!(entries == expected, "{entries} entries of home lists instead of {expected}");
    let read = play.read_all(posts).await?;
    progress(format!("feed: brought, p99 {:.1} ms", percentile(&delays.sent_to_seen, 0.99)));
    let commands = scene.fleet.commands();
    scene.stop().await;
    Ok(Found { delays, imported, posts: ground.posts, entries, read, commands })
}

/// Posts of one author, and readers who look for them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Play<'p> {
    pub(super) scene: &'p Scene,
    /// The author's token.
    pub(super) token: &'p str,
    pub(super) readers: Readers,
    /// Readers of each post who wait to be told of it.
    pub(super) listeners: usize,
}

impl Play<'_> {
    /// So many posts at a rate, after some that do not count.
    pub(super) async fn posts(&self, count: usize, rate: f64) -> anyhow::Result<Delays> {
        let mut random = StdRng::seed_from_u64(1);
        for number in 0..WARM_UP {
            self.one(number, Instant::now(), self.chosen(&mut random)?).await?;
        }
        let (mut delays, mut under_way) = (Delays::default(), FuturesUnordered::new());
        let (pause, mut at) = (Duration::from_secs_f64(1.0 / rate), Instant::now());
        for number in WARM_UP..WARM_UP + count {
            // Its readers begin to listen as the post before it is sent.
            at += pause;
            under_way.push(self.one(number, at, self.chosen(&mut random)?));
            loop {
                tokio::select! {
                    biased;
                    () = sleep_until(at.into()) => break,
                    Some(done) = under_way.next() => delays.add(done?),
                }
            }
        }
        while let Some(done) = under_way.next().await {
            delays.add(done?);
        }
        Ok(delays)
    }

    /// Readers who look for a post, and who are to be told of it.
    fn chosen(&self, random: &mut StdRng) -> anyhow::Result<(Vec<Reader>, Vec<Reader>)> {
        let mut some = |count: usize| -> anyhow::Result<Vec<Reader>> {
            (0..count).map(|_| self.readers.any(self.scene, random)).collect()
        };
        Ok((some(LOOKERS)?, some(self.listeners)?))
    }

    /// A post, sent at its time, when those who are to be told of it listen.
    async fn one(
        &self,
        number: usize,
        at: Instant,
        (lookers, listeners): (Vec<Reader>, Vec<Reader>),
    ) -> anyhow::Result<Delays> {
        let ears = listeners.into_iter().enumerate().map(|(edge, reader)| async move {
            let ear = Ear::open(self.scene, edge, &reader).await?;
            // Whoever has looked is told of what is new.
            self.scene.texts(edge, &reader, 1).await?;
            anyhow::Ok((ear, reader))
        });
        let ears = try_join_all(ears).await?;
        sleep_until(at.into()).await;
        self.measure(number, lookers, ears).await.with_context(|| format!("post {number}"))
    }

    async fn measure(
        &self,
        number: usize,
        lookers: Vec<Reader>,
        ears: Vec<(Ear, Reader)>,
    ) -> anyhow::Result<Delays> {
        let (sent, text) = (Instant::now(), format!("post {number} of many"));
        let followed = number.is_multiple_of(FOLLOWED);
        let posting = async {
            let id = self.scene.post(number, self.token, &text).await?;
            let answered = millis(sent);
            let all = if followed { Some(self.all(sent, &id).await?) } else { None };
            anyhow::Ok((answered, all))
        };
        let looking = lookers.iter().enumerate().map(|(edge, reader)| self.looks(sent, edge, reader, &text));
        let listening = ears.into_iter().enumerate().map(|(edge, ear)| self.hears(sent, edge, ear, &text));
        let readers = try_join(try_join_all(looking), try_join_all(listening));
        let ((answered, all), (seen, told)) = try_join(posting, readers).await?;
        Ok(Delays {
            answered: vec![answered],
            answered_to_seen: seen.iter().map(|seen| (seen - answered).max(0.0)).collect(),
            sent_to_seen: seen,
            sent_to_told: told.iter().map(|(told, _)| *told).collect(),
            sent_to_read: told.iter().map(|(_, read)| *read).collect(),
            sent_to_all: all.into_iter().collect(),
        })
    }

    /// A reader looks at its home until the post is there.
    async fn looks(&self, sent: Instant, edge: usize, reader: &Reader, text: &str) -> anyhow::Result<f64> {
        look::until(sent, LOOK_EVERY, text, async || {
            anyhow::Ok(self.scene.texts(edge, reader, PAGE).await?.iter().any(|one| one == text))
        })
        .await
    }

    /// A reader reads its home whenever it is told of something, until the post is there.
    async fn hears(
        &self,
        sent: Instant,
        edge: usize,
        (mut ear, reader): (Ear, Reader),
        text: &str,
    ) -> anyhow::Result<(f64, f64)> {
        loop {
            ear.told().await.with_context(|| format!("waiting to be told of {text}"))?;
            let told = millis(sent);
            // What it was told of may be what came before.
            if self.scene.texts(edge, &reader, PAGE).await?.iter().any(|one| one == text) {
                return Ok((told, millis(sent)));
            }
        }
    }

    /// Looks at the rows of what is to be brought until this post's is gone: then all have it.
    async fn all(&self, sent: Instant, post: &str) -> anyhow::Result<f64> {
        let post = post.parse::<sluice_wire::AccountId>()?.as_i64();
        let sql = format!("SELECT COUNT(*) FROM feed_work WHERE post = {post}");
        look::until(sent, look::EVERY, "the rest of a post's work", async || {
            anyhow::Ok(self.scene.number(&sql).await? == 0)
        })
        .await
    }

    /// Reads homes of readers throughout the audience: the newest posts are there, in their order, each once.
    pub(super) async fn read_all(&self, posts: usize) -> anyhow::Result<usize> {
        let newest: Vec<String> =
            (0..posts).rev().take(LAST).map(|number| format!("post {number} of many")).collect();
        let step = self.readers.count.div_ceil(READ).max(1);
        let mut read = 0;
        for number in (0..self.readers.count).step_by(step) {
            let reader = self.readers.one(self.scene, number)?;
            let home = self.scene.texts(number, &reader, LAST).await?;
            ensure!(home == newest, "the home of reader {number} has {home:?}");
            read += 1;
        }
        Ok(read)
    }
}
