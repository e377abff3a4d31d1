//! What may be on a home page, as a statement.

use sluice_storage::StorageError;
use sluice_storage::rows::sea_orm::QueryResult;
use sluice_storage::rows::sea_orm::sea_query::{
    Asterisk, Expr, ExprTrait, Func, IntoIden, JoinType, Order, Query, SelectStatement, UnionType,
};
use sluice_storage::rows::unsigned;

use crate::PostId;
use crate::affinity::worth;
use crate::feed;
use crate::marks::Marks;
use crate::posts::Kind;
use crate::rank::{Candidate, Facts, Why};
use crate::rows::{affinity, follow, home, like, post, profile, repost};

/// Names of tables within statements: the post, who is followed, the list, how near its author is.
pub(super) const NAMES: (&str, &str, &str, &str) = ("p", "f", "h", "x");

/// Where the entries of a page are from, beside what is pulled and the reader's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entries<'a> {
    /// All whom the reader follows: there is no list.
    All,
    /// The rows of its list.
    List,
    /// These of its list, which were kept elsewhere.
    Ids(&'a [i64]),
}

/// A row of a window.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) candidate: Candidate,
    pub(super) facts: Facts,
    pub(super) marks: Marks,
}

impl Row {
    /// Reads it, with its post's id.
    pub(super) fn read(row: &QueryResult, now_ms: u64) -> Result<(PostId, Self), StorageError> {
        let count = |column: &'static str| unsigned(column, row.try_get("", column)?);
        let id = feed::post(row.try_get("", "id")?)?;
        let (original, score): (Option<i64>, Option<f64>) =
            (row.try_get("", "original")?, row.try_get("", "score")?);
        let why: String = row.try_get("", "why")?;
        let why = [Why::Pushed, Why::Pulled, Why::Own].into_iter().find(|one| one.as_str() == why);
        let facts = Facts {
            likes: count("likes")?,
            replies: count("replies")?,
            reposts: count("reposts")?,
            affinity: worth(score.unwrap_or_default(), now_ms),
            original: original.map(feed::post).transpose()?,
        };
        let mark = |column: &str| row.try_get::<Option<i64>>("", column).map(|at| at.is_some());
        let marks = Marks { liked: mark("liked")?, reposted: mark("reposted")? };
        let author = row.try_get("", "author")?;
        let candidate = Candidate { id, author, why: why.unwrap_or(Why::Pulled) };
        Ok((id, Self { candidate, facts, marks }))
    }
}

/// The newest of a list, of what is pulled and of the reader's own, each cut by itself, in one statement.
pub(super) fn candidates(reader: i64, below: i64, size: u64, from: Entries<'_>) -> SelectStatement {
    let (p, f, h, _) = NAMES;
    let mut own = posts(reader, below, Why::Own);
    own.and_where(Expr::col((p, post::Column::Author)).eq(reader));
    let follows = Expr::col((f, follow::Column::Author))
        .equals((p, post::Column::Author))
        .and(Expr::col((f, follow::Column::Reader)).eq(reader));
    let mut pulled = posts(reader, below, Why::Pulled);
    pulled.join_as(JoinType::InnerJoin, follow::Entity, f, follows);
    let mut parts = vec![];
    if let Entries::List | Entries::Ids(_) = from {
        let many = Expr::col(("a", profile::Column::Account))
            .equals((f, follow::Column::Author))
            .and(Expr::col(("a", profile::Column::Pulled)).eq(true));
        pulled
            .join_as(JoinType::InnerJoin, profile::Entity, "a", many)
            .and_where(Expr::col((p, post::Column::Pulled)).eq(true));
        let mut list = posts(reader, below, Why::Pushed);
        if let Entries::Ids(ids) = from {
            list.and_where(Expr::col((p, post::Column::Id)).is_in(ids.iter().copied()));
        } else {
            let entry = Expr::col((h, home::Column::Post))
                .equals((p, post::Column::Id))
                .and(Expr::col((h, home::Column::Reader)).eq(reader));
            list.join_as(JoinType::InnerJoin, home::Entity, h, entry);
        }
        parts.push(("b1", list));
    }
    parts.extend([("b2", pulled), ("b3", own)]);
    let mut all = parts.into_iter().map(|(name, mut part)| {
        part.order_by((p, post::Column::Id), Order::Desc).limit(size);
        Query::select().expr(Expr::col(Asterisk)).from_subquery(part, name).to_owned()
    });
    let mut first = all.next().expect("there are two parts or three");
    all.for_each(|part| _ = first.union(UnionType::All, part));
    first
}

/// Posts and reposts that are there, below one, with what ranks them and what the reader did with what they show.
fn posts(reader: i64, below: i64, why: Why) -> SelectStatement {
    let (p, _, _, x) = NAMES;
    let near = Expr::col((x, affinity::Column::Author))
        .equals((p, post::Column::Author))
        .and(Expr::col((x, affinity::Column::Reader)).eq(reader));
    // A repost shows its original: that is what is liked, and what ranks it.
    let shows = || {
        let original = Expr::col((p, post::Column::Original));
        Func::coalesce([original, Expr::col((p, post::Column::Id))])
    };
    let (l, r) = ("l", "r");
    let likes =
        Expr::col((l, like::Column::Post)).eq(shows()).and(Expr::col((l, like::Column::Account)).eq(reader));
    let reposts = Expr::col((r, repost::Column::Post))
        .eq(shows())
        .and(Expr::col((r, repost::Column::Account)).eq(reader));
    let q = "q";
    let original = Expr::col((q, post::Column::Id)).equals((p, post::Column::Original));
    let count = |column: post::Column| Func::coalesce([Expr::col((q, column)), Expr::col((p, column))]);
    let mut select = shown();
    select
        .columns([(p, post::Column::Id), (p, post::Column::Author), (p, post::Column::Original)])
        .expr_as(count(post::Column::Likes), "likes")
        .expr_as(count(post::Column::Replies), "replies")
        .expr_as(count(post::Column::Reposts), "reposts")
        .column((x, affinity::Column::Score))
        .expr_as(Expr::cust(format!("'{}'", why.as_str())), "why")
        .expr_as(Expr::col((l, like::Column::Post)), "liked")
        .expr_as(Expr::col((r, repost::Column::Post)), "reposted")
        .join_as(JoinType::LeftJoin, post::Entity, q, original)
        .join_as(JoinType::LeftJoin, affinity::Entity, x, near)
        .join_as(JoinType::LeftJoin, like::Entity, l, likes)
        .join_as(JoinType::LeftJoin, repost::Entity, r, reposts)
        .and_where(Expr::col((p, post::Column::Id)).lt(below));
    select
}

/// Posts and reposts that are there.
pub(super) fn shown() -> SelectStatement {
    let p = NAMES.0;
    let mut select = Query::select();
    select
        .from_as(post::Entity, p)
        .and_where(Expr::col((p, post::Column::Kind)).ne(Kind::Reply.as_str()))
        .and_where(Expr::col((p, post::Column::DeletedMs)).is_null())
        .and_where(shows_something(p));
    select
}

/// Whether a row of posts is no repost of what was deleted.
pub(crate) fn shows_something(of: impl IntoIden) -> Expr {
    let o = "o";
    let original = Query::select()
        .column((o, post::Column::DeletedMs))
        .from_as(post::Entity, o)
        .and_where(Expr::col((o, post::Column::Id)).equals((of.into_iden(), post::Column::Original)))
        .to_owned();
    Expr::SubQuery(None, Box::new(original.into())).is_null()
}
