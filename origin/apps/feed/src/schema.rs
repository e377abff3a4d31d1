//! The app's tables. The first column of each key is what rows would be spread by: a reader's rows are together, and a post's.

use sluice_storage::rows::columns::{big_integer, big_integer_null, boolean, double, string, text};
use sluice_storage::rows::sea_orm::sea_query::{ColumnDef, IndexCreateStatement, TableCreateStatement};
use sluice_storage::rows::{index, table};
use sluice_storage::{Schema, Step};

/// The app's tables: profiles, posts, follows, home lists and what is to be done.
pub const SCHEMA: Schema = Schema {
    migrations: "feed_migrations",
    steps: &[
        Step { name: "f0001_feed", tables, indexes },
        Step { name: "f0002_photos", tables: photo_tables, indexes: photo_indexes },
        Step { name: "f0003_generation", tables: generation_tables, indexes: Vec::new },
    ],
};

fn tables() -> Vec<TableCreateStatement> {
    vec![
        table("feed_profiles", profile(), &["account"]),
        table(
            "feed_follows",
            vec![big_integer("reader"), big_integer("author"), big_integer("made_ms")],
            &["reader", "author"],
        ),
        table("feed_posts", post(), &["id"]),
        table(
            "feed_likes",
            vec![big_integer("post"), big_integer("account"), big_integer("made_ms")],
            &["post", "account"],
        ),
        table(
            "feed_reposts",
            vec![big_integer("post"), big_integer("account"), big_integer("repost")],
            &["post", "account"],
        ),
        table(
            "feed_affinity",
            vec![big_integer("reader"), big_integer("author"), double("score")],
            &["reader", "author"],
        ),
        table(
            "feed_home",
            vec![big_integer("reader"), big_integer("post"), big_integer("author")],
            &["reader", "post"],
        ),
        table(
            "feed_work",
            vec![
                big_integer("post"),
                big_integer("author"),
                big_integer("after"),
                string("holder"),
                big_integer("until_ms"),
            ],
            &["post"],
        ),
    ]
}

fn profile() -> Vec<ColumnDef> {
    vec![
        big_integer("account"),
        string("handle"),
        big_integer("followers"),
        big_integer("following"),
        big_integer("posts"),
        boolean("pulled"),
        boolean("listed"),
        boolean("badged"),
        big_integer("read_ms"),
        big_integer("seen"),
    ]
}

fn post() -> Vec<ColumnDef> {
    vec![
        big_integer("id"),
        big_integer("author"),
        string("handle"),
        string("kind"),
        text("text"),
        text("photos"),
        big_integer_null("video"),
        big_integer_null("parent"),
        big_integer("root"),
        big_integer_null("original"),
        big_integer("likes"),
        big_integer("replies"),
        big_integer("reposts"),
        boolean("pulled"),
        big_integer_null("deleted_ms"),
    ]
}

fn indexes() -> Vec<IndexCreateStatement> {
    vec![
        index("feed_profiles_handle", "feed_profiles", &["handle"]),
        index("feed_follows_author", "feed_follows", &["author", "reader"]),
        index("feed_posts_author", "feed_posts", &["author", "id"]),
        index("feed_posts_root", "feed_posts", &["root", "id"]),
        index("feed_posts_original", "feed_posts", &["original"]),
    ]
}

fn photo_tables() -> Vec<TableCreateStatement> {
    let columns = vec![
        big_integer("id"),
        big_integer("owner"),
        string("kind"),
        big_integer("width"),
        big_integer("height"),
        string("blur"),
        boolean("kept"),
        boolean("gone"),
        big_integer_null("post"),
        big_integer_null("due_ms"),
    ];
    vec![table("feed_photos", columns, &["id"])]
}

fn photo_indexes() -> Vec<IndexCreateStatement> {
    vec![
        index("feed_photos_post", "feed_photos", &["post"]),
        index("feed_photos_due", "feed_photos", &["due_ms"]),
    ]
}

fn generation_tables() -> Vec<TableCreateStatement> {
    vec![table("feed_generation", vec![big_integer("id"), big_integer("number")], &["id"])]
}
