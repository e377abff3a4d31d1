//! The app's tables. The conversation leads every key: all of one is in one place.

use sluice_storage::rows::columns::{big_integer, big_integer_null, boolean, string, text};
use sluice_storage::rows::sea_orm::sea_query::{ColumnDef, IndexCreateStatement, TableCreateStatement};
use sluice_storage::rows::{index, table};
use sluice_storage::{Schema, Step};

/// The app's tables: conversations and all that is in them.
pub const SCHEMA: Schema = Schema {
    migrations: "chat_migrations",
    steps: &[
        Step { name: "c0001_conversations", tables, indexes },
        Step { name: "c0002_files", tables: file_tables, indexes: file_indexes },
    ],
};

/// Columns of numbers.
fn numbers<const N: usize>(names: [&'static str; N]) -> Vec<ColumnDef> {
    names.into_iter().map(big_integer).collect()
}

/// Columns of short texts.
fn words<const N: usize>(names: [&'static str; N]) -> Vec<ColumnDef> {
    names.into_iter().map(string).collect()
}

fn tables() -> Vec<TableCreateStatement> {
    vec![
        table(
            "chats",
            [
                numbers(["id", "made_by", "created_ms", "members", "seq", "message_seq", "last_ms"]),
                words(["kind", "name"]),
            ]
            .concat(),
            &["id"],
        ),
        // Of two accounts the one with the lower id leads.
        table("chat_pairs", numbers(["low", "high", "chat"]), &["low", "high"]),
        table(
            "chat_members",
            [
                numbers(["chat", "account", "since_seq", "delivered_seq", "read_seq", "told_seq", "told_ms"]),
                words(["name", "role"]),
            ]
            .concat(),
            &["chat", "account"],
        ),
        table("chat_messages", messages(), &["chat", "seq"]),
        table(
            "chat_events",
            [
                numbers(["chat", "seq", "account", "at_ms"]),
                vec![string("kind"), big_integer_null("message"), text("data")],
            ]
            .concat(),
            &["chat", "seq"],
        ),
        table(
            "chat_reactions",
            [numbers(["chat", "message", "account", "at_ms"]), words(["emoji"])].concat(),
            &["chat", "message", "account", "emoji"],
        ),
        table(
            "chat_cursors",
            [numbers(["chat", "account", "delivered_seq", "read_seq", "at_ms"]), words(["device"])].concat(),
            &["chat", "account", "device"],
        ),
        table(
            "chat_terms",
            [numbers(["chat", "message"]), words(["term"])].concat(),
            &["chat", "term", "message"],
        ),
    ]
}

fn messages() -> Vec<ColumnDef> {
    [
        numbers(["chat", "seq", "id", "author", "at_ms"]),
        words(["name", "client_id"]),
        vec![
            text("text"),
            text("attachments"),
            big_integer_null("edited_ms"),
            big_integer_null("deleted_ms"),
        ],
    ]
    .concat()
}

fn indexes() -> Vec<IndexCreateStatement> {
    vec![
        index("chats_kind", "chats", &["kind", "id"]),
        index("chat_members_account", "chat_members", &["account", "chat"]),
        index("chat_messages_id", "chat_messages", &["chat", "id"]).unique().to_owned(),
        index("chat_messages_client", "chat_messages", &["chat", "author", "client_id"]).unique().to_owned(),
        index("chat_events_message", "chat_events", &["chat", "message"]),
    ]
}

fn file_tables() -> Vec<TableCreateStatement> {
    let columns = [
        numbers(["chat", "id", "owner", "bytes"]),
        words(["name", "kind"]),
        vec![boolean("kept"), boolean("gone"), big_integer_null("message"), big_integer_null("due_ms")],
    ];
    vec![table("chat_files", columns.concat(), &["chat", "id"])]
}

fn file_indexes() -> Vec<IndexCreateStatement> {
    vec![
        // Messages of one transaction name files of many conversations.
        index("chat_files_id", "chat_files", &["id"]).unique().to_owned(),
        index("chat_files_due", "chat_files", &["due_ms"]),
        index("chat_files_message", "chat_files", &["chat", "message"]),
        // Those that wait for a message, whose `message` is null; and how much all are.
        index("chat_files_owner", "chat_files", &["owner", "message", "bytes"]),
    ]
}
