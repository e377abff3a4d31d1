//! The process: what it opens, its routes, its background work.

use crate::ahead::{self, Ahead};
use crate::config::Config;
use crate::dns::Dns;
use crate::fleet::Fleet;
use crate::live::{self, Live};
use crate::metrics::Metrics;
use crate::problem::Failure;
use crate::steering::{Steering, ask, explain};
use crate::traffic::Traffic;
use crate::watcher::Watcher;
use crate::{configuration, operate, page, purge, quality, routes, traffic};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use sluice_service::{Context, Drain, Listeners, Process, ProcessError};
use sluice_storage::{Storage, StorageError};
use sluice_wire::fleet::MAX_CONFIG_BYTES;
use sluice_wire::token::mint::SigningKey;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Bytes of a report or an operator's request.
const MAX_BODY: usize = 64 << 10;

/// What handlers share.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) storage: Storage,
    pub(crate) fleet: Fleet,
    pub(crate) steering: Steering,
    pub(crate) traffic: Traffic,
    pub(crate) live: Live,
    pub(crate) ahead: Ahead,
    pub(crate) metrics: Metrics,
    pub(crate) config: Arc<Config>,
    pub(crate) drain: Drain,
    /// One for each purge that may be followed at a time.
    pub(crate) followed: Arc<Semaphore>,
}

impl State {
    /// Reads what is in force, and steers by it.
    pub(crate) async fn renew(&self) -> Result<(), StorageError> {
        self.fleet.renew().await?;
        self.steering.renew(&self.fleet, &self.traffic, self.storage.clock.now_ms());
        Ok(())
    }
}

/// The control plane.
#[derive(Debug)]
pub struct ControlPlane {
    state: State,
    listeners: Listeners,
    dns: Option<Dns>,
}

impl Process for ControlPlane {
    const NAME: &'static str = "sluice-control-plane";
    type Config = Config;

    async fn load(config: Config, context: Context) -> Result<Self, ProcessError> {
        let storage = Storage::open(&config.storage).await?;
        let metrics = Metrics::new(&context.metrics);
        let lease = Duration::from_millis(config.lease_ms);
        let key = signing_key(&config, &storage).await?;
        let origins = config.origins.clone();
        let fleet =
            Fleet::open(storage.clone(), origins, lease, config.placement, key, metrics.clone()).await?;
        let steering = Steering::open(&config)?;
        let traffic = Traffic::open(storage.clone()).await?;
        steering.renew(&fleet, &traffic, storage.clock.now_ms());
        let health = context.health.component("database");
        health.set_ready(true, "open");
        let drain = context.drain;
        drain.tasks().spawn(fleet.clone().run(health, drain.token()));
        let watcher = Watcher {
            storage: storage.clone(),
            fleet: fleet.clone(),
            metrics: metrics.clone(),
            http: asker(&config, sluice_service::peer_tls(&config.peer_tls, &drain, &context.metrics)?)?,
            config: config.health.clone(),
            plane: storage.ids.job().to_string(),
        };
        drain.tasks().spawn(watcher.run(drain.token()));
        let clock = Arc::clone(&storage.clock);
        drain.tasks().spawn(steering.clone().run(fleet.clone(), traffic.clone(), clock, drain.token()));
        let every = Duration::from_millis(config.traffic_look_ms);
        drain.tasks().spawn(traffic.clone().run(fleet.clone(), every, drain.token()));
        let live = Live::new();
        let (looked, clock) = ((fleet.clone(), steering.clone()), Arc::clone(&storage.clock));
        drain.tasks().spawn(live.clone().run(looked.0, looked.1, metrics.clone(), clock, drain.token()));
        let (ahead, clock) = (Ahead::default(), Arc::clone(&storage.clock));
        drain.tasks().spawn(ahead.clone().run(fleet.clone(), metrics.clone(), clock, drain.token()));
        drain.tasks().spawn(storage.relay().run(drain.token()));
        let followed = Arc::new(Semaphore::new(purge::MAX_FOLLOWED));
        let state = State {
            storage,
            fleet,
            steering,
            traffic,
            live,
            ahead,
            metrics,
            config: Arc::new(config),
            drain,
            followed,
        };
        let dns = Dns::bind(&state.config.dns).await?;
        Ok(Self { state, listeners: context.listeners, dns })
    }

    async fn run(self) -> Result<(), ProcessError> {
        if let Some(dns) = self.dns {
            let (state, stop) = (self.state.clone(), self.state.drain.token());
            self.state.drain.tasks().spawn(dns.run(state, stop));
        }
        self.listeners.serve(router(self.state)).await;
        Ok(())
    }
}

/// What nodes are asked by.
fn asker(config: &Config, tls: rustls::ClientConfig) -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .connect_timeout(Duration::from_millis(config.health.probe_timeout_ms))
        .redirect(reqwest::redirect::Policy::none())
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .build()
}

/// The key that signs the table: a file's, or the one that control planes share by their database.
async fn signing_key(config: &Config, storage: &Storage) -> Result<SigningKey, ProcessError> {
    let pem = match &config.table_key_file {
        Some(file) => {
            std::fs::read_to_string(file).map_err(|e| format!("table_key_file {}: {e}", file.display()))?
        }
        None => storage.fleet().signing_key(&SigningKey::generate()?).await?,
    };
    Ok(SigningKey::from_pem(pem.as_bytes(), "table")?)
}

/// The description of the HTTP interface.
const OPENAPI: &str = include_str!("../openapi.json");

fn router(state: State) -> Router {
    let config_limit = DefaultBodyLimit::max(MAX_CONFIG_BYTES);
    Router::new()
        .route("/", get(page::operations))
        .route("/assets/{file}", get(page::asset))
        .route("/v1/me", get(operate::me))
        .route("/v1/fleet/live", get(live::live))
        .route("/v1/nodes", get(routes::nodes))
        .route("/v1/nodes/{id}/report", post(routes::report))
        .route("/v1/nodes/{id}/drain", post(operate::drain).delete(operate::undrain))
        .route("/v1/nodes/{id}/asked", post(ahead::ask::asked))
        .route("/v1/nodes/{id}/plan", get(ahead::ask::plan))
        .route("/v1/prefetch", get(ahead::ask::prefetch))
        .route("/v1/routes", get(routes::table))
        .route("/v1/routes/key", get(routes::key))
        .route("/v1/purge", post(purge::purge))
        .route("/v1/config", get(configuration::show).put(configuration::put).layer(config_limit))
        .route("/v1/config/rollback", post(configuration::roll_back))
        .route("/v1/config/versions", get(configuration::versions))
        .route("/v1/config/versions/{version}", get(configuration::version))
        .route("/v1/audit", get(configuration::audit))
        .route("/steer/v/{id}", get(ask::manifest))
        .route("/steer/v/{id}/why", get(ask::why))
        .route("/v1/steering/explain", get(explain::explain))
        .route("/v1/steering/decisions", get(explain::decisions))
        .route("/v1/steering/decisions/{session}/{at_ms}", get(explain::decision))
        .route("/v1/steering/view", get(explain::whole))
        .route("/v1/steering/dry-run", post(explain::dry_run))
        .route("/v1/traffic", get(traffic::traffic))
        .route("/v1/quality", get(quality::ask::quality))
        .route("/r/{id}", get(ask::redirect))
        .route("/openapi.json", get(|| async { ([("content-type", "application/json")], OPENAPI) }))
        .fallback(|| async { Failure::not_found("there is nothing here; /openapi.json says what there is") })
        .method_not_allowed_fallback(|| async {
            Failure::new(405, "method-not-allowed", "Method not allowed", "this resource has other methods")
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(state)
}
