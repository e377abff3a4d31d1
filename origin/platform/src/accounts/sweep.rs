//! What renews nothing any more is forgotten: refresh tokens that have expired, and with its last one the session. So is what was
//! written down long ago.

use std::time::Duration;

use sluice_storage::StorageError;
use sluice_storage::rows::sea_orm::sea_query::Query;
use sluice_storage::rows::sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use sluice_storage::rows::signed;
use tokio_util::sync::CancellationToken;

use super::Accounts;
use super::rows::{refresh, session};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(600);
/// Tokens looked at in one transaction: it is short, and whoever signs in waits for it.
const BATCH: u64 = 200;

impl Accounts {
    /// Forgets what has expired, until the drain begins.
    pub(crate) async fn sweep(self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
            loop {
                match self.forget().await {
                    Ok(found) if found == BATCH && !stop.is_cancelled() => {}
                    Ok(_) => break,
                    Err(error) => {
                        tracing::warn!(%error, "expired sessions not forgotten");
                        break;
                    }
                }
            }
            if let Some(Err(error)) = stop.run_until_cancelled(self.storage.audit().forget()).await {
                tracing::warn!(%error, "old entries of the audit log not forgotten");
            }
        }
    }

    /// Forgets those that expired the longest ago, and tells how many were found.
    pub(super) async fn forget(&self) -> Result<u64, StorageError> {
        let now_ms = signed(self.storage.database.now_ms());
        let due: Vec<(i64, i64)> = refresh::Entity::find()
            .select_only()
            .column(refresh::Column::Account)
            .column(refresh::Column::Session)
            .filter(refresh::Column::ExpiresMs.lt(now_ms))
            .order_by_asc(refresh::Column::ExpiresMs)
            .limit(BATCH)
            .into_tuple()
            .all(self.storage.database.reader())
            .await?;
        if due.is_empty() {
            return Ok(0);
        }
        let (owners, sessions): (Vec<i64>, Vec<i64>) = due.iter().copied().unzip();
        let (owners, sessions) = (&owners, &sessions);
        let forget = self.storage.database.write::<_, StorageError, _>(move |tx| {
            Box::pin(async move {
                refresh::Entity::delete_many()
                    .filter(refresh::Column::Account.is_in(owners.iter().copied()))
                    .filter(refresh::Column::Session.is_in(sessions.iter().copied()))
                    .filter(refresh::Column::ExpiresMs.lt(now_ms))
                    .exec(tx.conn())
                    .await?;
                let renewed = Query::select()
                    .column(refresh::Column::Session)
                    .from(refresh::Entity)
                    .and_where(refresh::Column::Account.is_in(owners.iter().copied()))
                    .and_where(refresh::Column::Session.is_in(sessions.iter().copied()))
                    .to_owned();
                session::Entity::delete_many()
                    .filter(session::Column::Account.is_in(owners.iter().copied()))
                    .filter(session::Column::Id.is_in(sessions.iter().copied()))
                    .filter(session::Column::Id.not_in_subquery(renewed))
                    .exec(tx.conn())
                    .await?;
                Ok(())
            })
        });
        forget.await?;
        Ok(due.len() as u64)
    }
}
