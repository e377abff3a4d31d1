//! Wake-ups between processes that share a database and have no bus in common.
//!
//! What a commit says on the bus of its own process is said to the others beside the database: on SQLite by touching a
//! file, on PostgreSQL by NOTIFY. They hear it within a millisecond or two. Nothing depends on it: who misses a wake-up
//! polls.

mod channel;
mod folder;

pub(crate) use channel::NOTIFY;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sea_orm::DatabaseConnection;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::bus::{Bus, topics};
use crate::database::Engine;

/// What is said between processes.
const TOPICS: [&str; 4] = [topics::OUTBOX, topics::LOG, topics::JOBS, topics::FLEET];

/// How long saying it may hold up whoever has committed. A follower that polls is as fast.
const PATIENCE: Duration = Duration::from_millis(100);

/// Pause before the database's side is listened to again, after it failed.
const AGAIN: Duration = Duration::from_secs(1);

/// How long a connection for listening may take.
const CONNECT: Duration = Duration::from_secs(5);

/// The way to the other processes.
#[derive(Debug)]
pub(crate) struct Wakes {
    way: Way,
    /// Owns the task that listens; dropping it ends the task.
    listening: Mutex<JoinSet<()>>,
}

#[derive(Debug)]
enum Way {
    /// The bus reaches them.
    Bus,
    Folder(folder::Folder),
    Channel(DatabaseConnection),
}

impl Wakes {
    /// Listens from now on, and hands what is heard to the bus of this process.
    pub(crate) async fn open(engine: Engine, url: &str, writer: &DatabaseConnection, bus: &Bus) -> Self {
        let mut listening = JoinSet::new();
        let way = match engine {
            _ if bus.reaches_others() => Way::Bus,
            Engine::Sqlite => {
                let folder = folder::Folder::beside(&crate::database::sqlite_path(url));
                let first = folder.listen();
                listening.spawn(hear_folder(folder.clone(), first.ok(), bus.clone()));
                Way::Folder(folder)
            }
            Engine::Postgres => {
                let first = timeout(CONNECT, channel::listen(url)).await;
                listening.spawn(hear_channel(url.to_owned(), first.ok().and_then(Result::ok), bus.clone()));
                Way::Channel(writer.clone())
            }
        };
        Self { way, listening: Mutex::new(listening) }
    }

    /// Says to the other processes that there is something new on a topic.
    pub(crate) async fn tell(&self, topic: &'static str) {
        let told = match &self.way {
            Way::Bus => return,
            Way::Folder(folder) => timeout(PATIENCE, folder.touch(topic)).await.map(|t| t.map_err(reason)),
            Way::Channel(writer) => {
                timeout(PATIENCE, channel::notify(writer, topic)).await.map(|t| t.map_err(reason))
            }
        };
        match told {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(topic, error, "other processes not woken; they poll"),
            Err(_elapsed) => tracing::debug!(topic, "other processes not woken in time; they poll"),
        }
    }

    /// Listens no more.
    pub(crate) async fn close(&self) {
        let mut listening =
            std::mem::take(&mut *self.listening.lock().unwrap_or_else(PoisonError::into_inner));
        listening.shutdown().await;
    }
}

fn reason(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Wakes followers of these topics in this process.
fn wake(bus: &Bus, topics: impl IntoIterator<Item = &'static str>) {
    topics.into_iter().for_each(|topic| bus.wake(topic));
}

async fn hear_folder(folder: folder::Folder, mut ear: Option<folder::Ear>, bus: Bus) {
    loop {
        if let Some(ear) = ear.take() {
            let error = loop {
                match ear.heard().await {
                    Ok(topics) => wake(&bus, topics),
                    Err(error) => break error,
                }
            };
            tracing::debug!(%error, "other processes no longer heard; polling");
        }
        sleep(AGAIN).await;
        match folder.listen() {
            Ok(again) => ear = Some(again),
            Err(error) => tracing::debug!(%error, "other processes are not heard; polling"),
        }
        // What was said meanwhile went unheard.
        wake(&bus, TOPICS);
    }
}

async fn hear_channel(url: String, mut ear: Option<channel::Ear>, bus: Bus) {
    loop {
        if let Some(mut ear) = ear.take() {
            let error = loop {
                match ear.heard().await {
                    Ok(topics) => wake(&bus, topics),
                    Err(error) => break error,
                }
            };
            tracing::debug!(%error, "other processes no longer heard; polling");
        }
        sleep(AGAIN).await;
        match timeout(CONNECT, channel::listen(&url)).await {
            Ok(Ok(again)) => ear = Some(again),
            Ok(Err(error)) => tracing::debug!(%error, "other processes are not heard; polling"),
            Err(_elapsed) => tracing::debug!("the database does not answer; polling"),
        }
        wake(&bus, TOPICS);
    }
}
