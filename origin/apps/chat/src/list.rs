//! The conversations of an account, and channels that anybody may join.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use sluice_platform::{ApiError, Caller, Page};
use sluice_storage::rows::sea_orm::sea_query::ExprTrait;
use sluice_storage::rows::sea_orm::{
    ColumnTrait, Condition, DatabaseConnection, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    QuerySelect,
};
use sluice_storage::rows::{sea_orm, signed};
use sluice_wire::AccountId;
use utoipa::ToSchema;

use crate::conversations::{Kind, account, number};
use crate::http::{Wanted, answer};
use crate::messages::MessageView;
use crate::record::{NEWEST, statement};
use crate::rows::{conversation, member, message};
use crate::{Chat, ConversationId};

/// A page of an account's conversations.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Mine {
    conversations: Vec<Listed>,
    /// What to ask for as `after`; null on the last page.
    next: Option<String>,
}

/// A conversation in an account's list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Listed {
    #[schema(value_type = String)]
    id: ConversationId,
    kind: String,
    name: String,
    role: String,
    members: i64,
    /// Of the newest change: how far a device has to go.
    seq: i64,
    /// How far one has read, on any device.
    read: i64,
    /// Messages of others after that; at most 1,000, which means that or more.
    unread: i64,
    last_ms: i64,
    /// Of a direct one: with whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    with: Option<With>,
    /// What was said last.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<MessageView>,
}

/// Somebody.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct With {
    #[schema(value_type = String)]
    account: AccountId,
    name: String,
}

#[derive(Debug, FromQueryResult)]
struct Row {
    id: i64,
    kind: String,
    name: String,
    role: String,
    members: i64,
    seq: i64,
    message_seq: i64,
    read_seq: i64,
    unread: i64,
    last_ms: i64,
}

/// Counting ends at 1,000: nobody reads "1,001", and a channel that was not opened for a year costs what others do.
pub(crate) const UNREAD: &str = "\
    (SELECT COUNT(*) FROM (SELECT 1 AS one FROM chat_messages x WHERE x.chat = m.chat AND x.seq > m.read_seq \
    AND x.author <> m.account AND x.deleted_ms IS NULL LIMIT 1000) AS unseen)";

fn mine_sql() -> String {
    format!(
        "SELECT c.id, c.kind, c.name, m.role, c.members, {NEWEST} AS seq, c.message_seq, m.read_seq, c.last_ms, \
         {UNREAD} AS unread \
         FROM chat_members m JOIN chats c ON c.id = m.chat \
         WHERE m.account = $1 AND (c.last_ms < $2 OR (c.last_ms = $2 AND c.id < $3)) \
         ORDER BY c.last_ms DESC, c.id DESC LIMIT $4"
    )
}

/// `GET /v1/chat`: where something was said last comes first. Three statements.
#[utoipa::path(get, path = "/v1/chat", params(("after" = Option<String>, Query), ("limit" = Option<u64>, Query)), responses((status = 200, body = Mine)))]
pub(crate) async fn list(
    State(chat): State<Chat>,
    caller: Caller,
    Wanted(page): Wanted<Page>,
) -> Result<Response, ApiError> {
    let (conversations, next) = mine(chat.ground.storage.database.reader(), caller.account, &page).await?;
    Ok(answer(StatusCode::OK, Mine { conversations, next }))
}

/// A page, and where the next one begins.
async fn mine(
    reader: &DatabaseConnection,
    who: AccountId,
    page: &Page,
) -> Result<(Vec<Listed>, Option<String>), ApiError> {
    let (ms, id) = match page.after.as_deref() {
        Some(text) => place(text).ok_or_else(|| ApiError::bad_request("after is what `next` was"))?,
        None => (i64::MAX, i64::MAX),
    };
    let values = [who.as_i64().into(), ms.into(), id.into(), signed(page.size()).into()];
    let rows = Row::find_by_statement(statement(reader, mine_sql(), values)).all(reader).await?;
    let next = match rows.last().filter(|_| rows.len() as u64 == page.size()) {
        Some(row) => Some(format!("{}-{}", row.last_ms, number::<ConversationId>(row.id)?)),
        None => None,
    };
    let direct = rows.iter().filter(|row| row.kind == Kind::Direct.as_str()).map(|row| row.id);
    let others = member::Entity::find()
        .filter(member::Column::Chat.is_in(direct))
        .filter(member::Column::Account.ne(who.as_i64()))
        .all(reader)
        .await?;
    let newest = rows.iter().fold(Condition::any(), |any, row| {
        any.add(message::Column::Chat.eq(row.id).and(message::Column::Seq.eq(row.message_seq)))
    });
    let said = match rows.is_empty() {
        true => vec![],
        false => message::Entity::find().filter(newest).all(reader).await?,
    };
    let views = rows.into_iter().map(|row| view(row, &others, &said));
    Ok((views.collect::<Result<_, _>>()?, next))
}

fn view(row: Row, others: &[member::Model], said: &[message::Model]) -> Result<Listed, ApiError> {
    let with = others.iter().find(|other| other.chat == row.id);
    let with = with
        .map(|other| Ok::<_, ApiError>(With { account: account(other.account)?, name: other.name.clone() }));
    let last = said.iter().find(|message| message.chat == row.id).cloned().map(MessageView::of);
    Ok(Listed {
        id: number(row.id)?,
        kind: row.kind,
        name: row.name,
        role: row.role,
        members: row.members,
        seq: row.seq,
        read: row.read_seq,
        unread: row.unread,
        last_ms: row.last_ms,
        with: with.transpose()?,
        last: last.transpose()?,
    })
}

fn place(text: &str) -> Option<(i64, i64)> {
    let (ms, id) = text.split_once('-')?;
    Some((ms.parse().ok()?, id.parse::<ConversationId>().ok()?.as_i64()))
}

/// A page of channels.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Channels {
    channels: Vec<Channel>,
    /// What to ask for as `after`; null on the last page.
    #[schema(value_type = Option<String>)]
    next: Option<ConversationId>,
}

/// A channel that anybody may join.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Channel {
    #[schema(value_type = String)]
    id: ConversationId,
    name: String,
    members: i64,
    created_ms: i64,
}

/// `GET /v1/chat/channels`: those that anybody may join, the newest first.
#[utoipa::path(get, path = "/v1/chat/channels", params(("after" = Option<String>, Query), ("limit" = Option<u64>, Query)), responses((status = 200, body = Channels)))]
pub(crate) async fn channels(
    State(chat): State<Chat>,
    _caller: Caller,
    Wanted(page): Wanted<Page>,
) -> Result<Response, ApiError> {
    let before: i64 = match &page.after {
        Some(text) => {
            let id: Option<ConversationId> = text.parse().ok();
            id.ok_or_else(|| ApiError::bad_request("after is a conversation's id"))?.as_i64()
        }
        None => i64::MAX,
    };
    let rows = conversation::Entity::find()
        .filter(conversation::Column::Kind.eq(Kind::Channel.as_str()))
        .filter(conversation::Column::Id.lt(before))
        .order_by_desc(conversation::Column::Id)
        .limit(page.size())
        .all(chat.ground.storage.database.reader())
        .await?;
    let full = rows.len() as u64 == page.size();
    let views = rows.into_iter().map(|row| {
        let id = number(row.id)?;
        Ok(Channel { id, name: row.name, members: row.members, created_ms: row.created_ms })
    });
    let channels = views.collect::<Result<Vec<_>, ApiError>>()?;
    let next = channels.last().filter(|_| full).map(|channel| channel.id);
    Ok(answer(StatusCode::OK, Channels { channels, next }))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::members;
    use crate::schema::SCHEMA;
    use sluice_platform::Known;
    use sluice_storage::rows::sea_orm::ActiveValue::Set;
    use sluice_storage::testing::Postgres;
    use sluice_storage::{Storage, StorageConfig, count_statements};

    /// Ann's conversations with Ben: so many, each with a message of his.
    pub(crate) async fn fill(storage: &Storage, ann: &Known, ben: &Known, count: i64) {
        let (ann, ben) = (&ann.clone(), &ben.clone());
        for n in 1..=count {
            let made = storage.database.write::<_, ApiError, _>(move |tx| {
                Box::pin(async move {
                    let id: ConversationId = tx.ids().make();
                    let row = conversation::ActiveModel {
                        id: Set(id.as_i64()),
                        kind: Set("direct".into()),
                        name: Set(String::new()),
                        made_by: Set(ann.account.as_i64()),
                        created_ms: Set(n),
                        members: Set(2),
                        seq: Set(1),
                        message_seq: Set(1),
                        last_ms: Set(n),
                    };
                    conversation::Entity::insert(row).exec_without_returning(tx.conn()).await?;
                    let rows = [ann, ben].map(|who| members::row(id, who, "member", 0));
                    member::Entity::insert_many(rows).exec_without_returning(tx.conn()).await?;
                    let said = message::ActiveModel {
                        chat: Set(id.as_i64()),
                        seq: Set(1),
                        id: Set(id.as_i64()),
                        author: Set(ben.account.as_i64()),
                        name: Set(ben.handle.clone()),
                        client_id: Set("1".into()),
                        text: Set("hello".into()),
                        attachments: Set("[]".into()),
                        at_ms: Set(n),
                        edited_ms: Set(None),
                        deleted_ms: Set(None),
                    };
                    message::Entity::insert(said).exec_without_returning(tx.conn()).await?;
                    Ok(())
                })
            });
            made.await.unwrap();
        }
    }

    async fn pages_in_three_statements(database: String, dir: &std::path::Path) {
        let config =
            StorageConfig { database, objects: format!("file:{}", dir.display()), bus: "local:".into() };
        let storage = Storage::open(&config).await.unwrap();
        storage.database.install(&SCHEMA).await.unwrap();
        let someone = |handle: &str| Known { account: storage.ids.make(), handle: handle.into() };
        let (ann, ben) = (someone("ann"), someone("ben"));
        fill(&storage, &ann, &ben, 12).await;
        let (mut page, mut seen) = (Page { after: None, limit: Some(5) }, vec![]);
        loop {
            let listed = mine(storage.database.reader(), ann.account, &page);
            let (listed, statements) = count_statements(listed).await;
            let (listed, next) = listed.unwrap();
            assert!(statements <= 3, "{statements}");
            for one in &listed {
                assert_eq!((one.unread, one.with.as_ref().unwrap().name.as_str()), (1, "ben"));
                assert_eq!(one.last.as_ref().unwrap().text, "hello");
            }
            seen.extend(listed.iter().map(|one| one.last_ms));
            page.after = next;
            if page.after.is_none() {
                break;
            }
        }
        assert_eq!(seen, (1..=12).rev().collect::<Vec<_>>(), "each once, the newest first");
        storage.database.uninstall(&SCHEMA).await.unwrap();
        storage.database.close().await.unwrap();
    }

    #[tokio::test]
    async fn a_list_takes_three_statements_however_long_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let postgres = Postgres::start().await;
        let sqlite = format!("sqlite:{}", dir.path().join("sluice.db").display());
        for database in [sqlite, postgres.url()] {
            pages_in_three_statements(database, dir.path()).await;
        }
    }
}
