//! What time and crashes left: reservations that ran out, and orders that nobody takes further. Every process looks; who
//! changes a row first does what follows.
//!
//! Each kind has a loop of its own: stock that is due comes back while the gateway hangs. A look goes through all that was due
//! when it began, a page at a time.

use std::time::Duration;

use futures::StreamExt;
use sluice_platform::ApiError;
use sluice_service::Drain;
use sluice_storage::StorageError;
use sluice_storage::rows::sea_orm::{
    ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};
use sluice_storage::rows::signed;
use tokio_util::sync::CancellationToken;

use super::Key;
use super::till::{Step, Told};
use crate::rows::{order, webhook_event};
use crate::{Shop, carts};

/// Orders of a page: those that are read, and kept in memory, at a time.
pub(crate) const BATCH: usize = 128;
/// Orders that are taken further at a time: each may wait for the gateway, and those that do not share transactions.
const AT_ONCE: usize = 32;
/// Between two looks for what is too old to be of use.
const TIDY: Duration = Duration::from_secs(600);
/// How long an event of the gateway's is known again: it sends one for three days.
const EVENTS_MS: u64 = 7 * 24 * 3_600_000;

/// Begins to look, until the drain ends it.
pub(crate) fn begin(shop: &Shop, drain: &Drain) {
    let (tasks, pause) = (drain.tasks(), Duration::from_millis(shop.config.sweep_ms));
    let (of, stop) = (shop.clone(), drain.token());
    tasks.spawn(async move { again(pause, &stop, || expire(&of)).await });
    let (of, stop) = (shop.clone(), drain.token());
    tasks.spawn(async move { again(pause, &stop, || resume(&of)).await });
    let (of, stop) = (shop.clone(), drain.token());
    tasks.spawn(async move { again(TIDY, &stop, || tidy(&of)).await });
}

/// Looks, and again after a pause.
async fn again<L>(pause: Duration, stop: &CancellationToken, look: impl Fn() -> L)
where
    L: Future<Output = Result<(), ApiError>>,
{
    loop {
        if let Some(Err(error)) = stop.run_until_cancelled(look()).await {
            tracing::warn!(error = ?error.0, "a look after the orders failed; again after a pause");
        }
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

/// One look after all orders.
#[cfg(test)]
pub(crate) async fn sweep_once(shop: &Shop) -> Result<(), ApiError> {
    expire(shop).await?;
    resume(shop).await
}

/// Gives back what orders held for too long.
async fn expire(shop: &Shop) -> Result<(), ApiError> {
    let now = signed(shop.storage.clock.now_ms());
    let mut after = None;
    loop {
        let over = page(shop, order::Column::UntilMs, now, after).await?;
        after = over.last().and_then(|row| Some((row.until_ms?, (row.account, row.id))));
        let full = over.len() == BATCH;
        // One that cannot be given back keeps nobody else from it.
        let expire = |row: order::Model| async move {
            if let Err(error) = shop.step((row.account, row.id), Step::Tell(Told::Expire)).await {
                tracing::warn!(order = row.id, error = ?error.0, "what an order held is not given back; again in a moment");
            }
        };
        futures::stream::iter(over).for_each_concurrent(shop.config.together, expire).await;
        if !full {
            return Ok(());
        }
    }
}

/// Takes orders further that a crash, or a gateway that did not say, has left on their way.
async fn resume(shop: &Shop) -> Result<(), ApiError> {
    let now = signed(shop.storage.clock.now_ms());
    let mut after = None;
    loop {
        let due = page(shop, order::Column::DueMs, now, after).await?;
        after = due.last().and_then(|row| Some((row.due_ms?, (row.account, row.id))));
        let full = due.len() == BATCH;
        let further = |row: order::Model| async move {
            let id = row.id;
            if let Err(error) = take_on(shop, row).await {
                tracing::warn!(order = id, error = ?error.0, "an order was not taken further; again later");
            }
        };
        futures::stream::iter(due).for_each_concurrent(AT_ONCE, further).await;
        if !full {
            return Ok(());
        }
    }
}

/// Takes an order further, unless somebody else has since it was read.
async fn take_on(shop: &Shop, row: order::Model) -> Result<(), ApiError> {
    let (key, state, due_ms) = ((row.account, row.id), row.state, row.due_ms);
    let mut at = shop.step(key, Step::Claim { state, due_ms }).await?;
    if at.stepped { shop.look_after(&mut at).await } else { Ok(()) }
}

/// A page of the orders for which a time has come, the longest due first, after one with its time and key.
async fn page(
    shop: &Shop,
    time: order::Column,
    now: i64,
    after: Option<(i64, Key)>,
) -> Result<Vec<order::Model>, ApiError> {
    let mut query = order::Entity::find().filter(time.lte(now));
    if let Some((at, (account, id))) = after {
        let same = Condition::all().add(order::Column::Account.eq(account)).add(order::Column::Id.gt(id));
        let beside = Condition::any().add(order::Column::Account.gt(account)).add(same);
        let later = Condition::any().add(time.gt(at)).add(Condition::all().add(time.eq(at)).add(beside));
        query = query.filter(time.gte(at)).filter(later);
    }
    let query = query.order_by_asc(time).order_by_asc(order::Column::Account).order_by_asc(order::Column::Id);
    Ok(query.limit(BATCH as u64).all(shop.storage.database.reader()).await?)
}

/// Forgets what is too old to be of use.
async fn tidy(shop: &Shop) -> Result<(), ApiError> {
    carts::forget(shop).await?;
    Ok(forget_events(shop).await?)
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
