//! Rungs that nobody asks for: when each was asked for last, and which segments are not stored any more.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, boolean};

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0013_cold"
    }
}

const ASKED: (&str, &str) = ("renditions", "asked_ms");
const FLAGS: [(&str, &str); 2] = [("renditions", "cold"), ("segments", "gone")];
const INDEX: &str = "renditions_by_asked";

#[expect(
    elided_lifetimes_in_paths,
    reason = "the trait's macro expands to the elided form and accepts no other"
)]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let asked = big_integer(ASKED.1).default(0).to_owned();
        manager.alter_table(Table::alter().table(ASKED.0).add_column(asked).to_owned()).await?;
        for (table, column) in FLAGS {
            let column = boolean(column).default(false).to_owned();
            manager.alter_table(Table::alter().table(table).add_column(column).to_owned()).await?;
        }
        manager.create_index(Index::create().name(INDEX).table(ASKED.0).col(ASKED.1).to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name(INDEX).table(ASKED.0).to_owned()).await?;
        for (table, column) in FLAGS.into_iter().chain([ASKED]) {
            manager.alter_table(Table::alter().table(table).drop_column(column).to_owned()).await?;
        }
        Ok(())
    }
}
