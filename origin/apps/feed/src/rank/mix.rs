//! The best first, but no author more than so often in a row, as long as the others' posts suffice.

use std::collections::HashMap;

use super::Scored;

/// Orders posts. All that came are there, each once.
pub(crate) fn mix(mut posts: Vec<Scored>, in_a_row: usize) -> Vec<Scored> {
    let row = in_a_row.max(1);
    posts.sort_by(|a, b| {
        let newest = || b.post.candidate.id.cmp(&a.post.candidate.id);
        b.terms.score.total_cmp(&a.terms.score).then_with(newest)
    });
    let mut left: HashMap<i64, usize> = HashMap::new();
    posts.iter().for_each(|post| *left.entry(author(post)).or_default() += 1);
    let mut run: (Option<i64>, usize) = (None, 0);
    let mut mixed = Vec::with_capacity(posts.len());
    while !posts.is_empty() {
        let next = posts.iter().position(|post| good(author(post), run, &left, posts.len(), row));
        // Nothing keeps the rule: one author has too many. Then another's is as good as there is, or the best.
        let other = || posts.iter().position(|post| run.1 < row || Some(author(post)) != run.0);
        let post = posts.remove(next.or_else(other).unwrap_or(0));
        let by = author(&post);
        run = (Some(by), if run.0 == Some(by) { run.1 + 1 } else { 1 });
        left.entry(by).and_modify(|count| *count -= 1);
        mixed.push(post);
    }
    mixed
}

fn author(post: &Scored) -> i64 {
    post.post.candidate.author
}

/// Whether a post of this author may come next, so that all that would be left can still be kept apart.
fn good(by: i64, run: (Option<i64>, usize), left: &HashMap<i64, usize>, total: usize, row: usize) -> bool {
    let length = if run.0 == Some(by) { run.1 + 1 } else { 1 };
    let total = total - 1;
    length <= row
        && left.iter().all(|(&who, &count)| {
            let count = count - usize::from(who == by);
            let now = if who == by { row - length } else { row };
            count <= now + row * (total - count)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PostId;
    use crate::rank::{Candidate, Facts, Hydrated, Terms, Why};
    use proptest::prelude::*;

    fn posts(all: &[(i64, f64)]) -> Vec<Scored> {
        let facts = Facts { likes: 0, replies: 0, reposts: 0, affinity: 0.0, original: None };
        let one = |(id, &(author, score)): (u64, &(i64, f64))| {
            let candidate = Candidate { id: PostId::from_u64(id).unwrap(), author, why: Why::Pushed };
            Scored { post: Hydrated { candidate, facts }, terms: Terms { score, ..Terms::default() } }
        };
        (1..).zip(all).map(one).collect()
    }

    proptest! {
        #[test]
        fn nothing_is_lost_nothing_repeated_and_nobody_has_three_in_a_row_in_vain(
            all in prop::collection::vec((0..4_i64, 0.0..1.0_f64), 0..40),
        ) {
            let mixed = mix(posts(&all), 2);
            let mut ids: Vec<u64> = mixed.iter().map(|post| post.post.candidate.id.as_u64()).collect();
            ids.sort_unstable();
            prop_assert_eq!(ids, (1..=all.len() as u64).collect::<Vec<_>>());
            let most = (0..4).map(|who| all.iter().filter(|(author, _)| *author == who).count()).max().unwrap_or(0);
            if most <= 2 + 2 * (all.len() - most) {
                for three in mixed.windows(3) {
                    prop_assert!(three.iter().any(|post| author(post) != author(&three[0])));
                }
            }
        }
    }

    #[test]
    fn the_best_come_first_where_nothing_speaks_against_it() {
        let mixed = mix(posts(&[(1, 0.1), (2, 0.9), (1, 0.5), (1, 0.4), (1, 0.3)]), 2);
        let authors: Vec<i64> = mixed.iter().map(author).collect();
        assert_eq!(authors, [1, 1, 2, 1, 1], "two before the only other one, and two after it");
    }
}
