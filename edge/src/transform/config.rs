//! What may be transformed.

use serde::{Deserialize, Serialize};

/// The keys below `transform`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TransformConfig {
    /// Serves text, code, playlists and the like in zstd, br or gzip to those who accept it.
    pub compress: bool,
}

impl Default for TransformConfig {
    fn default() -> Self {
        Self { compress: true }
    }
}
