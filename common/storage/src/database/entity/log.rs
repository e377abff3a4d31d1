//! The log: events in their final order.

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "log")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) seq: i64,
    pub(crate) tag: String,
    pub(crate) version: i64,
    pub(crate) kind: String,
    pub(crate) at_ms: i64,
    #[sea_orm(column_type = "Text")]
    pub(crate) data: String,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl From<super::outbox::Model> for Model {
    /// As it is in the log; its number is still to come.
    fn from(event: super::outbox::Model) -> Self {
        let super::outbox::Model { tag, version, kind, at_ms, data, position: _ } = event;
        Self { seq: 0, tag, version, kind, at_ms, data }
    }
}

impl ActiveModelBehavior for ActiveModel {}
