//! What is here of a source, in pieces, by offset: also while it comes.

use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use sluice_wire::UploadId;

use super::row::{UploadState, id_of};
use super::{MAX_PARTS, Uploads, concat, read};
use crate::database::entity::part;
use crate::database::{unsigned, unsigned32};
use crate::error::StorageError;

/// What is durably here of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its length in bytes, if known already.
    pub length: Option<u64>,
    /// True when nothing will follow: the pieces are all of it, without a hole.
    pub complete: bool,
    /// Its pieces, by offset. They never overlap; while it comes, there may be holes between them.
    pub pieces: Vec<Piece>,
}

/// A stored piece of a source: the object [`SourcePart`](sluice_wire::ObjectKey::SourcePart) of `upload` and `index`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// The upload that it came by, or that holds these bytes for several: not always the one that was asked for.
    pub upload: UploadId,
    /// The number in its object's key.
    pub index: u32,
    /// Where it begins in the source, in bytes.
    pub offset: u64,
    /// Its size in bytes.
    pub bytes: u64,
}

impl Uploads {
    /// What is durably here of an upload's source, as of one moment. Pieces do not change once they are told of, but when
    /// a source turns out to be stored already, its pieces are those of the upload that holds it, from then on.
    ///
    /// # Errors
    /// [`StorageError::NotFound`] when there is no such upload; the engine's.
    pub async fn source(&self, id: UploadId) -> Result<Source, StorageError> {
        let view = self.database.snapshot().await?;
        let source = source(&view, id).await;
        view.commit().await?;
        source
    }
}

async fn source(conn: &impl ConnectionTrait, id: UploadId) -> Result<Source, StorageError> {
    let upload = read(conn, id).await?.ok_or_else(|| StorageError::NotFound(format!("upload {id}")))?;
    let held = upload.holder.unwrap_or(id);
    let mut pieces = pieces(conn, held, 0).await?;
    for joined in concat::joined(conn, held).await? {
        let start = unsigned("uploads.whole_start", joined.whole_start.unwrap_or_default())?;
        pieces.extend(self::pieces(conn, id_of(joined.id)?, start).await?);
    }
    Ok(Source { length: upload.length, complete: upload.state == UploadState::Complete, pieces })
}

/// The pieces of one upload that begins here in the source.
async fn pieces(conn: &impl ConnectionTrait, id: UploadId, start: u64) -> Result<Vec<Piece>, StorageError> {
    let rows = part::Entity::find()
        .filter(part::Column::Upload.eq(id.as_i64()))
        .order_by_asc(part::Column::Start)
        .limit(MAX_PARTS)
        .all(conn)
        .await?;
    let piece = |row: part::Model| {
        Ok(Piece {
            upload: id,
            index: unsigned32("parts.number", row.number)?,
            offset: start + unsigned("parts.start", row.start)?,
            bytes: unsigned("parts.bytes", row.bytes)?,
        })
    };
    rows.into_iter().map(piece).collect()
}
