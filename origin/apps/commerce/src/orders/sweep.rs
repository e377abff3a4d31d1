//! What time and crashes left: reservations that ran out, and orders that nobody takes further. Every process looks; who
//! changes a row first does what follows.

use std::time::Duration;

use futures::StreamExt;
use sluice_platform::ApiError;
use sluice_storage::StorageError;
use sluice_storage::rows::sea_orm::sea_query::Expr;
use sluice_storage::rows::sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use sluice_storage::rows::signed;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::turn::Told;
use crate::rows::{order, webhook_event};
use crate::{Shop, carts};

/// Orders that are looked at in one go.
const BATCH: u64 = 128;
/// Orders that are taken further at a time: each may wait for the gateway.
const AT_ONCE: usize = 8;
/// Between two looks for what is too old to be of use.
const TIDY: Duration = Duration::from_secs(600);
/// How long an event of the gateway's is known again: it sends one for three days.
const EVENTS_MS: u64 = 7 * 24 * 3_600_000;

/// Looks, until the process ends.
pub(crate) async fn run(shop: Shop, stop: CancellationToken) {
    let pause = Duration::from_millis(shop.config.sweep_ms);
    let mut tidied: Option<Instant> = None;
    loop {
        let round = async {
            sweep_once(&shop).await?;
            if tidied.is_none_or(|at| at.elapsed() >= TIDY) {
                carts::forget(&shop).await?;
                forget_events(&shop).await?;
                tidied = Some(Instant::now());
            }
            Ok::<_, ApiError>(())
        };
        if let Some(Err(error)) = stop.run_until_cancelled(round).await {
            tracing::warn!(error = ?error.0, "a look after the orders failed; again in a moment");
        }
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

/// One look after all orders.
pub(crate) async fn sweep_once(shop: &Shop) -> Result<(), ApiError> {
    expire(shop).await?;
    resume(shop).await
}

/// Gives back what orders held for too long.
async fn expire(shop: &Shop) -> Result<(), ApiError> {
    let now = signed(shop.storage.clock.now_ms());
    let over = order::Entity::find()
        .filter(order::Column::UntilMs.lte(now))
        .order_by_asc(order::Column::UntilMs)
        .limit(BATCH)
        .all(shop.storage.database.reader())
        .await?;
    for row in over {
        shop.tell((row.account, row.id), Told::Expire).await?;
    }
    Ok(())
}

/// Takes orders further that a crash, or a gateway that did not say, has left on their way.
async fn resume(shop: &Shop) -> Result<(), ApiError> {
    let now = signed(shop.storage.clock.now_ms());
    let due = order::Entity::find()
        .filter(order::Column::DueMs.lte(now))
        .order_by_asc(order::Column::DueMs)
        .limit(BATCH)
        .all(shop.storage.database.reader())
        .await?;
    let rows = futures::stream::iter(due);
    rows.for_each_concurrent(AT_ONCE, |row| async move {
        let resumed = async {
            if claim(shop, &row).await? {
                shop.hear((row.account, row.id)).await?;
            }
            Ok::<_, ApiError>(())
        };
        if let Err(error) = resumed.await {
            tracing::warn!(order = row.id, error = ?error.0, "an order was not taken further; again later");
        }
    })
    .await;
    Ok(())
}

/// Takes it upon this process to look after an order for a while.
async fn claim(shop: &Shop, row: &order::Model) -> Result<bool, StorageError> {
    let turn_ms = shop.config.turn_ms();
    let write = shop.storage.database.write::<_, StorageError, _>(|tx| {
        Box::pin(async move {
            let next = signed(tx.now_ms() + turn_ms);
            let claimed = order::Entity::update_many()
                .col_expr(order::Column::DueMs, Expr::value(next))
                .filter(order::Column::Account.eq(row.account))
                .filter(order::Column::Id.eq(row.id))
                .filter(order::Column::State.eq(&row.state))
                .filter(order::Column::DueMs.eq(row.due_ms))
                .exec(tx.conn())
                .await?;
            Ok(claimed.rows_affected == 1)
        })
    });
    write.await
}

async fn forget_events(shop: &Shop) -> Result<(), StorageError> {
    let forget = shop.storage.database.write::<_, StorageError, _>(|tx| {
        Box::pin(async move {
            let old = webhook_event::Column::AtMs.lt(signed(tx.now_ms().saturating_sub(EVENTS_MS)));
            webhook_event::Entity::delete_many().filter(old).exec(tx.conn()).await?;
            Ok(())
        })
    });
    forget.await
}

#[cfg(test)]
impl Shop {
    /// Gives back what orders held for too long, and nothing else.
    pub(crate) async fn expire_all(&self) {
        expire(self).await.unwrap();
    }
}

/// Orders that wait to be looked after.
#[cfg(test)]
pub(crate) async fn due(shop: &Shop) -> usize {
    let due = order::Entity::find().filter(order::Column::DueMs.is_not_null());
    due.all(shop.storage.database.reader()).await.unwrap().len()
}
