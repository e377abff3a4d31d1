//! How soon a video begins to play: measured for each first pass that begins at the source's beginning.

use crate::metrics::Metrics;
use crate::supply::Arrivals;
use tokio::time::Instant;

/// The beginning of a first pass.
#[derive(Debug)]
pub(crate) struct Start {
    /// When the worker began.
    begun: Instant,
    /// When bytes came, of a source that was still coming.
    arrivals: Option<Arrivals>,
    /// When the source's first group of pictures was there.
    group: Option<Instant>,
    /// Rungs whose first segment is awaited.
    awaited: usize,
    published: Option<Instant>,
}

impl Start {
    /// Begins, with so many rungs to make.
    pub(crate) const fn new(begun: Instant, awaited: usize, arrivals: Option<Arrivals>) -> Self {
        Self { begun, arrivals, group: None, awaited, published: None }
    }

    /// The first group of pictures ends before this byte.
    pub(crate) fn group(&mut self, end: u64, metrics: &Metrics) {
        self.group = self.arrivals.as_ref().and_then(|arrivals| arrivals.of(end));
        self.observe(metrics);
    }

    /// A rung's first segment can be had. True with the last of them: the video plays now.
    pub(crate) fn published(&mut self, metrics: &Metrics) -> bool {
        self.awaited = self.awaited.saturating_sub(1);
        let plays = self.awaited == 0 && self.published.is_none();
        if plays {
            let now = *self.published.insert(Instant::now());
            metrics.first_segment.with_label_values::<&str>(&[]).observe((now - self.begun).as_secs_f64());
            self.observe(metrics);
        }
        plays
    }

    /// Both are known. Groups may be longer than segments: then there is nothing to wait for.
    fn observe(&mut self, metrics: &Metrics) {
        if let (Some(group), Some(published)) = (self.group, self.published) {
            let waited = published.saturating_duration_since(group).as_secs_f64();
            metrics.first_playable.with_label_values::<&str>(&[]).observe(waited);
            self.arrivals = None;
            self.group = None;
        }
    }
}
