//! The log's events: each committed write appends one, and every edge follows them.

use serde::{Deserialize, Serialize};

use crate::tag::{Tag, Version};

/// What a committed write did to a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventKind {
    /// Something with this tag was made.
    Created,
    /// It changed: copies below the event's version are stale.
    Changed,
    /// It is gone: copies must not be served again.
    Deleted,
    /// An operator asked that every copy be forgotten.
    Purged,
}

impl EventKind {
    /// The name in the database, on the wire and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Deleted => "deleted",
            Self::Purged => "purged",
        }
    }

    /// The kind with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Created, Self::Changed, Self::Deleted, Self::Purged].into_iter().find(|k| k.as_str() == name)
    }
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Place in the log: 1 upwards, without gaps.
    pub seq: u64,
    /// What changed.
    pub tag: Tag,
    /// The tag's version after the change: the new floor.
    pub version: Version,
    /// How it changed.
    pub kind: EventKind,
    /// When the write was committed, in Unix milliseconds.
    pub at_ms: u64,
    /// What a subscriber may want to know, small enough to pass on.
    #[serde(default)]
    pub data: serde_json::Value,
}

/// One line of the log's feed (`GET /v1/log`, newline-delimited JSON).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum LogLine {
    /// `{"heartbeat":SEQ}`. The feed is alive, and everything up to this sequence number has been sent.
    Heartbeat {
        /// The newest sequence number sent.
        heartbeat: u64,
    },
    /// An event.
    Event(Event),
}
