//! What a reader did with posts: which it likes and which it reposted. For that reader alone, beside fragments that are everybody's.

use std::collections::BTreeMap;

use sluice_platform::{ApiError, Caller};
use sluice_storage::rows::sea_orm::ConnectionTrait;
use sluice_storage::rows::sea_orm::sea_query::{Expr, ExprTrait, Query, UnionType};

use crate::PostId;
use crate::feed::{self, Feed};
use crate::rows::{like, repost};

/// What a reader did with a post.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    pub(crate) liked: bool,
    pub(crate) reposted: bool,
}

impl Marks {
    /// `l` for a like, `r` for a repost, `lr` for both; nothing for none. So short since a home page has many.
    pub(crate) const fn text(self) -> Option<&'static str> {
        match (self.liked, self.reposted) {
            (true, true) => Some("lr"),
            (true, false) => Some("l"),
            (false, true) => Some("r"),
            (false, false) => None,
        }
    }
}

impl Feed {
    /// What a reader did with some posts; nothing for those it did nothing with. One statement.
    pub(crate) async fn marks(
        &self,
        who: &Caller,
        posts: &[PostId],
    ) -> Result<BTreeMap<PostId, Marks>, ApiError> {
        let (reader, ids) =
            (who.account.as_i64(), posts.iter().map(|post| post.as_i64()).collect::<Vec<_>>());
        let mut all = Query::select();
        all.column(like::Column::Post)
            .expr_as(Expr::cust("'l'"), "mark")
            .from(like::Entity)
            .and_where(Expr::col(like::Column::Account).eq(reader))
            .and_where(Expr::col(like::Column::Post).is_in(ids.clone()));
        let reposts = Query::select()
            .column(repost::Column::Post)
            .expr_as(Expr::cust("'r'"), "mark")
            .from(repost::Entity)
            .and_where(Expr::col(repost::Column::Account).eq(reader))
            .and_where(Expr::col(repost::Column::Post).is_in(ids))
            .to_owned();
        all.union(UnionType::All, reposts);
        let mut marks: BTreeMap<PostId, Marks> = BTreeMap::new();
        for row in self.database().reader().query_all(&all).await? {
            let of = marks.entry(feed::post(row.try_get("", "post")?)?).or_default();
            match row.try_get::<String>("", "mark")?.as_str() {
                "l" => of.liked = true,
                _ => of.reposted = true,
            }
        }
        Ok(marks)
    }
}
