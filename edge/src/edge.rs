//! The process: what an edge holds, and its background work.

use crate::access::Access;
use crate::asked::Asked;
use crate::budget::Budget;
use crate::cache::{Fills, Object, Store};
use crate::cmcd::Players;
use crate::config::{Config, LEAST_SLICE};
use crate::cuts::Cuts;
use crate::disk::Tier;
use crate::feed::Liveness;
use crate::fleet::{Disk, Trust};
use crate::floors::{Aim, Floors};
use crate::gate::Target;
use crate::life::Ahead;
use crate::metrics::Metrics;
use crate::names::Names;
use crate::overload::{self, Overload};
use crate::parent::Parents;
use crate::popular::Popular;
use crate::rooms::Rooms;
use crate::searches::Searches;
use crate::shortcut::Hits;
use crate::siblings::Siblings;
use crate::tenant::Tenants;
use crate::transform::Images;
use crate::{access, feed, fleet, life, live, purge, rooms, upstreams};
use arc_swap::{ArcSwap, Guard};
use sluice_service::{
    Addresses, Apply, Arena, Context, Drain, Health, HealthFlag, HttpRequest, Listeners, Pool, Process,
    ProcessError,
};
use sluice_wire::published::Document;
use sluice_wire::token::Revocations;
use sluice_wire::token::mint::SigningKey;
use sluice_wire::{NodeState, Placement, PlacementKey, RouteTable};
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;
use tower::service_fn;

/// Second fetches at once: a few objects, not an edge's whole traffic.
const HEDGES_AT_ONCE: u32 = 10;
/// Bodies gone on with at once: as many as a busy edge has under way from one parent.
const RESUMES_AT_ONCE: u32 = 100;

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
    /// Opens what an edge that listens at these addresses holds. Beside it, the journal of what was heard of the log, where
    /// something outlives the process, and the table that was on disk.
    pub(crate) fn open(
        config: Config,
        at: &Addresses,
        metrics: &sluice_service::Metrics,
        health: &Health,
        drain: Drain,
    ) -> Result<(Arc<Self>, Option<feed::Journal>, Document), ProcessError> {
        let (registry, metrics) = (metrics, Metrics::new(metrics));
        let disk = Disk::open(&config.state_dir)
            .map_err(|e| format!("state_dir {}: {e}", config.state_dir.display()))?;
        let routes = health.component("routes");
        let trust = Trust::open(&config.control_keys, &config.state_dir);
        let kept = disk.load(&trust).unwrap_or_else(|refused| {
            metrics.tables_refused.with_label_values(&[refused.as_str()]).inc();
            tracing::warn!(%refused, "the route table on disk is not believed");
            None
        });
        let (document, kept) =
            kept.map_or_else(Default::default, |(document, table)| (document, Some(table)));
        match (&kept, config.control.is_empty()) {
            (Some(_), _) => routes.set_ready(true, "from the disk"),
            (None, true) => routes.set_ready(true, "by configuration"),
            (None, false) => routes.set_ready(false, "no route table yet"),
        }
        let tier = Tier::start(&config.cache.disk, &config.state_dir, metrics.disk.clone(), &drain);
        let journal = tier.is_some().then(|| feed::Journal::open(&config.state_dir));
        let tls = sluice_service::peer_tls(&config.peer_tls, &drain, registry)?;
        let names = Names::new(&config.dns, &drain, metrics.names.clone());
        let http = reqwest::Client::builder()
            .dns_resolver(Arc::new(names.clone()))
            .connect_timeout(Duration::from_secs(1))
            .tls_backend_preconfigured(tls.clone())
            .no_proxy()
            .build()?;
        let own = at.http.map(|at| format!("http://{at}")).unwrap_or_default();
        let peer_url = config.peer_url.clone().unwrap_or_else(|| own.clone());
        let public_url = config.public_url.clone().unwrap_or(own);
        let listening: Vec<_> = [at.http, at.https, at.h3].into_iter().flatten().collect();
        let tenants = Tenants::new(&config.tenants, &[&peer_url, &public_url], &listening);
        kept.iter().for_each(|table| tenants.adopt(table));
        let started_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64);
        let floors = Floors::default();
        if let Some(journal) = &journal {
            floors.resume(journal.kept(), started_ms, |event| purge::of_event(&tenants, event, &|_, _| None));
        }
        let arena = reserve(config.cache.memory_bytes);
        let revoked = Arc::<Revocations>::default();
        let shared = Self {
            arena,
            access: Access::load(&config.access, &metrics)?,
            store: Store::new(config.cache.memory_bytes, metrics.clone(), tier),
            fills: Fills::default(),
            searches: Searches::new(metrics.searches.clone()),
            floors,
            liveness: Liveness::default(),
            channels: live::Table::new(Arc::clone(&revoked), metrics.live.clone()),
            revoked,
            rooms: Rooms::new(metrics.rooms.clone()),
            coders: Pool::for_codings(),
            hedges: Budget::new(100, HEDGES_AT_ONCE),
            resumes: Budget::new(200, RESUMES_AT_ONCE),
            images: ArcSwap::from_pointee(Images::open(&config.transform.images)?),
            painters: Pool::for_images(),
            parents: Parents::new(tls, names),
            http,
            tenants,
            players: Players::new(metrics.clone()),
            ahead: Ahead::new(metrics.clone()),
            overload: Overload::default(),
            cuts: Cuts::default(),
            report_now: Notify::new(),
            peer_url,
            public_url,
            started_ms,
            leaving: AtomicBool::new(kept.as_ref().is_some_and(|table| is_drained(table, &config))),
            placement: ArcSwap::from_pointee(Placement::new(
                Arc::new(kept.unwrap_or_default()),
                &config.site,
            )),
            former: ArcSwap::from_pointee(Placement::new(Arc::default(), &config.site)),
            siblings: Siblings::default(),
            popular: Popular::default(),
            asked: Asked::default(),
            plans: fleet::News::default(),
            disk,
            report_key: config.report_key_file.as_deref().map(report_key).transpose()?,
            trust,
            routes,
            metrics,
            drain,
            live: ArcSwap::from_pointee(config.clone()),
            config,
        };
        Ok((Arc::new(shared), journal, document))
    }

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
        let owner = placement.owner(key).filter(|_| self.config.tier == sluice_wire::Tier::Near)?;
        Some(format!("{}; table={}", owner.node, placement.table().version))
    }

    /// Counts what a client of this edge asks for.
    pub(crate) fn count_popular(&self, key: PlacementKey) {
        if self.config.tier == sluice_wire::Tier::Near && !self.config.control.is_empty() {
            self.popular.record(key);
        }
    }

    /// Notes that a client was served media: what was fetched ahead was of use then.
    pub(crate) fn served(&self, object: &Object, path: &str, bytes: u64) {
        if self.config.tier != sluice_wire::Tier::Near || self.config.control.is_empty() {
            return;
        }
        if object.end_ahead() {
            self.metrics.planned("used", object.body.length().unwrap_or(bytes));
        }
        if let Some(key) = object.placed(path) {
            self.asked.record(key, path, bytes);
        }
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
                sluice_wire::Tier::Near => placement.near(key),
                sluice_wire::Tier::Shield => placement.shields(key),
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
        if shared.config.tier == sluice_wire::Tier::Near && !shared.config.control.is_empty() {
            tasks.spawn(fleet::tell(Arc::clone(&shared)));
            tasks.spawn(fleet::follow_plans(Arc::clone(&shared)));
        }
        if shared.config.tier == sluice_wire::Tier::Near {
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

/// True when a table says that this near edge is drained.
fn is_drained(table: &RouteTable, config: &Config) -> bool {
    config.tier == sluice_wire::Tier::Near
        && table.node(&config.node).is_some_and(|node| node.state == NodeState::Draining)
}

/// The key that reports are signed with.
fn report_key(file: &Path) -> Result<SigningKey, String> {
    let told = |error: String| format!("report_key_file {}: {error}", file.display());
    let pem = std::fs::read(file).map_err(|error| told(error.to_string()))?;
    SigningKey::from_pem(&pem, "reports").map_err(|error| told(error.to_string()))
}

/// Room for large bodies. Without, they are kept like small ones, and copied when they are sent.
fn reserve(bytes: u64) -> Option<Arena> {
    let arena = Arena::reserve(bytes);
    arena.inspect_err(|error| tracing::warn!(%error, "no room in one piece for large bodies")).ok()
}
