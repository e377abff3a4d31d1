//! The table in force: renewed from the database, published when it changes, waited for by edges.

use crate::config::PlacementConfig;
use crate::health::{self, Level};
use crate::issue::{Issues, Sent};
use crate::membership;
use crate::metrics::Metrics;
use crate::seats::{LastWanted, seated};
use futures::StreamExt;
use sluice_service::HealthFlag;
use sluice_storage::{NodeRecord, Seen, Storage, StorageError};
use sluice_wire::reports::Signed;
use sluice_wire::token::mint::SigningKey;
use sluice_wire::{FleetConfig, NodeId, NodeState, RouteTable};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Between two looks at leases that may have run out.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Tries at publishing while other control planes do so too.
const PUBLISH_TRIES: u32 = 5;

/// What this control plane knows. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Fleet {
    storage: Storage,
    origins: Vec<String>,
    lease: Duration,
    placement: PlacementConfig,
    /// When popular groups last needed the replicas they have.
    last_wanted: Arc<Mutex<LastWanted>>,
    table: watch::Sender<Arc<RouteTable>>,
    issues: Issues,
    records: watch::Sender<Arc<Vec<NodeRecord>>>,
    /// The configuration in force, as last read.
    config: watch::Sender<Arc<FleetConfig>>,
    /// How far in the log each node of the table is, by its newest report to this control plane.
    applied: watch::Sender<BTreeMap<NodeId, u64>>,
    /// What this control plane sees of the nodes.
    seen: watch::Sender<Arc<BTreeMap<NodeId, Seen>>>,
    nudge: Arc<Notify>,
    metrics: Metrics,
}

impl Fleet {
    pub(crate) async fn open(
        storage: Storage,
        origins: Vec<String>,
        lease: Duration,
        placement: PlacementConfig,
        key: SigningKey,
        metrics: Metrics,
    ) -> Result<Self, StorageError> {
        let kept = storage.fleet().table().await?.unwrap_or_default();
        let issues = Issues::new(key);
        if kept.version > 0 {
            issues.add(&kept);
        }
        let fleet = Self {
            storage,
            origins,
            lease,
            placement,
            last_wanted: Arc::default(),
            table: watch::Sender::new(Arc::new(kept)),
            issues,
            records: watch::Sender::default(),
            config: watch::Sender::default(),
            applied: watch::Sender::default(),
            seen: watch::Sender::default(),
            nudge: Arc::new(Notify::new()),
            metrics,
        };
        fleet.renew().await?;
        Ok(fleet)
    }

    /// Keeps the table true until the drain begins.
    pub(crate) async fn run(self, health: HealthFlag, stop: CancellationToken) {
        let mut changes = self.storage.fleet().changes();
        let mut changes_end = false;
        loop {
            tokio::select! {
                _ = timeout(LOOK_EVERY, self.nudge.notified()) => {}
                said = changes.next(), if !changes_end => changes_end = said.is_none(),
                () = stop.cancelled() => return,
            }
            match self.renew().await {
                Ok(()) => health.set_ready(true, "open"),
                Err(error) => {
                    // What is known goes on being served.
                    tracing::warn!(%error, "the fleet cannot be read");
                    health.set_ready(false, "the database cannot be read");
                }
            }
        }
    }

    /// Reads the records, and publishes what they mean if it is news.
    pub(crate) async fn renew(&self) -> Result<(), StorageError> {
        let fleet = self.storage.fleet();
        let records = fleet.nodes().await?;
        let config = self.configure().await?;
        let levels = self.levels().await?;
        let now = self.storage.clock.now_ms();
        let lease_ms = u64::try_from(self.lease.as_millis()).unwrap_or(u64::MAX);
        let wanted = membership::table(&records, &config, &levels, &self.origins, lease_ms, now);
        self.count(&wanted);
        self.records.send_replace(Arc::new(records));
        for _ in 0..PUBLISH_TRIES {
            let kept = fleet.table().await?.unwrap_or_default();
            let next = self.seat(wanted.clone(), &kept, now);
            if membership::same(&kept, &next) {
                self.adopt(kept);
                return Ok(());
            }
            let next = RouteTable { version: kept.version + 1, ..next };
            if fleet.publish(&next).await? {
                tracing::info!(version = next.version, nodes = next.nodes.len(), "route table");
                self.adopt(next);
                return Ok(());
            }
        }
        // Another control plane published in between, each time; the next look agrees with it or with us.
        Ok(())
    }

    /// What a table says of seats and popular groups, following the one that is kept.
    fn seat(&self, table: RouteTable, kept: &RouteTable, now_ms: u64) -> RouteTable {
        let mut last = self.last_wanted.lock().unwrap_or_else(PoisonError::into_inner);
        seated(table, kept, &self.records(), &mut last, &self.placement, now_ms)
    }

    /// How well each node serves, as the control planes see it together.
    async fn levels(&self) -> Result<BTreeMap<NodeId, Level>, StorageError> {
        let mut said: BTreeMap<NodeId, Vec<Level>> = BTreeMap::new();
        for (node, seen) in self.storage.fleet().seen_health().await?.into_values().flatten() {
            said.entry(node).or_default().push(Level::of_percent(seen.percent));
        }
        Ok(said.into_iter().map(|(node, levels)| (node, health::agreed(levels))).collect())
    }

    /// Takes what this control plane sees of the nodes.
    pub(crate) fn sees(&self, seen: BTreeMap<NodeId, Seen>) {
        self.seen.send_replace(Arc::new(seen));
    }

    /// What this control plane sees of the nodes.
    pub(crate) fn seen(&self) -> Arc<BTreeMap<NodeId, Seen>> {
        Arc::clone(&self.seen.borrow())
    }

    /// The configuration in force, read if it is another than the last.
    async fn configure(&self) -> Result<Arc<FleetConfig>, StorageError> {
        let newest = self.storage.settings().newest().await?;
        if newest != self.config().version
            && let Some(read) = self.storage.settings().version(newest).await?
        {
            self.metrics.config_version.set(newest.cast_signed());
            self.config.send_replace(Arc::new(read.config));
        }
        Ok(self.config())
    }

    /// The configuration in force.
    pub(crate) fn config(&self) -> Arc<FleetConfig> {
        Arc::clone(&self.config.borrow())
    }

    fn adopt(&self, table: RouteTable) {
        self.metrics.table_version.set(table.version.cast_signed());
        self.table.send_if_modified(|known| {
            let news = known.version < table.version || (known.version == table.version && **known != table);
            if news {
                self.issues.add(&table);
                *known = Arc::new(table);
            }
            news
        });
    }

    fn count(&self, table: &RouteTable) {
        for state in [NodeState::Joining, NodeState::Ready, NodeState::Draining, NodeState::Gone] {
            let count = table.nodes.iter().filter(|n| n.state == state).count() as u64;
            self.metrics.nodes.with_label_values(&[state.as_str()]).set(count.cast_signed());
        }
    }

    /// Takes what a node of the table has reported. Others are not remembered.
    pub(crate) fn has_applied(&self, node: &NodeId, seq: u64) {
        let table = self.table();
        if table.node(node).is_some() {
            self.applied.send_modify(|applied| {
                applied.retain(|node, _| table.node(node).is_some());
                applied.insert(node.clone(), seq);
            });
        }
    }

    /// How far each node is, as it changes.
    pub(crate) fn applied(&self) -> watch::Receiver<BTreeMap<NodeId, u64>> {
        self.applied.subscribe()
    }

    /// Has the table renewed soon.
    pub(crate) fn nudge(&self) {
        self.nudge.notify_one();
    }

    /// The table in force.
    pub(crate) fn table(&self) -> Arc<RouteTable> {
        Arc::clone(&self.table.borrow())
    }

    /// The table, as it changes.
    pub(crate) fn watched(&self) -> watch::Receiver<Arc<RouteTable>> {
        self.table.subscribe()
    }

    /// The table once it is newer than `version`; `None` when it is not in time. Cancel safe.
    pub(crate) async fn newer(&self, version: u64, patience: Duration) -> Option<Arc<RouteTable>> {
        let mut watched = self.table.subscribe();
        let found = timeout(patience, watched.wait_for(|table| table.version > version)).await;
        found.ok()?.ok().map(|table| Arc::clone(&table))
    }

    /// The newest table as it is sent, for someone who has version `from` and can apply changes, or not.
    pub(crate) fn sent(&self, from: Option<u64>) -> Option<Sent> {
        self.issues.newest(from)
    }

    /// The public key that signs the tables.
    pub(crate) fn key(&self) -> String {
        self.issues.key()
    }

    /// Signs a body as what it is: what goes into the fields of a signature.
    pub(crate) fn sign(&self, what: Signed, body: &[u8]) -> (String, String) {
        self.issues.sign(what, body)
    }

    /// The records as last read.
    pub(crate) fn records(&self) -> Arc<Vec<NodeRecord>> {
        Arc::clone(&self.records.borrow())
    }

    /// How long a report keeps a node in the fleet.
    pub(crate) const fn lease(&self) -> Duration {
        self.lease
    }
}
