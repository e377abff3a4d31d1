//! Sluice's conversations: messages in order, once, on every device. Its routes are below `/v1/chat`.

mod schema;

pub use schema::SCHEMA;

use axum::Router;
use serde::{Deserialize, Serialize};
use sluice_platform::Ground;
use sluice_service::ProcessError;

/// Channels by the beginnings of their names, and whether anybody may listen.
pub const CHANNELS: [(&str, bool); 2] = [("chat:", false), ("presence:", false)];

/// The app's keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {}

/// Brings the app's tables up to date, begins its background work, and gives its routes.
///
/// # Errors
/// The engine's.
pub async fn start(ground: &Ground, _config: &Config) -> Result<Router, ProcessError> {
    ground.storage.database.install(&SCHEMA).await?;
    Ok(ground.under(Router::new()))
}
