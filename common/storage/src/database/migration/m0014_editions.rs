//! Editions of a video: made of another source, or anew of the same, while the one before is played.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::big_integer_null;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0014_editions"
    }
}

const VIDEOS: &str = "videos";
const COLUMNS: [&str; 4] = ["edition_of", "edition", "next_edition", "retired_ms"];
/// Each is of few rows.
const INDEXES: [(&str, &str); 2] =
    [("videos_by_edition_of", "edition_of"), ("videos_by_retired", "retired_ms")];

#[expect(
    elided_lifetimes_in_paths,
    reason = "the trait's macro expands to the elided form and accepts no other"
)]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in COLUMNS {
            let column = big_integer_null(column).to_owned();
            manager.alter_table(Table::alter().table(VIDEOS).add_column(column).to_owned()).await?;
        }
        for (name, column) in INDEXES {
            manager.create_index(Index::create().name(name).table(VIDEOS).col(column).to_owned()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (name, _) in INDEXES {
            manager.drop_index(Index::drop().name(name).table(VIDEOS).to_owned()).await?;
        }
        for column in COLUMNS {
            manager.alter_table(Table::alter().table(VIDEOS).drop_column(column).to_owned()).await?;
        }
        Ok(())
    }
}
