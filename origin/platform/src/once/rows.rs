//! An answer that was given.

use sluice_storage::rows::sea_orm;
use sluice_storage::rows::sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "once_answers")]
pub(super) struct Model {
    /// Whose key it is: an account, or `-` where nobody is known.
    #[sea_orm(primary_key, auto_increment = false)]
    pub(super) owner: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(super) key: String,
    /// Of method, path and body.
    pub(super) digest: String,
    pub(super) status: i64,
    pub(super) body: String,
    pub(super) until_ms: i64,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(super) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
