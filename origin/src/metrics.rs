//! The origin's metrics.

use prometheus::{HistogramVec, IntCounter, IntCounterVec, IntGauge};
use sluice_service::Metrics as Registry;

/// What the origin counts.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    /// Uploads by way (`put`, `form`, `tus`) and outcome (`complete`, `refused`, `cut`).
    pub(crate) uploads: IntCounterVec,
    /// Bytes of sources taken in.
    pub(crate) upload_bytes: IntCounter,
    /// Bytes of sources that were stored already and are kept once.
    pub(crate) shared_bytes: IntCounter,
    /// Messages to receivers, by what became of them (`taken`, `refused`, `given_up`).
    pub(crate) webhooks: IntCounterVec,
    /// Media served, by asset.
    pub(crate) media: IntCounterVec,
    /// Content keys given out, by protection.
    pub(crate) keys: IntCounterVec,
    /// Open event streams and log feeds.
    pub(crate) streams: IntGauge,
    /// Statements sent for a request until its answer began, by method and route.
    pub(crate) statements: HistogramVec,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        Self {
            uploads: registry.counters(
                "sluice_origin_uploads_total",
                "Uploads by way and outcome",
                &["way", "outcome"],
            ),
            upload_bytes: registry.counter("sluice_origin_upload_bytes_total", "Bytes of sources taken in"),
            shared_bytes: registry.counter(
                "sluice_origin_shared_bytes_total",
                "Bytes of sources that were stored already and are kept once",
            ),
            webhooks: registry.counters(
                "sluice_origin_webhooks_total",
                "Messages to receivers of webhooks, by outcome",
                &["outcome"],
            ),
            media: registry.counters(
                "sluice_origin_media_served_total",
                "Media answers with a body, by asset",
                &["asset"],
            ),
            keys: registry.counters(
                "sluice_origin_keys_total",
                "Content keys given out, by protection",
                &["protection"],
            ),
            statements: registry.numbers(
                "sluice_origin_statements",
                "Database statements for a request until its answer began",
                &["method", "route"],
            ),
            streams: registry.gauge("sluice_origin_streams", "Open event streams and log feeds"),
        }
    }
}
