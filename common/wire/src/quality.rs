//! How well players are served, as an edge saw it in the last seconds.
//!
//! Sessions are counted, not records: one that reports much counts once. Of one address only so many count
//! ([`SESSIONS_OF_AN_ADDRESS`]), so that whoever makes up sessions is one voice among many.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::NodeId;

/// How far a look at players goes back, in milliseconds.
pub const WINDOW_MS: u64 = 10_000;
/// Sessions of one address that count: a household, or a few behind one translator.
pub const SESSIONS_OF_AN_ADDRESS: usize = 4;
/// Networks and videos that are told one by one.
pub const MAX_PARTS: usize = 64;
/// Sessions that are told by name.
pub const MAX_NAMED: usize = 256;

/// What an edge saw of players within [`WINDOW_MS`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Quality {
    /// All that played.
    pub all: Part,
    /// By network: an address with its last bits left out (/24, /48). Those with most sessions.
    pub networks: BTreeMap<String, Part>,
    /// By video. Those with most sessions.
    pub videos: BTreeMap<String, Part>,
    /// Milliseconds from a session's first request here till it played, and how many sessions had them; of a minute.
    pub startup_ms: Vec<(u64, u64)>,
    /// Rates that are played, in kbit/s, and how many sessions have them.
    pub kbps: Vec<(u64, u64)>,
    /// Stalls since the node's start.
    pub stalls: u64,
    /// Milliseconds played since the node's start.
    pub played_ms: u64,
    /// Sessions that came with an empty buffer from another node, by that node.
    pub charged: BTreeMap<NodeId, u32>,
    /// Sessions that came with an empty buffer from nobody knows where.
    pub inherited: Vec<u64>,
    /// Sessions that played here and have not been seen for a while.
    pub departed: Vec<u64>,
}

/// Sessions, and how many of them ran out of what to play.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Part {
    /// Sessions.
    pub sessions: u32,
    /// Those that starved.
    pub starved: u32,
}

impl Part {
    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            sessions: self.sessions.saturating_add(other.sessions),
            starved: self.starved.saturating_add(other.starved),
        }
    }
}

impl Quality {
    /// True when it is within its bounds, and no part is larger than the whole.
    #[must_use]
    pub fn is_true(&self) -> bool {
        let parts = self.networks.values().chain(self.videos.values());
        let lists = [self.startup_ms.len(), self.kbps.len(), self.inherited.len(), self.departed.len()];
        self.networks.len().max(self.videos.len()) <= MAX_PARTS
            && self.charged.len() <= MAX_PARTS
            && lists.iter().all(|length| *length <= MAX_NAMED)
            && parts
                .chain([&self.all])
                .all(|part| part.starved <= part.sessions && part.sessions <= self.all.sessions)
    }
}
