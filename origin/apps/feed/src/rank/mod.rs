//! What a home page shows first, in stages that are functions alone:
//! candidate -> hydrate -> score -> filter -> mix.
//!
//! The window that is ranked is the page itself: the newest posts below its cursor. So however the order within it changes,
//! no post is on two pages and none is on no page.

mod mix;
mod score;

use std::collections::{HashMap, HashSet};
use tokio::time::Instant;

pub(crate) use mix::mix;
pub(crate) use score::{Terms, score};

use crate::PostId;
use crate::config::RankConfig;

/// Why a post is on a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// Pushed to the reader's list.
    Pushed,
    /// Pulled from an author whom many follow, or from all while the list is rebuilt.
    Pulled,
    /// The reader's own.
    Own,
}

impl Why {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Pushed => "pushed",
            Self::Pulled => "pulled",
            Self::Own => "own",
        }
    }
}

/// A post that may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) id: PostId,
    pub(crate) author: i64,
    pub(crate) why: Why,
}

/// What is known of a post, and of its author for this reader.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Facts {
    pub(crate) likes: u64,
    pub(crate) replies: u64,
    pub(crate) reposts: u64,
    /// Interactions with the author, decayed to now.
    pub(crate) affinity: f64,
    /// What a repost shows.
    pub(crate) original: Option<PostId>,
}

/// A candidate with its facts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Hydrated {
    pub(crate) candidate: Candidate,
    pub(crate) facts: Facts,
}

/// A candidate with what it is worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scored {
    pub(crate) post: Hydrated,
    pub(crate) terms: Terms,
}

/// Microseconds that each stage took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct Timings {
    /// Reading candidates and facts: statements.
    pub(crate) candidate_us: u64,
    pub(crate) hydrate_us: u64,
    pub(crate) score_us: u64,
    pub(crate) filter_us: u64,
    pub(crate) mix_us: u64,
}

/// Gives candidates their facts; those that have none are gone.
pub(crate) fn hydrate(candidates: &[Candidate], facts: &HashMap<PostId, Facts>) -> Vec<Hydrated> {
    let known = |&candidate: &Candidate| Some(Hydrated { candidate, facts: *facts.get(&candidate.id)? });
    candidates.iter().filter_map(known).collect()
}

/// Leaves out what the page shows already: a repost of a post that is on it, or a second repost of the same.
pub(crate) fn filter(posts: Vec<Scored>) -> Vec<Scored> {
    let mut shown: HashSet<PostId> = posts
        .iter()
        .filter(|post| post.post.facts.original.is_none())
        .map(|post| post.post.candidate.id)
        .collect();
    posts.into_iter().filter(|post| post.post.facts.original.is_none_or(|of| shown.insert(of))).collect()
}

/// All stages after the candidates, timed.
pub(crate) fn ranked(
    candidates: &[Candidate],
    facts: &HashMap<PostId, Facts>,
    config: &RankConfig,
    now_ms: u64,
) -> (Vec<Scored>, Timings) {
    let mut timings = Timings::default();
    let hydrated = timed(&mut timings.hydrate_us, || hydrate(candidates, facts));
    let scored: Vec<Scored> = timed(&mut timings.score_us, || {
        hydrated.into_iter().map(|post| Scored { post, terms: score(&post, config, now_ms) }).collect()
    });
    let filtered = timed(&mut timings.filter_us, || filter(scored));
    let mixed = timed(&mut timings.mix_us, || mix(filtered, config.in_a_row));
    (mixed, timings)
}

fn timed<T>(us: &mut u64, stage: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let done = stage();
    *us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(id: u64, original: Option<u64>) -> Scored {
        let id_of = |id| PostId::from_u64(id).unwrap();
        let facts = Facts { likes: 0, replies: 0, reposts: 0, affinity: 0.0, original: original.map(id_of) };
        let candidate = Candidate { id: id_of(id), author: 1, why: Why::Pushed };
        Scored { post: Hydrated { candidate, facts }, terms: Terms::default() }
    }

    #[test]
    fn a_page_shows_a_post_once_however_often_it_was_reposted() {
        let page = vec![post(9, Some(4)), post(8, Some(3)), post(7, Some(3)), post(4, None)];
        let ids: Vec<u64> = filter(page).iter().map(|post| post.post.candidate.id.as_u64()).collect();
        assert_eq!(ids, [8, 4]);
    }

    #[test]
    fn who_has_no_facts_is_gone() {
        let here = post(9, None).post;
        let facts = HashMap::from([(here.candidate.id, here.facts)]);
        let all = [here.candidate, post(8, None).post.candidate];
        assert_eq!(hydrate(&all, &facts), [here]);
    }
}
