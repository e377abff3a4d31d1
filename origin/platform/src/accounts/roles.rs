//! What accounts may do beyond what all may: administrators give it and take it. The first is one by configuration.

use std::collections::BTreeSet;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use sluice_storage::rows::sea_orm::sea_query::{Expr, ExprTrait};
use sluice_storage::rows::sea_orm::{ColumnTrait, Condition, EntityTrait, PaginatorTrait, QueryFilter};
use sluice_storage::{Act, Tx, Who};
use sluice_wire::AccountId;
use sluice_wire::channel::Revocation;

use super::rows::{account, refresh};
use super::sessions::{id_of, owner_of};
use super::{Accounts, Caller, ends};
use crate::ApiError;
use crate::cache::{self, Lifetime};
use crate::once::Asked;

/// The role that gives roles.
pub(super) const ADMIN: &str = "admin";
/// All that there are: what [`Caller::needs`] is asked for.
const ROLES: [&str; 1] = [ADMIN];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Roles {
    roles: Vec<String>,
}

/// `PUT /v1/accounts/ACCOUNT/roles`, the account by its id or as `@handle`.
pub(super) async fn give(
    State(accounts): State<Accounts>,
    Path(name): Path<String>,
    caller: Caller,
    asked: Asked<Roles>,
) -> Result<Response, ApiError> {
    caller.needs(ADMIN)?;
    let roles = written(&asked.body.roles)?;
    let row = accounts.give_roles(&caller, &name, &roles).await?;
    let body = json!({ "account": id_of(&row)?, "handle": row.handle, "roles": listed(&roles) });
    let mut answer = axum::Json(body).into_response();
    cache::lifetime(answer.headers_mut(), Lifetime::Never);
    Ok(answer)
}

impl Accounts {
    /// Gives an account these roles and no others; its row as it was. Its access tokens are refused from then on, and what renews
    /// them is as good as before.
    async fn give_roles(&self, caller: &Caller, name: &str, roles: &str) -> Result<account::Model, ApiError> {
        let audit = &self.storage.audit();
        let give = self.storage.database.write::<_, ApiError, _>(move |tx| {
            Box::pin(async move {
                let row = may_give(&found(tx, name).await?, caller.account, name, roles)?;
                let id = id_of(&row)?;
                if row.roles == roles {
                    return Ok((row, None));
                }
                // Whoever begins or renews a session writes there: of the two that are under way at once, one begins anew. Its
                // token says the new roles, or is refused.
                refresh::Entity::find().filter(refresh::Column::Account.eq(row.id)).count(tx.conn()).await?;
                account::Entity::update_many()
                    .col_expr(account::Column::Roles, Expr::value(roles))
                    .filter(account::Column::Id.eq(row.id))
                    .exec(tx.conn())
                    .await?;
                let told = ends::tell(tx, id, vec![Revocation::of_account(id)]).await?;
                let (before, after) = (Some(json!(listed(&row.roles))), Some(json!(listed(roles))));
                let act = Act { action: "give-roles", subject: row.handle.clone(), before, after };
                audit.record(tx, &Who { name: caller.name.clone(), role: ADMIN }, &act).await?;
                Ok((row, Some(told)))
            })
        });
        let (row, told) = give.await?;
        if let Some(told) = told {
            self.know(told);
        }
        Ok(row)
    }
}

/// The account that is named, and all that have roles: one statement.
async fn found(tx: &Tx<'_>, name: &str) -> Result<Vec<account::Model>, ApiError> {
    let mut which = Condition::any().add(account::Column::Roles.gt(""));
    if let Some(handle) = name.strip_prefix('@') {
        // As one of a list PostgreSQL would look for it in the whole table.
        which = which.add(Expr::col((account::Entity, account::Column::Id)).eq(owner_of(handle)));
    } else if let Ok(id) = name.parse::<AccountId>() {
        which = which.add(account::Column::Id.eq(id.as_i64()));
    }
    let these = account::Entity::find().filter(which).filter(account::Column::Closed.eq(false));
    Ok(these.all(tx.conn()).await?)
}

/// Decides over the account that is named and all that have roles: its row, where the caller may give it these.
///
/// # Errors
/// 403 where the caller is no administrator any more, 404 where nobody is named, 409 where none would be left.
fn may_give(
    rows: &[account::Model],
    caller: AccountId,
    name: &str,
    roles: &str,
) -> Result<account::Model, ApiError> {
    let is_admin = |row: &&account::Model| has(&row.roles, ADMIN);
    if !rows.iter().filter(is_admin).any(|row| row.id == caller.as_i64()) {
        return Err(ApiError::new(403, "forbidden", "Forbidden", "this is for administrators"));
    }
    let is_named = |row: &&account::Model| match name.strip_prefix('@') {
        Some(handle) => row.handle == handle,
        None => name.parse().is_ok_and(|id: AccountId| id.as_i64() == row.id),
    };
    let Some(named) = rows.iter().find(is_named) else {
        return Err(ApiError::not_found(format!("{name:?} is nobody's id or @handle")));
    };
    let others = rows.iter().filter(is_admin).filter(|row| row.id != named.id).count();
    if others == 0 && !has(roles, ADMIN) {
        return Err(ApiError::conflict("the last administrator stays one: make another first"));
    }
    Ok(named.clone())
}

/// Roles as a row has them: each once, in the order of their names.
fn written(named: &[String]) -> Result<String, ApiError> {
    let names: BTreeSet<&str> = named.iter().map(String::as_str).collect();
    if let Some(unknown) = names.iter().find(|name| !ROLES.contains(name)) {
        let detail = format!("{unknown:?} is no role; there are: {}", ROLES.join(", "));
        return Err(ApiError::new(422, "unknown-role", "Unknown role", detail));
    }
    Ok(names.into_iter().collect::<Vec<_>>().join(" "))
}

fn listed(roles: &str) -> Vec<&str> {
    roles.split_whitespace().collect()
}

fn has(roles: &str, role: &str) -> bool {
    roles.split_whitespace().any(|one| one == role)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u32) -> AccountId {
        AccountId::from_parts(1_000, n)
    }

    fn row(n: u32, handle: &str, roles: &str) -> account::Model {
        account::Model {
            id: id(n).as_i64(),
            handle: handle.into(),
            name: handle.into(),
            password: String::new(),
            roles: roles.into(),
            created_ms: 0,
            closed: false,
        }
    }

    #[test]
    fn one_administrator_is_left_whoever_asks() {
        let [boss, ann, ben] = [row(1, "boss", "admin"), row(2, "ann", ""), row(3, "ben", "admin")];
        let asked = |rows: &[account::Model], caller: u32, name: &str, roles: &str| {
            may_give(rows, id(caller), name, roles).map(|row| row.handle).map_err(|error| error.0.status)
        };
        let one = [boss.clone(), ann];
        assert_eq!(asked(&one, 1, "@ann", "admin"), Ok("ann".into()));
        assert_eq!(asked(&one, 1, &id(2).to_string(), ""), Ok("ann".into()), "by its id");
        assert_eq!(asked(&one, 2, "@ann", "admin"), Err(403), "its token says what was");
        assert_eq!((asked(&one, 1, "@zoe", ""), asked(&one, 1, "zoe", "")), (Err(404), Err(404)));
        assert_eq!(
            (asked(&one, 1, "@boss", ""), asked(&one, 1, "@boss", "admin")),
            (Err(409), Ok("boss".into()))
        );
        assert_eq!(asked(&[boss, ben], 1, "@boss", ""), Ok("boss".into()), "another is there");
    }

    #[test]
    fn roles_are_known_and_written_once() {
        let of = |named: &[&str]| {
            let named: Vec<String> = named.iter().map(|name| (*name).to_owned()).collect();
            written(&named).map_err(|error| error.0.status)
        };
        assert_eq!((of(&[]), of(&["admin", "admin"])), (Ok(String::new()), Ok("admin".into())));
        assert_eq!((of(&["admin", "king"]), of(&[""]), of(&["admin admin"])), (Err(422), Err(422), Err(422)));
    }
}
