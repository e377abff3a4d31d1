//! Places by preference for a session, each with what it costs and why.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use super::session::Session;
use super::view::{Place, Steer};
use crate::geo::Point;
use crate::placement::unit;

/// The most that load counts for: the cost at 95 % of capacity.
const MOST_LOAD: f64 = 0.95;
/// Seeds of the draws, which keep them independent of one another and of placement.
const MIX: u64 = 0x6d69_7800;
const SPREAD: u64 = 0x7370_7264;
const REFUGE: u64 = 0x7265_6675;

/// What a place costs a session, in units of 1,000 km.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// How far it is.
    pub distance: f64,
    /// How busy it is.
    pub load: f64,
    /// What the next gigabyte costs.
    pub price: f64,
    /// How badly it serves this network.
    pub quality: f64,
    /// What a rule of the policy adds.
    pub rule: f64,
}

impl Terms {
    /// All together.
    #[must_use]
    pub fn cost(&self) -> f64 {
        self.distance + self.load + self.price + self.quality + self.rule
    }
}

/// Why a place is no choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "why")]
#[non_exhaustive]
pub enum Excluded {
    /// A rule of the policy, by its place there.
    Forbidden {
        /// Its index.
        rule: usize,
    },
    /// No edge of it serves.
    Closed,
}

/// A place that is a choice.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ranked {
    /// Its index in the view.
    pub place: usize,
    /// What it costs.
    pub terms: Terms,
    /// True when it takes new sessions.
    pub room: bool,
    /// True when it was put first by the mix that is asked for.
    pub drawn: bool,
}

/// What one place is to a session.
pub(super) fn look(
    steer: &Steer,
    session: &Session,
    here: Option<&Point>,
    place: usize,
) -> Result<Ranked, Excluded> {
    let (policy, of, sum) = (&steer.view().policy, &steer.view().places[place], steer.sum(place));
    let rule = policy
        .rules
        .iter()
        .enumerate()
        .find(|(_, rule)| rule.fits(session.country, session.network, &of.name));
    if let Some((at, _)) = rule.filter(|(_, rule)| rule.never) {
        return Err(Excluded::Forbidden { rule: at });
    }
    if sum.serving == 0 {
        return Err(Excluded::Closed);
    }
    let far = match (here, steer.point(place)) {
        (Some(here), Some(there)) => here.km_to(there) / 1_000.0,
        _ => 0.0,
    };
    let busy = sum.load.clamp(0.0, MOST_LOAD);
    let terms = Terms {
        distance: policy.weights.distance * far,
        load: policy.weights.load * busy * busy / (1.0 - busy),
        price: policy.weights.price * of.price,
        quality: policy.weights.quality * (1.0 - quality(of, session.network)),
        rule: rule.map_or(0.0, |(_, rule)| rule.add),
    };
    Ok(Ranked { place, terms, room: sum.headroom > 0.0, drawn: false })
}

fn quality(place: &Place, network: Option<u32>) -> f64 {
    let known = network.and_then(|network| place.networks.get(&network)).copied();
    known.unwrap_or(place.quality).clamp(0.0, 1.0)
}

/// A place that is a choice, as short as sorting wants it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Costed {
    pub(super) cost: f64,
    pub(super) place: usize,
    pub(super) room: bool,
    pub(super) drawn: bool,
}

/// All that are choices, the best first.
///
/// Those with room come before those without. What is within the policy's spread of the cheapest is drawn by headroom
/// (weighted rendezvous on the session's name, so that it draws the same each time, and few draw anew when headroom
/// changes). So is, within the margin of the cheapest of the rest, where it goes if the first fails: those of a lost site do
/// not all go to the one next to it. Where places have shares of the mix, it is drawn first whose turn this session is.
pub(super) fn rank(steer: &Steer, session: &Session) -> Vec<Costed> {
    let places = steer.view().places.len();
    let here = session.position.map(|position| position.point());
    let mut all: Vec<Costed> = Vec::with_capacity(places);
    all.extend((0..places).filter_map(|place| {
        let Ranked { terms, room, .. } = look(steer, session, here.as_ref(), place).ok()?;
        Some(Costed { cost: terms.cost(), place, room, drawn: false })
    }));
    all.sort_unstable_by_key(|of| (!of.room, ordered(of.cost), of.place));
    let mixed = |of: &Costed| steer.view().places[of.place].share.is_some();
    if all.iter().any(mixed) {
        // By turn: its own, then what has no share, then the others that have one.
        let turn = draw_mix(steer, session, &all);
        all.sort_by_key(|of| match (turn, mixed(of)) {
            (Some(place), _) if place == of.place => 0,
            (_, false) => 1,
            (_, true) => 2,
        });
        if let Some(first) = all.first_mut().filter(|of| turn == Some(of.place)) {
            first.drawn = true;
        }
    }
    let policy = &steer.view().policy;
    if all.first().is_some_and(|first| !first.drawn) {
        spread(steer, session, (SPREAD, policy.spread), &mut all);
    }
    if let [_, rest @ ..] = all.as_mut_slice() {
        spread(steer, session, (REFUGE, policy.margin.max(policy.spread)), rest);
    }
    all
}

/// Puts those whose cost is at most so much above the least of those that are like the first in an order drawn by headroom.
fn spread(steer: &Steer, session: &Session, (seed, above): (u64, f64), all: &mut [Costed]) {
    let Some(first) = all.first() else { return };
    let (room, mixed) = (first.room, steer.view().places[first.place].share.is_some());
    let alike = |of: &Costed| of.room == room && steer.view().places[of.place].share.is_some() == mixed;
    let alikes = || all.iter().take_while(|of| alike(of));
    let limit = above + alikes().map(|of| of.cost).fold(f64::INFINITY, f64::min);
    // Those within the limit come first: what has been drawn before is a part of them.
    let near = alikes().filter(|of| of.cost <= limit).count();
    if near < 2 {
        return;
    }
    let score = |of: &Costed| {
        let weight = if room { steer.sum(of.place).headroom } else { 1.0 };
        draw(session.id, seed, &steer.view().places[of.place].name, weight)
    };
    all[..near].sort_by_cached_key(|of| Reverse(ordered(score(of))));
}

/// A whole number that is ordered as [`f64::total_cmp`] orders: keys are computed once, not with each comparison.
const fn ordered(number: f64) -> i64 {
    let bits = number.to_bits().cast_signed();
    bits ^ (((bits >> 63).cast_unsigned()) >> 1).cast_signed()
}

/// Whose turn a session is: a place with a share, or `None` for all that have none.
fn draw_mix(steer: &Steer, session: &Session, all: &[Costed]) -> Option<usize> {
    let share = |of: &Costed| steer.view().places[of.place].share;
    let shared: f64 = steer.view().places.iter().filter_map(|place| place.share).sum();
    let open = |of: &&Costed| of.room;
    let rest = (draw(session.id, MIX, "", (1.0 - shared).max(0.0)), None);
    (all.iter().filter(open))
        .filter_map(|r| {
            Some((draw(session.id, MIX, &steer.view().places[r.place].name, share(r)?), Some(r.place)))
        })
        .fold(rest, |best, next| if next.0 > best.0 { next } else { best })
        .1
}

/// Weighted rendezvous: the highest of these is drawn in proportion to its weight.
fn draw(session: u64, seed: u64, name: &str, weight: f64) -> f64 {
    if weight <= 0.0 { 0.0 } else { -weight / unit(name.as_bytes(), session ^ seed).ln() }
}
