//! On PostgreSQL: LISTEN and NOTIFY on one channel, with the topic as payload.
//!
//! NOTIFY comes after the commit, not within it: within, all commits that notify would wait for each other's disk.

use sea_orm::sqlx::{self, postgres::PgListener};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement};

use super::TOPICS;

/// The channel; a database has its own.
const CHANNEL: &str = "sluice";
/// What wakes others: a word on the channel.
pub(crate) const NOTIFY: &str = "SELECT pg_notify($1, $2)";

/// Hears what is said in a database, over a connection of its own.
#[derive(Debug)]
pub(super) struct Ear {
    listener: PgListener,
}

pub(super) async fn notify(writer: &DatabaseConnection, topic: &str) -> Result<(), DbErr> {
    let words = [CHANNEL.into(), topic.into()];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, NOTIFY, words);
    writer.execute_raw(statement).await.map(drop)
}

pub(super) async fn listen(url: &str) -> Result<Ear, sqlx::Error> {
    let mut listener = PgListener::connect(url).await?;
    listener.listen(CHANNEL).await?;
    Ok(Ear { listener })
}

impl Ear {
    /// The topics on which something was said; waits until there is one. All of them after the connection was lost and
    /// made again.
    pub(super) async fn heard(&mut self) -> Result<Vec<&'static str>, sqlx::Error> {
        let said = self.listener.try_recv().await?;
        let named = |topic: &&str| said.as_ref().is_none_or(|said| said.payload() == *topic);
        Ok(TOPICS.into_iter().filter(named).collect())
    }
}
