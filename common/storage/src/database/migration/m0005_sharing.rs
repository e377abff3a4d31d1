//! Complete uploads are settled: hashed where they were not yet, and shared where their bytes are stored already.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::big_integer;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0005_sharing"
    }
}

const UPLOADS: &str = "uploads";
const DISCARDED: &str = "discarded_sources";
const BY_SETTLING: &str = "uploads_by_settling";
const COLUMNS: [&str; 2] = ["hashed", "busy_until_ms"];

#[expect(
    elided_lifetimes_in_paths,
    reason = "the trait's macro expands to the elided form and accepts no other"
)]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in COLUMNS {
            let mut column = big_integer(column).default(0).to_owned();
            manager.alter_table(Table::alter().table(UPLOADS).add_column(&mut column).to_owned()).await?;
        }
        let mut index = Index::create();
        index.name(BY_SETTLING).table(UPLOADS).col("settled").col("state").col("busy_until_ms");
        manager.create_index(index.to_owned()).await?;
        let mut table = Table::create();
        table.table(DISCARDED).col(big_integer("upload").primary_key());
        manager.create_table(table.to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(DISCARDED).to_owned()).await?;
        manager.drop_index(Index::drop().name(BY_SETTLING).table(UPLOADS).to_owned()).await?;
        for column in COLUMNS {
            manager.alter_table(Table::alter().table(UPLOADS).drop_column(column).to_owned()).await?;
        }
        Ok(())
    }
}
