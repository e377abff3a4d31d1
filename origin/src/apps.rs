//! The apps of this process.

use std::sync::Arc;

use axum::Router;
use sluice_platform::{Channels, Ground, Hub};
use sluice_service::{Drain, Metrics, ProcessError};
use sluice_storage::Storage;
use sluice_wire::token::mint::SigningKey;

use crate::config::{App, Config};

/// The channels of every app, also of those that run elsewhere: they write into one log.
pub(crate) fn channels(mut channels: Channels) -> Channels {
    let all = [&sluice_commerce::CHANNELS[..], &sluice_chat::CHANNELS, &sluice_feed::CHANNELS];
    for (name, open) in all.concat() {
        channels = if open { channels.open(name) } else { channels.by_token(name) };
    }
    channels
}

/// Starts the apps that are to be here; their routes.
pub(crate) async fn start(
    config: &Config,
    storage: &Storage,
    hub: &Hub,
    signer: Option<&Arc<SigningKey>>,
    metrics: &Metrics,
    drain: &Drain,
) -> Result<Router, ProcessError> {
    let wanted: Vec<App> = config.apps.run.iter().copied().filter(|app| *app != App::Videos).collect();
    let Some(signer) = signer else {
        if !wanted.is_empty() {
            tracing::info!("no accounts, and no apps that need them: playback.key_file is not set");
        }
        return Ok(Router::new());
    };
    if wanted.is_empty() {
        return Ok(Router::new());
    }
    let (signer, accounts) = (Arc::clone(signer), &config.accounts);
    let ground = Ground::open(storage.clone(), hub, signer, accounts, metrics.clone(), drain.clone()).await?;
    let (mut routes, apps) = (ground.routes(), &config.apps);
    for app in wanted {
        routes = routes.merge(match app {
            App::Videos => Router::new(),
            App::Commerce => sluice_commerce::start(&ground, &apps.commerce).await?,
            App::Chat => sluice_chat::start(&ground, &apps.chat).await?,
            App::Feed => sluice_feed::start(&ground, &apps.feed).await?,
        });
    }
    Ok(routes)
}
