//! Storyboards of videos.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, text};

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0011_storyboards"
    }
}

const STORYBOARDS: &str = "storyboards";

#[expect(
    elided_lifetimes_in_paths,
    reason = "the trait's macro expands to the elided form and accepts no other"
)]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut table = Table::create();
        table
            .table(STORYBOARDS)
            .col(big_integer("video").primary_key())
            .col(big_integer("bytes"))
            .col(text("body"));
        manager.create_table(table.to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(STORYBOARDS).to_owned()).await
    }
}
