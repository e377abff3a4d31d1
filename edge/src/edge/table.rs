//! Where keys and misses go: the route table in force, the one before it, and the origins.

use super::Shared;
use crate::config::Config;
use crate::gate::Target;
use crate::upstreams;
use sluice_wire::{NodeState, Placement, PlacementKey, RouteTable, Tier};
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Shared {
    /// The route table in force.
    pub(crate) fn table(&self) -> Arc<RouteTable> {
        Arc::clone(self.placement.load().table())
    }

    /// Where keys go by the route table in force.
    pub(crate) fn placement(&self) -> Arc<Placement> {
        self.placement.load_full()
    }

    /// Who owns a media group at this site, as answers say it. `None` where keys are not placed.
    pub(crate) fn placed(&self, key: PlacementKey) -> Option<String> {
        let placement = self.placement.load();
        let owner = placement.owner(key).filter(|_| self.config.tier == Tier::Near)?;
        Some(format!("{}; table={}", owner.node, placement.table().version))
    }

    /// Takes a table that has been checked into force, and keeps its message on disk.
    pub(crate) fn adopt(&self, table: RouteTable, message: &[u8]) {
        if let Err(error) = self.disk.keep(message) {
            tracing::warn!(%error, "the route table cannot be kept on disk");
        }
        tracing::info!(version = table.version, nodes = table.nodes.len(), "route table");
        self.routes.set_ready(true, "from the control plane");
        self.tenants.adopt(&table);
        self.leaving.store(is_drained(&table, &self.config), Ordering::Relaxed);
        let placement = Placement::new(Arc::new(table), &self.config.site);
        self.former.store(self.placement.swap(Arc::new(placement)));
    }

    /// True while clients are to go elsewhere.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    /// True when another node of this tier was a target's owner until the last change of the table.
    pub(crate) fn has_moved_here(&self, target: &Target) -> bool {
        let key = PlacementKey::of_path(&target.path);
        let owns = |placement: &Placement| {
            let order = match self.config.tier {
                Tier::Near => placement.near(key),
                Tier::Shield => placement.shields(key),
            };
            let owner = order.first().and_then(|at| placement.node(*at));
            owner.map(|owner| owner.node == self.config.node)
        };
        owns(&self.former.load()) == Some(false) && owns(&self.placement.load()) == Some(true)
    }

    /// The origins: the table's, or the configured ones.
    pub(crate) fn origins(&self) -> Vec<String> {
        let table = self.table();
        if table.origins.is_empty() { self.live().origins.clone() } else { table.origins.clone() }
    }

    /// The origins of a path.
    pub(crate) fn origins_of(&self, path: &str) -> Vec<String> {
        let own = upstreams::of(&self.live().upstreams, path).map(<[String]>::to_vec);
        own.unwrap_or_else(|| self.origins())
    }

    /// All origins there are, each once: they share one log.
    pub(crate) fn all_origins(&self) -> Vec<String> {
        let mut all = self.origins();
        for origin in self.live().upstreams.iter().flat_map(|upstream| &upstream.origins) {
            if !all.contains(origin) {
                all.push(origin.clone());
            }
        }
        all
    }
}

/// True when a table says that this near edge is drained.
pub(super) fn is_drained(table: &RouteTable, config: &Config) -> bool {
    config.tier == Tier::Near
        && table.node(&config.node).is_some_and(|node| node.state == NodeState::Draining)
}
