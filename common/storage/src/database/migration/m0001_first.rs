//! The first schema: videos, uploads, jobs, the event log and the fleet.
//!
//! The shard column (the video, the upload, the job, the tag) leads every primary key; nothing is numbered by the engine.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, boolean, string, string_null, text, text_null,
};

pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0001_first"
    }
}

#[expect(
    elided_lifetimes_in_paths,
    reason = "the trait's macro expands to the elided form and accepts no other"
)]
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [media(), uploads(), log(), fleet()].into_iter().flatten() {
            manager.create_table(table).await?;
        }
        manager.create_table(jobs()).await?;
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in TABLES.iter().rev() {
            manager.drop_table(Table::drop().table(*table).to_owned()).await?;
        }
        Ok(())
    }
}

const TABLES: &[&str] = &[
    "videos",
    "renditions",
    "segments",
    "uploads",
    "parts",
    "leases",
    "tag_versions",
    "outbox",
    "log",
    "log_heads",
    "nodes",
    "route_tables",
    "jobs",
];

/// A table with its primary key and columns.
fn table(
    name: &'static str,
    key: &[&'static str],
    columns: impl IntoIterator<Item = ColumnDef>,
) -> TableCreateStatement {
    let mut statement = Table::create();
    statement.table(name);
    for column in columns {
        statement.col(column);
    }
    let mut primary = Index::create();
    for column in key {
        primary.col(*column);
    }
    statement.primary_key(&mut primary).to_owned()
}

fn media() -> Vec<TableCreateStatement> {
    let video = [
        big_integer("id"),
        string("name"),
        string("title"),
        string("state"),
        big_integer("progress_permille"),
        big_integer_null("bytes"),
        string_null("sha256"),
        big_integer_null("duration_ms"),
        big_integer_null("width"),
        big_integer_null("height"),
        text_null("error"),
        text_null("plan"),
        big_integer("created_ms"),
        big_integer("updated_ms"),
    ];
    let rendition = [
        big_integer("video"),
        string("rung"),
        string("kind"),
        string("codecs"),
        big_integer("width"),
        big_integer("height"),
        big_integer("frame_rate_num"),
        big_integer("frame_rate_den"),
        big_integer("bandwidth"),
        big_integer("average_bandwidth"),
        big_integer("timescale"),
        big_integer("init_bytes"),
        boolean("ended"),
    ];
    let segment = [
        big_integer("video"),
        string("rung"),
        big_integer("seq"),
        big_integer("start"),
        big_integer("duration"),
        big_integer("bytes"),
        string("sha256"),
    ];
    vec![
        table("videos", &["id"], video),
        table("renditions", &["video", "rung"], rendition),
        table("segments", &["video", "rung", "seq"], segment),
    ]
}

fn uploads() -> Vec<TableCreateStatement> {
    let upload = [
        big_integer("id"),
        string("name"),
        big_integer_null("length"),
        big_integer("received"),
        text("metadata"),
        big_integer("expires_ms"),
        string("state"),
        ColumnDef::new("hash_state").blob().not_null().to_owned(),
        big_integer("next_part"),
        big_integer("created_ms"),
        big_integer("updated_ms"),
    ];
    let part = [
        big_integer("upload"),
        big_integer("number"),
        big_integer("start"),
        big_integer("bytes"),
        string("sha256"),
    ];
    vec![table("uploads", &["id"], upload), table("parts", &["upload", "number"], part)]
}

fn jobs() -> TableCreateStatement {
    let job = [
        big_integer("id"),
        string("kind"),
        string("state"),
        big_integer("priority"),
        text("payload"),
        big_integer("attempt"),
        big_integer("max_attempts"),
        big_integer("run_at_ms"),
        big_integer("lease_until_ms"),
        string_null("worker"),
        big_integer("token"),
        text_null("reason"),
        big_integer("created_ms"),
        big_integer("updated_ms"),
    ];
    table("jobs", &["id"], job)
}

fn log() -> Vec<TableCreateStatement> {
    let lease = [string("name"), string("holder"), big_integer("token"), big_integer("until_ms")];
    let tag_version = [string("tag"), big_integer("version"), big_integer("position")];
    let event =
        || [string("tag"), big_integer("version"), string("kind"), big_integer("at_ms"), text("data")];
    vec![
        table("leases", &["name"], lease),
        table("tag_versions", &["tag"], tag_version),
        table("outbox", &["tag", "version"], event().into_iter().chain([big_integer("position")])),
        table("log", &["seq"], event().into_iter().chain([big_integer("seq")])),
        table("log_heads", &["name"], [string("name"), big_integer("seq")]),
    ]
}

fn fleet() -> Vec<TableCreateStatement> {
    let node = [
        string("node"),
        text("report"),
        boolean("draining"),
        big_integer("lease_until_ms"),
        big_integer("first_ms"),
        big_integer("updated_ms"),
    ];
    let route_table = [string("name"), big_integer("version"), text("body")];
    vec![table("nodes", &["node"], node), table("route_tables", &["name"], route_table)]
}

fn indexes() -> Vec<IndexCreateStatement> {
    let index = |name: &'static str, table: &'static str, columns: &[&'static str]| {
        let mut statement = Index::create();
        statement.name(name).table(table);
        for column in columns {
            statement.col(*column);
        }
        statement.to_owned()
    };
    vec![
        index("jobs_by_turn", "jobs", &["state", "kind", "run_at_ms"]),
        index("uploads_by_expiry", "uploads", &["state", "expires_ms"]),
        index("outbox_by_position", "outbox", &["position"]),
    ]
}
