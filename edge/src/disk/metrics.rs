//! What the disk tier counts.

use prometheus::{IntCounter, IntCounterVec, IntGauge};
use sluice_service::Metrics as Registry;

/// The disk tier's metrics.
#[derive(Debug, Clone)]
pub(crate) struct DiskMetrics {
    /// Bytes of region files.
    pub(super) bytes: IntGauge,
    /// Records in force.
    pub(super) objects: IntGauge,
    /// 1 once the regions of an earlier life have been read.
    pub(super) rebuilt: IntGauge,
    lookups: IntCounterVec,
    pub(super) writes: IntCounter,
    pub(super) written_bytes: IntCounter,
    pub(super) read_bytes: IntCounter,
    drops: IntCounterVec,
    /// Records that were not as they were written, and so were dropped.
    pub(super) corruptions: IntCounter,
    pub(super) reclaimed: IntCounter,
    faults: IntCounterVec,
}

/// How a lookup on disk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lookup {
    Hit,
    /// It is not there after all.
    Miss,
    Corrupt,
    /// The disk failed, or took too long.
    Failed,
}

impl Lookup {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Corrupt => "corrupt",
            Self::Failed => "failed",
        }
    }
}

/// Why an object was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dropped {
    /// Too much waits to be written.
    Queue,
    /// It is larger than a region.
    TooLarge,
    /// The disk failed a moment ago.
    Paused,
    /// The disk failed.
    Failed,
    /// It was forgotten before it was written.
    Forgotten,
}

impl Dropped {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::TooLarge => "too_large",
            Self::Paused => "paused",
            Self::Failed => "failed",
            Self::Forgotten => "forgotten",
        }
    }
}

/// What the disk failed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Open,
    Read,
    Write,
    /// Marking what was forgotten.
    Mark,
}

impl Fault {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Read => "read",
            Self::Write => "write",
            Self::Mark => "mark",
        }
    }
}

impl DiskMetrics {
    pub(crate) fn new(r: &Registry) -> Self {
        Self {
            bytes: r.gauge("sluice_edge_disk_bytes", "Bytes of the disk tier's files"),
            objects: r.gauge("sluice_edge_disk_objects", "Objects on disk"),
            rebuilt: r.gauge("sluice_edge_disk_rebuilt", "1 once what an earlier process kept has been read"),
            lookups: r.counters(
                "sluice_edge_disk_lookups_total",
                "Lookups of what the disk may have, by result",
                &["result"],
            ),
            writes: r.counter("sluice_edge_disk_writes_total", "Objects written to disk"),
            written_bytes: r.counter("sluice_edge_disk_written_bytes_total", "Bytes written to disk"),
            read_bytes: r.counter("sluice_edge_disk_read_bytes_total", "Body bytes read from disk"),
            drops: r.counters(
                "sluice_edge_disk_drops_total",
                "Objects that were not written, by reason",
                &["reason"],
            ),
            corruptions: r.counter(
                "sluice_edge_disk_corruptions_total",
                "Records on disk that were not as they were written, and were dropped",
            ),
            reclaimed: r.counter("sluice_edge_disk_regions_reclaimed_total", "Region files removed for room"),
            faults: r.counters(
                "sluice_edge_disk_faults_total",
                "Failures of the disk, by what failed",
                &["at"],
            ),
        }
    }

    pub(super) fn looked_up(&self, result: Lookup) {
        self.lookups.with_label_values(&[result.as_str()]).inc();
    }

    pub(super) fn dropped(&self, reason: Dropped) {
        self.drops.with_label_values(&[reason.as_str()]).inc();
    }

    pub(super) fn failed(&self, at: Fault) {
        self.faults.with_label_values(&[at.as_str()]).inc();
    }
}
