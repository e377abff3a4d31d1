//! The process: what it opens, its routes, its background work.

use crate::again::Again;
use crate::config::{App, Config};
use crate::metrics::Metrics;
use crate::outbound::{Outbound, Rules};
use crate::sealer::Sealer;
use crate::upload::Intake;
use crate::{apps, commands, feed, keys, pages, serve, upload, videos, webhooks};
use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::http::HeaderValue;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_MAX_AGE,
};
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::{get, post, put};
use sluice_platform::{ApiError, Channels, Hub, cache};
use sluice_service::{Command, Context, Drain, Listeners, Process, ProcessError, Told};
use sluice_storage::{Keeping, Storage, count_statements};
use sluice_wire::token::mint::SigningKey;
use std::sync::Arc;
use std::time::Duration;

/// What handlers share.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) storage: Storage,
    pub(crate) intake: Intake,
    pub(crate) outbound: Outbound,
    pub(crate) hub: Hub,
    pub(crate) channels: Channels,
    pub(crate) metrics: Metrics,
    pub(crate) signer: Option<Arc<SigningKey>>,
    pub(crate) sealer: Arc<Sealer>,
    pub(crate) again: Again,
    pub(crate) config: Arc<Config>,
    pub(crate) drain: Drain,
}

/// The origin.
#[derive(Debug)]
pub struct Origin {
    state: State,
    apps: Router,
    listeners: Listeners,
}

impl Process for Origin {
    const NAME: &'static str = "sluice-origin";
    type Config = Config;
    const COMMANDS: &'static [Command] = commands::ALL;

    async fn command(name: &str, told: Told, config: Config) -> Result<String, ProcessError> {
        commands::run(name, &told, &config).await
    }

    async fn load(config: Config, context: Context) -> Result<Self, ProcessError> {
        let storage = Storage::open(&config.storage).await?;
        let metrics = Metrics::new(&context.metrics);
        let hub = Hub::start(storage.log(), &context.drain).await?;
        let channels = Channels::new(&hub, &storage, &context.drain, &context.metrics);
        // What is in a list may be listened to; a video's channel says when to look, and not what there is to see.
        let channels = apps::channels(channels.open("v:").open("videos"));
        let channels = config.channels.open.iter().fold(channels, |all, name| all.open(name));
        let channels = config.channels.by_token.iter().fold(channels, |all, name| all.by_token(name));
        let intake = Intake::new(storage.clone(), &config.upload, &config.quota, metrics.clone());
        let signer = keys::read(&config.playback)?.map(Arc::new);
        let sealer = Arc::new(Sealer::load(&config.protection)?);
        let rules = Rules { internal: config.fetch.internal.clone(), ports: config.fetch.ports.clone() };
        let outbound = Outbound::new(rules)?;
        let drain = context.drain;
        drain.tasks().spawn(storage.relay().run(drain.token()));
        drain.tasks().spawn(upload::sweep(intake.clone(), drain.token()));
        drain.tasks().spawn(upload::settle(intake.clone(), drain.token()));
        let library = &config.library;
        let keeping = Keeping { undo_ms: library.undo_ms, cold_ms: library.cold_ms };
        let every = Duration::from_millis(library.sweep_ms);
        drain.tasks().spawn(storage.removals().run(keeping, every, drain.token()));
        let again = Again::new(storage.clone(), library.cold_ms);
        let fetching = upload::fetch(intake.clone(), outbound.clone(), config.fetch.clone(), drain.token());
        drain.tasks().spawn(fetching);
        let spawn = |sending| drop(drain.tasks().spawn(sending));
        webhooks::start(&storage, &outbound, &metrics, &config.webhooks, spawn, &hub, &drain.token()).await?;
        context.health.component("storage").set_ready(true, "open");
        let apps = apps::start(&config, &storage, &hub, signer.as_ref(), &context.metrics, &drain).await?;
        let config = Arc::new(config);
        let state =
            State { storage, intake, outbound, hub, channels, metrics, signer, sealer, again, config, drain };
        Ok(Self { state, apps, listeners: context.listeners })
    }

    async fn run(self) -> Result<(), ProcessError> {
        self.listeners.serve_websockets(router(self.state, self.apps)).await;
        Ok(())
    }
}

/// The description of the HTTP interface.
const OPENAPI: &str = include_str!("../openapi.json");

fn router(state: State, apps: Router) -> Router {
    let mut api = shared();
    if state.config.apps.run.contains(&App::Videos) {
        api = api.merge(videos_api());
    }
    let pages = Router::new().fallback(pages::page);
    api.merge(pages)
        .method_not_allowed_fallback(|| async {
            ApiError::new(405, "method-not-allowed", "Method not allowed", "this resource has other methods")
        })
        .with_state(state.clone())
        .merge(apps)
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(state, counted))
        .layer(map_response(open))
}

/// What every origin answers.
fn shared() -> Router<State> {
    Router::new()
        .route("/v1/keys", get(keys::public))
        .route("/v1/log", get(feed::log))
        .route(sluice_wire::channel::PATH, get(channels))
        .route(sluice_wire::channel::REVOCATIONS, get(feed::revocations))
        .route("/openapi.json", get(|| async { ([("content-type", "application/json")], OPENAPI) }))
}

/// Uploads, the library and media.
fn videos_api() -> Router<State> {
    Router::new()
        .route("/v1/videos", get(videos::list).post(upload::post))
        .route(
            "/v1/videos/{id}",
            get(videos::one).put(upload::put).patch(videos::edit).delete(videos::delete),
        )
        .route("/v1/videos/{id}/restore", post(videos::restore))
        .route("/v1/videos/{id}/editions", post(videos::anew))
        .route("/v1/videos/{id}/playback", post(videos::playback))
        .route("/v1/videos/{id}/text", get(videos::texts::list))
        .route(
            "/v1/videos/{id}/text/{kind}/{language}",
            put(videos::texts::put).delete(videos::texts::delete),
        )
        .route("/v1/videos/{id}/events", get(feed::events))
        .route("/v1/uploads", upload::tus::collection())
        .route("/v1/uploads/{id}", upload::tus::resource())
        .route("/v1/direct", post(upload::direct::create))
        .route("/v1/direct/{id}", get(upload::direct::show).delete(upload::direct::forget))
        .route("/v1/direct/{id}/parts", post(upload::direct::parts))
        .route("/v1/direct/{id}/complete", post(upload::direct::complete))
        .route("/v1/storage", get(videos::usage))
        .route("/v1/events", get(feed::all))
        .route("/v/{*path}", get(serve::media).post(serve::licence).options(preflight))
}

/// `GET /v1/channels`: live channels, for edges.
async fn channels(axum::extract::State(state): axum::extract::State<State>, request: Request) -> Response {
    state.channels.answer(request)
}

/// Counts the statements that a request costs.
async fn counted(
    axum::extract::State(state): axum::extract::State<State>,
    route: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let method = request.method().clone();
    let (answer, sent) = count_statements(next.run(request)).await;
    if let Some(route) = route {
        let labels = [method.as_str(), route.as_str()];
        state
            .metrics
            .statements
            .with_label_values(&labels)
            .observe(f64::from(u32::try_from(sent).unwrap_or(u32::MAX)));
    }
    answer
}

/// Media and documents are public: pages of any origin may read them.
async fn open(mut answer: Response) -> Response {
    cache::any_origin(answer.headers_mut());
    answer
}

/// Answers a CORS preflight (Fetch standard, 3.2.2).
pub(crate) async fn preflight() -> Response {
    let mut answer = Response::default();
    *answer.status_mut() = http::StatusCode::NO_CONTENT;
    let headers = answer.headers_mut();
    headers.insert(
        ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, HEAD, PUT, POST, PATCH, DELETE, OPTIONS"),
    );
    headers.insert(
        ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static(
            "range, content-type, authorization, if-match, if-none-match, tus-resumable, upload-length, upload-offset, upload-metadata, \
             upload-checksum, upload-defer-length, upload-concat, x-requested-with, cmcd-object, cmcd-request, \
             cmcd-session, cmcd-status",
        ),
    );
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    answer
}
