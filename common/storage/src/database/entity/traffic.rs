//! What a node, since a start of it, has sent in a month.

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "traffic")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) month_ms: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) node: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) started_ms: i64,
    pub(crate) site: String,
    /// Its count as the month began, or as it was first heard of.
    pub(crate) before: i64,
    /// Its newest count.
    pub(crate) bytes: i64,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
