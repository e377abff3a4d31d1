//! The fleet's configuration in all its versions, and what operators did.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, string, text, text_null};

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0016_config"
    }
}

const VERSIONS: &str = "config_versions";
const AUDIT: &str = "audit";

#[expect(
    elided_lifetimes_in_paths,
    reason = "the trait's macro expands to the elided form and accepts no other"
)]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut versions = Table::create();
        versions.table(VERSIONS);
        for column in [
            big_integer("version").primary_key().to_owned(),
            big_integer("at_ms"),
            string("who"),
            string("note"),
            text("body"),
        ] {
            versions.col(column);
        }
        manager.create_table(versions.to_owned()).await?;
        let mut audit = Table::create();
        audit.table(AUDIT);
        for column in [
            big_integer("id").primary_key().to_owned(),
            big_integer("at_ms"),
            string("who"),
            string("role"),
            string("action"),
            string("subject"),
            text_null("before"),
            text_null("after"),
        ] {
            audit.col(column);
        }
        manager.create_table(audit.to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(AUDIT).to_owned()).await?;
        manager.drop_table(Table::drop().table(VERSIONS).to_owned()).await
    }
}
