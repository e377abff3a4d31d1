//! The decision: where a session goes, where it goes if that fails, when it asks again, and why.

use serde::{Deserialize, Serialize};

use super::rank::{Costed, Excluded, Ranked, look, rank};
use super::session::Session;
use super::view::{Edge, Steer};
use crate::placement::{self, PlacementKey, Seed, unit};

/// Pathways a session is told of.
pub const MAX_CHOICES: usize = 6;
/// Those of the first place; others have one or two.
const OF_THE_FIRST: usize = 3;
const OF_OTHERS: usize = 2;
/// How far from a place one is that is not lost together with it.
const FAR_KM: f64 = 3_000.0;
/// Far places that those of a lost site are spread over.
const REFUGES: usize = 3;
/// Milliseconds of a turn, and how many there are until it is the first's again. A session may move for a better place in
/// one of them, always the same: all have gone after 100 s, and loads have been measured anew ten times.
const TURN_MS: u64 = 10_000;
const TURNS: u64 = 10;
/// The load that an edge is relieved to: the share above it is what goes, in each turn. An edge cannot send more than it can, so
/// that its load says little of what it is asked for: the shares of several turns go until it has not too much any more.
const RELIEVED: f64 = 0.9;
const TURN: u64 = 0x7475_726e;
const RELIEF: u64 = 0x7265_6c66;
const REFUGE: u64 = 0x7265_6675;

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
        let order = rank(self, session);
        let here = session.position.map(|position| position.point());
        let ranked = (order.iter())
            .filter_map(|of| {
                let looked = look(self, session, here.as_ref(), of.place).ok()?;
                Some(Ranked { drawn: of.drawn, ..looked })
            })
            .collect();
        let excluded = (0..self.view().places.len())
            .filter_map(|place| Some((place, look(self, session, here.as_ref(), place).err()?)))
            .collect();
        Explanation { decision: self.decided(session, now_ms, &order), ranked, excluded }
    }

    fn decided(&self, session: &Session, now_ms: u64, ranked: &[Costed]) -> Decision {
        let mut at = self.choices(session, ranked);
        let reason = self.reason(session, now_ms, ranked, at.first());
        let current = session.pathway.as_deref().and_then(|pathway| self.find(pathway));
        if let Some(current) = current {
            at.retain(|choice| *choice != current);
            if matches!(reason, Reason::Stays | Reason::Held { .. }) {
                at.insert(0, current);
            }
        }
        self.elsewhere(session, ranked, &mut at);
        at.truncate(MAX_CHOICES);
        let ttl_s = self.ttl(session, now_ms, &at, &reason);
        let choices = at.into_iter().map(|(place, edge)| self.choice(place, edge)).collect();
        Decision { view: self.view().version, choices, reason, ttl_s }
    }

    /// Edges by preference, those with room first: of the first place in the video's own order, of others drawn by the session,
    /// so that the viewers of a popular video do not all fail over to one edge.
    fn choices(&self, session: &Session, ranked: &[Costed]) -> Vec<(usize, usize)> {
        let mut all = Vec::with_capacity(MAX_CHOICES + OF_THE_FIRST);
        for (nth, ranked) in ranked.iter().enumerate() {
            let (key, wanted) = match nth {
                0 => (session.key, OF_THE_FIRST),
                _ => (PlacementKey::from_u64(session.id ^ REFUGE), OF_OTHERS),
            };
            self.edges(key, ranked.place, wanted, &mut all);
            if all.len() > MAX_CHOICES {
                break;
            }
        }
        all
    }

    /// Adds the first edges of a place for a key: [`placement::order`] with those first that have room, without the rest.
    fn edges(&self, key: PlacementKey, place: usize, wanted: usize, all: &mut Vec<(usize, usize)>) {
        let bar = self.bar();
        let edges = &self.view().places[place].edges;
        let mut best = [None; OF_THE_FIRST];
        let best = &mut best[..wanted];
        for (at, edge) in edges.iter().enumerate().filter(|(_, edge)| edge.serves(bar)) {
            let score = placement::score(Seed::Near, key, &edge.pathway, edge.weight);
            if score > 0.0 {
                insert(best, (edge.has_room(bar), score, at), edges);
            }
        }
        all.extend(best.iter().flatten().map(|(_, _, at)| (place, *at)));
    }

    /// The second choice is far from the first: a player waits seconds for each edge of a lost site or region, and its buffer has
    /// seconds. Where nothing is far, it is at the best other place.
    fn elsewhere(&self, session: &Session, ranked: &[Costed], at: &mut Vec<(usize, usize)>) {
        let Some((first, _)) = at.first().copied() else { return };
        if let Some(refuge) = self.refuge(session, first, ranked) {
            at.retain(|choice| *choice != refuge);
            at.insert(1, refuge);
        } else if let Some(other) = at.iter().position(|(place, _)| *place != first) {
            at[1..=other].rotate_right(1);
        }
    }

    /// An edge far from a place: drawn by weight among the best far places and all their edges, so that those of a lost site do not
    /// all go to one.
    fn refuge(&self, session: &Session, first: usize, ranked: &[Costed]) -> Option<(usize, usize)> {
        let far = |of: &&Costed| {
            let points = self.point(first).zip(self.point(of.place));
            of.place != first && points.is_none_or(|(a, b)| a.km_to(b) >= FAR_KM)
        };
        let draw = |of: &&Costed| {
            let place = &self.view().places[of.place];
            let weight: f64 = place.edges.iter().filter(|edge| edge.open).map(|edge| edge.weight).sum();
            -weight / unit(place.name.as_bytes(), session.id ^ REFUGE).ln()
        };
        let drawn = ranked.iter().filter(far).take(REFUGES).max_by(|a, b| draw(a).total_cmp(&draw(b)))?.place;
        let mut edges = Vec::with_capacity(1);
        self.edges(PlacementKey::from_u64(session.id ^ REFUGE), drawn, 1, &mut edges);
        edges.pop()
    }

    fn reason(
        &self,
        session: &Session,
        now_ms: u64,
        ranked: &[Costed],
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
        let held = self.held_until(session).is_some_and(|until| now_ms < until);
        let room = self.view().places[best.0].edges[best.1].has_room(self.bar());
        if here.load > 1.0 && *best != (place, edge) && room && !held {
            let goes = 1.0 - RELIEVED / here.load;
            if unit(pathway.as_bytes(), session.id ^ RELIEF ^ (now_ms / TURN_MS)) < goes {
                return Reason::Relieved;
            }
        }
        let saves = in_km(ranked.first().map_or(0.0, |best| cost - best.cost));
        if best.0 == place || saves <= policy.margin {
            return Reason::Stays;
        }
        let turn = now_ms / TURN_MS % TURNS == turn_of(session);
        if held || !turn { Reason::Held { saves } } else { Reason::Better { saves } }
    }

    /// Until when it is left where it is, in Unix milliseconds.
    fn held_until(&self, session: &Session) -> Option<u64> {
        session.moved_ms.map(|at| at.saturating_add(u64::from(self.view().policy.hold_s) * 1_000))
    }

    /// In peace long, and not the same for all, so that they do not come together; short around what is suspect.
    fn ttl(&self, session: &Session, now_ms: u64, at: &[(usize, usize)], reason: &Reason) -> u32 {
        let policy = &self.view().policy;
        let suspect = at.first().is_none_or(|(place, edge)| {
            let edge = &self.view().places[*place].edges[*edge];
            !edge.open || edge.health < 1.0
        });
        let full = at.first().is_some_and(|(place, edge)| self.view().places[*place].edges[*edge].load > 1.0);
        if suspect {
            return policy.alarm_ttl_s;
        }
        if full {
            // When the next turn comes.
            return policy.calm_ttl_s.min((TURN_MS / 1_000) as u32);
        }
        if matches!(reason, Reason::Held { .. }) {
            return policy.calm_ttl_s.min(self.until_turn(session, now_ms));
        }
        let tenth = u64::from(policy.calm_ttl_s / 10) + 1;
        policy.calm_ttl_s - u32::try_from(session.id % tenth).unwrap_or(0)
    }

    /// Seconds until a session's next turn, in which it is not held: somewhere in the turn, so that they do not come together.
    fn until_turn(&self, session: &Session, now_ms: u64) -> u32 {
        let from = self.held_until(session).unwrap_or(0).max(now_ms) / TURN_MS + 1;
        let turns = (turn_of(session) + TURNS - from % TURNS) % TURNS;
        // Whoever is a second late is still in its turn.
        let within = session.id / TURNS % (TURN_MS - 2_000);
        let at_ms = (from + turns) * TURN_MS + within;
        u32::try_from(at_ms.saturating_sub(now_ms).div_ceil(1_000)).unwrap_or(u32::MAX)
    }

    fn choice(&self, place: usize, edge: usize) -> Choice {
        let place = &self.view().places[place];
        let edge = &place.edges[edge];
        Choice { pathway: edge.pathway.to_string(), url: edge.url.clone(), place: place.name.clone() }
    }
}

/// An edge with whether it has room and its score.
type Scored = (bool, f64, usize);

/// Puts an edge among the best, if it is one of them; of equal scores the lesser name is better.
fn insert(best: &mut [Option<Scored>], mut next: Scored, edges: &[Edge]) {
    let better = |a: &Scored, b: &Scored| {
        (a.0.cmp(&b.0))
            .then(a.1.total_cmp(&b.1))
            .then_with(|| edges[b.2].pathway.cmp(&edges[a.2].pathway))
            .is_gt()
    };
    for kept in best {
        match kept {
            None => return *kept = Some(next),
            Some(kept) if better(&next, kept) => std::mem::swap(kept, &mut next),
            Some(_) => {}
        }
    }
}

/// Which of the turns is a session's.
fn turn_of(session: &Session) -> u64 {
    (unit(&[], session.id ^ TURN) * TURNS as f64) as u64
}

/// A cost to the kilometre: what is told of it reads back as the same number from any JSON.
fn in_km(cost: f64) -> f64 {
    (cost * 1_000.0).round() / 1_000.0
}
