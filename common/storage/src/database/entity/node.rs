//! A node of the fleet: its newest report and its lease.

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "nodes")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) node: String,
    #[sea_orm(column_type = "Text")]
    pub(crate) report: String,
    pub(crate) draining: bool,
    pub(crate) lease_until_ms: i64,
    pub(crate) first_ms: i64,
    pub(crate) updated_ms: i64,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
