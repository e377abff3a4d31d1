//! The tables that apps share: accounts, their sessions, answers that are given once, and waiting rooms.

use sluice_storage::rows::columns::{big_integer, big_integer_null, boolean, string, string_null, text};
use sluice_storage::rows::sea_orm::sea_query::{IndexCreateStatement, TableCreateStatement};
use sluice_storage::rows::{index, table};
use sluice_storage::{Schema, Step};

/// The tables that apps share: accounts, their sessions, answers that are given once, and waiting rooms.
pub const SCHEMA: Schema = Schema {
    migrations: "platform_migrations",
    steps: &[
        Step { name: "p0001_accounts", tables: accounts, indexes: account_indexes },
        Step { name: "p0002_rooms", tables: rooms, indexes: room_indexes },
        Step { name: "p0003_roles", tables: Vec::new, indexes: role_indexes },
    ],
};

fn accounts() -> Vec<TableCreateStatement> {
    vec![
        table(
            "accounts",
            vec![
                big_integer("id"),
                string("handle"),
                string("name"),
                text("password"),
                string("roles"),
                big_integer("created_ms"),
                boolean("closed"),
            ],
            &["id"],
        ),
        table("account_handles", vec![string("handle"), big_integer("account")], &["handle"]),
        table(
            "sessions",
            vec![
                big_integer("account"),
                big_integer("id"),
                string("device"),
                big_integer("created_ms"),
                big_integer("expires_ms"),
                big_integer_null("ended_ms"),
            ],
            &["account", "id"],
        ),
        table(
            "refresh_tokens",
            vec![
                big_integer("account"),
                big_integer("session"),
                string("digest"),
                big_integer_null("used_ms"),
                big_integer("expires_ms"),
            ],
            &["account", "session", "digest"],
        ),
        table(
            "once_answers",
            vec![
                string("owner"),
                string("key"),
                string("digest"),
                big_integer("status"),
                text("body"),
                big_integer("until_ms"),
            ],
            &["owner", "key"],
        ),
    ]
}

fn account_indexes() -> Vec<IndexCreateStatement> {
    vec![
        index("once_answers_until", "once_answers", &["until_ms"]),
        index("refresh_tokens_expires", "refresh_tokens", &["expires_ms"]),
    ]
}

/// Few accounts have roles, and they are looked for together.
fn role_indexes() -> Vec<IndexCreateStatement> {
    vec![index("accounts_roles", "accounts", &["roles"])]
}

fn rooms() -> Vec<TableCreateStatement> {
    let room = vec![
        string("name"),
        boolean("open"),
        big_integer("opened_ms"),
        string("path"),
        string("word"),
        string("secret"),
        big_integer("units"),
        big_integer("told"),
        big_integer("each"),
        big_integer("rate"),
        big_integer("credit"),
        big_integer("credit_ms"),
        big_integer("hold_ms"),
    ];
    let admission = vec![string("room"), string("ticket"), big_integer("until_ms"), string_null("used_by")];
    vec![table("rooms", room, &["name"]), table("room_admissions", admission, &["room", "ticket"])]
}

fn room_indexes() -> Vec<IndexCreateStatement> {
    vec![index("room_admissions_until", "room_admissions", &["room", "until_ms"])]
}
