//! What nodes have sent in each month.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, string};

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0019_traffic"
    }
}

const TRAFFIC: &str = "traffic";

#[expect(
    elided_lifetimes_in_paths,
    reason = "the trait's macro expands to the elided form and accepts no other"
)]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut table = Table::create();
        table.table(TRAFFIC);
        for column in [
            big_integer("month_ms"),
            string("node"),
            big_integer("started_ms"),
            string("site"),
            big_integer("before"),
            big_integer("bytes"),
        ] {
            table.col(column);
        }
        table.primary_key(Index::create().col("month_ms").col("node").col("started_ms"));
        manager.create_table(table.to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(TRAFFIC).to_owned()).await
    }
}
