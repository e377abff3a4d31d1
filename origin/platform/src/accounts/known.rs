//! Accounts as others name them.

use sluice_storage::StorageError;
use sluice_storage::rows::sea_orm::sea_query::Query;
use sluice_storage::rows::sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter};
use sluice_storage::rows::unsigned;
use sluice_wire::AccountId;

use super::Accounts;
use super::rows::{account, handle};
use crate::ApiError;

/// Accounts that can be named at once: their ids and handles are values of one statement.
const MAX_NAMED: usize = 200;

/// An account that somebody named.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Known {
    /// Its id.
    pub account: AccountId,
    /// What others call it.
    pub handle: String,
}

impl Accounts {
    /// The accounts that are named, each by its id or as `@handle`, each once and in no order. One statement.
    ///
    /// # Errors
    /// 422 when one is nobody's, or more than 200 are named; the engine's.
    pub async fn known(&self, named: &[String]) -> Result<Vec<Known>, ApiError> {
        let unknown = |detail: String| ApiError::new(422, "unknown-account", "Unknown account", detail);
        if named.len() > MAX_NAMED {
            return Err(unknown(format!("at most {MAX_NAMED} accounts at once")));
        }
        let handles: Vec<&str> = named.iter().filter_map(|name| name.strip_prefix('@')).collect();
        let ids: Vec<i64> =
            named.iter().filter_map(|name| name.parse().ok().map(AccountId::as_i64)).collect();
        let of_handles = Query::select()
            .column(handle::Column::Account)
            .from(handle::Entity)
            .and_where(handle::Column::Handle.is_in(handles))
            .to_owned();
        let of_handles = account::Column::Id.in_subquery(of_handles);
        // Beside another condition PostgreSQL reads the whole table.
        let these = if ids.is_empty() {
            Condition::all().add(of_handles)
        } else {
            Condition::any().add(account::Column::Id.is_in(ids)).add(of_handles)
        };
        let rows = account::Entity::find()
            .filter(these)
            .filter(account::Column::Closed.eq(false))
            .all(self.storage.database.reader())
            .await?;
        let found = rows.into_iter().map(|row| {
            let id = AccountId::from_u64(unsigned("accounts.id", row.id)?);
            let account = id.map_err(|e| StorageError::Corrupt(e.to_string()))?;
            Ok(Known { account, handle: row.handle })
        });
        let found: Vec<Known> = found.collect::<Result<_, StorageError>>()?;
        let is = |known: &Known, name: &str| match name.strip_prefix('@') {
            Some(handle) => known.handle == handle,
            None => known.account.to_string() == name,
        };
        match named.iter().find(|name| !found.iter().any(|known| is(known, name))) {
            Some(nobody) => Err(unknown(format!("{nobody:?} is nobody's id or @handle"))),
            None => Ok(found),
        }
    }
}
