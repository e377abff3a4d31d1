//! The tables, one module each. Ids and counts are signed 64-bit, times are Unix milliseconds, states are names, JSON is
//! text: the same on every engine.

pub(crate) mod audit_entry;
pub(crate) mod config_version;
pub(crate) mod cursor;
pub(crate) mod discarded;
pub(crate) mod fetch;
pub(crate) mod fleet_key;
pub(crate) mod job;
pub(crate) mod lease;
pub(crate) mod log;
pub(crate) mod log_head;
pub(crate) mod node;
pub(crate) mod outbox;
pub(crate) mod part;
pub(crate) mod promise;
pub(crate) mod removal;
pub(crate) mod rendition;
pub(crate) mod route_table;
pub(crate) mod seen_health;
pub(crate) mod segment;
pub(crate) mod storyboard;
pub(crate) mod tag_version;
pub(crate) mod text;
pub(crate) mod traffic;
pub(crate) mod upload;
pub(crate) mod video;
pub(crate) mod video_term;
