//! Rows of accounts and of who is signed in.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::json;
use sha2::{Digest, Sha256};
use sluice_storage::rows::sea_orm::sea_query::{
    Expr, ExprTrait, JoinType, OnConflict, Query, SelectStatement,
};
use sluice_storage::rows::sea_orm::{
    ActiveValue::Set, ConnectionTrait, EntityTrait, FromQueryResult, Iterable,
};
use sluice_storage::rows::{signed, unsigned};
use sluice_storage::{Act, StorageError, Tx, Who};
use sluice_wire::AccountId;

use super::door::Seen;
use super::ends::{self, Which};
use super::rows::{account, handle, refresh, session};
use super::{Accounts, Caller, SessionId, caller};
use crate::ApiError;

/// Bytes of chance in a refresh token.
const SECRET: usize = 32;

/// What renews a session: `ACCOUNT.SESSION.SECRET`.
#[derive(Debug, Clone)]
pub(super) struct RefreshToken {
    account: AccountId,
    session: SessionId,
    secret: String,
}

impl RefreshToken {
    fn fresh(account: AccountId, session: SessionId) -> Self {
        let secret: [u8; SECRET] = rand::random();
        Self { account, session, secret: BASE64_URL_SAFE_NO_PAD.encode(secret) }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '.');
        let (account, session) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(Self { account, session, secret: parts.next()?.to_owned() })
    }

    pub(super) fn text(&self) -> String {
        format!("{}.{}.{}", self.account, self.session, self.secret)
    }

    /// What is kept of it.
    fn digest(&self) -> String {
        hex::encode(Sha256::digest(&self.secret))
    }

    fn key(&self) -> (i64, i64, String) {
        (self.account.as_i64(), self.session.as_i64(), self.digest())
    }
}

/// A session that is begun or renewed.
pub(super) struct Begun {
    /// Who is signed in.
    pub(super) caller: Caller,
    /// What renews it.
    pub(super) token: RefreshToken,
    /// When its account was read, in Unix milliseconds.
    pub(super) as_of_ms: u64,
}

impl Accounts {
    /// Makes an account. A handle is somebody's alone: 409.
    pub(super) async fn make(&self, new: account::Model) -> Result<(), ApiError> {
        let new = &new;
        let insert = self.storage.database.write::<_, ApiError, _>(move |tx| {
            Box::pin(async move {
                let name = handle::ActiveModel { handle: Set(new.handle.clone()), account: Set(new.id) };
                let made = handle::Entity::insert(name)
                    .on_conflict(OnConflict::new().do_nothing().to_owned())
                    .exec_without_returning(tx.conn())
                    .await?;
                if made == 0 {
                    return Err(ApiError::conflict(format!("the handle {:?} is taken", new.handle)));
                }
                account::Entity::insert(account::ActiveModel::from(new.clone()))
                    .exec_without_returning(tx.conn())
                    .await?;
                let act = Act { action: "sign-up", subject: new.handle.clone(), before: None, after: None };
                self.storage.audit().record(tx, &who(&new.handle), &act).await?;
                Ok(())
            })
        });
        insert.await
    }

    /// Begins a session of an account as it was read, and writes it down where the account is not new. One that was changed since
    /// then is 409: it may have another password. Of too many sessions the oldest end, which costs a statement beside the events.
    pub(super) async fn begin(&self, seen: &Seen, device: &str, is_new: bool) -> Result<Begun, ApiError> {
        let Seen { row, too_many } = seen;
        let caller = of_row(row, self.storage.ids.make())?;
        let (account, session) = (caller.account, caller.session);
        let token = RefreshToken::fresh(account, session);
        let (keys, ttl_ms) = (token.key(), self.config.session_ttl_s * 1_000);
        let (keys, audit) = (&keys, &self.storage.audit());
        let begin = self.storage.database.write::<_, ApiError, _>(move |tx| {
            Box::pin(async move {
                if !is_new {
                    unchanged(tx, row).await?;
                    audit.record(tx, &who(&row.handle), &signed_in(session, device)).await?;
                }
                let ended = match *too_many {
                    Some(last) => Some(ends::end(tx, account, Which::UpTo(last)).await?),
                    None => None,
                };
                let expires_ms = signed(tx.now_ms() + ttl_ms);
                let new = session::ActiveModel {
                    account: Set(keys.0),
                    id: Set(keys.1),
                    device: Set(device.to_owned()),
                    created_ms: Set(signed(tx.now_ms())),
                    expires_ms: Set(expires_ms),
                    ended_ms: Set(None),
                };
                session::Entity::insert(new).exec_without_returning(tx.conn()).await?;
                keep(tx, keys, expires_ms).await?;
                Ok((tx.now_ms(), ended))
            })
        });
        let (as_of_ms, ended) = begin.await?;
        if let Some(ended) = ended {
            self.know(ended);
        }
        Ok(Begun { caller, token, as_of_ms })
    }

    /// Renews a session, with the next token. A token that was used a moment ago renews once more, with a token of
    /// its own; one that was used before that ends the session: 401.
    pub(super) async fn renew(&self, token: &RefreshToken) -> Result<Begun, ApiError> {
        let next = RefreshToken::fresh(token.account, token.session);
        let (old, new) = (&token.key(), &next.key());
        let (ttl_ms, audit) = (self.config.session_ttl_s * 1_000, &self.storage.audit());
        let grace_ms = signed(self.config.renew_grace_ms);
        let renew = self.storage.database.write::<_, ApiError, _>(move |tx| {
            Box::pin(async move {
                let found = find_session(tx, old).await?;
                let Some(found) = found.filter(|row| row.expires_ms > signed(tx.now_ms())) else {
                    return Ok(Err(None));
                };
                let again =
                    found.used_ms.is_some_and(|used| used.saturating_add(grace_ms) > signed(tx.now_ms()));
                if found.used_ms.is_some() && !again {
                    let (whose, why) = ((token.account, token.session), "refresh token used twice");
                    return Ok(Err(Some(ends::end_one(tx, audit, whose, why).await?)));
                }
                if found.ended_ms.is_some() || found.account.closed {
                    return Ok(Err(None));
                }
                let expires_ms = signed(tx.now_ms() + ttl_ms);
                if again {
                    // When it was used first counts: it does not last longer for being brought again.
                    keep(tx, new, expires_ms).await?;
                } else {
                    use_up(tx, (old, found.expires_ms), (new, expires_ms)).await?;
                }
                Ok(Ok((found.account, tx.now_ms())))
            })
        });
        match renew.await? {
            Ok((row, as_of_ms)) => Ok(Begun { caller: of_row(&row, token.session)?, token: next, as_of_ms }),
            Err(ended) => {
                ended.into_iter().for_each(|ended| self.know(ended));
                Err(caller::unauthorised("the session is over: sign in again"))
            }
        }
    }
}

/// What a refresh token is for.
struct Found {
    account: account::Model,
    used_ms: Option<i64>,
    expires_ms: i64,
    ended_ms: Option<i64>,
}

/// The account and the session of a refresh token: one statement.
async fn find_session(tx: &Tx<'_>, key: &(i64, i64, String)) -> Result<Option<Found>, ApiError> {
    let (r, s, a) = ("r", "s", "a");
    let mut select = Query::select();
    select
        .columns(account::Column::iter().map(|column| (a, column)))
        .columns([(r, refresh::Column::UsedMs), (r, refresh::Column::ExpiresMs)])
        .column((s, session::Column::EndedMs))
        .from_as(refresh::Entity, r)
        .join_as(
            JoinType::InnerJoin,
            session::Entity,
            s,
            Expr::col((s, session::Column::Account))
                .equals((r, refresh::Column::Account))
                .and(Expr::col((s, session::Column::Id)).equals((r, refresh::Column::Session))),
        )
        .join_as(
            JoinType::InnerJoin,
            account::Entity,
            a,
            Expr::col((a, account::Column::Id)).equals((r, refresh::Column::Account)),
        )
        .and_where(Expr::col((r, refresh::Column::Account)).eq(key.0))
        .and_where(Expr::col((r, refresh::Column::Session)).eq(key.1))
        .and_where(Expr::col((r, refresh::Column::Digest)).eq(key.2.as_str()));
    let Some(row) = tx.conn().query_one(&select).await? else { return Ok(None) };
    Ok(Some(Found {
        account: account::Model::from_query_result(&row, "")?,
        used_ms: row.try_get("", "used_ms")?,
        expires_ms: row.try_get("", "expires_ms")?,
        ended_ms: row.try_get("", "ended_ms")?,
    }))
}

/// Uses a refresh token up, and keeps the next one: one statement, for the one that is there is only marked.
async fn use_up(
    tx: &Tx<'_>,
    (old, old_expires_ms): (&(i64, i64, String), i64),
    (new, expires_ms): (&(i64, i64, String), i64),
) -> Result<(), ApiError> {
    let used = refresh::ActiveModel { used_ms: Set(Some(signed(tx.now_ms()))), ..row(old, old_expires_ms) };
    let there =
        OnConflict::columns([refresh::Column::Account, refresh::Column::Session, refresh::Column::Digest])
            .update_column(refresh::Column::UsedMs)
            .to_owned();
    let both = [used, row(new, expires_ms)];
    refresh::Entity::insert_many(both).on_conflict(there).exec_without_returning(tx.conn()).await?;
    Ok(())
}

fn row(key: &(i64, i64, String), expires_ms: i64) -> refresh::ActiveModel {
    refresh::ActiveModel {
        account: Set(key.0),
        session: Set(key.1),
        digest: Set(key.2.clone()),
        used_ms: Set(None),
        expires_ms: Set(expires_ms),
    }
}

/// Keeps what renews a session.
async fn keep(tx: &Tx<'_>, key: &(i64, i64, String), expires_ms: i64) -> Result<(), ApiError> {
    refresh::Entity::insert(row(key, expires_ms)).exec_without_returning(tx.conn()).await?;
    Ok(())
}

/// Whose a handle is.
pub(super) fn owner_of(name: &str) -> SelectStatement {
    Query::select()
        .column(handle::Column::Account)
        .from(handle::Entity)
        .and_where(Expr::col(handle::Column::Handle).eq(name))
        .to_owned()
}

/// Whether an account is as it was read, when its password was looked at: one statement.
async fn unchanged(tx: &Tx<'_>, row: &account::Model) -> Result<(), ApiError> {
    let now = account::Entity::find_by_id(row.id).one(tx.conn()).await?;
    if now.as_ref() == Some(row) {
        return Ok(());
    }
    Err(ApiError::conflict("the account was changed at this moment: sign in again"))
}

fn signed_in(session: SessionId, device: &str) -> Act {
    let after = (!device.is_empty()).then(|| json!({ "device": device }));
    Act { action: "sign-in", subject: session.to_string(), before: None, after }
}

pub(super) fn who(name: &str) -> Who {
    Who { name: name.to_owned(), role: "account" }
}

/// The id of an account.
pub(super) fn id_of(row: &account::Model) -> Result<AccountId, StorageError> {
    let id = unsigned("accounts.id", row.id)?;
    AccountId::from_u64(id).map_err(|e| StorageError::Corrupt(e.to_string()))
}

fn of_row(row: &account::Model, session: SessionId) -> Result<Caller, ApiError> {
    let account = id_of(row)?;
    let roles = row.roles.split_whitespace().map(str::to_owned).collect();
    Ok(Caller { account, session, name: row.handle.clone(), roles })
}
