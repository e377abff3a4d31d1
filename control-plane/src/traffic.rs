//! What sites have sent this month, in time for their contracts: noted from the newest reports, read by what it costs next.

use crate::answer::fresh;
use crate::control::State;
use crate::fleet::Fleet;
use crate::operators::{Caller, Role};
use crate::problem::Failure;
use axum::response::Response;
use serde_json::{Value, json};
use sluice_storage::{Month, NodeRecord, Sent, Storage, StorageError};
use sluice_wire::steering::Contract;
use sluice_wire::{FleetConfig, Tier};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use time::{Date, OffsetDateTime};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Steps of a price: what changes less makes no other view.
const PRICE_STEPS: f64 = 64.0;
/// Bytes of a gigabyte, as contracts count.
const GIGABYTE: f64 = 1e9;

/// What has been sent in a part of a month.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Used {
    /// The part of the month that is over, from 0 to 1.
    pub(crate) elapsed: f64,
    /// Gigabytes by site.
    pub(crate) gb: BTreeMap<String, f64>,
}

impl Used {
    /// What the next gigabyte costs at a site, in steps of a 64th of its contract's price.
    pub(crate) fn price(&self, site: &str, contract: &Contract) -> f64 {
        let price = contract.price(self.gb.get(site).copied().unwrap_or(0.0), self.elapsed);
        let step = contract.price_per_gb / PRICE_STEPS;
        if step > 0.0 { (price / step).round() * step } else { price }
    }
}

/// What this control plane knows of it. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Traffic {
    storage: Storage,
    used: watch::Sender<Arc<Used>>,
}

impl Traffic {
    pub(crate) async fn open(storage: Storage) -> Result<Self, StorageError> {
        let traffic = Self { storage, used: watch::Sender::default() };
        traffic.read().await?;
        Ok(traffic)
    }

    /// What has been sent, as last read.
    pub(crate) fn used(&self) -> Arc<Used> {
        Arc::clone(&self.used.borrow())
    }

    /// Notes what nodes report, and reads what they have sent together, until the drain begins. What operators did long ago is
    /// forgotten at the same time.
    pub(crate) async fn run(self, fleet: Fleet, every: Duration, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = sleep(every) => {}
                () = stop.cancelled() => return,
            }
            if let Err(error) = self.look(&fleet.records()).await {
                tracing::debug!(%error, "what was sent is not noted");
            }
            if let Some(Err(error)) = stop.run_until_cancelled(self.storage.audit().forget()).await {
                tracing::debug!(%error, "old entries of the audit log not forgotten");
            }
        }
    }

    async fn look(&self, records: &[NodeRecord]) -> Result<(), StorageError> {
        let (month, _) = month(self.storage.clock.now_ms());
        self.storage.traffic().note(month, &sent(records)).await?;
        self.read().await
    }

    async fn read(&self) -> Result<(), StorageError> {
        let (month, elapsed) = month(self.storage.clock.now_ms());
        let sites = self.storage.traffic().by_site(month).await?;
        let gb = sites.into_iter().map(|(site, bytes)| (site, bytes as f64 / GIGABYTE)).collect();
        self.used.send_replace(Arc::new(Used { elapsed, gb }));
        Ok(())
    }
}

/// What near edges say that they have sent to clients; what shields send stays within the fleet.
fn sent(records: &[NodeRecord]) -> Vec<Sent> {
    let near = records.iter().map(|record| &record.report).filter(|report| report.tier == Tier::Near);
    near.map(|report| Sent {
        node: report.node.clone(),
        started_ms: report.started_ms,
        site: report.site.clone(),
        bytes: report.counters.bytes_out,
    })
    .collect()
}

/// The month of a time (UTC), and the part of it that is over.
fn month(now_ms: u64) -> (Month, f64) {
    let now = OffsetDateTime::from_unix_timestamp((now_ms / 1_000).cast_signed());
    let first = now.unwrap_or(OffsetDateTime::UNIX_EPOCH).date().replace_day(1).unwrap_or(Date::MIN);
    let before = first.previous_day().and_then(|day| day.replace_day(1).ok()).unwrap_or(first);
    let ms = |date: Date| date.midnight().assume_utc().unix_timestamp().max(0).cast_unsigned() * 1_000;
    let begins_ms = ms(first);
    let length_ms = u64::from(first.month().length(first.year())) * 24 * 3_600 * 1_000;
    let elapsed = now_ms.saturating_sub(begins_ms) as f64 / length_ms as f64;
    (Month { begins_ms, before_ms: ms(before) }, elapsed.clamp(0.0, 1.0))
}

/// `GET /v1/traffic`: what sites have sent this month, and what comes of it.
pub(crate) async fn traffic(
    axum::extract::State(state): axum::extract::State<State>,
    caller: Caller,
) -> Result<Response, Failure> {
    caller.may(Role::Viewer)?;
    let (used, config) = (state.traffic.used(), state.fleet.config());
    let (month, _) = month(state.storage.clock.now_ms());
    let names: Vec<&String> =
        used.gb.keys().chain(config.sites.keys().filter(|site| !used.gb.contains_key(*site))).collect();
    let sites: Vec<Value> = names.into_iter().map(|site| told(site, &used, &config)).collect();
    Ok(fresh(axum::Json(
        json!({ "month_begins_ms": month.begins_ms, "elapsed": used.elapsed, "sites": sites }),
    )))
}

fn told(site: &str, used: &Used, config: &FleetConfig) -> Value {
    let contract = config.sites.get(site).map(|said| said.contract).unwrap_or_default();
    json!({
        "site": site, "used_gb": used.gb.get(site).copied().unwrap_or(0.0),
        "commit_gb": contract.commit_gb, "price_per_gb": used.price(site, &contract),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_those_of_the_calendar() {
        let at = |ms| {
            let (month, elapsed) = month(ms);
            (month.begins_ms, month.before_ms, (elapsed * 1e4).round() / 1e4)
        };
        // 2024-02-29T12:00:00Z, of a leap year; 2024-02-01 and 2024-01-01.
        assert_eq!(at(1_709_208_000_000), (1_706_745_600_000, 1_704_067_200_000, 0.9828));
        // 2025-01-01T00:00:00Z.
        assert_eq!(at(1_735_689_600_000), (1_735_689_600_000, 1_733_011_200_000, 0.0));
        assert_eq!(at(0), (0, 0, 0.0), "nothing is before the first second");
    }

    #[test]
    fn a_price_moves_by_steps() {
        let contract = Contract { commit_gb: 1_000.0, price_per_gb: 0.064 };
        let price = |gb| Used { elapsed: 0.5, gb: [("fra".to_owned(), gb)].into() }.price("fra", &contract);
        assert_eq!((price(100.0), price(900.0)), (0.0, 0.064));
        assert!((price(500.2) - 0.032).abs() < 1e-12, "{}", price(500.2));
        assert_eq!(
            Used::default().price("nyc", &Contract { price_per_gb: 0.01, ..Contract::default() }),
            0.01
        );
    }
}
