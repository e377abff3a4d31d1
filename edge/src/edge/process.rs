//! The edge's life: loaded, run with its background work, drained.

use super::Shared;
use crate::config::Config;
use crate::shortcut::Hits;
use crate::{access, feed, fleet, life, live, overload, purge, rooms};
use sluice_service::{Apply, Context, HttpRequest, Listeners, Process, ProcessError};
use sluice_wire::Tier;
use sluice_wire::published::Document;
use std::convert::Infallible;
use std::sync::Arc;
use tower::service_fn;

/// The edge.
#[derive(Debug)]
pub struct Edge {
    shared: Arc<Shared>,
    listeners: Listeners,
    journal: Option<feed::Journal>,
    /// The table that was on disk.
    kept: Document,
}

impl Process for Edge {
    const NAME: &'static str = "sluice-edge";
    type Config = Config;

    async fn load(config: Config, context: Context) -> Result<Self, ProcessError> {
        let Context { listeners, metrics, health, admin, drain } = context;
        let (shared, journal, kept) = Shared::open(config, &listeners.addresses(), &metrics, &health, drain)?;
        admin.serve(purge::admin(Arc::clone(&shared)));
        Ok(Self { shared, listeners, journal, kept })
    }

    fn applier(&self) -> Apply<Config> {
        let shared = Arc::clone(&self.shared);
        Box::new(move |config| shared.take(config))
    }

    async fn run(self) -> Result<(), ProcessError> {
        let shared = self.shared;
        let tasks = shared.drain.tasks();
        tasks.spawn(feed::follow(Arc::clone(&shared), self.journal));
        let access = &shared.config.access;
        if access.rules_file.is_some() || access.keys_file.is_some() || access.keys_url.is_some() {
            tasks.spawn(access::follow(Arc::clone(&shared)));
        }
        if !shared.config.control.is_empty() {
            tasks.spawn(fleet::follow(Arc::clone(&shared), self.kept));
            tasks.spawn(fleet::report(Arc::clone(&shared)));
        }
        if shared.config.tier == Tier::Near && !shared.config.control.is_empty() {
            tasks.spawn(fleet::tell(Arc::clone(&shared)));
            tasks.spawn(fleet::follow_plans(Arc::clone(&shared)));
        }
        if shared.config.tier == Tier::Near {
            tasks.spawn(overload::watch(Arc::clone(&shared)));
            tasks.spawn(live::follow(Arc::clone(&shared)));
            tasks.spawn(rooms::follow(Arc::clone(&shared)));
        }
        let shortcuts = Arc::clone(&shared);
        let service = service_fn(move |request: HttpRequest| {
            let shared = Arc::clone(&shared);
            async move { Ok::<_, Infallible>(life::live(shared, request).await) }
        });
        let (shortcut, arena) = (Arc::new(Hits::new(&shortcuts)), shortcuts.arena.clone());
        self.listeners.serve_per_core(service, shortcut, arena).await;
        Ok(())
    }
}
