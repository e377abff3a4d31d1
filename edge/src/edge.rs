//! The process: what an edge holds, and its background work.
//!
//! - `open`: how it is opened; `process`: its life, from configuration to drain
//! - `table`: where keys and misses go by the route table, and that table's changes

mod open;
mod process;
mod table;

pub use process::Edge;

use crate::access::Access;
use crate::asked::Asked;
use crate::budget::Budget;
use crate::cache::{Fills, Object, Store};
use crate::cmcd::Players;
use crate::config::{Config, LEAST_SLICE};
use crate::cuts::Cuts;
use crate::feed::Liveness;
use crate::fleet::{self, Disk, Trust};
use crate::floors::{Aim, Floors};
use crate::life::Ahead;
use crate::live;
use crate::metrics::Metrics;
use crate::overload::Overload;
use crate::parent::Parents;
use crate::popular::Popular;
use crate::rooms::Rooms;
use crate::searches::Searches;
use crate::siblings::Siblings;
use crate::tenant::Tenants;
use crate::transform::Images;
use arc_swap::{ArcSwap, Guard};
use sluice_service::{Arena, Drain, HealthFlag, Pool};
use sluice_wire::token::Revocations;
use sluice_wire::token::mint::SigningKey;
use sluice_wire::{Placement, PlacementKey, Tier};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::sync::Notify;

/// What every request and every background task of an edge shares.
#[derive(Debug)]
pub(crate) struct Shared {
    /// As the process was started. What may change while it serves is in [`live`](Self::live).
    pub(crate) config: Config,
    live: ArcSwap<Config>,
    pub(crate) metrics: Metrics,
    pub(crate) drain: Drain,
    pub(crate) access: Access,
    pub(crate) store: Store,
    /// Where large bodies are kept, if the kernel gives the room.
    pub(crate) arena: Option<Arena>,
    pub(crate) fills: Fills,
    pub(crate) floors: Floors,
    /// What answers have said of queries.
    pub(crate) searches: Searches,
    pub(crate) liveness: Liveness,
    /// Live channels, and who listens to them.
    pub(crate) channels: live::Table,
    /// Waiting rooms, and who waits in them.
    pub(crate) rooms: Rooms,
    /// Whose tokens are refused.
    pub(crate) revoked: Arc<Revocations>,
    pub(crate) parents: Parents,
    /// What was asked of near edges of the same site.
    pub(crate) siblings: Siblings,
    /// What clients ask for most.
    pub(crate) popular: Popular,
    /// And in a minute, by name.
    pub(crate) asked: Asked,
    /// Which plan of what to fetch ahead of demand there is.
    pub(crate) plans: fleet::News,
    pub(crate) tenants: Tenants,
    /// Who plays here.
    pub(crate) players: Players,
    /// What is fetched before it is asked for.
    pub(crate) ahead: Ahead,
    /// What is given up now.
    pub(crate) overload: Overload,
    pub(crate) cuts: Cuts,
    /// Has a report sent at once.
    pub(crate) report_now: Notify,
    /// Where coded forms are made.
    pub(crate) coders: Pool,
    /// For second fetches beside a slow parent's: one in ten at most.
    pub(crate) hedges: Budget,
    /// For going on with bodies that a parent cut: one fetch in five, and all that were under way when it broke down.
    pub(crate) resumes: Budget,
    /// Which variants of images are made, and where.
    pub(crate) images: ArcSwap<Images>,
    pub(crate) painters: Pool,
    /// For questions to the control plane and the event feed.
    pub(crate) http: reqwest::Client,
    pub(crate) peer_url: String,
    pub(crate) public_url: String,
    pub(crate) started_ms: u64,
    placement: ArcSwap<Placement>,
    /// True while the table says that this node is drained: clients are sent on to others.
    leaving: AtomicBool,
    /// By the table before the one in force.
    former: ArcSwap<Placement>,
    disk: Disk,
    /// What its reports are signed with.
    pub(crate) report_key: Option<SigningKey>,
    /// Whose tables are believed.
    pub(crate) trust: Trust,
    routes: HealthFlag,
}

impl Shared {
    /// Bytes of the largest body that is kept in one piece.
    pub(crate) fn largest_kept(&self) -> u64 {
        self.live().cache.max_object_bytes.min(self.store.largest())
    }

    /// Bytes of a slice; 0 when nothing is sliced.
    pub(crate) fn slice_bytes(&self) -> u64 {
        let size = self.live().cache.slice_bytes.min(self.largest_kept());
        if size < LEAST_SLICE { 0 } else { size }
    }

    /// The configuration in force now: for the keys that `Config::live_keys` names.
    pub(crate) fn live(&self) -> Guard<Arc<Config>> {
        self.live.load()
    }

    /// Takes a configuration that has been judged into force.
    fn take(&self, config: &Config) {
        let before = self.live.swap(Arc::new(config.clone()));
        self.store.resize(config.cache.memory_bytes);
        self.access.take(&config.access);
        if before.tenants != config.tenants && self.tenants.take(&config.tenants) {
            self.floors.purge_here(&[Aim::Everything], false);
        }
        match Images::open(&config.transform.images) {
            Ok(images) => self.images.store(Arc::new(images)),
            // It was judged a moment ago, and its file is gone since.
            Err(error) => tracing::warn!(error, "images: what may be made stays as it was"),
        }
    }

    /// Counts what a client of this edge asks for.
    pub(crate) fn count_popular(&self, key: PlacementKey) {
        if self.config.tier == Tier::Near && !self.config.control.is_empty() {
            self.popular.record(key);
        }
    }

    /// Notes that a client was served media: what was fetched ahead was of use then.
    pub(crate) fn served(&self, object: &Object, path: &str, bytes: u64) {
        if self.config.tier != Tier::Near || self.config.control.is_empty() {
            return;
        }
        if object.end_ahead() {
            self.metrics.planned("used", object.body.length().unwrap_or(bytes));
        }
        if let Some(key) = object.placed(path) {
            self.asked.record(key, path, bytes);
        }
    }
}
