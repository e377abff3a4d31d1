//! The worker's metrics.

use crate::sandbox::{Sandbox, Wall};
use prometheus::{HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};
use sluice_service::Metrics as Registry;

/// What the worker counts.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    /// Jobs by kind and outcome: `done`, `failed`, `again`, `idle`, `turn`, `same`, `lost`, `gone`.
    pub(crate) jobs: IntCounterVec,
    /// Jobs under way.
    pub(crate) active: IntGauge,
    /// Segments stored and committed.
    pub(crate) segments: IntCounter,
    /// Segments that were named, to be made when they are first asked for.
    pub(crate) named: IntCounter,
    /// Those of them that were made.
    pub(crate) asked: IntCounter,
    /// Segments whose bytes were not there and were made again.
    pub(crate) again: IntCounter,
    /// Bytes of segments.
    pub(crate) bytes: IntCounter,
    /// Milliseconds of media transcoded.
    pub(crate) media_ms: IntCounter,
    /// Milliseconds spent on jobs, whatever came of them.
    pub(crate) wall_ms: IntCounter,
    /// From the lease to the first committed segment.
    pub(crate) first_segment: HistogramVec,
    /// From a coming source's first whole group of pictures to a committed segment.
    pub(crate) first_playable: HistogramVec,
    /// The walls around the codec: 1 for one that stands.
    walls: IntGaugeVec,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        Self {
            jobs: registry.counters(
                "sluice_transcode_jobs_total",
                "Jobs by kind and outcome",
                &["kind", "outcome"],
            ),
            active: registry.gauge("sluice_transcode_jobs_active", "Jobs under way"),
            segments: registry.counter("sluice_segments_stored_total", "Segments stored and committed"),
            named: registry.counter(
                "sluice_segments_deferred_total",
                "Segments that were named, to be made when they are first asked for",
            ),
            asked: registry.counter(
                "sluice_segments_made_when_asked_total",
                "Segments that were named only, and were made since somebody asked",
            ),
            again: registry.counter(
                "sluice_segments_made_again_total",
                "Segments whose bytes were dropped or lost, and were made again",
            ),
            bytes: registry.counter("sluice_segment_bytes_stored_total", "Bytes of segments stored"),
            media_ms: registry.counter("sluice_transcode_media_ms_total", "Milliseconds of media transcoded"),
            wall_ms: registry.counter("sluice_transcode_wall_ms_total", "Milliseconds spent on jobs"),
            first_segment: registry.seconds(
                "sluice_transcode_first_segment_seconds",
                "From the lease to the first committed segment",
                &[],
            ),
            first_playable: registry.seconds(
                "sluice_first_playable_seconds",
                "From the first whole group of pictures of a source that is still coming to its first committed segment",
                &[],
            ),
            walls: registry.gauges(
                "sluice_sandbox_walls",
                "The walls around the codec: 1 stands, 0 does not",
                &["wall"],
            ),
        }
    }

    /// Says which walls stand.
    pub(crate) fn walls_stand(&self, sandbox: &Sandbox) {
        for wall in Wall::ALL {
            let stands = sandbox.walls().any(|standing| standing == wall);
            self.walls.with_label_values(&[wall.as_str()]).set(i64::from(stands));
        }
    }
}
