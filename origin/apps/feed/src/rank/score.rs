//! What a post is worth to a reader: its terms multiply, and each can be told.

use serde::Serialize;
use utoipa::ToSchema;

use super::Hydrated;
use crate::config::RankConfig;

/// The terms of a score.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct Terms {
    /// 1 when it was posted, half every half-life.
    pub(crate) recency: f64,
    /// 1 without any, and with the logarithm of what others did more.
    pub(crate) engagement: f64,
    /// 1 for a stranger; more, up to a bound, for an author with whom the reader has to do.
    pub(crate) affinity: f64,
    /// Their product.
    pub(crate) score: f64,
}

/// The score of a post now.
pub(crate) fn score(post: &Hydrated, config: &RankConfig, now_ms: u64) -> Terms {
    let age_ms = now_ms.saturating_sub(post.candidate.id.unix_ms());
    let recency = (-(age_ms as f64) / config.half_life_ms as f64).exp2();
    let of = |count: u64, weight: u32| count as f64 * f64::from(weight) / 1_000.0;
    let facts = &post.facts;
    let done =
        of(facts.likes, config.like) + of(facts.replies, config.reply) + of(facts.reposts, config.repost);
    let engagement = 1.0 + done.ln_1p();
    let near = facts.affinity.max(0.0);
    let affinity = 1.0 + f64::from(config.affinity) / 1_000.0 * (near / (1.0 + near));
    Terms { recency, engagement, affinity, score: recency * engagement * affinity }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PostId;
    use crate::rank::{Candidate, Facts, Why};
    use proptest::prelude::*;

    const NOW: u64 = 1_900_000_000_000;

    fn post(age_ms: u64, counts: (u64, u64, u64), affinity: f64) -> Hydrated {
        let id = PostId::from_parts(NOW - age_ms, 7);
        let (likes, replies, reposts) = counts;
        let facts = Facts { likes, replies, reposts, affinity, original: None };
        Hydrated { candidate: Candidate { id, author: 1, why: Why::Pushed }, facts }
    }

    fn of(post: &Hydrated) -> f64 {
        score(post, &RankConfig::default(), NOW).score
    }

    proptest! {
        #[test]
        fn more_of_anything_is_never_lower(
            age in 0..10_000_000_000_u64, counts in (0..1_000_000_u64, 0..1_000_000_u64, 0..1_000_000_u64),
            more in (0..1_000_u64, 0..1_000_u64, 0..1_000_u64), near in 0.0..100.0, nearer in 0.0..10.0,
        ) {
            let lower = of(&post(age, counts, near));
            prop_assert!(of(&post(age, (counts.0 + more.0, counts.1, counts.2), near)) >= lower);
            prop_assert!(of(&post(age, (counts.0, counts.1 + more.1, counts.2), near)) >= lower);
            prop_assert!(of(&post(age, (counts.0, counts.1, counts.2 + more.2), near)) >= lower);
            prop_assert!(of(&post(age, counts, near + nearer)) >= lower);
        }

        #[test]
        fn older_is_never_higher(
            age in 0..10_000_000_000_u64, more in 0..10_000_000_000_u64,
            counts in (0..1_000_000_u64, 0..1_000_000_u64, 0..1_000_000_u64), near in 0.0..100.0,
        ) {
            prop_assert!(of(&post(age + more, counts, near)) <= of(&post(age, counts, near)));
        }

        #[test]
        fn every_score_is_a_number(counts in any::<(u64, u64, u64)>(), near in any::<f64>()) {
            prop_assume!(!near.is_nan());
            let score = of(&post(5, counts, near.min(1e300)));
            prop_assert!(score.is_finite() && score > 0.0);
        }
    }
}
