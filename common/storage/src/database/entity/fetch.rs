//! A source that is to be fetched into an upload.

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "fetches")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) upload: i64,
    #[sea_orm(column_type = "Text")]
    pub(crate) url: String,
    /// Who has it now or had it last.
    pub(crate) holder: String,
    #[sea_orm(column_type = "Text", nullable)]
    pub(crate) validator: Option<String>,
    pub(crate) attempts: i64,
    pub(crate) due_ms: i64,
    pub(crate) created_ms: i64,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
