//! A video and what its page needs to know of it.

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "videos")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) state: String,
    pub(crate) progress_permille: i64,
    pub(crate) bytes: Option<i64>,
    pub(crate) sha256: Option<String>,
    pub(crate) duration_ms: Option<i64>,
    pub(crate) width: Option<i64>,
    pub(crate) height: Option<i64>,
    #[sea_orm(column_type = "Text", nullable)]
    pub(crate) error: Option<String>,
    #[sea_orm(column_type = "Text", nullable)]
    pub(crate) plan: Option<String>,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
    #[sea_orm(column_type = "Text")]
    pub(crate) description: String,
    /// A JSON list.
    #[sea_orm(column_type = "Text")]
    pub(crate) tags: String,
    pub(crate) visibility: String,
    pub(crate) deleted_ms: Option<i64>,
    pub(crate) poster_bytes: i64,
    pub(crate) jobs_left: i64,
    pub(crate) protection: String,
    /// The video that this is an edition of; it is in no list then.
    pub(crate) edition_of: Option<i64>,
    /// The edition whose media is shown; its own when absent.
    pub(crate) edition: Option<i64>,
    /// The edition that is being made.
    pub(crate) next_edition: Option<i64>,
    /// When its own media was shown last, if an edition's is shown.
    pub(crate) retired_ms: Option<i64>,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
