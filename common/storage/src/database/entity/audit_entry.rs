//! What an operator did.

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: i64,
    pub(crate) at_ms: i64,
    pub(crate) who: String,
    pub(crate) role: String,
    pub(crate) action: String,
    pub(crate) subject: String,
    #[sea_orm(column_type = "Text", nullable)]
    pub(crate) before: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub(crate) after: Option<String>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
