//! Sluice's posts, follows, likes, home pages. Its routes are below `/v1/feed`.
//!
//! - Public answers are fragments: the same for every reader, kept by edges until an event of their tag (`tags`) says
//!   otherwise. What a reader alone may see is a small list of fragments (`home`), which nobody keeps.
//! - `people`: profiles and follows; `posts`: posts, replies, reposts and what deletes them; `likes`, `marks`
//! - `photos`: pictures of posts, made harmless when they come and swept when no post shows them
//! - `fanout`: brings posts to the lists of followers, from rows that the post's transaction wrote; `home`: reads a list,
//!   together with what is pulled, and has it rebuilt when it is not there
//! - `rank`: what comes first, as functions alone; `affinity`: how much a reader has to do with an author
//! - `http`: the routes; `openapi`: their description
//!
//! It leaves to others: who asks (`sluice-platform`), films (the origin), sizes and formats of pictures (edges), and putting fragments
//! together (edges).

mod affinity;
mod config;
mod fanout;
mod feed;
mod home;
mod http;
mod likes;
mod marks;
mod metrics;
mod openapi;
mod people;
mod photos;
mod posts;
mod rank;
mod rows;
mod schema;
mod tags;

pub use config::{Config, RankConfig};
pub use schema::SCHEMA;

use axum::Router;
use sluice_platform::Ground;
use sluice_service::ProcessError;

/// Channels by the beginnings of their names, and whether anybody may listen.
pub const CHANNELS: [(&str, bool); 4] =
    [("post:", true), ("thread:", true), ("user:", true), ("home:", false)];

sluice_wire::id!(
    /// A post, a reply or a repost.
    PostId
);

/// Brings the app's tables up to date, begins its background work, and gives its routes.
///
/// # Errors
/// The engine's.
pub async fn start(ground: &Ground, config: &Config) -> Result<Router, ProcessError> {
    ground.storage.database.install(&SCHEMA).await?;
    let (feed, wanted) = feed::Feed::new(ground, config.clone().bounded());
    feed.first_generation().await?;
    ground.drain.tasks().spawn(fanout::run(feed.clone(), ground.drain.token()));
    ground.drain.tasks().spawn(photos::sweep(feed.clone(), ground.drain.token()));
    ground.drain.tasks().spawn(home::keep(feed.clone(), wanted.missed, ground.drain.token()));
    ground.drain.tasks().spawn(home::watch(feed.clone(), ground.drain.token()));
    ground.drain.tasks().spawn(home::renew(feed.clone(), wanted.renewals, ground.drain.token()));
    Ok(ground.under(http::routes(feed)))
}
