//! What an account does about its own safety: a new password, and signing out everywhere.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use sluice_storage::Act;
use sluice_storage::rows::sea_orm::sea_query::Expr;
use sluice_storage::rows::sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::caller::Cookies;
use super::ends::{self, Which};
use super::http::signed_out;
use super::rows::account;
use super::sessions::{id_of, who};
use super::{Accounts, Caller, SessionId, password};
use crate::ApiError;
use crate::once::Asked;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPassword {
    current: String,
    new: String,
}

/// `PUT /v1/accounts/password`: the session that asks goes on, all others end.
pub(super) async fn change_password(
    State(accounts): State<Accounts>,
    caller: Caller,
    asked: Asked<NewPassword>,
) -> Result<Response, ApiError> {
    let NewPassword { current, new } = asked.body;
    if !password::LENGTHS.contains(&new.chars().count()) {
        return Err(ApiError::new(422, "invalid", "Not a password", "new: 8 to 200 characters"));
    }
    // No handle has a space: who guesses at the door does not keep the owner from it, nor who has a token from the door.
    let key = format!("{} {}", caller.name, caller.session);
    // Not 401: the session is good.
    let Some(seen) = accounts.let_in(&caller.name, &key, current, "refuse-password").await? else {
        return Err(ApiError::new(
            403,
            "wrong-password",
            "Wrong password",
            "current: it is another password",
        ));
    };
    let hash = accounts.passwords.hash(new).await?;
    accounts.replace_password(&seen.row, caller.session, &hash).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `DELETE /v1/accounts/sessions`.
pub(super) async fn sign_out_everywhere(
    State(accounts): State<Accounts>,
    cookies: Cookies,
    caller: Caller,
) -> Result<Response, ApiError> {
    accounts.end_all(&caller).await?;
    Ok(signed_out(cookies))
}

impl Accounts {
    /// Puts a hash in the place of the one that was looked at, and ends all sessions but one. 409 where another was put there since.
    async fn replace_password(
        &self,
        row: &account::Model,
        session: SessionId,
        hash: &str,
    ) -> Result<(), ApiError> {
        let (id, audit) = (id_of(row)?, &self.storage.audit());
        let replace = self.storage.database.write::<_, ApiError, _>(move |tx| {
            Box::pin(async move {
                let replaced = account::Entity::update_many()
                    .col_expr(account::Column::Password, Expr::value(hash))
                    .filter(account::Column::Id.eq(row.id))
                    .filter(account::Column::Password.eq(row.password.as_str()))
                    .exec(tx.conn())
                    .await?;
                if replaced.rows_affected == 0 {
                    return Err(ApiError::conflict("the password was changed at this moment"));
                }
                let ended = ends::end(tx, id, Which::Others(session)).await?;
                let after = Some(json!({ "sessions_ended": ended.count }));
                let subject = row.handle.clone();
                let act = Act { action: "change-password", subject, before: None, after };
                audit.record(tx, &who(&row.handle), &act).await?;
                Ok(ended)
            })
        });
        self.know(replace.await?);
        Ok(())
    }

    /// Ends all sessions of an account.
    async fn end_all(&self, caller: &Caller) -> Result<(), ApiError> {
        let audit = &self.storage.audit();
        let end = self.storage.database.write::<_, ApiError, _>(move |tx| {
            Box::pin(async move {
                let ended = ends::end(tx, caller.account, Which::All).await?;
                let after = Some(json!({ "sessions_ended": ended.count }));
                let act = Act { action: "end-sessions", subject: caller.name.clone(), before: None, after };
                audit.record(tx, &who(&caller.name), &act).await?;
                Ok(ended)
            })
        });
        self.know(end.await?);
        Ok(())
    }
}
