//! Readers who come with an import: by their number alone it is known who each is, and each may ask for its home.

use crate::feed::scene::Scene;
use crate::report::progress;
use anyhow::{Context, ensure};
use rand::Rng;
use serde_json::json;
use sluice_wire::AccountId;
use std::time::{Duration, Instant};

/// Readers of an import at most: as many as an origin takes at once.
const AT_ONCE: usize = 2_000;
/// How long an import may take: without optimisation they take seconds.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two words to who waits.
const WORD_EVERY: Duration = Duration::from_secs(10);
/// When the accounts of readers were made, in Unix milliseconds, and how many in each.
const MADE_MS: u64 = 1_720_000_000_000;
const A_MS: usize = 1_000;

/// So many readers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Readers {
    pub(super) count: usize,
}

/// One of them, who may ask.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    pub(super) account: AccountId,
    pub(super) token: String,
}

/// How long imports took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Imported {
    pub(super) readers: usize,
    pub(super) took: Duration,
}

impl Imported {
    /// Readers a second.
    pub(super) fn rate(&self) -> f64 {
        self.readers as f64 / self.took.as_secs_f64().max(1e-9)
    }
}

impl Readers {
    /// Who the nth is.
    fn who(number: usize) -> (AccountId, String) {
        let entropy = u32::try_from(number % A_MS).unwrap_or_default();
        (AccountId::from_parts(MADE_MS + (number / A_MS) as u64, entropy), format!("r{number}"))
    }

    /// The nth, with a token of a fleet.
    pub(super) fn one(self, scene: &Scene, number: usize) -> anyhow::Result<Reader> {
        let (account, handle) = Self::who(number);
        Ok(Reader { account, token: scene.fleet.access_token(account, &handle)? })
    }

    /// Any one.
    pub(super) fn any(self, scene: &Scene, random: &mut impl Rng) -> anyhow::Result<Reader> {
        self.one(scene, random.random_range(0..self.count))
    }

    /// Has all of them follow an author; they read just now, as far as the origin knows.
    pub(super) async fn follow(self, scene: &Scene, author: &str) -> anyhow::Result<Imported> {
        let (begun, mut word) = (Instant::now(), Instant::now());
        for first in (0..self.count).step_by(AT_ONCE) {
            let readers: Vec<_> = (first..self.count.min(first + AT_ONCE)).map(Self::who).collect();
            let asked = scene.fleet.client.post(format!("{}/v1/feed/import", scene.fleet.origin.url()?));
            let asked = asked.bearer_auth(&scene.boss).timeout(PATIENCE);
            let asked = asked.json(&json!({ "author": author, "readers": readers, "active": true }));
            let told = crate::fleet::good(asked.send().await?).await.context("importing readers")?;
            ensure!(told["new"] == readers.len(), "of {} readers: {told}", readers.len());
            if word.elapsed() > WORD_EVERY {
                word = Instant::now();
                progress(format!("feed: {} readers after {:.0?}", first + readers.len(), begun.elapsed()));
            }
        }
        Ok(Imported { readers: self.count, took: begun.elapsed() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_readers_are_one_and_their_ids_rise() {
        let all: Vec<_> = (0..5_000).map(Readers::who).collect();
        assert!(all.windows(2).all(|two| two[0].0 < two[1].0));
        let handles: HashSet<&str> = all.iter().map(|(_, handle)| handle.as_str()).collect();
        assert_eq!(handles.len(), all.len());
        assert!(all.iter().all(|(_, handle)| (2..=32).contains(&handle.len())));
    }
}
