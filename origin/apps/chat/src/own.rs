//! What an account is told of all its conversations, on a channel of its own: `chats:ACCOUNT`.
//!
//! - That it came into one, or is out of one, is an event, committed with what brought it about: every device hears it, and
//!   whoever missed some reads the list. `{"type":"in","conversation":ID}`, `{"type":"out","conversation":ID}`
//! - How much is unread is true for a moment: an aside, `{"unread":[{"conversation":ID,"count":3}]}`, at most once a second for
//!   what was said or read since, to those who are here. Channels are for many: nothing is counted there.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use sluice_platform::ApiError;
use sluice_storage::rows::sea_orm;
use sluice_storage::rows::sea_orm::{DatabaseConnection, FromQueryResult, Value as Bound};
use sluice_wire::AccountId;
use sluice_wire::channel::Aside;
use tokio_util::sync::CancellationToken;

use crate::conversations::{account, number};
use crate::ids::own_tag;
use crate::list::UNREAD;
use crate::presence::Presence;
use crate::record::{Also, statement};
use crate::{Chat, ConversationId};

/// Between two asides to an account.
const LOOK: Duration = Duration::from_secs(1);
/// Conversations in which something moved within that time: more than a database could count in. In one more, the next move tells.
const MAX_MOVED: usize = 10_000;
/// Conversations that one statement asks about: with a thousand members each, some megabytes.
const MAX_ASKED: usize = 100;
/// Accounts that one statement counts for: a fraction of what engines bind.
const MAX_COUNTED: usize = 1_000;
/// Conversations of an aside: a fraction of what a channel takes.
const MAX_TOLD: usize = 100;

/// An account came into a conversation.
pub(crate) fn came_in(chat: ConversationId, who: AccountId) -> Also {
    (own_tag(who), json!({ "live": { "type": "in", "conversation": chat } }))
}

/// An account is not in a conversation any more.
pub(crate) fn is_out(chat: ConversationId, who: AccountId) -> Also {
    (own_tag(who), json!({ "live": { "type": "out", "conversation": chat } }))
}

/// For whom what is unread in a conversation may have changed.
#[derive(Debug)]
enum For {
    All,
    Some(HashSet<AccountId>),
}

/// Conversations in which something moved since it was told. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Unread(Arc<Mutex<HashMap<ConversationId, For>>>);

impl Unread {
    /// Something was said, or taken back.
    pub(crate) fn said(&self, chat: ConversationId) {
        self.moved(chat, |entry| *entry = For::All);
    }

    /// An account has read further.
    pub(crate) fn read(&self, chat: ConversationId, who: AccountId) {
        self.moved(chat, |entry| {
            if let For::Some(some) = entry {
                some.insert(who);
            }
        });
    }

    fn moved(&self, chat: ConversationId, note: impl FnOnce(&mut For)) {
        let mut moved = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if moved.len() < MAX_MOVED || moved.contains_key(&chat) {
            note(moved.entry(chat).or_insert_with(|| For::Some(HashSet::new())));
        }
    }

    fn take(&self) -> HashMap<ConversationId, For> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Tells those who are here what is unread, until the process ends.
pub(crate) async fn tell(chat: Chat, drain: CancellationToken) {
    let round = async || {
        tokio::time::sleep(LOOK).await;
        tell_once(&chat).await;
    };
    while drain.run_until_cancelled(round()).await.is_some() {}
}

async fn tell_once(chat: &Chat) {
    let mut told: BTreeMap<AccountId, Vec<Value>> = BTreeMap::new();
    let (reader, moved) = (chat.ground.storage.database.reader(), chat.unread.take());
    let moved: Vec<(ConversationId, For)> = moved.into_iter().collect();
    for moved in moved.chunks(MAX_ASKED) {
        match counts(reader, &chat.presence, moved).await {
            Ok(counts) => {
                for (who, id, count) in counts {
                    told.entry(who).or_default().push(json!({ "conversation": id, "count": count }));
                }
            }
            Err(error) => tracing::debug!(?error, "what is unread is told with the next message"),
        }
    }
    let asides: Vec<Aside> = told.into_iter().flat_map(|(who, counts)| asides(who, &counts)).collect();
    chat.presence.tell_asides(&asides).await;
}

fn asides(who: AccountId, counts: &[Value]) -> Vec<Aside> {
    let pieces = counts.chunks(MAX_TOLD);
    pieces.map(|counts| Aside { channel: own_tag(who), aside: json!({ "unread": counts }) }).collect()
}

/// How much is unread for an account in a conversation.
type Counted = (AccountId, ConversationId, i64);

#[derive(Debug, FromQueryResult)]
struct Member {
    chat: i64,
    account: i64,
}

#[derive(Debug, FromQueryResult)]
struct Row {
    chat: i64,
    account: i64,
    unread: i64,
}

/// What is unread in conversations in which something moved, for those of their members who are here. One statement for all of
/// these, and one for each thousand members.
async fn counts(
    reader: &DatabaseConnection,
    presence: &Presence,
    moved: &[(ConversationId, For)],
) -> Result<Vec<Counted>, ApiError> {
    let here = here(reader, presence, moved).await?;
    let mut counted = vec![];
    for some in here.chunks(MAX_COUNTED) {
        counted.extend(count(reader, some).await?);
    }
    Ok(counted)
}

/// Those for whom something may have changed and who are here, by conversations. One statement.
async fn here(
    reader: &DatabaseConnection,
    presence: &Presence,
    moved: &[(ConversationId, For)],
) -> Result<Vec<Member>, ApiError> {
    let mut values = vec![];
    let chats = places(&mut values, moved.iter().map(|(id, _)| id.as_i64()));
    let sql = format!(
        "SELECT m.chat, m.account FROM chat_members m JOIN chats c ON c.id = m.chat \
         WHERE m.chat IN ({chats}) AND c.kind IN ('direct', 'group') ORDER BY m.chat"
    );
    let of: HashMap<i64, &For> = moved.iter().map(|(id, of)| (id.as_i64(), of)).collect();
    let mut here = vec![];
    for member in Member::find_by_statement(statement(reader, sql, values)).all(reader).await? {
        let who = account(member.account)?;
        let wanted = match of.get(&member.chat) {
            Some(For::All) => true,
            Some(For::Some(some)) => some.contains(&who),
            None => false,
        };
        if wanted && presence.is_here(who) {
            here.push(member);
        }
    }
    Ok(here)
}

/// Counts for members, who are in the order of conversations. One statement.
async fn count(reader: &DatabaseConnection, members: &[Member]) -> Result<Vec<Counted>, ApiError> {
    let mut values = vec![];
    let of_chat = members.chunk_by(|a, b| a.chat == b.chat).map(|some| {
        let chat = places(&mut values, some.iter().take(1).map(|member| member.chat));
        let accounts = places(&mut values, some.iter().map(|member| member.account));
        format!("(m.chat = {chat} AND m.account IN ({accounts}))")
    });
    let any = of_chat.collect::<Vec<_>>().join(" OR ");
    let sql = format!("SELECT m.chat, m.account, {UNREAD} AS unread FROM chat_members m WHERE {any}");
    let rows = Row::find_by_statement(statement(reader, sql, values)).all(reader).await?;
    rows.into_iter().map(|row| Ok((account(row.account)?, number(row.chat)?, row.unread))).collect()
}

/// Binds more values of a statement: their places in it, `$1, $2`.
fn places(values: &mut Vec<Bound>, more: impl Iterator<Item = i64>) -> String {
    let place = more.map(|value| {
        values.push(value.into());
        format!("${}", values.len())
    });
    place.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list::tests::fill;
    use crate::presence::State;
    use crate::rows::conversation;
    use crate::schema::SCHEMA;
    use sluice_platform::testing::Alone;
    use sluice_platform::{AccountsConfig, Known};
    use sluice_storage::count_statements;
    use sluice_storage::rows::sea_orm::EntityTrait;
    use sluice_storage::testing::Postgres;

    async fn counts_in_two_statements(server: Option<&Postgres>) {
        let alone = Alone::start(server, &AccountsConfig::default()).await;
        let storage = &alone.ground.storage;
        let reader = storage.database.reader();
        storage.database.install(&SCHEMA).await.unwrap();
        let someone = |handle: &str| Known { account: storage.ids.make(), handle: handle.into() };
        let (ann, ben) = (someone("ann"), someone("ben"));
        fill(storage, &ann, &ben, 12).await;
        let rows = conversation::Entity::find().all(reader).await.unwrap();
        let all = || rows.iter().map(|row| number::<ConversationId>(row.id).unwrap());
        let presence = Presence::new(storage.bus.clone(), Arc::clone(&storage.clock));
        presence.beat((ann.account, 1), State::Online, None);

        let moved: Vec<_> = all().map(|id| (id, For::All)).collect();
        let (counted, statements) = count_statements(counts(reader, &presence, &moved)).await;
        let counted: HashSet<Counted> = counted.unwrap().into_iter().collect();
        assert_eq!(counted, all().map(|id| (ann.account, id, 1)).collect(), "in each, for who is here");
        assert_eq!(statements, 2);

        // Who has read is told alone; who is not here, not at all.
        let read = |who: &Known| For::Some(HashSet::from([who.account]));
        let moved: Vec<_> = all().map(|id| (id, read(&ben))).collect();
        let (counted, statements) = count_statements(counts(reader, &presence, &moved)).await;
        assert_eq!((counted.unwrap(), statements), (vec![], 1));
        let one = all().next().unwrap();
        let counted = counts(reader, &presence, &[(one, read(&ann))]).await;
        assert_eq!(counted.unwrap(), [(ann.account, one, 1)]);
        alone.end().await;
    }

    #[tokio::test]
    async fn a_look_takes_two_statements_however_many_conversations_moved() {
        counts_in_two_statements(None).await;
        let server = Postgres::start().await;
        counts_in_two_statements(Some(&server)).await;
    }

    #[test]
    fn who_reads_is_told_alone_unless_something_was_said() {
        let (unread, chat) = (Unread::default(), ConversationId::from_parts(1_800_000_000_000, 9));
        let [ann, ben] = [1, 2].map(|n| AccountId::from_parts(1_800_000_000_000, n));
        unread.read(chat, ann);
        unread.read(chat, ben);
        let moved = unread.take();
        assert!(matches!(&moved[&chat], For::Some(some) if *some == HashSet::from([ann, ben])));
        unread.read(chat, ann);
        unread.said(chat);
        unread.read(chat, ben);
        assert!(matches!(unread.take()[&chat], For::All));
        assert!(unread.take().is_empty());
    }
}
