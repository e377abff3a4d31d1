//! What the app counts.

use prometheus::{IntCounter, IntCounterVec};
use sluice_service::Metrics as Registry;

/// The app's counters. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    /// Photos by what became of them.
    pub(crate) photos: IntCounterVec,
    /// Home pages by where their list was from.
    pub(crate) homes: IntCounterVec,
    /// Lists that were to be kept, by what became of it.
    pub(crate) fills: IntCounterVec,
    /// Times that no kept list was believed any more.
    pub(crate) generations: IntCounter,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        let photos = "Photos by what became of them: kept, refused, busy, swept";
        let homes = "Home pages by where their list was from: kept, rows, follows";
        let fills = "Home lists that were to be kept, by what became of it: filled, barred, failed";
        let generations = "Times that no kept home list was believed any more";
        Self {
            photos: registry.counters("sluice_feed_photos_total", photos, &["result"]),
            homes: registry.counters("sluice_feed_homes_total", homes, &["from"]),
            fills: registry.counters("sluice_feed_list_fills_total", fills, &["result"]),
            generations: registry.counter("sluice_feed_list_generations_total", generations),
        }
    }
}
