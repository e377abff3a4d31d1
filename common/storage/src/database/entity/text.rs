//! One text track of a video.

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "texts")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) video: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) track: String,
    pub(crate) label: String,
    pub(crate) digest: String,
    pub(crate) bytes: i64,
    pub(crate) cues: i64,
    pub(crate) end_ms: i64,
    pub(crate) embedded: bool,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
