//! Which of a question's terms a page of hits is looked for by: the one that fewest videos have.

use sea_orm::ConnectionTrait;
use sea_orm::sea_query::{Alias, Expr, ExprTrait, Query};

use crate::database::entity::video_term;
use crate::error::StorageError;

/// Videos that are counted of a term. Of two that more have, either will do: their page is soon full.
const COUNTED: u64 = 1_000;

/// The terms, the rarest first: one statement, and none for a single term. What is as rare stays as it was.
pub(super) async fn first(
    view: &impl ConnectionTrait,
    terms: Vec<String>,
) -> Result<Vec<String>, StorageError> {
    if terms.len() < 2 {
        return Ok(terms);
    }
    let mut counts = Query::select();
    for (number, term) in terms.iter().enumerate() {
        let some = Query::select()
            .expr(Expr::value(1))
            .from(video_term::Entity)
            .and_where(Expr::col("term").eq(term))
            .limit(COUNTED)
            .to_owned();
        let count = Query::select()
            .expr(Expr::col(sea_orm::sea_query::Asterisk).count())
            .from_subquery(some, "some")
            .to_owned();
        counts.expr_as(Expr::from(count), Alias::new(format!("n{number}")));
    }
    let Some(row) = view.query_one(&counts).await? else { return Ok(terms) };
    let mut counted = vec![];
    for (number, term) in terms.into_iter().enumerate() {
        counted.push((row.try_get_by_index::<i64>(number)?, term));
    }
    counted.sort_by_key(|(count, _)| *count);
    Ok(counted.into_iter().map(|(_, term)| term).collect())
}
