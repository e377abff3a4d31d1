//! The library: what people say about a video, who sees it, the words it is found by, and what is deleted but not yet
//! gone.

use sea_orm::{ActiveValue::Set, EntityTrait};
use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, string, text};

use crate::database::entity::video_term;
use crate::videos::terms;

pub(super) struct Migration;

/// Videos whose words are written in one go: a few thousand rows.
const BATCH: u64 = 100;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0004_library"
    }
}

#[expect(
    elided_lifetimes_in_paths,
    reason = "the trait's macro expands to the elided form and accepts no other"
)]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // SQLite adds one column in a statement.
        for column in columns() {
            manager.alter_table(Table::alter().table("videos").add_column(column).to_owned()).await?;
        }
        manager.create_table(terms_table()).await?;
        manager.create_table(removals_table()).await?;
        for index in indexes() {
            manager.create_index(index).await?;
        }
        index_what_is_there(manager).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (name, table, _) in INDEXES {
            manager.drop_index(Index::drop().name(*name).table(*table).to_owned()).await?;
        }
        for table in ["removals", "video_terms"] {
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        for column in COLUMNS.iter().rev() {
            manager.alter_table(Table::alter().table("videos").drop_column(*column).to_owned()).await?;
        }
        Ok(())
    }
}

const COLUMNS: &[&str] = &["description", "tags", "visibility", "deleted_ms", "poster_bytes"];

fn columns() -> [ColumnDef; 5] {
    [
        text("description").default("").to_owned(),
        text("tags").default("[]").to_owned(),
        string("visibility").default("public").to_owned(),
        big_integer_null("deleted_ms"),
        big_integer("poster_bytes").default(0).to_owned(),
    ]
}

/// Found by a term, newest first, without looking at any other table: its key holds all that is asked for.
fn terms_table() -> TableCreateStatement {
    Table::create()
        .table("video_terms")
        .col(string("term"))
        .col(big_integer("video"))
        .col(string("visibility"))
        .primary_key(Index::create().col("term").col("video").col("visibility"))
        .to_owned()
}

fn removals_table() -> TableCreateStatement {
    Table::create()
        .table("removals")
        .col(big_integer("video"))
        .col(big_integer("due_ms"))
        .primary_key(Index::create().col("video"))
        .to_owned()
}

const INDEXES: &[(&str, &str, &[&str])] = &[
    ("video_terms_by_video", "video_terms", &["video"]),
    ("videos_by_visibility", "videos", &["visibility", "id"]),
    ("videos_by_state", "videos", &["state", "id"]),
    ("videos_by_deletion", "videos", &["deleted_ms"]),
    ("removals_by_turn", "removals", &["due_ms"]),
];

fn indexes() -> impl Iterator<Item = IndexCreateStatement> {
    INDEXES.iter().map(|(name, table, columns)| {
        let mut index = Index::create();
        index.name(*name).table(*table);
        columns.iter().for_each(|column| _ = index.col(*column));
        index.to_owned()
    })
}

/// Videos that were there before are found like those that come after.
async fn index_what_is_there(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let connection = manager.get_connection();
    let mut after = i64::MIN;
    loop {
        let page = Query::select()
            .columns(["id", "title", "name"])
            .from("videos")
            .and_where(Expr::col("id").gt(after))
            .order_by("id", Order::Asc)
            .limit(BATCH)
            .to_owned();
        let rows = connection.query_all(&page).await?;
        if rows.is_empty() {
            return Ok(());
        }
        let mut found = vec![];
        for row in rows {
            let (id, title, name): (i64, String, String) =
                (row.try_get("", "id")?, row.try_get("", "title")?, row.try_get("", "name")?);
            after = id;
            found.extend(terms::of(&title, &name, "", &[]).into_iter().map(|term| (id, term)));
        }
        if found.is_empty() {
            continue;
        }
        let rows = found.into_iter().map(|(video, term)| video_term::ActiveModel {
            term: Set(term),
            video: Set(video),
            visibility: Set("public".into()),
        });
        video_term::Entity::insert_many(rows).exec_without_returning(connection).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Listing, NewVideo, Storage, StorageConfig, StorageError, VideoState};

    #[tokio::test]
    async fn videos_of_before_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let config = StorageConfig {
            database: format!("sqlite:{}", folder.path().join("sluice.db").display()),
            objects: format!("file:{}", folder.path().display()),
            ..StorageConfig::default()
        };
        let storage = Storage::open(&config).await.unwrap();
        let videos = &storage.videos();
        for n in 0..250 {
            let new = &NewVideo {
                id: storage.ids.video(),
                name: "...".into(),
                title: if n == 249 { "Stra\u{df}e".into() } else { "...".into() },
                state: VideoState::Ready,
                bytes: None,
                sha256: None,
                edition_of: None,
            };
            let made = storage.database.write::<_, StorageError, _>(|tx| Box::pin(videos.create(tx, new)));
            made.await.unwrap();
        }
        let found = || async {
            let asked = Listing { words: "strasse".into(), limit: 9, ..Listing::default() };
            videos.page(&asked).await.unwrap().videos.len()
        };
        assert_eq!(found().await, 1);
        let raw = sea_orm::Database::connect(&config.database).await.unwrap();
        video_term::Entity::delete_many().exec(&raw).await.unwrap();
        assert_eq!(found().await, 0);
        index_what_is_there(&SchemaManager::new(&raw)).await.unwrap();
        assert_eq!(found().await, 1);
    }
}
