//! An upload under way.

use sea_orm::entity::prelude::*;

#[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "uploads")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) length: Option<i64>,
    pub(crate) received: i64,
    #[sea_orm(column_type = "Text")]
    pub(crate) metadata: String,
    pub(crate) expires_ms: i64,
    pub(crate) state: String,
    pub(crate) hash_state: Vec<u8>,
    pub(crate) next_part: i64,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
    pub(crate) kind: String,
    pub(crate) owner: String,
    /// For a piece of a whole: the upload it is joined into, and where it begins in it.
    pub(crate) whole: Option<i64>,
    pub(crate) whole_start: Option<i64>,
    pub(crate) sha256: Option<String>,
    /// The upload whose pieces these bytes are, when they are another's.
    pub(crate) holder: Option<i64>,
    pub(crate) settled: bool,
    /// Bytes that the hash's state is over, where it is made after the upload.
    pub(crate) hashed: i64,
    pub(crate) busy_until_ms: i64,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
