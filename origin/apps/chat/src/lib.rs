//! Sluice's conversations: messages in order, once, on every device. Its routes are below `/v1/chat`.
//!
//! ```text
//! a change      one transaction: Tx::emit(chat:ID) gives its seq, the row is kept under that seq (`record`)
//! a device      knows the last seq it has seen: what came after it is a range (`events`), and the live channel says the same
//! ```
//!
//! The seq of a change is the version of the tag `chat:ID`, so that a conversation's history, its live channel and what caches
//! know of it count alike, and a gap is seen by whoever misses something.
//!
//! - `conversations`: made, shown; `list`: those of an account; `members`: who is in one
//! - `messages`: what they are, changed, deleted; `sends`: said, together; `reactions`; `cursors`: what devices have, `receipts` and `delivered`: who is told of it
//! - `record`: what happened, in order; `events`: the same, read
//! - `files`: what goes with messages, in the object store
//! - `own`: what an account is told of all of them; `search`: words, as `terms` tells them apart; `presence`: who is here, in memory; `tokens`: what lets a device listen at an edge
//! - `http`: what all handlers share; `describe`: the interface's description
//!
//! What it leaves to others: delivery (edges), accounts (the platform).

mod conversations;
mod cursors;
mod delivered;
mod describe;
mod events;
mod files;
mod http;
mod ids;
mod list;
mod members;
mod messages;
mod own;
mod presence;
mod reactions;
mod receipts;
mod record;
mod rows;
mod schema;
mod search;
mod sends;
mod terms;
mod tokens;
mod turns;

pub use ids::{ConversationId, MessageId};
pub use schema::SCHEMA;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post, put};
use delivered::Delivered;
use files::Files;
use own::Unread;
use presence::Presence;
use receipts::Receipts;
use sends::{Lectern, Said, Sent};
use serde::{Deserialize, Serialize};
use sluice_platform::Ground;
use sluice_platform::once::Together;
use sluice_service::ProcessError;
use turns::Turns;

/// Channels by the beginnings of their names, and whether anybody may listen.
pub const CHANNELS: [(&str, bool); 2] = [("chat:", false), ("chats:", false)];

/// The app's keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Milliseconds after which a file goes that no message names.
    pub file_ms: u64,
    /// Bytes of an account's files.
    pub file_bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { file_ms: 24 * 3_600_000, file_bytes: 10 << 30 }
    }
}

/// What handlers share. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Chat {
    ground: Ground,
    turns: Turns,
    lectern: Together<Sent, Said>,
    receipts: Receipts,
    delivered: Delivered,
    presence: Presence,
    unread: Unread,
    files: Files,
}

/// Brings the app's tables up to date, begins its background work, and gives its routes.
///
/// # Errors
/// The engine's.
pub async fn start(ground: &Ground, config: &Config) -> Result<Router, ProcessError> {
    ground.storage.database.install(&SCHEMA).await?;
    let presence = Presence::new(ground.storage.bus.clone(), Arc::clone(&ground.storage.clock));
    let turns = Turns::default();
    let lectern = Lectern::new(&ground.storage.database, &turns);
    let chat = Chat {
        ground: ground.clone(),
        turns,
        lectern: ground.once.together(lectern, &ground.drain),
        receipts: Receipts::default(),
        delivered: Delivered::default(),
        presence: presence.clone(),
        unread: Unread::default(),
        files: Files::new(&ground.metrics, config),
    };
    ground.drain.tasks().spawn(files::sweep(chat.clone(), ground.drain.token()));
    ground.drain.tasks().spawn(presence.exchange(ground.drain.token()));
    ground.drain.tasks().spawn(receipts::tell_late(chat.clone(), ground.drain.token()));
    ground.drain.tasks().spawn(own::tell(chat.clone(), ground.drain.token()));
    Ok(ground.under(routes(chat)))
}

fn routes(chat: Chat) -> Router {
    Router::new()
        .route("/v1/chat", get(list::list).post(conversations::make))
        .route("/v1/chat/openapi.json", get(describe::document))
        .route("/v1/chat/channels", get(list::channels))
        .route("/v1/chat/token", post(tokens::token))
        .route("/v1/chat/search", get(search::search))
        .route("/v1/chat/presence", get(presence::http::see).put(presence::http::be))
        .route("/v1/chat/{conversation}", get(conversations::show))
        .route("/v1/chat/{conversation}/members", get(members::list).post(members::invite))
        .route("/v1/chat/{conversation}/members/{account}", put(members::role).delete(members::remove))
        .route("/v1/chat/{conversation}/join", post(members::join))
        .route("/v1/chat/{conversation}/leave", post(members::leave))
        .route("/v1/chat/{conversation}/messages", post(sends::send))
        .route("/v1/chat/{conversation}/messages/{message}", put(messages::edit).delete(messages::delete))
        .route(
            "/v1/chat/{conversation}/messages/{message}/reactions/{emoji}",
            put(reactions::add).delete(reactions::remove),
        )
        .route("/v1/chat/{conversation}/files", post(files::http::send))
        .route("/v1/chat/{conversation}/files/{file}", get(files::http::read))
        .route("/v1/chat/{conversation}/cursor", get(cursors::show).put(cursors::put))
        .route("/v1/chat/{conversation}/events", get(events::after))
        .route("/v1/chat/{conversation}/history/{page}", get(events::page))
        .route("/v1/chat/{conversation}/pages/{page}", get(events::shared))
        .with_state(chat)
}
