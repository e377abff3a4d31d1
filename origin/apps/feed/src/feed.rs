//! What the app's handlers share.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use sluice_platform::once::Once;
use sluice_platform::{Accounts, ApiError, Caller, Ground};
use sluice_service::Pool;
use sluice_storage::rows::sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sluice_storage::rows::sea_orm::{ColumnTrait, EntityTrait};
use sluice_storage::rows::unsigned;
use sluice_storage::{Database, Log, Storage, StorageError};
use sluice_wire::AccountId;
use tokio::sync::{Notify, Semaphore, mpsc};

use crate::PostId;
use crate::config::Config;
use crate::home::Missed;
use crate::metrics::Metrics;
use crate::rows::profile;

/// Accounts that are remembered to have a profile: a few megabytes. One more, and all are looked for again.
const MAX_KNOWN: usize = 100_000;
/// Home lists that wait to be rebuilt here, and that wait to be kept. A reader for whom there is no room is served without, and asks again.
const MAX_RENEWALS: usize = 1_024;
/// Photos that may come at a time: each is in memory, up to 20 MiB.
const MAX_BODIES: usize = 16;
/// Photos that are made at a time, half a gigabyte each at most, and that wait for it.
const PAINTERS: (usize, usize) = (2, 16);

/// What the app's handlers share. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Feed {
    pub(crate) storage: Storage,
    pub(crate) log: Log,
    pub(crate) once: Once,
    pub(crate) accounts: Accounts,
    pub(crate) config: Arc<Config>,
    /// There is a post to bring to followers.
    pub(crate) posted: Arc<Notify>,
    /// Readers whose list is to be rebuilt.
    pub(crate) renew: mpsc::Sender<i64>,
    /// A post with photos was deleted.
    pub(crate) released: Arc<Notify>,
    /// Photos that may come at a time.
    pub(crate) bodies: Arc<Semaphore>,
    /// Where photos are made.
    pub(crate) painters: Arc<Pool>,
    pub(crate) metrics: Metrics,
    /// Home lists that are to be kept.
    pub(crate) fill: mpsc::Sender<Missed>,
    known: Arc<Mutex<HashSet<i64>>>,
}

/// What a [`Feed`] asks its background work for.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// Readers whose list is to be rebuilt.
    pub(crate) renewals: mpsc::Receiver<i64>,
    /// Lists that are to be kept.
    pub(crate) missed: mpsc::Receiver<Missed>,
}

impl Feed {
    /// With it comes what it asks for.
    pub(crate) fn new(ground: &Ground, config: Config) -> (Self, Wanted) {
        let (renew, renewals) = mpsc::channel(MAX_RENEWALS);
        let (fill, missed) = mpsc::channel(MAX_RENEWALS);
        let storage = ground.storage.clone();
        let feed = Self {
            log: storage.log(),
            storage,
            once: ground.once.clone(),
            accounts: ground.accounts.clone(),
            config: Arc::new(config),
            posted: Arc::default(),
            renew,
            fill,
            released: Arc::default(),
            bodies: Arc::new(Semaphore::new(MAX_BODIES)),
            painters: Arc::new(Pool::new(PAINTERS.0, PAINTERS.1)),
            metrics: Metrics::new(&ground.metrics),
            known: Arc::default(),
        };
        (feed, Wanted { renewals, missed })
    }

    pub(crate) fn database(&self) -> &Database {
        &self.storage.database
    }

    /// Makes the profile of an account that is here for the first time.
    pub(crate) async fn profile(&self, caller: &Caller) -> Result<(), ApiError> {
        let account = caller.account.as_i64();
        if self.known.lock().unwrap_or_else(PoisonError::into_inner).contains(&account) {
            return Ok(());
        }
        let row = &fresh(caller.account, &caller.name);
        let make = self.database().write::<_, ApiError, _>(|tx| {
            Box::pin(async move {
                profile::Entity::insert(profile::ActiveModel::from(row.clone()))
                    .on_conflict(OnConflict::new().do_nothing().to_owned())
                    .exec_without_returning(tx.conn())
                    .await?;
                Ok(())
            })
        });
        make.await?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(account);
        Ok(())
    }
}

/// The profile of an account that did nothing yet.
pub(crate) fn fresh(account: AccountId, handle: &str) -> profile::Model {
    profile::Model {
        account: account.as_i64(),
        handle: handle.to_owned(),
        followers: 0,
        following: 0,
        posts: 0,
        pulled: false,
        listed: false,
        badged: false,
        read_ms: 0,
        seen: 0,
    }
}

/// An account out of a column.
pub(crate) fn account(column: i64) -> Result<AccountId, StorageError> {
    let number = unsigned("feed.account", column)?;
    AccountId::from_u64(number).map_err(|e| StorageError::Corrupt(e.to_string()))
}

/// A post out of a column.
pub(crate) fn post(column: i64) -> Result<PostId, StorageError> {
    let number = unsigned("feed.post", column)?;
    PostId::from_u64(number).map_err(|e| StorageError::Corrupt(e.to_string()))
}

/// A column's new value: one more, or fewer.
pub(crate) fn plus(column: impl ColumnTrait, by: i64) -> Expr {
    Expr::col(column).add(by)
}
