//! Files of conversations: sent before the message that names them, seen by members from then on, gone with it.
//!
//! ```text
//! POST -> a row, due soon -> the object -> the row is good, due in a day        a message names it: not due any more
//! the message is deleted -> gone, due now -> sweep: the object goes, then the row
//! ```
//!
//! The row comes before the object, so that whatever was stored is found again: what is due is swept. Each reading asks here whether the
//! reader is in the conversation, so that no cache in between has anything to forget.
//!
//! - `coming`: those that are on their way; `kept`: their rows; `named`: which message names which
//! - `http`: sent and read; `sweep`: removed

mod coming;
pub(crate) mod http;
mod kept;
mod named;
mod sweep;

pub(crate) use named::{Named, name, release};
pub(crate) use sweep::sweep;

use std::sync::Arc;

use prometheus::IntCounterVec;
use sluice_service::Metrics;
use tokio::sync::Notify;

use crate::Config;
use coming::Coming;

/// Milliseconds that a file waits for its message: as long as the slowest of them takes to be stored, or a year.
const WAITS: std::ops::RangeInclusive<u64> = 1_000..=366 * 24 * 3_600_000;

/// What handlers and the sweep share. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    coming: Coming,
    /// A message with files was deleted.
    released: Arc<Notify>,
    /// Milliseconds after which one goes that no message names.
    due_ms: u64,
    /// Bytes of an account's files at most.
    most: u64,
    /// By what became of them.
    counted: IntCounterVec,
}

impl Files {
    pub(crate) fn new(metrics: &Metrics, config: &Config) -> Self {
        let help = "Files of conversations by what became of them: kept, busy, swept";
        Self {
            coming: Coming::default(),
            released: Arc::default(),
            due_ms: config.file_ms.clamp(*WAITS.start(), *WAITS.end()),
            most: config.file_bytes,
            counted: metrics.counters("sluice_chat_files_total", help, &["result"]),
        }
    }

    /// Some are due now.
    pub(crate) fn released(&self) {
        self.released.notify_one();
    }

    fn count(&self, result: &str, files: u64) {
        self.counted.with_label_values(&[result]).inc_by(files);
    }
}
