//! Who is let in by a password: at a sign-in, and where it is asked for again.

use serde_json::json;
use sluice_storage::rows::sea_orm::sea_query::{Expr, ExprTrait, Order, Query};
use sluice_storage::rows::sea_orm::{ConnectionTrait, FromQueryResult, Iterable};
use sluice_storage::{Act, StorageError};

use super::ends::MAX_NAMED;
use super::rows::{account, session};
use super::sessions::{owner_of, who};
use super::{Accounts, password, tries};
use crate::ApiError;

/// Characters of a handle.
const HANDLE: std::ops::RangeInclusive<usize> = 2..=32;

/// Whether there can be an account of this handle.
pub(super) fn is_handle(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    HANDLE.contains(&text.len()) && text.chars().all(plain)
}

/// An account as it was read before its password was looked at.
pub(super) struct Seen {
    /// Its row.
    pub(super) row: account::Model,
    /// The newest of its sessions that have to end before another begins: it has as many as it can have.
    pub(super) too_many: Option<i64>,
}

impl Accounts {
    /// The account of a handle, and whether it has as many sessions as it can have: one statement.
    pub(super) async fn find(&self, name: &str) -> Result<Option<Seen>, ApiError> {
        let (a, s) = ("a", "s");
        let too_many = Query::select()
            .column((s, session::Column::Id))
            .from_as(session::Entity, s)
            .and_where(Expr::col((s, session::Column::Account)).equals((a, account::Column::Id)))
            .and_where(Expr::col((s, session::Column::EndedMs)).is_null())
            .order_by((s, session::Column::Id), Order::Desc)
            .limit(1)
            .offset(MAX_NAMED as u64 - 1)
            .to_owned();
        let mut select = Query::select();
        select
            .columns(account::Column::iter().map(|column| (a, column)))
            .expr_as(too_many, "too_many")
            .from_as(account::Entity, a)
            .and_where(Expr::col((a, account::Column::Id)).in_subquery(owner_of(name)));
        let Some(found) = self.storage.database.reader().query_one(&select).await? else { return Ok(None) };
        let row = account::Model::from_query_result(&found, "")?;
        let too_many = found.try_get("", "too_many")?;
        Ok((!row.closed).then_some(Seen { row, too_many }))
    }

    /// The account of a handle and its password. A handle that nobody can have is answered as one that nobody has, and not
    /// remembered. Tries count together under a key: the handle itself, or one of its own where somebody is in already. Whoever is
    /// refused is written down, by a word for what was refused.
    ///
    /// # Errors
    /// 429 after too many tries, 503 where no password can be looked at now; the engine's.
    pub(super) async fn let_in(
        &self,
        handle: &str,
        key: &str,
        password: String,
        refused: &'static str,
    ) -> Result<Option<Seen>, ApiError> {
        let short = password.len() <= 4 * password::LENGTHS.end();
        if !is_handle(handle) {
            if short {
                self.passwords.is(password, None).await?;
            }
            return Ok(None);
        }
        self.tries.begin(key, self.storage.clock.now_ms()).map_err(|wait_ms| {
            let detail = format!("too many tries for this handle; again in {} s", wait_ms.div_ceil(1_000));
            ApiError::new(429, "too-many-tries", "Too many tries", detail)
        })?;
        let looked = async {
            let found = self.find(handle).await?;
            let hash = found.as_ref().map(|seen| seen.row.password.clone());
            let good = short && self.passwords.is(password, hash).await?;
            Ok::<_, ApiError>((found, good))
        };
        match looked.await {
            Ok((found, true)) => {
                self.tries.good(key);
                Ok(found)
            }
            Ok((found, false)) => {
                self.note_refused(handle, found.is_some(), refused).await;
                Ok(None)
            }
            Err(error) => {
                self.tries.undone(key);
                Err(error)
            }
        }
    }

    /// Writes down that somebody was refused, whether there is such an account or not: while both are written down it takes as long.
    async fn note_refused(&self, handle: &str, is_known: bool, what: &'static str) {
        let refusals = if is_known { &self.refusals } else { &self.refusals_of_nobody };
        let Some(unwritten) = refusals.take(self.storage.clock.now_ms()) else { return };
        // What is nobody's handle may be a password.
        let subject = if is_known { handle.to_owned() } else { tries::digest(handle) };
        let after = (unwritten > 0).then(|| json!({ "unwritten": unwritten }));
        let (act, audit) = (&Act { action: what, subject, before: None, after }, &self.storage.audit());
        let write = self.storage.database.write::<_, StorageError, _>(move |tx| {
            Box::pin(async move { audit.record(tx, &who(&act.subject), act).await })
        });
        // It is refused all the same.
        if let Err(error) = write.await {
            tracing::warn!(%error, what, "not written down");
        }
    }
}
