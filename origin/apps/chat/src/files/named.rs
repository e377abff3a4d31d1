//! Files that messages name: each is named by one message, by who sent it, where it was sent.

use std::collections::{BTreeMap, BTreeSet};

use sluice_platform::ApiError;
use sluice_storage::rows::sea_orm::sea_query::{CaseStatement, Expr, ExprTrait};
use sluice_storage::rows::sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use sluice_storage::rows::{signed, unsigned};
use sluice_storage::{StorageError, Tx};
use sluice_wire::{AccountId, FileId};

use crate::messages::Attachment;
use crate::rows::file;
use crate::{ConversationId, MessageId};

/// Where a file of a conversation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) chat: ConversationId,
    pub(super) file: FileId,
}

/// The folder of conversations: what a path there names is a file, or nothing.
const FOLDER: &str = "/v1/chat/";

impl Place {
    pub(super) fn path(self) -> String {
        format!("{FOLDER}{}/files/{}", self.chat, self.file)
    }

    /// The file of a path: `Err` for a path here that is of none, `Ok(None)` for one elsewhere on this host.
    fn of_path(path: &str) -> Result<Option<Self>, ()> {
        let Some(rest) = path.strip_prefix(FOLDER) else { return Ok(None) };
        let (chat, file) = rest.split_once("/files/").ok_or(())?;
        Ok(Some(Self { chat: chat.parse().map_err(|_| ())?, file: file.parse().map_err(|_| ())? }))
    }
}

/// Files that messages of a transaction name.
#[derive(Debug, Default)]
pub(crate) struct Named {
    /// Those that may be named still, by id.
    there: BTreeMap<i64, file::Model>,
    /// By which message each is named from now on.
    by: BTreeMap<i64, i64>,
}

impl Named {
    /// Looks for the files of attachments. One statement, and none where there are none.
    pub(crate) async fn look<'a>(
        tx: &Tx<'_>,
        attachments: impl Iterator<Item = &'a Attachment>,
    ) -> Result<Self, StorageError> {
        let places = attachments.filter_map(|one| Place::of_path(&one.path).ok().flatten());
        let ids: BTreeSet<i64> = places.map(|place| place.file.as_i64()).collect();
        if ids.is_empty() {
            return Ok(Self::default());
        }
        let rows = file::Entity::find()
            .filter(file::Column::Id.is_in(ids))
            .filter(file::Column::Message.is_null())
            .filter(file::Column::Kept.eq(true))
            .filter(file::Column::Gone.eq(false))
            .all(tx.conn())
            .await?;
        Ok(Self { there: rows.into_iter().map(|row| (row.id, row)).collect(), by: BTreeMap::new() })
    }

    /// Has a message name its files, and gives its attachments as they are to be shown: what is said of a file is what is known of it.
    ///
    /// # Errors
    /// 422 when one of them is not there, another's, another conversation's, or named already; then the message names none.
    pub(crate) fn take(
        &mut self,
        (chat, who, message): (ConversationId, AccountId, MessageId),
        attachments: &[Attachment],
    ) -> Result<Vec<Attachment>, ApiError> {
        let (mut shown, mut taken) = (vec![], BTreeSet::new());
        for one in attachments {
            match Place::of_path(&one.path) {
                Ok(None) => shown.push(one.clone()),
                Ok(Some(place)) if place.chat == chat && taken.insert(place.file.as_i64()) => {
                    let row = self.there.get(&place.file.as_i64()).filter(|row| row.owner == who.as_i64());
                    shown.push(of_row(
                        place,
                        row.filter(|row| row.chat == chat.as_i64()).ok_or_else(absent)?,
                    )?);
                }
                _ => return Err(absent()),
            }
        }
        for id in taken {
            self.there.remove(&id);
            self.by.insert(id, message.as_i64());
        }
        Ok(shown)
    }
}

fn of_row(place: Place, row: &file::Model) -> Result<Attachment, ApiError> {
    Ok(Attachment {
        name: row.name.clone(),
        r#type: row.kind.clone(),
        bytes: unsigned("chat_files.bytes", row.bytes)?,
        path: place.path(),
    })
}

fn absent() -> ApiError {
    let detail = "attachments: a file is not there, not yours, of another conversation, or named already";
    ApiError::new(422, "no-such-file", "No such file", detail)
}

/// Keeps which message names which file. One statement, and none where there are none.
pub(crate) async fn name(tx: &Tx<'_>, named: &Named) -> Result<(), ApiError> {
    if named.by.is_empty() {
        return Ok(());
    }
    let id = || Expr::col(file::Column::Id);
    let messages = named
        .by
        .iter()
        .fold(CaseStatement::new(), |case, (file, message)| case.case(id().eq(*file), *message));
    let done = file::Entity::update_many()
        .col_expr(file::Column::Message, messages.into())
        .col_expr(file::Column::DueMs, Expr::value(Option::<i64>::None))
        .filter(file::Column::Id.is_in(named.by.keys().copied()))
        .filter(file::Column::Message.is_null())
        .filter(file::Column::Gone.eq(false))
        .exec(tx.conn())
        .await?;
    if done.rows_affected != named.by.len() as u64 {
        return Err(ApiError::conflict("a file went meanwhile; send it again"));
    }
    Ok(())
}

/// The files of a message that is deleted are gone from now on.
pub(crate) async fn release(
    tx: &Tx<'_>,
    chat: ConversationId,
    message: MessageId,
) -> Result<(), StorageError> {
    file::Entity::update_many()
        .col_expr(file::Column::Gone, Expr::value(true))
        .col_expr(file::Column::DueMs, Expr::value(signed(tx.now_ms())))
        .filter(file::Column::Chat.eq(chat.as_i64()))
        .filter(file::Column::Message.eq(message.as_i64()))
        .exec(tx.conn())
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000_000;

    fn row(id: FileId, chat: ConversationId, owner: AccountId) -> file::Model {
        file::Model {
            chat: chat.as_i64(),
            id: id.as_i64(),
            owner: owner.as_i64(),
            name: "a.png".into(),
            kind: "image/png".into(),
            bytes: 7,
            kept: true,
            gone: false,
            message: None,
            due_ms: Some(1),
        }
    }

    fn attachment(path: String) -> Attachment {
        Attachment { name: "said".into(), r#type: "text/html".into(), bytes: 1, path }
    }

    #[test]
    fn a_file_is_named_once_by_who_sent_it_where_it_was_sent() {
        let (here, there) = (ConversationId::from_parts(NOW, 1), ConversationId::from_parts(NOW, 2));
        let (ann, ben) = (AccountId::from_parts(NOW, 3), AccountId::from_parts(NOW, 4));
        let (file, message) = (FileId::from_parts(NOW, 5), MessageId::from_parts(NOW, 6));
        let mut named = Named { there: [(file.as_i64(), row(file, here, ann))].into(), ..Named::default() };
        let at = |chat: ConversationId| [attachment(Place { chat, file }.path())];

        assert!(named.take((here, ben, message), &at(here)).is_err(), "another's");
        assert!(named.take((there, ann, message), &at(there)).is_err(), "sent elsewhere");
        assert!(named.take((there, ann, message), &at(here)).is_err(), "shown elsewhere");
        let twice = [at(here), at(here)].concat();
        assert!(named.take((here, ann, message), &twice).is_err(), "twice in a message");
        let shown = named.take((here, ann, message), &at(here)).unwrap();
        assert_eq!(
            (shown[0].name.as_str(), shown[0].r#type.as_str(), shown[0].bytes),
            ("a.png", "image/png", 7)
        );
        assert!(named.take((here, ann, message), &at(here)).is_err(), "named already");
        assert_eq!(named.by, [(file.as_i64(), message.as_i64())].into());
    }

    #[test]
    fn a_path_here_is_of_a_file_or_of_nothing() {
        assert_eq!(Place::of_path("/v/1/master.m3u8"), Ok(None));
        for path in ["/v1/chat/", "/v1/chat/x/files/y", "/v1/chat/search", "/v1/chat/1/files/1/../2"] {
            assert_eq!(Place::of_path(path), Err(()), "{path}");
        }
        let place = Place { chat: ConversationId::from_parts(NOW, 1), file: FileId::from_parts(NOW, 2) };
        assert_eq!(Place::of_path(&place.path()), Ok(Some(place)));
        assert_eq!(Place::of_path(&format!("{}?w=1", place.path())), Err(()));
    }
}
