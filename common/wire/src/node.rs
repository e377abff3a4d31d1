//! What edges report to the control plane, and what it answers.

use serde::{Deserialize, Serialize};

use crate::id::NodeId;
use crate::quality::Quality;
use crate::sketch::TopKeys;

/// Where an edge stands between viewer and origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Serves clients; fills from shields.
    Near,
    /// Serves near edges; fills from the origin.
    Shield,
}

impl Tier {
    /// The name in configuration, tables and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Near => "near",
            Self::Shield => "shield",
        }
    }
}

/// A node's place in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// It has reported, and is not yet given keys.
    Joining,
    /// It serves.
    Ready,
    /// It finishes what it has and gets nothing new.
    Draining,
    /// Its lease ran out.
    Gone,
}

impl NodeState {
    /// The name in tables and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Joining => "joining",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Gone => "gone",
        }
    }
}

/// What a node says of itself, once a report interval. The first one registers it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeReport {
    /// Its name, unique in the fleet.
    pub node: NodeId,
    /// Its tier.
    pub tier: Tier,
    /// The site it stands in.
    pub site: String,
    /// Its share of keys relative to its peers, above 0 and at most 1,000.
    pub weight: f64,
    /// Where other nodes reach it: scheme, host and port, without a path.
    pub peer_url: String,
    /// Where clients reach it: scheme, host and port, without a path.
    pub public_url: String,
    /// True when it can serve: its listeners are up and a parent is known.
    pub ready: bool,
    /// Counts since its start.
    pub counters: NodeCounters,
    /// What players did there in the last seconds.
    #[serde(default)]
    pub quality: Quality,
    /// The newest event it has applied.
    pub log_seq: u64,
    /// The version of the route table it follows.
    pub table_version: u64,
    /// When it started, in Unix milliseconds.
    pub started_ms: u64,
    /// The rack it stands in; one is chosen by its name when this is empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rack: String,
    /// The media groups it was asked for most, lately.
    #[serde(default)]
    pub popular: TopKeys,
    /// When this report was made, in Unix milliseconds: rises from report to report. 0 where it is not told.
    #[serde(default)]
    pub at_ms: u64,
}

/// Counts since a node's start, and its gauges now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeCounters {
    /// Requests answered.
    pub requests: u64,
    /// Answers out of the cache.
    pub hits: u64,
    /// Answers that needed a parent.
    pub misses: u64,
    /// Answers with a status of 500 and above.
    pub errors: u64,
    /// Body bytes sent to clients.
    pub bytes_out: u64,
    /// Body bytes fetched from parents.
    pub bytes_in: u64,
    /// Requests under way now.
    pub active: u64,
    /// Bytes the cache holds now.
    pub cache_bytes: u64,
    /// Objects the cache holds now.
    pub cache_objects: u64,
}

/// The control plane's answer to a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportAnswer {
    /// Milliseconds until the node counts as gone without another report.
    pub lease_ms: u64,
    /// The state it is in now.
    pub state: NodeState,
    /// The newest route table.
    pub table_version: u64,
    /// The newest plan of what the node is to fetch ahead of demand, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<u64>,
}
