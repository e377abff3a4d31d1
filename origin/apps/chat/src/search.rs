//! Search: words, and who said them, where, before when; the newest first, and only in what one is in now.
//!
//! Each word of a message is a row (conversation, word, message), the same on both engines: `terms` tells words apart, in one
//! way, rather than by FTS5 and by tsvector in two, rows come and go with their message in its transaction, and the tables
//! are those of the app's schema. A hit list is for each of the account's conversations a walk from the newest message down the
//! part of the key that is one word's, which asks for the other words as it goes and ends with a page's worth of hits; so a
//! common word costs a page for each conversation, whether there are a thousand messages or a million. The word that leads is
//! the one that is rarest there: how far back a few of its messages go tells, without counting it. The author is one more word
//! (`@handle`). Membership is joined in the same statement: who has left finds nothing.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use sluice_platform::{ApiError, Caller};
use sluice_storage::Tx;
use sluice_storage::rows::sea_orm::{
    ActiveValue::Set, ColumnTrait, DbBackend, EntityTrait, FromQueryResult, QueryFilter, Value,
};
use sluice_wire::AccountId;
use utoipa::ToSchema;

use crate::conversations::number;
use crate::http::{Wanted, answer, invalid};
use crate::messages::MessageView;
use crate::record::statement;
use crate::rows::{message, term};
use crate::terms::{count, old_terms, terms};
use crate::{Chat, ConversationId, MessageId};

/// Words of a question, and characters of it.
const MAX_WORDS: usize = 8;
const MAX_QUESTION: usize = 400;
/// Terms of a question that are asked for. Of long runs the rest is not: what has so many of their pairs has what is meant.
const MAX_ASKED: usize = 32;
/// Rows of one statement, of three values each: SQLite takes 32,766 values.
const MAX_ROWS: usize = 10_000;
/// Hits of a page.
const HITS: usize = 20;
/// How many of a word's newest messages tell how rare it is.
const FAR: usize = 31;

/// Who said it, as one more word that no text has.
fn said_by(handle: &str) -> String {
    format!("@{handle}")
}

/// Has messages found by their words, and by their authors: at most a row for each character. One statement, but for very many
/// words.
pub(crate) async fn learn<'m>(
    tx: &Tx<'_>,
    messages: impl Iterator<Item = (ConversationId, MessageId, (&'m str, &'m str))>,
) -> Result<(), ApiError> {
    let rows = messages.flat_map(|(chat, id, (by, text))| {
        terms(text).into_iter().chain([said_by(by)]).map(move |term| row(chat, id, term))
    });
    let rows: Vec<_> = rows.collect();
    for rows in rows.chunks(MAX_ROWS) {
        term::Entity::insert_many(rows.iter().cloned()).exec_without_returning(tx.conn()).await?;
    }
    Ok(())
}

/// Has a message found by none of the words that it had, nor by those of before runs were told apart.
pub(crate) async fn forget(
    tx: &Tx<'_>,
    chat: ConversationId,
    id: MessageId,
    (by, text): (&str, &str),
) -> Result<(), ApiError> {
    let mut gone = terms(text);
    gone.extend(old_terms(text));
    gone.insert(said_by(by));
    remove(tx, chat, id, gone).await
}

/// Has a message found by all that it says now, and not by what it said. At most two statements.
pub(crate) async fn relearn(
    tx: &Tx<'_>,
    chat: ConversationId,
    id: MessageId,
    (was, is): (&str, &str),
) -> Result<(), ApiError> {
    let (mut gone, new) = (terms(was), terms(is));
    gone.extend(old_terms(was));
    if !gone.is_empty() {
        remove(tx, chat, id, gone).await?;
    }
    if !new.is_empty() {
        let rows = new.into_iter().map(|term| row(chat, id, term));
        term::Entity::insert_many(rows).exec_without_returning(tx.conn()).await?;
    }
    Ok(())
}

fn row(chat: ConversationId, id: MessageId, term: String) -> term::ActiveModel {
    term::ActiveModel { chat: Set(chat.as_i64()), term: Set(term), message: Set(id.as_i64()) }
}

async fn remove(
    tx: &Tx<'_>,
    chat: ConversationId,
    id: MessageId,
    terms: impl IntoIterator<Item = String>,
) -> Result<(), ApiError> {
    term::Entity::delete_many()
        .filter(term::Column::Chat.eq(chat.as_i64()))
        .filter(term::Column::Term.is_in(terms))
        .filter(term::Column::Message.eq(id.as_i64()))
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// What is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Question {
    /// The longest first: they are rarer, more often than not, and asked for first.
    words: Vec<String>,
    /// A handle: those are of small letters.
    from: Option<String>,
    within: Option<ConversationId>,
    before: Option<MessageId>,
}

impl Question {
    fn parse(text: &str) -> Result<Self, ApiError> {
        if text.chars().count() > MAX_QUESTION {
            return Err(invalid("q has at most 400 characters"));
        }
        let mut asked = Self::default();
        let (mut words, mut plain) = (BTreeSet::new(), String::new());
        for part in text.split_whitespace() {
            match part.split_once(':') {
                Some(("from", who)) => {
                    asked.from = Some(who.trim_start_matches('@').to_ascii_lowercase());
                }
                Some(("in", id)) => {
                    let id = id.parse().map_err(|_| invalid("in: names a conversation by its id"))?;
                    asked.within = Some(id);
                }
                Some(("before", when)) => {
                    let ms = moment(when).ok_or_else(|| invalid("before: is YYYY-MM-DD, or milliseconds"))?;
                    asked.before = Some(MessageId::from_parts(ms, 0));
                }
                _ => {
                    words.extend(terms(part));
                    plain += part;
                    plain.push(' ');
                }
            }
        }
        let nothing = words.is_empty() && asked.from.as_deref().is_none_or(str::is_empty);
        if nothing || count(&plain) > MAX_WORDS {
            return Err(invalid("q has 1 to 8 different words; beside from: it may have none"));
        }
        asked.words = words.into_iter().collect();
        asked.words.sort_by_key(|word| std::cmp::Reverse(word.chars().count()));
        asked.words.truncate(MAX_ASKED);
        Ok(asked)
    }

    /// The statement, and its values.
    fn sql(&self, engine: DbBackend, who: AccountId, after: Option<MessageId>) -> (String, Vec<Value>) {
        let before = [self.before, after].into_iter().flatten().min().map_or(i64::MAX, MessageId::as_i64);
        let mut values: Vec<Value> = vec![who.as_i64().into(), before.into()];
        let mut place = |value: Value| {
            values.push(value);
            format!("${}", values.len())
        };
        let terms = self.words.iter().cloned().chain(self.from.as_deref().map(said_by));
        let terms: Vec<_> = terms.map(|term| place(term.into())).collect();
        let within = self.within.map(|id| format!(" AND m.chat = {}", place(id.as_i64().into())));
        let hits = hits(&terms);
        // The same walk, as each engine takes it: neither plans the other's well.
        let (from, is_hit) = match engine {
            DbBackend::Postgres => (
                format!(
                    "CROSS JOIN LATERAL ({hits}) h JOIN chat_messages x ON x.chat = l.chat AND x.id = h.message"
                ),
                String::new(),
            ),
            _ => (
                "CROSS JOIN chat_messages x".to_owned(),
                format!(" AND x.chat = l.chat AND x.id IN ({hits})"),
            ),
        };
        let sql = format!(
            "{} SELECT x.chat, x.seq, x.id, x.author, x.name, x.client_id, x.text, x.attachments, x.at_ms, \
             x.edited_ms, x.deleted_ms FROM leads l {from} WHERE l.place = 1{is_hit} ORDER BY x.id DESC LIMIT {HITS}",
            leads(&terms, &within.unwrap_or_default())
        );
        (sql, values)
    }
}

/// Which of the terms leads, in each of the account's conversations ($1): the one whose [`FAR`]th newest message before $2 is the
/// oldest, or which has not so many.
fn leads(terms: &[String], within: &str) -> String {
    let asked: Vec<_> = terms.iter().map(|term| format!("(CAST({term} AS TEXT))")).collect();
    format!(
        "WITH asked(term) AS (VALUES {}), leads(chat, term, place) AS (SELECT m.chat, v.term, \
         ROW_NUMBER() OVER (PARTITION BY m.chat ORDER BY COALESCE((SELECT p.message FROM chat_terms p \
         WHERE p.chat = m.chat AND p.term = v.term AND p.message < $2 \
         ORDER BY p.message DESC LIMIT 1 OFFSET {FAR}), -1)) \
         FROM chat_members m CROSS JOIN asked v WHERE m.account = $1{within})",
        asked.join(", ")
    )
}

/// Where the lead of a conversation, `l`, is with all other terms: a page's worth.
fn hits(terms: &[String]) -> String {
    let has = |term: &String| {
        format!(
            " AND (t.term = {term} OR (SELECT 1 FROM chat_terms u WHERE u.chat = t.chat AND u.term = {term} \
             AND u.message = t.message) = 1)"
        )
    };
    let all: String = if terms.len() > 1 { terms.iter().map(has).collect() } else { String::new() };
    format!(
        "SELECT t.message FROM chat_terms t WHERE t.chat = l.chat AND t.term = l.term AND t.message < $2\
         {all} ORDER BY t.message DESC LIMIT {HITS}"
    )
}

/// A day's beginning (UTC), or milliseconds, in Unix milliseconds.
fn moment(text: &str) -> Option<u64> {
    let mut parts = text.splitn(3, '-');
    let year: i64 = parts.next()?.parse().ok()?;
    let Some(month) = parts.next() else { return u64::try_from(year).ok() };
    let (month, day): (i64, i64) = (month.parse().ok()?, parts.next()?.parse().ok()?);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Days since 1970 of the Gregorian calendar, with years that begin in March so that the leap day is their last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    u64::try_from(days * 86_400_000).ok()
}

/// What a client asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asks {
    q: String,
    after: Option<MessageId>,
}

/// A page of what was found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Hits {
    hits: Vec<Hit>,
    /// What to ask for as `after`; null on the last page.
    #[schema(value_type = Option<String>)]
    next: Option<MessageId>,
}

/// A message that was found, and where.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Hit {
    #[schema(value_type = String)]
    conversation: ConversationId,
    message: MessageView,
}

/// `GET /v1/chat/search?q=WORDS from:HANDLE in:ID before:YYYY-MM-DD`. One statement.
#[utoipa::path(get, path = "/v1/chat/search", params(("q" = String, Query), ("after" = Option<String>, Query)), responses((status = 200, body = Hits)))]
pub(crate) async fn search(
    State(chat): State<Chat>,
    caller: Caller,
    Wanted(asks): Wanted<Asks>,
) -> Result<Response, ApiError> {
    let question = Question::parse(&asks.q)?;
    let reader = chat.ground.storage.database.reader();
    let engine = sluice_storage::rows::sea_orm::ConnectionTrait::get_database_backend(reader);
    let (sql, values) = question.sql(engine, caller.account, asks.after);
    let rows = message::Model::find_by_statement(statement(reader, sql, values)).all(reader).await?;
    let full = rows.len() == HITS;
    let mut hits = vec![];
    for row in rows {
        hits.push(Hit { conversation: number(row.chat)?, message: MessageView::of(row)? });
    }
    let next = hits.last().filter(|_| full).map(|hit| hit.message.id);
    Ok(answer(StatusCode::OK, Hits { hits, next }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_question_is_words_and_filters() {
        let id = ConversationId::from_parts(1_800_000_000_000, 1);
        let asked = Question::parse(&format!("Big from:@Ann in:{id} before:2026-03-01 WORDS!")).unwrap();
        assert_eq!(asked.words, ["words", "big"]);
        assert_eq!((asked.from, asked.within), (Some("ann".into()), Some(id)));
        assert_eq!(asked.before.unwrap().unix_ms(), 1_772_323_200_000);
        assert!(Question::parse("from:").is_err() && Question::parse("a before:soon").is_err());
        assert!(
            Question::parse("a b c d e f g h A").is_ok() && Question::parse("a b c d e f g h i").is_err()
        );
    }

    #[test]
    fn who_said_it_is_enough_of_a_question() {
        let asked = Question::parse("from:ANN").unwrap();
        assert_eq!((asked.words.len(), asked.from), (0, Some("ann".into())));
        assert!(Question::parse("in:7").is_err() && Question::parse("before:2026-03-01 from:@").is_err());
    }

    #[test]
    fn a_run_is_one_word_and_asks_for_its_pairs() {
        assert_eq!(Question::parse("東京 tower").unwrap().words, ["tower", "東京"]);
        let long = "日本語東京都港区芝公園".repeat(10);
        assert_eq!(Question::parse(&long).unwrap().words.len(), 11);
        let thirty = ('\u{4E00}'..'\u{4E40}').collect::<String>();
        assert_eq!(Question::parse(&thirty).unwrap().words.len(), MAX_ASKED);
    }

    #[test]
    fn before_the_end_of_all_years_is_before_nothing() {
        let id = MessageId::from_parts(1_800_000_000_000, 1);
        assert!(Question::parse("a before:9999-12-31").unwrap().before.unwrap() > id);
    }

    #[test]
    fn days_are_of_the_calendar() {
        assert_eq!(moment("1970-01-01"), Some(0));
        assert_eq!(moment("2000-02-29"), Some(951_782_400_000));
        assert_eq!(moment("2024-12-31"), Some(1_735_603_200_000));
        assert_eq!((moment("17"), moment("2024-13-01"), moment("x")), (Some(17), None, None));
    }

    proptest! {
        #[test]
        fn any_question_is_answered_or_refused(text in ".{0,300}") {
            if let Ok(asked) = Question::parse(&text) {
                let least = usize::from(asked.from.is_none());
                prop_assert!((least..=MAX_ASKED).contains(&asked.words.len()));
            }
        }
    }
}
