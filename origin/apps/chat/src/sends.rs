//! What is said. Messages that came while a transaction was committed are said in the next one, whatever conversations they are
//! of: so many share a commit and one statement of each kind, and one that comes alone waits for nobody.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;
use sluice_platform::once::{Answer, Asked, Batch, Decided, Held, Outcome, replayed};
use sluice_platform::{ApiError, Caller};
use sluice_storage::rows::sea_orm::sea_query::{CaseStatement, Expr, ExprTrait};
use sluice_storage::rows::sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, EntityTrait, QueryFilter, QuerySelect,
};
use sluice_storage::rows::{signed, to_json};
use sluice_storage::{Database, Tx};
use sluice_wire::{AccountId, EventKind};

use crate::files::{self, Named};
use crate::http::{changed, conversation as of_path, no_message, outside};
use crate::ids::tag;
use crate::messages::{MessageView, NewMessage};
use crate::rows::{conversation, member, message};
use crate::turns::Turns;
use crate::{Chat, ConversationId, search};

/// Messages of one transaction at most.
const MOST: usize = 64;

/// A message that somebody sends: fine in itself.
#[derive(Debug)]
pub(crate) struct Sent {
    chat: ConversationId,
    by: AccountId,
    name: String,
    new: NewMessage,
}

impl Sent {
    /// What tells it from every other: sent again, it is the same.
    fn key(&self) -> Key {
        (self.chat.as_i64(), self.by.as_i64(), self.new.client_id.clone())
    }
}

/// Conversation, author, and the device's id of a message.
type Key = (i64, i64, String);

/// A message that was said, and whether it was before.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    view: MessageView,
    again: bool,
}

impl Said {
    const fn status(&self) -> StatusCode {
        if self.again { StatusCode::OK } else { StatusCode::CREATED }
    }

    /// What is kept under a key: not what was said. That goes with the message, where it is deleted.
    fn kept(&self) -> Answer {
        Answer { status: self.status(), body: json!({ "id": self.view.id }) }
    }
}

/// A message, to who sent it.
fn told(status: StatusCode, chat: ConversationId, view: &MessageView) -> Answer {
    Answer { status, ..changed(view, chat, view.seq.unwrap_or(0)) }
}

/// Says messages together.
#[derive(Debug)]
pub(crate) struct Lectern {
    /// Of conversations. None where the engine has one writer: messages wait for that alone, and lose to nobody.
    turns: Option<Turns>,
}

impl Lectern {
    pub(crate) fn new(database: &Database, turns: &Turns) -> Self {
        Self { turns: (!database.has_one_writer()).then(|| turns.clone()) }
    }
}

/// `POST /v1/chat/ID/messages`. Sent again with the same `client_id`, or under the same `Idempotency-Key`, it is answered with the
/// message that there is, as it is now.
#[utoipa::path(post, path = "/v1/chat/{conversation}/messages", params(("conversation" = String, Path)), request_body = NewMessage, responses((status = 201, body = MessageView), (status = 200, description = "It was sent before", body = MessageView)))]
pub(crate) async fn send(
    State(chat): State<Chat>,
    caller: Caller,
    Path(id): Path<String>,
    asked: Asked<NewMessage>,
) -> Result<Response, ApiError> {
    let (id, owner) = (of_path(&id)?, caller.owner());
    asked.body.check()?;
    let sent = Sent { chat: id, by: caller.account, name: caller.name, new: asked.body.clone() };
    let key = sent.key();
    let outcome = chat.lectern.once(&asked, &owner, sent, |said| Cow::Owned(said.kept())).await?;
    // Also again: whoever sent it first may have gone before it was noted.
    chat.unread.said(id);
    Ok(match outcome {
        Outcome::Now(said) => told(said.status(), id, &said.view).into_response(),
        Outcome::Before(kept) => {
            let view = find(&chat.ground.storage.database, key).await?;
            replayed(told(kept.status, id, &view))
        }
    })
}

/// A message that was sent. One statement.
async fn find(database: &Database, (chat, author, client_id): Key) -> Result<MessageView, ApiError> {
    let row = message::Entity::find()
        .filter(message::Column::Chat.eq(chat))
        .filter(message::Column::Author.eq(author))
        .filter(message::Column::ClientId.eq(client_id))
        .one(database.reader())
        .await?;
    MessageView::of(row.ok_or_else(no_message)?)
}

#[async_trait::async_trait]
impl Batch for Lectern {
    type Ask = Sent;
    type Done = Said;

    fn most(&self) -> usize {
        MOST
    }

    /// A receipt in one of many conversations would have all messages said again.
    async fn hold(&self, asks: &[&Sent]) -> Held {
        let Some(turns) = &self.turns else { return Box::new(()) };
        let chats: Vec<_> = asks.iter().map(|sent| sent.chat).collect();
        Box::new(turns.of_all(&chats).await)
    }

    async fn write(&self, tx: &Tx<'_>, asks: &[&Sent]) -> Result<Vec<Decided<Said>>, ApiError> {
        let inside = inside(tx, asks).await?;
        let before = before(tx, asks).await?;
        let is_new = |sent: &&&Sent| {
            let key = sent.key();
            inside.contains(&(key.0, key.1)) && !before.contains_key(&key)
        };
        let new: Vec<&Sent> = asks.iter().filter(is_new).copied().collect();
        let mut named = Named::look(tx, new.iter().flat_map(|sent| &sent.new.attachments)).await?;
        let Sorted { mut fresh, order, refused } = Sorted::of(tx, &new, &mut named);
        keep(tx, &mut fresh, &order).await?;
        files::name(tx, &named).await?;
        let mut told = BTreeSet::new();
        let decide = |sent: &&Sent| {
            let key = sent.key();
            if !inside.contains(&(key.0, key.1)) {
                return Err(outside());
            }
            match (before.get(&key), fresh.get(&key)) {
                (Some(view), _) => Ok(Said { view: view.clone(), again: true }),
                // The same twice at once: the first of them said it.
                (None, Some(view)) => Ok(Said { view: view.clone(), again: !told.insert(key) }),
                (None, None) => Err(refused.get(&key).cloned().unwrap_or_else(outside)),
            }
        };
        Ok(asks.iter().map(decide).collect())
    }
}

/// Messages that come for the first time.
#[derive(Default)]
struct Sorted<'a> {
    fresh: BTreeMap<Key, MessageView>,
    /// Those of `fresh`, as they came.
    order: Vec<(Key, &'a Sent)>,
    /// Those whose files are none that they may name.
    refused: BTreeMap<Key, ApiError>,
}

impl<'a> Sorted<'a> {
    fn of(tx: &Tx<'_>, new: &[&'a Sent], named: &mut Named) -> Self {
        let mut sorted = Self::default();
        for sent in new {
            let key = sent.key();
            if sorted.fresh.contains_key(&key) {
                continue;
            }
            match sent.view(tx, named) {
                Ok(view) => {
                    sorted.fresh.insert(key.clone(), view);
                    sorted.order.push((key, *sent));
                }
                Err(refusal) => _ = sorted.refused.insert(key, refusal),
            }
        }
        sorted
    }
}

impl Sent {
    /// The message, without its place yet, with the files that it names from now on.
    fn view(&self, tx: &Tx<'_>, named: &mut Named) -> Result<MessageView, ApiError> {
        let id = tx.ids().make();
        let attachments = named.take((self.chat, self.by, id), &self.new.attachments)?;
        Ok(MessageView {
            seq: None,
            r#type: "message",
            id,
            client_id: self.new.client_id.clone(),
            from: self.by,
            name: self.name.clone(),
            text: self.new.text.clone(),
            attachments,
            at_ms: signed(tx.now_ms()),
            edited_ms: None,
            deleted_ms: None,
        })
    }
}

/// Those who are in the conversations that they send to. One statement.
async fn inside(tx: &Tx<'_>, asks: &[&Sent]) -> Result<BTreeSet<(i64, i64)>, ApiError> {
    let mut of: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
    for sent in asks {
        of.entry(sent.chat.as_i64()).or_default().insert(sent.by.as_i64());
    }
    let of = of.into_iter().map(|(chat, accounts)| {
        Condition::all().add(member::Column::Chat.eq(chat)).add(member::Column::Account.is_in(accounts))
    });
    let rows = member::Entity::find()
        .select_only()
        .columns([member::Column::Chat, member::Column::Account])
        .filter(of.fold(Condition::any(), Condition::add))
        .into_tuple()
        .all(tx.conn())
        .await?;
    Ok(rows.into_iter().collect())
}

/// The messages that were sent before. One statement.
async fn before(tx: &Tx<'_>, asks: &[&Sent]) -> Result<BTreeMap<Key, MessageView>, ApiError> {
    let mut of: BTreeMap<(i64, i64), Vec<&str>> = BTreeMap::new();
    for sent in asks {
        of.entry((sent.chat.as_i64(), sent.by.as_i64())).or_default().push(&sent.new.client_id);
    }
    let of = of.into_iter().map(|((chat, author), ids)| {
        Condition::all()
            .add(message::Column::Chat.eq(chat))
            .add(message::Column::Author.eq(author))
            .add(message::Column::ClientId.is_in(ids))
    });
    let rows =
        message::Entity::find().filter(of.fold(Condition::any(), Condition::add)).all(tx.conn()).await?;
    rows.into_iter()
        .map(|row| Ok(((row.chat, row.author, row.client_id.clone()), MessageView::of(row)?)))
        .collect()
}

/// Says new messages in order, keeps each under the seq that it got, and has them found. Three statements beside those of events,
/// however many there are.
async fn keep(
    tx: &Tx<'_>,
    fresh: &mut BTreeMap<Key, MessageView>,
    order: &[(Key, &Sent)],
) -> Result<(), ApiError> {
    if order.is_empty() {
        return Ok(());
    }
    let live =
        |(key, sent): &(Key, &Sent)| (tag(sent.chat), EventKind::Changed, json!({ "live": fresh.get(key) }));
    let events: Vec<_> = order.iter().map(live).collect();
    let versions = tx.emit_all(&events).await?;
    let (mut rows, mut newest) = (vec![], BTreeMap::new());
    for ((key, _), (_, version)) in order.iter().zip(versions) {
        let Some(view) = fresh.get_mut(key) else { continue };
        let seq = signed(version.0);
        view.seq = Some(seq);
        newest.insert(key.0, seq);
        rows.push(row(key, seq, view)?);
    }
    message::Entity::insert_many(rows).exec_without_returning(tx.conn()).await?;
    move_on(tx, &newest).await?;
    let said = order.iter().filter_map(|(key, sent)| Some((sent.chat, fresh.get(key)?)));
    search::learn(tx, said.map(|(chat, view)| (chat, view.id, (view.name.as_str(), view.text.as_str()))))
        .await
}

fn row(key: &Key, seq: i64, view: &MessageView) -> Result<message::ActiveModel, ApiError> {
    Ok(message::ActiveModel {
        chat: Set(key.0),
        seq: Set(seq),
        id: Set(view.id.as_i64()),
        author: Set(key.1),
        name: Set(view.name.clone()),
        client_id: Set(view.client_id.clone()),
        text: Set(view.text.clone()),
        attachments: Set(to_json(&view.attachments)?),
        at_ms: Set(view.at_ms),
        edited_ms: Set(None),
        deleted_ms: Set(None),
    })
}

/// Moves conversations to their newest messages.
async fn move_on(tx: &Tx<'_>, newest: &BTreeMap<i64, i64>) -> Result<(), ApiError> {
    let id = || Expr::col(conversation::Column::Id);
    let seqs =
        || newest.iter().fold(CaseStatement::new(), |case, (chat, seq)| case.case(id().eq(*chat), *seq));
    conversation::Entity::update_many()
        .col_expr(conversation::Column::Seq, seqs().into())
        .col_expr(conversation::Column::MessageSeq, seqs().into())
        .col_expr(conversation::Column::LastMs, Expr::value(signed(tx.now_ms())))
        .filter(conversation::Column::Id.is_in(newest.keys().copied()))
        .exec(tx.conn())
        .await?;
    Ok(())
}
