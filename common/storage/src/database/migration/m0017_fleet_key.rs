//! The key that signs the route table, where control planes share it by their database.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{string, text};

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0017_fleet_key"
    }
}

const KEYS: &str = "fleet_keys";

#[expect(
    elided_lifetimes_in_paths,
    reason = "the trait's macro expands to the elided form and accepts no other"
)]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut table = Table::create();
        table.table(KEYS).col(string("name").primary_key().to_owned()).col(text("pem"));
        manager.create_table(table.to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(KEYS).to_owned()).await
    }
}
