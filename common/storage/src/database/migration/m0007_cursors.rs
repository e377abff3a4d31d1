//! Readers of the log that remember where they are.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, string};

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0007_cursors"
    }
}

const CURSORS: &str = "cursors";

#[expect(
    elided_lifetimes_in_paths,
    reason = "the trait's macro expands to the elided form and accepts no other"
)]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut table = Table::create();
        table.table(CURSORS);
        for column in [
            string("name").primary_key().to_owned(),
            string("holder"),
            big_integer("until_ms"),
            big_integer("seq"),
        ] {
            table.col(column);
        }
        manager.create_table(table.to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(CURSORS).to_owned()).await
    }
}
