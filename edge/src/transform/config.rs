//! What may be transformed.

use super::ImagesConfig;
use serde::{Deserialize, Serialize};
use sluice_service::Faults;

/// The keys below `transform`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TransformConfig {
    /// Serves text, code, playlists and the like in zstd, br or gzip to those who accept it.
    pub compress: bool,
    /// Sizes and formats of images.
    pub images: ImagesConfig,
}

impl Default for TransformConfig {
    fn default() -> Self {
        Self { compress: true, images: ImagesConfig::default() }
    }
}

impl TransformConfig {
    /// Adds a fault for each key that cannot be used.
    pub fn validate(&self, faults: &mut Faults) {
        self.images.validate(faults);
    }
}
