//! The disk tier's keys.

use serde::{Deserialize, Serialize};
use sluice_service::Faults;
use std::path::PathBuf;

/// Regions in a budget: reclaim takes a thirty-second at a time.
const REGIONS: u64 = 32;
/// Bounds of a region's bytes: the smaller holds a segment, the larger is soon rewritten.
const REGION: (u64, u64) = (1 << 20, 1 << 30);
/// The smallest budget: eight of the smallest regions.
const MIN_BYTES: u64 = 8 << 20;

/// The cache's part on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DiskConfig {
    /// Folder of the region files: this edge's alone. `disk` below `state_dir` when absent.
    pub dir: Option<PathBuf>,
    /// Bytes of region files at most; 0 keeps nothing on disk.
    pub bytes: u64,
}

impl DiskConfig {
    /// Bytes of one region. An object that is larger is not kept on disk.
    pub(super) fn region_bytes(&self) -> u64 {
        (self.bytes / REGIONS).clamp(REGION.0, REGION.1)
    }

    pub(crate) fn validate(&self, faults: &mut Faults) {
        if self.bytes != 0 && self.bytes < MIN_BYTES {
            faults.add("cache.disk.bytes", format!("0 (off), or at least {MIN_BYTES}"));
        }
        if self.bytes / REGION.1 > 384 {
            faults.add("cache.disk.bytes", "at most 384 GiB: each GiB is an open file");
        }
    }
}
