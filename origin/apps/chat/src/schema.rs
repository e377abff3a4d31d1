//! The app's tables. The conversation leads every key: all of one is in one place.

use sluice_storage::rows::columns::{big_integer, big_integer_null, string, text};
use sluice_storage::rows::sea_orm::sea_query::{
    ColumnDef, Index, IndexCreateStatement, Table, TableCreateStatement,
};
use sluice_storage::{Schema, Step};

/// See the module.
pub const SCHEMA: Schema =
    Schema { migrations: "chat_migrations", steps: &[Step { name: "c0001_conversations", tables, indexes }] };

fn table(name: &'static str, key: &[&'static str], columns: Vec<ColumnDef>) -> TableCreateStatement {
    let (mut table, mut primary) = (Table::create(), Index::create());
    table.table(name);
    columns.into_iter().for_each(|column| _ = table.col(column));
    key.iter().for_each(|column| _ = primary.col(*column));
    table.primary_key(&mut primary).to_owned()
}

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
            &["id"],
            [
                numbers(["id", "made_by", "created_ms", "members", "seq", "message_seq", "last_ms"]),
                words(["kind", "name"]),
            ]
            .concat(),
        ),
        // Of two accounts the one with the lower id leads.
        table("chat_pairs", &["low", "high"], numbers(["low", "high", "chat"])),
        table(
            "chat_members",
            &["chat", "account"],
            [
                numbers(["chat", "account", "since_seq", "delivered_seq", "read_seq", "told_seq", "told_ms"]),
                words(["name", "role"]),
            ]
            .concat(),
        ),
        table("chat_messages", &["chat", "seq"], messages()),
        table(
            "chat_events",
            &["chat", "seq"],
            [
                numbers(["chat", "seq", "account", "at_ms"]),
                vec![string("kind"), big_integer_null("message"), text("data")],
            ]
            .concat(),
        ),
        table(
            "chat_reactions",
            &["chat", "message", "account", "emoji"],
            [numbers(["chat", "message", "account", "at_ms"]), words(["emoji"])].concat(),
        ),
        table(
            "chat_cursors",
            &["chat", "account", "device"],
            [numbers(["chat", "account", "delivered_seq", "read_seq", "at_ms"]), words(["device"])].concat(),
        ),
        table(
            "chat_terms",
            &["chat", "term", "message"],
            [numbers(["chat", "message"]), words(["term"])].concat(),
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
    let index = |name: &str, table: &'static str, columns: &[&'static str]| {
        let mut index = Index::create();
        index.name(name).table(table);
        columns.iter().for_each(|column| _ = index.col(*column));
        index.to_owned()
    };
    vec![
        index("chats_kind", "chats", &["kind", "id"]),
        index("chat_members_account", "chat_members", &["account", "chat"]),
        index("chat_messages_id", "chat_messages", &["chat", "id"]).unique().to_owned(),
        index("chat_messages_client", "chat_messages", &["chat", "author", "client_id"]).unique().to_owned(),
        index("chat_events_message", "chat_events", &["chat", "message"]),
    ]
}
