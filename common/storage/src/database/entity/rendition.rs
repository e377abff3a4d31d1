//! One rung of a video.

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "renditions")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) video: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) rung: String,
    pub(crate) kind: String,
    pub(crate) codecs: String,
    pub(crate) width: i64,
    pub(crate) height: i64,
    pub(crate) frame_rate_num: i64,
    pub(crate) frame_rate_den: i64,
    pub(crate) bandwidth: i64,
    pub(crate) average_bandwidth: i64,
    pub(crate) timescale: i64,
    pub(crate) init_bytes: i64,
    pub(crate) init: String,
    pub(crate) ended: bool,
    /// When it was asked for last, in Unix milliseconds; the largest number when there is nothing to drop of it.
    pub(crate) asked_ms: i64,
    /// Segments of it were dropped, and are not all there again.
    pub(crate) cold: bool,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
