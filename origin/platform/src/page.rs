//! Keyset paging: a page goes on after the last item of the one before, whatever was added meanwhile.

use serde::Deserialize;

/// What a listing is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Page {
    /// The last item of the page before.
    pub after: Option<String>,
    /// Items wanted.
    pub limit: Option<u64>,
}

/// Items of a page when nothing is asked for, and at most.
const LIMITS: (u64, u64) = (24, 100);

impl Page {
    /// Items to return: 1 to 100, 24 unless asked.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.limit.unwrap_or(LIMITS.0).clamp(1, LIMITS.1)
    }
}
