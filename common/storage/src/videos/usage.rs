//! What the videos take up, by their rows: three statements of one snapshot.

use std::collections::BTreeMap;

use sea_orm::sea_query::{Expr, ExprTrait, Func, JoinType, Query, SelectStatement, SimpleExpr, UnionType};
use sea_orm::{ConnectionTrait, FromQueryResult};
use sluice_wire::RungName;

use super::{VideoState, Videos};
use crate::database::{flag, unsigned};
use crate::error::StorageError;

/// Bytes and videos of a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateUse {
    /// The state.
    pub state: VideoState,
    /// They are deleted, and can be restored.
    pub deleted: bool,
    /// How many videos.
    pub videos: u64,
    /// Bytes of their stored sources, complete or not.
    pub source_bytes: u64,
    /// Bytes of their posters.
    pub poster_bytes: u64,
}

/// Bytes of a rung over all videos.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RungUse {
    /// The rung.
    pub rung: RungName,
    /// How many videos have it.
    pub videos: u64,
    /// Bytes of its headers and segments.
    pub bytes: u64,
}

/// What is taken up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// By state, living before deleted ones.
    pub states: Vec<StateUse>,
    /// By rung.
    pub rungs: Vec<RungUse>,
    /// Bytes of text tracks and storyboards.
    pub beside_bytes: u64,
    /// Bytes of uploads that are no video's yet.
    pub other_bytes: u64,
}

#[derive(FromQueryResult)]
struct OfState {
    state: Option<String>,
    deleted: bool,
    bytes: i64,
}

#[derive(FromQueryResult)]
struct OfPosters {
    state: Option<String>,
    deleted: bool,
    videos: i64,
    bytes: i64,
    /// Of all videos: the same in each row.
    beside: i64,
}

#[derive(FromQueryResult)]
struct OfRung {
    rung: String,
    videos: i64,
    bytes: i64,
}

impl Videos {
    /// What the videos take up in the store. It sums over all segments: a question for people, not for each page.
    ///
    /// # Errors
    /// The engine's.
    pub async fn usage(&self) -> Result<Usage, StorageError> {
        let view = self.database.snapshot().await?;
        let posters =
            OfPosters::find_by_statement(view.get_database_backend().build(&posters())).all(&view).await?;
        let sources =
            OfState::find_by_statement(view.get_database_backend().build(&sources())).all(&view).await?;
        let rungs = OfRung::find_by_statement(view.get_database_backend().build(&rungs())).all(&view).await?;
        view.commit().await?;
        let mut usage = Usage::default();
        let mut states: BTreeMap<(bool, String), StateUse> = BTreeMap::new();
        for row in posters {
            usage.beside_bytes = unsigned("beside.bytes", row.beside)?;
            let name = row.state.unwrap_or_default();
            let state = flag("videos.state", &name, VideoState::parse)?;
            let (videos, poster_bytes) =
                (unsigned("videos", row.videos)?, unsigned("poster_bytes", row.bytes)?);
            let one = StateUse { state, deleted: row.deleted, videos, source_bytes: 0, poster_bytes };
            states.insert((row.deleted, name), one);
        }
        for row in sources {
            let bytes = unsigned("parts.bytes", row.bytes)?;
            match row.state.and_then(|name| states.get_mut(&(row.deleted, name))) {
                Some(state) => state.source_bytes = bytes,
                None => usage.other_bytes += bytes,
            }
        }
        usage.states = states.into_values().collect();
        for row in rungs {
            let rung = flag("segments.rung", &row.rung, |name| RungName::new(name).ok())?;
            let (videos, bytes) = (unsigned("rung.videos", row.videos)?, unsigned("rung.bytes", row.bytes)?);
            usage.rungs.push(RungUse { rung, videos, bytes });
        }
        Ok(usage)
    }
}

/// A sum as a whole number: PostgreSQL's own has another type.
fn sum(column: (&'static str, &'static str)) -> SimpleExpr {
    Expr::col(column).sum().if_null(0_i64).cast_as("bigint")
}

fn posters() -> SelectStatement {
    Query::select()
        .column(("videos", "state"))
        .expr_as(Expr::col(("videos", "deleted_ms")).is_not_null(), "deleted")
        .expr_as(Expr::col(("videos", "id")).count(), "videos")
        .expr_as(sum(("videos", "poster_bytes")), "bytes")
        .expr_as(SimpleExpr::from(beside()), "beside")
        .from("videos")
        .add_group_by([Expr::col(("videos", "state")), Expr::col(("videos", "deleted_ms")).is_not_null()])
        .to_owned()
}

/// What is made of sources, or sent, beside the rungs.
fn beside() -> SelectStatement {
    let texts = Query::select().column("bytes").from("texts").to_owned();
    let boards = Query::select().column("bytes").from("storyboards").to_owned();
    let all = Query::select()
        .column("bytes")
        .from_subquery(texts, "tracks")
        .union(UnionType::All, boards)
        .to_owned();
    Query::select().expr(sum(("beside", "bytes"))).from_subquery(all, "beside").to_owned()
}

fn sources() -> SelectStatement {
    // Pieces of an upload that is joined into another are of that one's video.
    let of_upload = Expr::col(("uploads", "id")).equals(("parts", "upload"));
    let whole = Func::coalesce([Expr::col(("uploads", "whole")), Expr::col(("parts", "upload"))]);
    let of_video = Expr::col(("videos", "id")).eq(whole);
    Query::select()
        .column(("videos", "state"))
        .expr_as(Expr::col(("videos", "deleted_ms")).is_not_null(), "deleted")
        .expr_as(sum(("parts", "bytes")), "bytes")
        .from("parts")
        .join(JoinType::LeftJoin, "uploads", of_upload)
        .join(JoinType::LeftJoin, "videos", of_video)
        .add_group_by([Expr::col(("videos", "state")), Expr::col(("videos", "deleted_ms")).is_not_null()])
        .to_owned()
}

fn rungs() -> SelectStatement {
    let headers = Query::select()
        .columns(["rung", "video"])
        .expr_as(Expr::col("init_bytes"), "bytes")
        .from("renditions")
        .union(
            UnionType::All,
            Query::select()
                .columns(["rung", "video", "bytes"])
                .from("segments")
                .and_where(Expr::col("gone").eq(false))
                .to_owned(),
        )
        .to_owned();
    Query::select()
        .column(("stored", "rung"))
        .expr_as(Expr::col(("stored", "video")).count_distinct(), "videos")
        .expr_as(sum(("stored", "bytes")), "bytes")
        .from_subquery(headers, "stored")
        .add_group_by([Expr::col(("stored", "rung"))])
        .order_by(("stored", "rung"), sea_orm::sea_query::Order::Asc)
        .to_owned()
}
