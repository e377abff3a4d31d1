//! An app's own tables: brought up beside the shared ones, under a list of migrations of the app's own, so that an app can be
//! added to a database, and taken out of it, without the others.

use sea_orm::DbErr;
use sea_orm::sea_query::{
    Alias, ColumnDef, DynIden, Index, IndexCreateStatement, IntoIden, Table, TableCreateStatement,
};
use sea_orm_migration::{MigrationName, MigrationTrait, MigratorTraitSelf, SchemaManager};

/// The tables of an app.
#[derive(Debug, Clone, Copy)]
pub struct Schema {
    /// The table that says which migrations were applied: `NAME_migrations`.
    pub migrations: &'static str,
    /// What makes the tables, oldest first. A step that was released never changes.
    pub steps: &'static [Step],
}

/// One migration: tables and indexes that did not exist before. Going down, the tables are dropped with all they hold.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// Its name, unlike any other of the schema.
    pub name: &'static str,
    /// Makes its tables.
    pub tables: fn() -> Vec<TableCreateStatement>,
    /// Makes its indexes.
    pub indexes: fn() -> Vec<IndexCreateStatement>,
}

/// A table with its primary key.
#[must_use]
pub fn table(name: &'static str, columns: Vec<ColumnDef>, key: &[&'static str]) -> TableCreateStatement {
    let (mut table, mut primary) = (Table::create(), Index::create());
    table.table(name);
    columns.into_iter().for_each(|column| _ = table.col(column));
    key.iter().for_each(|column| _ = primary.col(*column));
    table.primary_key(&mut primary).to_owned()
}

/// An index of a table.
#[must_use]
pub fn index(name: &str, table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create();
    index.name(name).table(table);
    columns.iter().for_each(|column| _ = index.col(*column));
    index.to_owned()
}

impl MigratorTraitSelf for Schema {
    fn migrations(&self) -> Vec<Box<dyn MigrationTrait>> {
        self.steps.iter().map(|step| Box::new(*step) as Box<dyn MigrationTrait>).collect()
    }

    fn migration_table_name(&self) -> DynIden {
        Alias::new(self.migrations).into_iden()
    }
}

impl MigrationName for Step {
    fn name(&self) -> &str {
        self.name
    }
}

#[expect(
    elided_lifetimes_in_paths,
    reason = "the trait's macro expands to the elided form and accepts no other"
)]
#[async_trait::async_trait]
impl MigrationTrait for Step {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in (self.tables)() {
            manager.create_table(table).await?;
        }
        for index in (self.indexes)() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in (self.tables)().iter().rev() {
            if let Some(name) = table.get_table_name() {
                manager.drop_table(Table::drop().table(name.clone()).to_owned()).await?;
            }
        }
        Ok(())
    }
}
