//! Requests that are done together: what they keep others from, and what becomes of those who share a transaction with one that
//! always loses.
#![allow(clippy::unwrap_used, reason = "tests report a broken assumption by panicking")]

use std::sync::Arc;

use sluice_platform::once::{Batch, Decided, Held};
use sluice_platform::testing::Alone;
use sluice_platform::{AccountsConfig, ApiError};
use sluice_storage::Tx;
use sluice_storage::rows::sea_orm::ConnectionTrait;
use sluice_storage::testing::Postgres;
use tokio::sync::Semaphore;

/// What is asked of the crowd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    /// To wait until the test lets it.
    Slow,
    /// Nothing much.
    Easy,
    /// What loses to others, whenever it is tried.
    Lost,
}

/// Tells each with how many it was done. Doors stay open once they are.
#[derive(Debug, Clone)]
struct Crowd {
    /// Opened when a slow one is being done.
    begun: Arc<Semaphore>,
    /// What a slow one waits for.
    slow: Arc<Semaphore>,
    /// What one that loses waits for when it is alone.
    alone: Arc<Semaphore>,
}

/// Waits for a door.
async fn pass(door: &Semaphore) {
    drop(door.acquire().await.unwrap());
}

#[async_trait::async_trait]
impl Batch for Crowd {
    type Ask = Ask;
    type Done = usize;

    fn most(&self) -> usize {
        8
    }

    async fn write(&self, tx: &Tx<'_>, asks: &[&Ask]) -> Result<Vec<Decided<usize>>, ApiError> {
        if asks.contains(&&Ask::Slow) {
            self.begun.add_permits(1);
            pass(&self.slow).await;
        }
        if asks.contains(&&Ask::Lost) {
            if asks.len() == 1 {
                pass(&self.alone).await;
            }
            // What PostgreSQL says to a transaction that lost to another one.
            tx.conn().execute_unprepared("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$").await?;
        }
        Ok(asks.iter().map(|_| Ok(asks.len())).collect())
    }
}

#[tokio::test]
async fn one_that_loses_to_others_takes_nobody_with_it() {
    let server = Postgres::start().await;
    let alone = Alone::start(Some(&server), &AccountsConfig::default()).await;
    let [begun, slow, told] = std::array::from_fn(|_| Arc::new(Semaphore::new(0)));
    let crowd = Crowd { begun, slow, alone: told };
    let together = alone.ground.once.together(crowd.clone(), &alone.ground.drain);

    // Three ask while one is done: they are the next transaction. The first of them is told before the second is tried alone.
    let first = async {
        let done = together.step(Ask::Easy).await;
        crowd.alone.add_permits(1);
        done
    };
    let others = async {
        pass(&crowd.begun).await;
        let open = async { crowd.slow.add_permits(1) };
        tokio::join!(first, together.step(Ask::Lost), together.step(Ask::Easy), open)
    };
    let (slow, (first, lost, last, ())) = tokio::join!(together.step(Ask::Slow), others);
    assert_eq!((slow, first, last), (Ok(1), Ok(1), Ok(1)), "each by itself in the end");
    assert_eq!(lost.unwrap_err().0.status, 503);

    // Those who lose to nobody share.
    let (a, b) = tokio::join!(together.step(Ask::Easy), together.step(Ask::Easy));
    assert_eq!((a, b), (Ok(2), Ok(2)));
    alone.end().await;
}

/// Has a turn while it decides, and tells how many are left. Asked to, it waits in its transaction until it has it no more.
#[derive(Debug)]
struct Holder(Arc<Semaphore>);

#[async_trait::async_trait]
impl Batch for Holder {
    type Ask = bool;
    type Done = usize;

    fn most(&self) -> usize {
        8
    }

    async fn hold(&self, _asks: &[&bool]) -> Held {
        Box::new(Arc::clone(&self.0).acquire_owned().await)
    }

    async fn write(&self, _tx: &Tx<'_>, asks: &[&bool]) -> Result<Vec<Decided<usize>>, ApiError> {
        if asks.contains(&&true) {
            pass(&self.0).await;
        }
        Ok(asks.iter().map(|_| Ok(self.0.available_permits())).collect())
    }
}

#[tokio::test]
async fn what_a_batch_holds_is_held_for_its_transaction_and_not_for_long() {
    let alone = Alone::start(None, &AccountsConfig::default()).await;
    let turn = Arc::new(Semaphore::new(1));
    let together = alone.ground.once.together(Holder(Arc::clone(&turn)), &alone.ground.drain);
    assert_eq!(together.step(false).await, Ok(0));
    assert_eq!(turn.available_permits(), 1, "it is given back before the answer");
    assert_eq!(together.step(true).await, Ok(1), "a transaction that takes long keeps nobody waiting");
    alone.end().await;
}
