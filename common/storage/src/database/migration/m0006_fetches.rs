//! Sources that the origin fetches by itself.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, string, text, text_null};

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0006_fetches"
    }
}

const FETCHES: &str = "fetches";

#[expect(
    elided_lifetimes_in_paths,
    reason = "the trait's macro expands to the elided form and accepts no other"
)]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut table = Table::create();
        table.table(FETCHES);
        for column in [
            big_integer("upload").primary_key().to_owned(),
            text("url"),
            string("holder"),
            text_null("validator"),
            big_integer("attempts"),
            big_integer("due_ms"),
            big_integer("created_ms"),
        ] {
            table.col(column);
        }
        manager.create_table(table.to_owned()).await?;
        let mut index = Index::create();
        index.name("fetches_by_turn").table(FETCHES).col("due_ms");
        manager.create_index(index.to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(FETCHES).to_owned()).await
    }
}
