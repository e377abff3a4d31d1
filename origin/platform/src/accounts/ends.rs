//! Sessions end: one, all others, or all of an account. Edges and origins are told by the log, and refuse their tokens.

use serde_json::json;
use sluice_storage::rows::sea_orm::sea_query::Expr;
use sluice_storage::rows::sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use sluice_storage::rows::{signed, unsigned};
use sluice_storage::{Act, Audit, StorageError, Tx};
use sluice_wire::channel::{REVOKE, Revocation, Revoked};
use sluice_wire::{AccountId, EventKind, Tag};

use super::rows::session;
use super::sessions::who;
use super::{Accounts, SessionId};
use crate::ApiError;

/// Sessions that are named when they end at once. Of more the account is named, too: one that goes on has to be renewed.
/// So many can an account have: a sign-in ends the oldest beyond them.
pub(super) const MAX_NAMED: usize = 100;

/// Which sessions of an account end.
#[derive(Debug, Clone, Copy)]
pub(super) enum Which {
    /// This one.
    One(SessionId),
    /// All but this one.
    Others(SessionId),
    /// This one and all that were begun before it.
    UpTo(i64),
    /// All.
    All,
}

/// What ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// How many sessions.
    pub(super) count: usize,
    revoked: Vec<Revocation>,
    at_ms: u64,
}

impl Accounts {
    /// Ends a session: here at once, and everywhere within a second.
    pub(super) async fn end(&self, account: AccountId, session: SessionId) -> Result<(), ApiError> {
        let audit = &self.storage.audit();
        let end = self.storage.database.write::<_, ApiError, _>(move |tx| {
            Box::pin(async move { end_one(tx, audit, (account, session), "signed out").await })
        });
        self.know(end.await?);
        Ok(())
    }

    /// Takes note here of what was committed: the log tells it in a moment.
    pub(super) fn know(&self, ended: Ended) {
        for revoke in ended.revoked {
            self.revoked.hear(&Revoked { revoke, at_ms: ended.at_ms, version: None }, ended.at_ms);
        }
    }
}

/// Ends a session, has it told, and written down why.
pub(super) async fn end_one(
    tx: &Tx<'_>,
    audit: &Audit,
    (account, id): (AccountId, SessionId),
    why: &'static str,
) -> Result<Ended, ApiError> {
    let ended = end(tx, account, Which::One(id)).await?;
    if ended.count > 0 {
        let act =
            Act { action: "end-session", subject: id.to_string(), before: None, after: Some(json!(why)) };
        audit.record(tx, &who(&account.to_string()), &act).await?;
    }
    Ok(ended)
}

/// Ends sessions, and has it told: no token that was minted in them is good. One statement beside the events.
pub(super) async fn end(tx: &Tx<'_>, account: AccountId, which: Which) -> Result<Ended, ApiError> {
    let these = session::Entity::update_many()
        .col_expr(session::Column::EndedMs, Expr::value(signed(tx.now_ms())))
        .filter(session::Column::Account.eq(account.as_i64()))
        .filter(session::Column::EndedMs.is_null());
    let these = match which {
        Which::One(id) => these.filter(session::Column::Id.eq(id.as_i64())),
        Which::Others(id) => these.filter(session::Column::Id.ne(id.as_i64())),
        Which::UpTo(id) => these.filter(session::Column::Id.lte(id)),
        Which::All => these,
    };
    let rows = these.exec_with_returning(tx.conn()).await?;
    let ids = rows.iter().map(|row| {
        let id = SessionId::from_u64(unsigned("sessions.id", row.id)?);
        id.map_err(|e| StorageError::Corrupt(e.to_string()))
    });
    let ids: Vec<SessionId> = ids.collect::<Result<_, StorageError>>()?;
    tell(tx, account, revocations(account, &ids)).await.map(|ended| Ended { count: ids.len(), ..ended })
}

/// What is told of an account that has other tokens from now on.
pub(super) async fn tell(
    tx: &Tx<'_>,
    account: AccountId,
    revoked: Vec<Revocation>,
) -> Result<Ended, ApiError> {
    let tag = Tag::new(format!("account:{account}")).expect("an id is of a tag's characters");
    let event = |revoke: &Revocation| (tag.clone(), EventKind::Changed, json!({ REVOKE: revoke }));
    let events: Vec<_> = revoked.iter().map(event).collect();
    tx.emit_all(&events).await?;
    Ok(Ended { count: 0, revoked, at_ms: tx.now_ms() })
}

/// Each session never comes again, whenever its tokens were minted. That of the account is for those that are not named.
fn revocations(account: AccountId, ended: &[SessionId]) -> Vec<Revocation> {
    let is_whole = ended.len() > MAX_NAMED;
    let whole = is_whole.then(|| Revocation::of_account(account));
    whole.into_iter().chain(ended.iter().take(MAX_NAMED).map(Revocation::of_session)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(count: u32) -> Vec<Revocation> {
        let ended: Vec<_> = (1..=count).map(|n| SessionId::from_parts(1_000, n)).collect();
        revocations(AccountId::from_parts(1_000, 7), &ended)
    }

    #[test]
    fn who_goes_on_is_not_meant_and_too_many_are_told_as_one() {
        assert!(told(0).is_empty());
        let named = told(100);
        assert!(named.len() == MAX_NAMED && named.iter().all(|one| one.for_good), "each by its name");
        let many = told(1_000);
        assert!(many.len() == MAX_NAMED + 1 && !many[0].for_good, "one that goes on is renewed");
    }
}
