//! How an edge is opened: what outlived the process before it, and what is made anew.

use super::Shared;
use super::table::is_drained;
use crate::access::Access;
use crate::asked::Asked;
use crate::budget::Budget;
use crate::cache::{Fills, Store};
use crate::cmcd::Players;
use crate::config::Config;
use crate::cuts::Cuts;
use crate::disk::Tier;
use crate::feed::{self, Liveness};
use crate::fleet::{self, Disk, Trust};
use crate::floors::Floors;
use crate::life::Ahead;
use crate::live;
use crate::metrics::Metrics;
use crate::names::Names;
use crate::overload::Overload;
use crate::parent::Parents;
use crate::popular::Popular;
use crate::purge;
use crate::rooms::Rooms;
use crate::searches::Searches;
use crate::siblings::Siblings;
use crate::tenant::Tenants;
use crate::transform::Images;
use arc_swap::ArcSwap;
use sluice_service::{Addresses, Arena, Drain, Health, Pool, ProcessError};
use sluice_wire::Placement;
use sluice_wire::published::Document;
use sluice_wire::token::Revocations;
use sluice_wire::token::mint::SigningKey;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;

/// Second fetches at once: a few objects, not an edge's whole traffic.
const HEDGES_AT_ONCE: u32 = 10;
/// Bodies gone on with at once: as many as a busy edge has under way from one parent.
const RESUMES_AT_ONCE: u32 = 100;

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
