//! The app's keys.

use serde::{Deserialize, Serialize};

/// The app's keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Followers from which on an author's posts are pulled by readers instead of pushed to them.
    pub push_below: u64,
    /// Posts of a home list.
    pub list: u64,
    /// Milliseconds without a read after which a reader is pushed nothing; its list is rebuilt when it comes again.
    pub idle_ms: u64,
    /// Milliseconds after a read for which a reader is told of what is new.
    pub badge_ms: u64,
    /// Followers that a post is brought to in one transaction.
    pub chunk: u64,
    /// Milliseconds between two such transactions of a process: what others may write in.
    pub rest_ms: u64,
    /// Milliseconds after which a photo goes that no post shows.
    pub photo_ms: u64,
    /// What posts are ranked by.
    pub rank: RankConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            push_below: 10_000,
            list: 800,
            idle_ms: 14 * 24 * 3_600_000,
            badge_ms: 600_000,
            chunk: 500,
            rest_ms: 0,
            photo_ms: 24 * 3_600_000,
            rank: RankConfig::default(),
        }
    }
}

impl Config {
    /// The same, within what statements and lists can bear: engines bind some 32,000 values a statement.
    pub(crate) fn bounded(mut self) -> Self {
        self.chunk = self.chunk.clamp(1, 2_000);
        self.list = self.list.clamp(1, 10_000);
        self.rank.half_life_ms = self.rank.half_life_ms.max(1);
        self
    }
}

/// What posts are ranked by. Weights are thousandths, and public.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RankConfig {
    /// Milliseconds after which a post is worth half.
    pub half_life_ms: u64,
    /// A like.
    pub like: u32,
    /// A reply.
    pub reply: u32,
    /// A repost.
    pub repost: u32,
    /// The most that what a reader has to do with an author adds.
    pub affinity: u32,
    /// Posts of one author in a row, as long as there are others.
    pub in_a_row: usize,
}

impl Default for RankConfig {
    /// The proportions that a large network published in 2023: a like 0.5, a repost 1, a reply 13.5.
    fn default() -> Self {
        Self {
            half_life_ms: 6 * 3_600_000,
            like: 500,
            reply: 13_500,
            repost: 1_000,
            affinity: 2_000,
            in_a_row: 2,
        }
    }
}
