//! Text tracks of videos.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, boolean, string};

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0010_texts"
    }
}

const TEXTS: &str = "texts";

#[expect(
    elided_lifetimes_in_paths,
    reason = "the trait's macro expands to the elided form and accepts no other"
)]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut table = Table::create();
        table.table(TEXTS);
        for column in [
            big_integer("video"),
            string("track"),
            string("label"),
            string("digest"),
            big_integer("bytes"),
            big_integer("cues"),
            big_integer("end_ms"),
            boolean("embedded"),
        ] {
            table.col(column);
        }
        table.primary_key(Index::create().col("video").col("track"));
        manager.create_table(table.to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(TEXTS).to_owned()).await
    }
}
