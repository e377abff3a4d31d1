//! Photos: what is sent is made into what is shown, and kept until no post shows it.
//!
//! ```text
//! POST -> a row, due in a while -> the object -> the row is good        a post shows it: not due any more
//! the post is deleted -> gone, due now, an event for its tag -> sweep: the object goes, then the row
//! ```
//!
//! The row comes before the object, so that whatever was stored is found again: what is due is swept.

mod blur;
mod make;
mod sweep;

pub(crate) use make::{Kind, Made, make};
pub(crate) use sweep::sweep;

use std::collections::HashMap;
use std::str::FromStr;

use bytes::Bytes;
use sluice_platform::{ApiError, Caller};
use sluice_storage::rows::sea_orm::sea_query::Expr;
use sluice_storage::rows::sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use sluice_storage::rows::{signed, unsigned};
use sluice_storage::{StorageError, Tx, UploadKind, UploadState};
use sluice_wire::{ObjectKey, PhotoId, UploadId};

use crate::PostId;
use crate::feed::Feed;
use crate::posts::Photo;
use crate::rows::photo;

/// Bytes of what is sent.
pub(crate) const MAX_SENT: usize = 20 << 20;
/// Where photos are.
const FOLDER: &str = "/v1/feed/photos/";

/// A photo by the path that it is shown at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) id: PhotoId,
    pub(crate) kind: Kind,
}

impl Place {
    /// True for a path of a photo here, whether there is one or not.
    pub(crate) fn is_here(path: &str) -> bool {
        path.starts_with(FOLDER)
    }

    /// The photo of a path here.
    pub(crate) fn of_path(path: &str) -> Option<Self> {
        path.strip_prefix(FOLDER)?.parse().ok()
    }

    pub(crate) fn path(self) -> String {
        format!("{FOLDER}{}.{}", self.id, self.kind.end())
    }
}

impl FromStr for Place {
    type Err = ();

    /// The last part of a path: `ID.jpg` or `ID.png`.
    fn from_str(name: &str) -> Result<Self, ()> {
        let (id, end) = name.split_once('.').ok_or(())?;
        Ok(Self { id: id.parse().map_err(|_| ())?, kind: Kind::of_end(end).ok_or(())? })
    }
}

/// A photo that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) place: Place,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) blur: String,
}

impl Shown {
    pub(crate) fn new(id: PhotoId, made: &Made) -> Self {
        let place = Place { id, kind: made.kind };
        Self { place, width: made.width, height: made.height, blur: made.blur.clone() }
    }
}

impl Feed {
    /// Stores a photo under a row that is due in a while; [`keep`] makes it good.
    pub(crate) async fn store_photo(
        &self,
        who: &Caller,
        shown: &Shown,
        bytes: Vec<u8>,
    ) -> Result<(), ApiError> {
        let due_ms = signed(self.database().now_ms() + self.config.photo_ms);
        let row = &photo::Model {
            id: shown.place.id.as_i64(),
            owner: who.account.as_i64(),
            kind: shown.place.kind.end().into(),
            width: i64::from(shown.width),
            height: i64::from(shown.height),
            blur: shown.blur.clone(),
            kept: false,
            gone: false,
            post: None,
            due_ms: Some(due_ms),
        };
        let write = self.database().write::<_, ApiError, _>(|tx| {
            Box::pin(async move {
                photo::Entity::insert(photo::ActiveModel::from(row.clone()))
                    .exec_without_returning(tx.conn())
                    .await?;
                Ok(())
            })
        });
        write.await?;
        self.storage.objects.put(&ObjectKey::Photo(shown.place.id), bytes.into()).await?;
        Ok(())
    }

    /// The row of a photo that is good.
    ///
    /// # Errors
    /// 410 once it is gone, 404 when there is none.
    pub(crate) async fn photo(&self, place: Place) -> Result<photo::Model, ApiError> {
        let row = photo::Entity::find_by_id(place.id.as_i64()).one(self.database().reader()).await?;
        match row.filter(|row| row.kept && row.kind == place.kind.end()) {
            Some(row) if row.gone => {
                Err(ApiError::new(410, "gone", "Gone", format!("the photo {} was deleted", place.id)))
            }
            Some(row) => Ok(row),
            None => Err(ApiError::not_found(format!("there is no photo {}", place.id))),
        }
    }

    /// The bytes of an upload that was sent in pieces: a partial one of tus, whole, and not joined into another.
    ///
    /// # Errors
    /// 404 for one that is not there, or another's; 409 for one that is not whole yet; 413 for a large one.
    pub(crate) async fn uploaded(&self, id: UploadId, owner: &str) -> Result<Bytes, ApiError> {
        let uploads = self.storage.uploads();
        let upload = uploads.get(id).await?.filter(|upload| upload.owner == owner);
        let upload = upload.ok_or_else(|| ApiError::not_found(format!("there is no upload {id}")))?;
        if upload.kind != UploadKind::Partial || upload.whole.is_some() {
            let detail =
                "a photo's upload is a partial one (Upload-Concat: partial) that is joined into no other";
            return Err(ApiError::conflict(detail));
        }
        if upload.state != UploadState::Complete {
            return Err(ApiError::conflict(format!("the upload is at {}, and not whole yet", upload.offset)));
        }
        if upload.offset > MAX_SENT as u64 {
            let detail = format!("a photo has at most {MAX_SENT} bytes");
            return Err(ApiError::new(413, "too-large", "Too large", detail));
        }
        let mut all = vec![];
        for part in uploads.parts(id).await? {
            let key = ObjectKey::SourcePart(id, part.index);
            all.extend_from_slice(&self.storage.objects.bytes(&key, MAX_SENT as u64).await?);
        }
        Ok(all.into())
    }
}

/// Makes a stored photo good; what was uploaded for it is not needed any more.
pub(crate) async fn keep(
    tx: &Tx<'_>,
    feed: &Feed,
    shown: &Shown,
    upload: Option<UploadId>,
) -> Result<(), ApiError> {
    let kept = photo::Entity::update_many()
        .col_expr(photo::Column::Kept, Expr::value(true))
        .filter(photo::Column::Id.eq(shown.place.id.as_i64()))
        .filter(photo::Column::Gone.eq(false))
        .exec(tx.conn())
        .await?;
    if kept.rows_affected != 1 {
        return Err(ApiError::conflict("the photo took too long to come; send it again"));
    }
    if let Some(upload) = upload
        && !feed.storage.uploads().delete(tx, upload).await?
    {
        return Err(ApiError::conflict(format!("the upload {upload} became another photo meanwhile")));
    }
    Ok(())
}

/// Has a post show photos that are kept here, and gives all of its photos as they are to be shown.
///
/// # Errors
/// 422 when one of them is not there, another's, or shown by a post already.
pub(crate) async fn attach(
    tx: &Tx<'_>,
    who: &Caller,
    post: PostId,
    photos: &[Photo],
) -> Result<Vec<Photo>, ApiError> {
    let places: Vec<Place> = photos.iter().filter_map(|photo| Place::of_path(&photo.path)).collect();
    if places.is_empty() {
        return Ok(photos.to_vec());
    }
    let rows = photo::Entity::update_many()
        .col_expr(photo::Column::Post, Expr::value(post.as_i64()))
        .col_expr(photo::Column::DueMs, Expr::value(Option::<i64>::None))
        .filter(photo::Column::Id.is_in(places.iter().map(|place| place.id.as_i64())))
        .filter(photo::Column::Owner.eq(who.account.as_i64()))
        .filter(photo::Column::Post.is_null())
        .filter(photo::Column::Kept.eq(true))
        .filter(photo::Column::Gone.eq(false))
        .exec_with_returning(tx.conn())
        .await?;
    let blurs: HashMap<i64, String> = rows.into_iter().map(|row| (row.id, row.blur)).collect();
    if blurs.len() != places.len() || places.iter().any(|place| !blurs.contains_key(&place.id.as_i64())) {
        let detail = "photos: one is not there, not yours, or shown by a post already";
        return Err(ApiError::new(422, "no-such-photo", "No such photo", detail));
    }
    let shown = photos.iter().map(|photo| {
        let blur = Place::of_path(&photo.path).and_then(|place| blurs.get(&place.id.as_i64()));
        let blur = blur.filter(|_| photo.blur.is_empty()).unwrap_or(&photo.blur).clone();
        Photo { blur, ..photo.clone() }
    });
    Ok(shown.collect())
}

/// The photos of a post that is deleted are gone; which they were.
pub(crate) async fn release(tx: &Tx<'_>, post: PostId) -> Result<Vec<PhotoId>, StorageError> {
    let rows = photo::Entity::update_many()
        .col_expr(photo::Column::Gone, Expr::value(true))
        .col_expr(photo::Column::DueMs, Expr::value(signed(tx.now_ms())))
        .filter(photo::Column::Post.eq(post.as_i64()))
        .filter(photo::Column::Gone.eq(false))
        .exec_with_returning(tx.conn())
        .await?;
    rows.into_iter().map(|row| id(row.id)).collect()
}

/// A photo out of a column.
fn id(column: i64) -> Result<PhotoId, StorageError> {
    let number = unsigned("feed_photos.id", column)?;
    PhotoId::from_u64(number).map_err(|e| StorageError::Corrupt(e.to_string()))
}
