//! Uploads that are made of others, that have owners, and that share what they are made of.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer_null, boolean, string, string_null};

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0003_uploads"
    }
}

const UPLOADS: &str = "uploads";

/// Indexes with their columns.
const INDEXES: [(&str, &[&str]); 4] = [
    ("uploads_by_whole", &["whole"]),
    ("uploads_by_hash", &["sha256"]),
    ("uploads_by_holder", &["holder"]),
    ("uploads_by_owner", &["owner", "state"]),
];

/// One statement each: SQLite alters one column at a time.
fn columns() -> Vec<ColumnDef> {
    vec![
        string("kind").default("whole").to_owned(),
        string("owner").default("").to_owned(),
        big_integer_null("whole"),
        big_integer_null("whole_start"),
        string_null("sha256"),
        big_integer_null("holder"),
        boolean("settled").default(false).to_owned(),
    ]
}

#[expect(
    elided_lifetimes_in_paths,
    reason = "the trait's macro expands to the elided form and accepts no other"
)]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for mut column in columns() {
            manager.alter_table(Table::alter().table(UPLOADS).add_column(&mut column).to_owned()).await?;
        }
        for (name, columns) in INDEXES {
            let mut index = Index::create();
            index.name(name).table(UPLOADS);
            for column in columns {
                index.col(*column);
            }
            manager.create_index(index.to_owned()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (name, _) in INDEXES {
            manager.drop_index(Index::drop().name(name).table(UPLOADS).to_owned()).await?;
        }
        for column in columns().iter().rev() {
            let name = column.get_column_name();
            manager
                .alter_table(Table::alter().table(UPLOADS).drop_column(name.to_owned()).to_owned())
                .await?;
        }
        Ok(())
    }
}
