//! What the app counts.

use prometheus::IntCounterVec;
use sluice_service::Metrics as Registry;

/// The app's counters. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    /// Photos by what became of them.
    pub(crate) photos: IntCounterVec,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        let photos = "Photos by what became of them: kept, refused, busy, swept";
        Self { photos: registry.counters("sluice_feed_photos_total", photos, &["result"]) }
    }
}
