use super::*;
use crate::cache::{Growing, Head, Lifetimes, POLICY};
use crate::tenant::Tenant;
use http::{HeaderMap, StatusCode};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::SystemTime;

const TARGET: &str = "/a/b?c";

fn object(version: Option<u64>, mark: FeedMark) -> Object {
    let mut headers = HeaderMap::new();
    headers.insert("cache-control", "max-age=60".parse().unwrap());
    headers.insert("surrogate-key", "a".parse().unwrap());
    if let Some(version) = version {
        headers.insert("sluice-version", format!("a={version}").parse().unwrap());
    }
    let lifetimes =
        Lifetimes::of(&HeaderMap::new(), StatusCode::OK, &headers, SystemTime::now(), POLICY).unwrap();
    let head = Head { status: StatusCode::OK, headers, lifetimes, varies: (vec![], String::new()) };
    let object = Object::new(head, Arc::new(Growing::new(0)), mark);
    object.marks.set(marks::all(&Tenant::own(), TARGET)).unwrap();
    object
}

fn tag() -> Aim {
    Aim::Tag(Tag::new("a").unwrap())
}

fn aims() -> impl Strategy<Value = Aim> {
    let own = Tenant::own();
    let url = Aim::Mark(marks::of_url(&own, TARGET));
    let prefix = Aim::Mark(marks::of_prefix(&own, "/a"));
    prop::sample::select(vec![tag(), url, prefix, Aim::Everything])
}

fn severities() -> impl Strategy<Value = Severity> {
    prop::sample::select(vec![Severity::Soft, Severity::Changed, Severity::Hard])
}

proptest! {
    #[test]
    fn floors_only_rise_whatever_the_order(events in prop::collection::vec(1u64..50, 1..20), version in 0u64..50) {
        let floors = Floors::default();
        for (seq, event) in events.iter().enumerate() {
            floors.apply(&[tag()], Severity::Changed, Version(*event), seq as u64 + 1);
        }
        let highest = *events.iter().max().unwrap();
        prop_assert_eq!(floors.is_below(&object(Some(version), floors.mark())), version < highest);
    }

    #[test]
    fn the_worst_floor_counts_and_what_is_asked_for_after_it_is_above(
        events in prop::collection::vec((aims(), severities()), 1..10),
    ) {
        let floors = Floors::default();
        let kept = object(None, floors.mark());
        for (seq, (aim, severity)) in events.iter().enumerate() {
            floors.apply(std::slice::from_ref(aim), *severity, Version(1), seq as u64 + 1);
        }
        let verdict = floors.verdict(&kept, &[]);
        let has = |wanted| events.iter().any(|(_, severity)| *severity == wanted);
        match (has(Severity::Hard), has(Severity::Changed)) {
            (true, _) => prop_assert_eq!(verdict, Verdict::Hard),
            (false, true) => prop_assert_eq!(verdict, Verdict::Changed),
            (false, false) => prop_assert!(matches!(verdict, Verdict::Soft(_))),
        }
        prop_assert_eq!(floors.verdict(&object(None, floors.mark()), &[]), Verdict::Above);
    }
}

#[test]
fn a_purge_here_outlives_versions_and_ends_with_the_next_question() {
    let floors = Floors::default();
    let kept = object(Some(9), floors.mark());
    floors.purge_here(&[tag()], true);
    assert!(matches!(floors.verdict(&kept, &[]), Verdict::Soft(_)));
    floors.purge_here(&[Aim::Mark(marks::of_prefix(&Tenant::own(), "/"))], false);
    assert_eq!(floors.verdict(&kept, &[]), Verdict::Hard);
    assert_eq!(floors.verdict(&object(Some(9), floors.mark()), &[]), Verdict::Above);
    floors.purge_here(&[Aim::Mark(marks::of_url(&Tenant::own(), "/other"))], false);
    assert_eq!(floors.verdict(&object(None, floors.mark()), &[]), Verdict::Above);
}

#[test]
fn lost_continuity_makes_everything_stale() {
    let floors = Floors::default();
    let kept = object(Some(5), floors.mark());
    assert!(!floors.is_below(&kept));
    floors.restart(100);
    assert_eq!(floors.verdict(&kept, &[]), Verdict::Changed);
    let later = object(Some(5), floors.mark());
    assert!(!floors.is_below(&later));
    floors.apply(&[Aim::Everything], Severity::Hard, Version(1), 101);
    assert_eq!(floors.verdict(&later, &[]), Verdict::Hard);
    floors.restart(3);
    assert_eq!(floors.verdict(&object(None, floors.mark()), &[]), Verdict::Above, "a log with another past");
}

/// A fill that a near edge has under way.
struct Fill {
    mark: FeedMark,
    state: Reply,
}

/// How far a fill is.
enum Reply {
    /// On its way to the shield.
    Asked,
    /// The shield asked the origin, at this mark of its own; what the origin had then.
    AtOrigin(FeedMark, u64),
    /// On its way back.
    Answered(u64),
}

/// Two tiers and an origin, each by itself: what it keeps, how far in the log it is, what is under way.
#[derive(Default)]
struct Model {
    origin: u64,
    /// What the origin had when each event was committed; the aim of each.
    log: Vec<(Aim, u64)>,
    near: Floors,
    shield: Floors,
    near_at: usize,
    shield_at: usize,
    near_has: Option<(Object, u64)>,
    shield_has: Option<(Object, u64)>,
    fills: VecDeque<Fill>,
}

impl Model {
    fn step(&mut self, step: u8, aim: &Aim) {
        match step {
            0 => {
                self.origin += 1;
                self.log.push((aim.clone(), self.origin));
            }
            1 if self.near_at < self.log.len() => {
                self.near_at += 1;
                apply(&self.near, &self.log[self.near_at - 1].0, self.near_at);
            }
            2 if self.shield_at < self.log.len() => {
                self.shield_at += 1;
                apply(&self.shield, &self.log[self.shield_at - 1].0, self.shield_at);
            }
            3 => self.fills.push_back(Fill { mark: self.near.mark(), state: Reply::Asked }),
            4 => self.shield_takes(),
            5 => self.origin_answers(),
            _ => self.near_receives(),
        }
        self.near_serves();
    }

    /// The shield answers out of its cache, or asks the origin: for the asker alone when it is behind the asker.
    fn shield_takes(&mut self) {
        let Some(fill) = self.fills.iter_mut().find(|f| matches!(f.state, Reply::Asked)) else { return };
        let mark = self.shield.mark();
        let behind = is_behind(mark, fill.mark.seq);
        fill.state = match &self.shield_has {
            Some((kept, value)) if !behind && !self.shield.is_below(kept) => Reply::Answered(*value),
            _ => Reply::AtOrigin(mark, self.origin),
        };
    }

    fn origin_answers(&mut self) {
        let Some(fill) = self.fills.iter_mut().find(|f| matches!(f.state, Reply::AtOrigin(..))) else {
            return;
        };
        let Reply::AtOrigin(mark, value) = fill.state else { return };
        fill.state = Reply::Answered(value);
        self.shield_has = Some((object(None, mark), value));
    }

    fn near_receives(&mut self) {
        let at = self.fills.iter().position(|f| matches!(f.state, Reply::Answered(_)));
        if let Some(fill) = at.and_then(|at| self.fills.remove(at))
            && let Reply::Answered(value) = fill.state
        {
            self.near_has = Some((object(None, fill.mark), value));
        }
    }

    /// What the near edge may serve shows every event it has applied.
    fn near_serves(&self) {
        let known = self.log[..self.near_at].last().map_or(0, |(_, value)| *value);
        if let Some((kept, value)) = &self.near_has
            && !self.near.is_below(kept)
        {
            assert!(*value >= known, "served {value} after {known} was acknowledged");
        }
    }
}

fn apply(floors: &Floors, aim: &Aim, seq: usize) {
    floors.apply(std::slice::from_ref(aim), Severity::Hard, Version(seq as u64), seq as u64);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn an_applied_purge_is_final_over_two_tiers(
        steps in prop::collection::vec((0u8..7, aims()), 1..80),
    ) {
        let mut model = Model::default();
        for (step, aim) in &steps {
            model.step(*step, aim);
        }
    }
}
