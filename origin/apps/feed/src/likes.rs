//! Likes: a row each, and a counter that changes with it in one transaction.

use sluice_platform::ApiError;
use sluice_storage::rows::sea_orm::sea_query::OnConflict;
use sluice_storage::rows::sea_orm::{ActiveValue::Set, EntityTrait};
use sluice_storage::rows::{signed, unsigned};
use sluice_storage::{StorageError, Tx};
use sluice_wire::{AccountId, EventKind, Tag, Version};

use crate::PostId;
use crate::affinity::{self, Interaction};
use crate::feed::Feed;
use crate::posts::{self, gone};
use crate::rows::{like, post};
use crate::tags;

/// A post after a like, and the version of what changed; none when it was so already.
pub(crate) type Liked = (post::Model, Vec<(Tag, Version)>);

impl Feed {
    /// Likes a post, or no longer. How often it is asked for makes no difference.
    pub(crate) async fn like(&self, who: AccountId, id: PostId, wanted: bool) -> Result<Liked, ApiError> {
        let write = self.database().write::<_, ApiError, _>(|tx| {
            Box::pin(async move {
                let (by, at_ms) = if wanted {
                    (insert(tx, who, id).await?, tx.now_ms())
                } else {
                    remove(tx, who, id).await?
                };
                if by == 0 {
                    return Ok((posts::present(tx.conn(), id).await?, vec![]));
                }
                let counted = posts::count(tx, id, post::Column::Likes, by).await?;
                let Some(row) = counted else { return Err(gone(tx.conn(), id).await) };
                if wanted && row.original.is_some() {
                    return Err(ApiError::bad_request("this is a repost: like what it shows"));
                }
                let (reader, author) = (who.as_i64(), row.author);
                if wanted && reader != author {
                    affinity::add(tx, reader, author, Interaction::Like, at_ms).await?;
                } else if reader != author {
                    affinity::unlike(tx, reader, author, at_ms).await?;
                }
                let tag = tags::post(id);
                let version = tx.emit(&tag, EventKind::Changed, tags::live(&row)).await?;
                Ok((row, vec![(tag, version)]))
            })
        });
        write.await
    }
}

async fn insert(tx: &Tx<'_>, who: AccountId, id: PostId) -> Result<i64, StorageError> {
    let row = like::ActiveModel {
        post: Set(id.as_i64()),
        account: Set(who.as_i64()),
        made_ms: Set(signed(tx.now_ms())),
    };
    let made = like::Entity::insert(row)
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .exec_without_returning(tx.conn())
        .await?;
    Ok(signed(made))
}

/// What is to be counted, and when the like was made that is gone.
async fn remove(tx: &Tx<'_>, who: AccountId, id: PostId) -> Result<(i64, u64), StorageError> {
    let key = (id.as_i64(), who.as_i64());
    let gone = like::Entity::delete_by_id(key).exec_with_returning(tx.conn()).await?;
    let Some(row) = gone else { return Ok((0, 0)) };
    Ok((-1, unsigned("feed_likes.made_ms", row.made_ms)?))
}
