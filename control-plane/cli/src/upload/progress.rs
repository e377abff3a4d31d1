//! How far an upload is, on standard error: one line that changes on a terminal, plain lines elsewhere.

use crate::api::complain;
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;
use tokio::time::Instant;

/// Between two words on a terminal, and elsewhere.
const EVERY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// What is sent of a file.
#[derive(Debug)]
pub(crate) struct Progress {
    total: u64,
    /// Bytes of each piece that the server has or is being sent, by where it begins.
    sent: BTreeMap<u64, u64>,
    terminal: bool,
    begun: Instant,
    /// Bytes that were there before.
    before: Option<u64>,
    last: Option<Instant>,
}

impl Progress {
    pub(crate) fn new(total: u64) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self { total, sent: BTreeMap::new(), terminal, begun: Instant::now(), before: None, last: None }
    }

    /// Sets how much of a piece is sent.
    pub(crate) fn set(&mut self, piece: u64, bytes: u64) {
        self.sent.insert(piece, bytes);
        let every = if self.terminal { EVERY.0 } else { EVERY.1 };
        if self.last.is_none_or(|last| last.elapsed() >= every) {
            self.say();
        }
    }

    /// Says something that is no progress.
    pub(crate) fn note(&self, text: &str) {
        complain(&if self.terminal { format!("\r\x1b[K{text}\n") } else { format!("{text}\n") });
    }

    /// The last word.
    pub(crate) fn end(&mut self) {
        self.say();
        if self.terminal {
            complain("\n");
        }
    }

    fn say(&mut self) {
        let sent: u64 = self.sent.values().sum();
        let before = *self.before.get_or_insert(sent);
        self.last = Some(Instant::now());
        let percent = sent.saturating_mul(100) / self.total.max(1);
        let rate = (sent.saturating_sub(before)) as f64 / self.begun.elapsed().as_secs_f64().max(0.001);
        let mib = |bytes: f64| bytes / f64::from(1 << 20);
        let line = format!(
            "{percent:>3} %  {:.1} of {:.1} MiB  {:.1} MiB/s",
            mib(sent as f64),
            mib(self.total as f64),
            mib(rate)
        );
        complain(&if self.terminal { format!("\r\x1b[K{line}") } else { format!("{line}\n") });
    }
}
