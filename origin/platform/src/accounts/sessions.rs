//! Rows of accounts and of who is signed in.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::json;
use sha2::{Digest, Sha256};
use sluice_storage::rows::sea_orm::sea_query::{Expr, ExprTrait, JoinType, OnConflict, Query};
use sluice_storage::rows::sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, Iterable, QueryFilter,
};
use sluice_storage::rows::{signed, unsigned};
use sluice_storage::{Act, Audit, StorageError, Tx, Who};
use sluice_wire::channel::{REVOKE, Revocation, Revoked};
use sluice_wire::{AccountId, EventKind, Tag};

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

    /// The account of a handle.
    pub(super) async fn find(&self, name: &str) -> Result<Option<account::Model>, ApiError> {
        let owner = Query::select()
            .column(handle::Column::Account)
            .from(handle::Entity)
            .and_where(Expr::col(handle::Column::Handle).eq(name))
            .to_owned();
        let found = account::Entity::find()
            .filter(account::Column::Id.in_subquery(owner))
            .one(self.storage.database.reader())
            .await?;
        Ok(found.filter(|account| !account.closed))
    }

    /// Begins a session; its caller, and the token that renews it.
    pub(super) async fn begin(
        &self,
        row: &account::Model,
        device: &str,
    ) -> Result<(Caller, RefreshToken), ApiError> {
        let caller = of_row(row, self.storage.ids.make())?;
        let token = RefreshToken::fresh(caller.account, caller.session);
        let (keys, ttl_ms) = (token.key(), self.config.session_ttl_s * 1_000);
        let keys = &keys;
        let begin = self.storage.database.write::<_, ApiError, _>(move |tx| {
            Box::pin(async move {
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
                keep(tx, keys, expires_ms).await
            })
        });
        begin.await?;
        Ok((caller, token))
    }

    /// Renews a session: its caller, and the next token. A token that was used a moment ago renews once more, with a token of
    /// its own; one that was used before that ends the session: 401.
    pub(super) async fn renew(&self, token: &RefreshToken) -> Result<(Caller, RefreshToken), ApiError> {
        let next = RefreshToken::fresh(token.account, token.session);
        let (old, new) = (&token.key(), &next.key());
        let (ttl_ms, audit) = (self.config.session_ttl_s * 1_000, &self.storage.audit());
        let grace_ms = signed(self.config.renew_grace_ms);
        let renew = self.storage.database.write::<_, ApiError, _>(move |tx| {
            Box::pin(async move {
                let found = find_session(tx, old).await?;
                let Some(found) = found.filter(|row| row.expires_ms > signed(tx.now_ms())) else {
                    return Ok(None);
                };
                let again =
                    found.used_ms.is_some_and(|used| used.saturating_add(grace_ms) > signed(tx.now_ms()));
                if found.used_ms.is_some() && !again {
                    end(tx, audit, (token.account, token.session), "refresh token used twice").await?;
                    return Ok(None);
                }
                if found.ended_ms.is_some() || found.account.closed {
                    return Ok(None);
                }
                let expires_ms = signed(tx.now_ms() + ttl_ms);
                if again {
                    // When it was used first counts: it does not last longer for being brought again.
                    keep(tx, new, expires_ms).await?;
                } else {
                    use_up(tx, (old, found.expires_ms), (new, expires_ms)).await?;
                }
                Ok(Some(found.account))
            })
        });
        match renew.await? {
            Some(row) => Ok((of_row(&row, token.session)?, next)),
            None => Err(caller::unauthorised("the session is over: sign in again")),
        }
    }

    /// Ends a session: here at once, and everywhere within a second.
    pub(super) async fn end(&self, account: AccountId, session: SessionId) -> Result<(), ApiError> {
        let audit = &self.storage.audit();
        let ended = self.storage.database.write::<_, ApiError, _>(move |tx| {
            Box::pin(async move {
                end(tx, audit, (account, session), "signed out").await?;
                Ok(tx.now_ms())
            })
        });
        let ended_ms = ended.await?;
        let revoke = Revocation::of_session(session);
        self.revoked.hear(&Revoked { revoke, at_ms: ended_ms, version: None }, ended_ms);
        Ok(())
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

/// Ends a session, and has edges told: what was minted in it before now is refused.
async fn end(
    tx: &Tx<'_>,
    audit: &Audit,
    (account, id): (AccountId, SessionId),
    why: &'static str,
) -> Result<(), ApiError> {
    let ended = session::Entity::update_many()
        .col_expr(session::Column::EndedMs, Expr::value(signed(tx.now_ms())))
        .filter(session::Column::Account.eq(account.as_i64()))
        .filter(session::Column::Id.eq(id.as_i64()))
        .filter(session::Column::EndedMs.is_null())
        .exec(tx.conn())
        .await?;
    if ended.rows_affected == 0 {
        return Ok(());
    }
    let tag = Tag::new(format!("account:{account}")).expect("an id is of a tag's characters");
    let data = json!({ REVOKE: Revocation::of_session(id) });
    tx.emit(&tag, EventKind::Changed, data).await?;
    let act = Act { action: "end-session", subject: id.to_string(), before: None, after: Some(json!(why)) };
    audit.record(tx, &who(&account.to_string()), &act).await?;
    Ok(())
}

fn who(name: &str) -> Who {
    Who { name: name.to_owned(), role: "account" }
}

fn of_row(row: &account::Model, session: SessionId) -> Result<Caller, ApiError> {
    let id = unsigned("accounts.id", row.id)?;
    let account = AccountId::from_u64(id).map_err(|e| StorageError::Corrupt(e.to_string()))?;
    let roles = row.roles.split_whitespace().map(str::to_owned).collect();
    Ok(Caller { account, session, name: row.handle.clone(), roles })
}
