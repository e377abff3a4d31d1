//! The decision: where a session goes, where it goes if that fails, when it asks again, and why.

use serde::{Deserialize, Serialize};

use super::rank::{Excluded, Ranked, look, rank};
use super::session::Session;
use super::view::{Edge, Steer};
use crate::placement::{self, Seed, unit};

/// Pathways a session is told of.
pub const MAX_CHOICES: usize = 6;
/// Those of the first place; others have one or two.
const OF_THE_FIRST: usize = 3;
const OF_OTHERS: usize = 2;
/// Those of the first place before one of another.
const OF_A_PLACE: usize = 2;
/// Milliseconds of a turn, and the share of sessions whose turn it is to be moved for a better place: all have gone after
/// 100 s, and loads have been measured anew ten times.
const TURN_MS: u64 = 10_000;
const TURN_SHARE: f64 = 0.1;
/// The load that an edge is relieved to: the share above it is what goes, in each turn. An edge cannot send more than it can, so
/// that its load says little of what it is asked for: the shares of several turns go until it has not too much any more.
const RELIEVED: f64 = 0.9;
const TURN: u64 = 0x7475_726e;
const RELIEF: u64 = 0x7265_6c66;

/// Where a session goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The view it was made in.
    pub view: u64,
    /// Pathways by preference, at most [`MAX_CHOICES`]. None when nothing can serve.
    pub choices: Vec<Choice>,
    /// Why the first is the first.
    pub reason: Reason,
    /// Seconds until the session asks again.
    pub ttl_s: u32,
}

/// A pathway a session may take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// Its name.
    pub pathway: String,
    /// Where it leads: scheme, host and port, without a path.
    pub url: String,
    /// The site or outside CDN it leads to.
    pub place: String,
}

/// Why a session is where it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "why")]
#[non_exhaustive]
pub enum Reason {
    /// It had no pathway: the best for it.
    New,
    /// It is served well, and nothing is better by the margin.
    Stays,
    /// Something is better, but it was moved a moment ago, or its turn comes later.
    Held {
        /// What a move would save, in units of 1,000 km.
        saves: f64,
    },
    /// Moved to what is better.
    Better {
        /// What the move saves, in units of 1,000 km.
        saves: f64,
    },
    /// Moved: its edge has more than it can serve, and this session is of the share that goes.
    Relieved,
    /// Moved: its edge takes no part any more: it is drained, or gone.
    Closed,
    /// Moved: its edge is not well.
    Unwell,
    /// Moved: a rule of the policy.
    Forbidden {
        /// The rule's index.
        rule: usize,
    },
    /// Moved: nobody knows its pathway.
    Unknown,
    /// There is nothing to choose from.
    Nothing,
}

impl Reason {
    /// True when the session is to leave its pathway for another.
    #[must_use]
    pub const fn is_move(&self) -> bool {
        !matches!(self, Self::New | Self::Stays | Self::Held { .. } | Self::Nothing)
    }

    /// Its name in metrics.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Stays => "stays",
            Self::Held { .. } => "held",
            Self::Better { .. } => "better",
            Self::Relieved => "relieved",
            Self::Closed => "closed",
            Self::Unwell => "unwell",
            Self::Forbidden { .. } => "forbidden",
            Self::Unknown => "unknown",
            Self::Nothing => "nothing",
        }
    }
}

/// A decision with all that was weighed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// The decision.
    pub decision: Decision,
    /// Places by preference, with what each costs.
    pub ranked: Vec<Ranked>,
    /// Places that are no choice, by their index in the view.
    pub excluded: Vec<(usize, Excluded)>,
}

impl Steer {
    /// Decides for a session at a time (Unix milliseconds).
    #[must_use]
    pub fn decide(&self, session: &Session, now_ms: u64) -> Decision {
        self.decided(session, now_ms, &rank(self, session))
    }

    /// The same decision, with everything that was weighed.
    #[must_use]
    pub fn explain(&self, session: &Session, now_ms: u64) -> Explanation {
        let ranked = rank(self, session);
        let here = session.position.map(|position| position.point());
        let excluded = (0..self.view().places.len())
            .filter_map(|place| Some((place, look(self, session, here.as_ref(), place).err()?)))
            .collect();
        Explanation { decision: self.decided(session, now_ms, &ranked), ranked, excluded }
    }

    fn decided(&self, session: &Session, now_ms: u64, ranked: &[Ranked]) -> Decision {
        let mut at = self.choices(session, ranked);
        let reason = self.reason(session, now_ms, ranked, at.first());
        let current = session.pathway.as_deref().and_then(|pathway| self.find(pathway));
        if let Some(current) = current {
            at.retain(|choice| *choice != current);
            if matches!(reason, Reason::Stays | Reason::Held { .. }) {
                at.insert(0, current);
            }
        }
        elsewhere(&mut at);
        at.truncate(MAX_CHOICES);
        let ttl_s = self.ttl(session, &at, &reason);
        let choices = at.into_iter().map(|(place, edge)| self.choice(place, edge)).collect();
        Decision { view: self.view().version, choices, reason, ttl_s }
    }

    /// Edges by preference: of each place the next ones in the video's own order, those with room first.
    fn choices(&self, session: &Session, ranked: &[Ranked]) -> Vec<(usize, usize)> {
        let mut all = Vec::with_capacity(MAX_CHOICES + OF_THE_FIRST);
        for (nth, ranked) in ranked.iter().enumerate() {
            let wanted = if nth == 0 { OF_THE_FIRST } else { OF_OTHERS };
            all.extend(self.edges(session, ranked.place, wanted));
            if all.len() > MAX_CHOICES {
                break;
            }
        }
        all
    }

    fn edges(&self, session: &Session, place: usize, wanted: usize) -> Vec<(usize, usize)> {
        let bar = self.bar();
        let edges = &self.view().places[place].edges;
        let serving: Vec<&Edge> = edges.iter().filter(|edge| edge.serves(bar)).collect();
        let mut order = placement::order(Seed::Near, session.key, serving);
        order.sort_by_key(|edge| !edge.has_room(bar));
        let index = |of: &Edge| edges.iter().position(|edge| std::ptr::eq(edge, of));
        order.into_iter().take(wanted).filter_map(|edge| Some((place, index(edge)?))).collect()
    }

    fn reason(
        &self,
        session: &Session,
        now_ms: u64,
        ranked: &[Ranked],
        best: Option<&(usize, usize)>,
    ) -> Reason {
        let policy = &self.view().policy;
        let Some(best) = best else { return Reason::Nothing };
        let Some(pathway) = session.pathway.as_deref() else { return Reason::New };
        let Some((place, edge)) = self.find(pathway) else { return Reason::Unknown };
        let here = &self.view().places[place].edges[edge];
        if !here.open || here.weight <= 0.0 {
            return Reason::Closed;
        }
        if here.health < self.bar().floor {
            return Reason::Unwell;
        }
        let point = session.position.map(|position| position.point());
        let cost = match look(self, session, point.as_ref(), place) {
            Err(Excluded::Forbidden { rule }) => return Reason::Forbidden { rule },
            Err(Excluded::Closed) => return Reason::Closed,
            Ok(ranked) => ranked.terms.cost(),
        };
        let held =
            session.moved_ms.is_some_and(|at| now_ms.saturating_sub(at) < u64::from(policy.hold_s) * 1_000);
        let room = self.view().places[best.0].edges[best.1].has_room(self.bar());
        if here.load > 1.0 && *best != (place, edge) && room && !held {
            let goes = 1.0 - RELIEVED / here.load;
            if unit(pathway.as_bytes(), session.id ^ RELIEF ^ (now_ms / TURN_MS)) < goes {
                return Reason::Relieved;
            }
        }
        let saves = ranked.first().map_or(0.0, |best| cost - best.terms.cost());
        if best.0 == place || saves <= policy.margin {
            return Reason::Stays;
        }
        let turn = unit(&(now_ms / TURN_MS).to_le_bytes(), session.id ^ TURN) < TURN_SHARE;
        if held || !turn { Reason::Held { saves } } else { Reason::Better { saves } }
    }

    /// In peace long, and not the same for all, so that they do not come together; short around what is suspect.
    fn ttl(&self, session: &Session, at: &[(usize, usize)], reason: &Reason) -> u32 {
        let policy = &self.view().policy;
        let suspect = at.first().is_none_or(|(place, edge)| {
            let edge = &self.view().places[*place].edges[*edge];
            !edge.open || edge.health < 1.0
        });
        let full = at.first().is_some_and(|(place, edge)| self.view().places[*place].edges[*edge].load > 1.0);
        if suspect {
            return policy.alarm_ttl_s;
        }
        if full || matches!(reason, Reason::Held { .. }) {
            // When the next turn comes.
            return policy.calm_ttl_s.min((TURN_MS / 1_000) as u32);
        }
        let tenth = u64::from(policy.calm_ttl_s / 10) + 1;
        policy.calm_ttl_s - u32::try_from(session.id % tenth).unwrap_or(0)
    }

    fn choice(&self, place: usize, edge: usize) -> Choice {
        let place = &self.view().places[place];
        let edge = &place.edges[edge];
        Choice { pathway: edge.pathway.to_string(), url: edge.url.clone(), place: place.name.clone() }
    }
}

/// Two of a place, then one of another: a player waits seconds for each edge of a lost site, and has few.
fn elsewhere(at: &mut [(usize, usize)]) {
    let Some((first, _)) = at.first().copied() else { return };
    let other = at.iter().position(|(place, _)| *place != first);
    if let Some(other) = other.filter(|other| *other > OF_A_PLACE) {
        at[OF_A_PLACE..=other].rotate_right(1);
    }
}
