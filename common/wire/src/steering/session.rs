//! What is known of who asks, and how it travels.
//!
//! Nothing is kept for a session: its id, where it is and when it was moved last are in the address that it is told to ask
//! next (`s`, `at`, `moved`). Whoever changes them changes their own answers only.

use serde::{Serialize, Serializer};

use crate::geo::{Country, Position};
use crate::placement::PlacementKey;

/// Bytes of a pathway's name that is believed.
const MAX_PATHWAY: usize = 64;

/// Who asks for steering.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Session {
    /// Its name, evenly spread: chooses among equals.
    #[serde(serialize_with = "as_hex")]
    pub id: u64,
    /// What it plays.
    #[serde(skip)]
    pub key: PlacementKey,
    /// Where it is, if that is known.
    pub position: Option<Position>,
    /// The country it is in, if that is known.
    pub country: Option<Country>,
    /// The number of its network (autonomous system), if that is known.
    pub network: Option<u32>,
    /// The pathway it is on.
    pub pathway: Option<String>,
    /// When it was moved last, in Unix milliseconds.
    pub moved_ms: Option<u64>,
}

impl Session {
    /// A session of which nothing is known but its name and what it plays.
    #[must_use]
    pub const fn new(id: u64, key: PlacementKey) -> Self {
        Self { id, key, position: None, country: None, network: None, pathway: None, moved_ms: None }
    }

    /// The query by which a session is known again: `s=ID&at=PATHWAY&moved=UNIX_MS`.
    #[must_use]
    pub fn query(&self) -> String {
        let mut text = format!("s={:016x}", self.id);
        if let Some(pathway) = &self.pathway {
            text += &format!("&at={pathway}");
        }
        if let Some(moved) = self.moved_ms {
            text += &format!("&moved={moved}");
        }
        text
    }

    /// True for what can name a pathway: letters, digits, `.`, `-` and `_`, at most 64 of them (rfc8216bis section 4.4.2.4).
    #[must_use]
    pub fn is_pathway(text: &str) -> bool {
        let good = |c: u8| c.is_ascii_alphanumeric() || b".-_".contains(&c);
        (1..=MAX_PATHWAY).contains(&text.len()) && text.bytes().all(good)
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn as_hex<S: Serializer>(id: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{id:016x}"))
}
