//! Parts that clients were told to store by themselves.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, boolean, string_null};

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0009_promises"
    }
}

const PROMISES: &str = "promised_parts";

#[expect(
    elided_lifetimes_in_paths,
    reason = "the trait's macro expands to the elided form and accepts no other"
)]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut table = Table::create();
        table.table(PROMISES);
        for column in [
            big_integer("upload"),
            big_integer("number"),
            big_integer("bytes"),
            string_null("sha256"),
            big_integer("until_ms"),
            boolean("used"),
        ] {
            table.col(column);
        }
        table.primary_key(Index::create().col("upload").col("number"));
        manager.create_table(table.to_owned()).await?;
        let mut index = Index::create();
        index.name("promised_parts_by_end").table(PROMISES).col("until_ms");
        manager.create_index(index.to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(PROMISES).to_owned()).await
    }
}
