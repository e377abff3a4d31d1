//! Whose turn it is: jobs have deadlines and belong to a video, which counts those that are not done.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::big_integer;

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0008_turns"
    }
}

const COLUMNS: &[(&str, &str)] = &[("jobs", "subject"), ("jobs", "due_ms"), ("videos", "jobs_left")];
const INDEX: (&str, &str, &str) = ("jobs_by_subject", "jobs", "subject");

#[expect(
    elided_lifetimes_in_paths,
    reason = "the trait's macro expands to the elided form and accepts no other"
)]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, column) in COLUMNS {
            let column = big_integer(*column).default(0).to_owned();
            manager.alter_table(Table::alter().table(*table).add_column(column).to_owned()).await?;
        }
        let (name, table, column) = INDEX;
        manager.create_index(Index::create().name(name).table(table).col(column).to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name(INDEX.0).table(INDEX.1).to_owned()).await?;
        for (table, column) in COLUMNS.iter().rev() {
            manager.alter_table(Table::alter().table(*table).drop_column(*column).to_owned()).await?;
        }
        Ok(())
    }
}
