//! How a video's media is sealed for delivery.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::string;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0012_protection"
    }
}

const VIDEOS: &str = "videos";
const COLUMN: &str = "protection";

#[expect(
    elided_lifetimes_in_paths,
    reason = "the trait's macro expands to the elided form and accepts no other"
)]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut column = string(COLUMN).default("none").to_owned();
        manager.alter_table(Table::alter().table(VIDEOS).add_column(&mut column).to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.alter_table(Table::alter().table(VIDEOS).drop_column(COLUMN).to_owned()).await
    }
}
