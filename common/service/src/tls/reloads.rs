//! What came of reading files anew: counted and logged.

use crate::Metrics;
use prometheus::IntCounterVec;

/// Counts by result. Clones count together.
#[derive(Debug, Clone)]
pub(crate) struct Reloads(IntCounterVec);

impl Reloads {
    /// Of what a server shows and whom it lets in.
    pub(crate) fn of_server(metrics: &Metrics) -> Self {
        Self(metrics.counters(
            "sluice_tls_reloads_total",
            "Certificates read anew while running, by result",
            &["result"],
        ))
    }

    /// Of what is shown to other nodes and whom it trusts there.
    pub(crate) fn of_peers(metrics: &Metrics) -> Self {
        Self(metrics.counters(
            "sluice_peer_tls_reloads_total",
            "Certificates for questions to other nodes read anew while running, by result",
            &["result"],
        ))
    }

    /// Tells what came of it; what is good.
    pub(crate) fn told<T, E: std::fmt::Display>(&self, what: &str, result: Result<T, E>) -> Option<T> {
        match result {
            Ok(good) => {
                self.0.with_label_values(&["loaded"]).inc();
                tracing::info!(what, "read anew");
                Some(good)
            }
            Err(fault) => {
                self.0.with_label_values(&["refused"]).inc();
                tracing::error!(what, %fault, "cannot be used; what was good is kept");
                None
            }
        }
    }

    /// How often it came to this.
    #[cfg(test)]
    pub(crate) fn count(&self, result: &str) -> u64 {
        self.0.with_label_values(&[result]).get()
    }
}
