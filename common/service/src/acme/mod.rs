//! Certificates from an authority, ordered and renewed by the server itself (ACME, RFC 8555).
//!
//! - `plan`: when (pure); `order`: one order; `challenges`: what the authority asks meanwhile; `store`: what is kept
//!
//! Each server orders for itself; what it keeps is its own.

mod challenges;
mod order;
mod plan;
mod store;

pub(crate) use challenges::{ALPN, Challenges};

use crate::config::AcmeConfig;
use crate::tls::{Certificates, Watched, acme_client};
use crate::{Drain, Metrics};
use prometheus::{IntCounterVec, IntGauge};
use rand::Rng;
use rustls::ClientConfig;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use store::Store;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

/// The file of the state folder that holds the certificate with its key.
pub(crate) const CERTIFICATE: &str = "certificate.pem";
/// Time for a whole order.
const ORDER: Duration = Duration::from_secs(300);

struct Acme {
    config: AcmeConfig,
    tls: ClientConfig,
    store: Store,
    certificates: Arc<Certificates>,
    challenges: Arc<Challenges>,
    orders: IntCounterVec,
    expires: IntGauge,
}

/// Starts to keep the certificate, as a task of the drain.
///
/// # Errors
/// The configuration's key at fault, and why.
pub(crate) fn start(
    config: &AcmeConfig,
    certificates: &Arc<Certificates>,
    challenges: &Arc<Challenges>,
    drain: &Drain,
    metrics: &Metrics,
) -> Result<(), (&'static str, String)> {
    let tls = acme_client(config.ca.as_ref()).map_err(|why| ("tls.acme.ca", why))?;
    let store = Store::open(&config.state_dir)
        .map_err(|e| ("tls.acme.state_dir", format!("{}: {e}", config.state_dir.display())))?;
    let orders =
        metrics.counters("sluice_acme_orders_total", "Orders of certificates by result", &["result"]);
    let expires =
        metrics.gauge("sluice_acme_expires_seconds", "When the certificate ends, in seconds since 1970");
    let (certificates, challenges) = (Arc::clone(certificates), Arc::clone(challenges));
    let acme = Acme { config: config.clone(), tls, store, certificates, challenges, orders, expires };
    let begun = drain.token();
    drain.tasks().spawn(async move {
        tokio::select! {
            () = acme.keep() => {}
            () = begun.cancelled() => {}
        }
    });
    Ok(())
}

impl Acme {
    async fn keep(self) {
        let mut failures = 0;
        loop {
            let wait = match self.wait() {
                Some(wait) => wait,
                None => match self.renew().await {
                    Ok(()) => {
                        failures = 0;
                        self.orders.with_label_values(&["issued"]).inc();
                        tracing::info!(names = ?self.config.names, "a certificate was issued");
                        continue;
                    }
                    Err(error) => {
                        failures += 1;
                        self.orders.with_label_values(&["failed"]).inc();
                        let wait = plan::after_failures(failures, rand::rng().random());
                        tracing::warn!(error, failures, ?wait, "a certificate could not be ordered");
                        wait
                    }
                },
            };
            sleep(wait).await;
        }
    }

    /// How long the certificate that there is does still; `None` when there is none for all names, or it is due.
    fn wait(&self) -> Option<Duration> {
        let held = self.certificates.issued()?;
        if !self.config.names.iter().all(|name| held.names.covers(name)) {
            return None;
        }
        let ends = held.validity.1.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.expires.set(i64::try_from(ends).unwrap_or(i64::MAX));
        plan::until_renewal(held.validity, SystemTime::now())
    }

    async fn renew(&self) -> Result<(), String> {
        let ordered = order::order(&self.config, &self.tls, &self.store, &self.challenges);
        let issued = timeout(ORDER, ordered).await;
        self.challenges.clear();
        let issued = issued.map_err(|_| "it took too long".to_owned())??;
        let kept: io::Result<()> = self.store.keep_certificate(&issued.chain, &issued.key);
        kept.map_err(|e| format!("{CERTIFICATE}: {e}"))?;
        let certificates = Arc::clone(&self.certificates);
        spawn_blocking(move || certificates.reload()).await.map_err(|e| e.to_string())?;
        // Such a one is not ordered again and again.
        self.wait()
            .map(drop)
            .ok_or_else(|| "what was issued is not for all names, or ends at once".to_owned())
    }
}
