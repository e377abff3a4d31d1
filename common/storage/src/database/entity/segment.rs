//! One stored segment of a rung. Start and duration are in ticks of the rung's timescale.

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "segments")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) video: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) rung: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) seq: i64,
    pub(crate) start: i64,
    pub(crate) duration: i64,
    pub(crate) bytes: i64,
    pub(crate) sha256: String,
    pub(crate) digest: String,
    #[sea_orm(column_type = "Text")]
    pub(crate) keyframes: String,
    /// Its bytes are not stored; they are made again when they are asked for.
    pub(crate) gone: bool,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
