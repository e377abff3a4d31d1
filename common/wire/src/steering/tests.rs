//! Steering as a story: fleets, sessions, and what changes between two questions.

use super::*;
use crate::placement::PlacementKey;
use crate::{Country, NodeId, Position};
use proptest::prelude::*;

const NOW: u64 = 1_800_000_000_000;

fn edge(name: &str) -> Edge {
    let pathway = NodeId::new(name).unwrap();
    Edge { pathway, url: format!("http://{name}:80"), weight: 1.0, open: true, health: 1.0, load: 0.2 }
}

fn place(name: &str, longitude: f64, edges: usize) -> Place {
    Place {
        name: name.into(),
        position: Some(Position { latitude: 50.0, longitude }),
        price: 0.0,
        share: None,
        networks: [].into(),
        quality: 1.0,
        edges: (0..edges).map(|n| edge(&format!("{name}-{n}"))).collect(),
    }
}

/// Two sites some 3,500 km apart.
fn fleet() -> View {
    View { version: 1, places: vec![place("fra", 8.0, 3), place("msk", 58.0, 3)], ..View::default() }
}

fn viewer(id: u64) -> Session {
    Session {
        position: Some(Position { latitude: 52.0, longitude: 10.0 }),
        ..Session::new(spread(id), PlacementKey::of("film"))
    }
}

/// As names of sessions are: evenly spread.
fn spread(id: u64) -> u64 {
    xxhash_rust::xxh3::xxh3_64(&id.to_le_bytes())
}

fn first(decision: &Decision) -> &str {
    &decision.choices[0].place
}

fn on(session: Session, decision: &Decision, now: u64) -> Session {
    let moved_ms = if decision.reason.is_move() { Some(now) } else { session.moved_ms };
    Session { pathway: Some(decision.choices[0].pathway.clone()), moved_ms, ..session }
}

#[test]
fn a_new_session_goes_to_the_nearest_and_stays_there() {
    let steer = Steer::new(fleet());
    let decision = steer.decide(&viewer(1), NOW);
    assert_eq!((first(&decision), decision.reason), ("fra", Reason::New));
    assert_eq!(decision.choices.len(), 5, "three of its site, two of the next: {decision:?}");
    assert!((270..=300).contains(&decision.ttl_s));
    let again = steer.decide(&on(viewer(1), &decision, NOW), NOW + 1);
    assert_eq!((again.reason, &again.choices), (Reason::Stays, &decision.choices));
}

#[test]
fn viewers_of_one_film_share_an_edge() {
    let steer = Steer::new(fleet());
    let edges = |id: u64| -> Vec<String> {
        let choices = steer.decide(&viewer(id), NOW).choices.into_iter();
        choices.filter(|choice| choice.place == "fra").map(|choice| choice.pathway).collect()
    };
    assert!((2..100).all(|id| edges(id) == edges(1)));
}

#[test]
fn who_is_on_a_drained_or_broken_edge_goes_at_once_however_lately_it_was_moved() {
    let before = Steer::new(fleet()).decide(&viewer(1), NOW);
    let session = Session { moved_ms: Some(NOW), ..on(viewer(1), &before, NOW) };
    let gone = before.choices[0].pathway.clone();
    let fault = |fault: fn(&mut Edge)| {
        let mut view = fleet();
        view.places
            .iter_mut()
            .flat_map(|p| &mut p.edges)
            .filter(|e| e.pathway.as_str() == gone)
            .for_each(fault);
        Steer::new(view).decide(&session, NOW + 1)
    };
    let drained = fault(|edge| edge.open = false);
    assert_eq!(drained.reason, Reason::Closed);
    assert_eq!(drained.choices[0], before.choices[2], "to the next in the film's own order");
    assert!(drained.choices.iter().all(|c| c.pathway != gone));
    assert_eq!(fault(|edge| edge.health = 0.4).reason, Reason::Unwell);
    let suspect = fault(|edge| edge.health = 0.8);
    assert_eq!((suspect.reason, suspect.ttl_s), (Reason::Stays, 1), "asked again soon");
}

#[test]
fn an_edge_that_swings_moves_a_session_once_in_30_seconds() {
    let mut session = viewer(7);
    let mut moves: Vec<u64> = vec![];
    for second in 0..600u64 {
        // The nearer site is full and empty by turns, at 0.2 Hz.
        let mut view = fleet();
        let load = if second / 5 % 2 == 0 { 1.5 } else { 0.1 };
        view.places[0].edges.iter_mut().for_each(|edge| edge.load = load);
        let now = NOW + second * 1_000;
        let decision = Steer::new(view).decide(&session, now);
        if decision.reason.is_move() {
            moves.push(second);
        }
        session = on(session, &decision, now);
    }
    assert!(moves.windows(2).all(|pair| pair[1] - pair[0] >= 30), "{moves:?}");
}

#[test]
fn an_edge_with_too_much_loses_the_share_that_is_too_much() {
    let mut view = fleet();
    view.places[0].edges.iter_mut().for_each(|edge| edge.load = 1.2);
    let (steer, calm) = (Steer::new(view), Steer::new(fleet()));
    let gone = (0..4_000)
        .map(|id| on(viewer(id), &calm.decide(&viewer(id), NOW), NOW))
        .filter(|session| steer.decide(session, NOW).reason == Reason::Relieved)
        .count();
    assert!((900..1_100).contains(&gone), "a quarter of 4,000 expected: {gone}");
}

#[test]
fn the_second_choice_is_far_so_that_a_lost_site_or_region_is_left_in_time() {
    let mut view = fleet();
    view.places.extend([place("ams", 5.0, 3), place("ber", 13.0, 3)]);
    let steer = Steer::new(view);
    for id in 0..200 {
        let new = steer.decide(&viewer(id), NOW);
        let stays = steer.decide(&on(viewer(id), &new, NOW), NOW);
        for decision in [new, stays] {
            let places: Vec<&str> = decision.choices.iter().map(|choice| choice.place.as_str()).collect();
            assert!(["fra", "ams", "ber"].contains(&places[0]), "{places:?}");
            assert_eq!((places[1], places.len()), ("msk", 6));
            let told: std::collections::BTreeSet<_> = decision.choices.iter().map(|c| &c.pathway).collect();
            assert_eq!(told.len(), 6, "each once: {decision:?}");
        }
    }
}

#[test]
fn where_nothing_is_far_the_second_choice_is_at_another_place() {
    let mut view = fleet();
    view.places = vec![place("fra", 8.0, 3), place("ams", 5.0, 3)];
    let decision = Steer::new(view).decide(&viewer(1), NOW);
    let places: Vec<&str> = decision.choices.iter().map(|choice| choice.place.as_str()).collect();
    assert_ne!(places[0], places[1], "{places:?}");
}

#[test]
fn who_waits_for_its_turn_asks_again_in_it_and_moves_then() {
    let mut view = fleet();
    view.policy.weights.price = 1_000.0;
    view.places[0].price = 0.01;
    let steer = Steer::new(view);
    let mut asked = 0;
    for id in 0..2_000 {
        let session = Session { pathway: Some("fra-0".into()), ..viewer(id) };
        let decision = steer.decide(&session, NOW);
        if matches!(decision.reason, Reason::Better { .. }) {
            continue;
        }
        assert!(matches!(decision.reason, Reason::Held { .. }) && decision.ttl_s < 100, "{decision:?}");
        let then = NOW + u64::from(decision.ttl_s) * 1_000;
        // A second late, as timers of players are.
        for at in [then, then + 999] {
            assert!(matches!(steer.decide(&session, at).reason, Reason::Better { .. }), "{decision:?}");
        }
        let moved = Session { moved_ms: Some(NOW), ..session };
        let then = NOW + u64::from(steer.decide(&moved, NOW).ttl_s) * 1_000;
        assert!(then >= NOW + 30_000 && matches!(steer.decide(&moved, then).reason, Reason::Better { .. }));
        asked += 1;
    }
    assert!((1_700..1_900).contains(&asked), "a tenth moves at once: {asked}");
}

#[test]
fn edges_of_a_place_are_in_the_films_own_order_those_with_room_first() {
    let mut view = fleet();
    view.places = vec![place("fra", 8.0, 9)];
    for id in 0..200 {
        let session = Session { key: PlacementKey::of(&format!("film-{id}")), ..viewer(id) };
        view.places[0].edges[id as usize % 9].load = 1.0;
        let edges = &view.places[0].edges;
        let mut wanted = crate::placement::order(crate::placement::Seed::Near, session.key, edges);
        wanted.sort_by_key(|edge| edge.load >= 0.9);
        let wanted: Vec<String> = wanted.iter().take(3).map(|edge| edge.pathway.to_string()).collect();
        let decision = Steer::new(view.clone()).decide(&session, NOW);
        let told: Vec<String> = decision.choices.into_iter().map(|choice| choice.pathway).collect();
        assert_eq!(told, wanted);
        view.places[0].edges[id as usize % 9].load = 0.2;
    }
}

#[test]
fn those_of_a_lost_site_do_not_all_go_to_one_edge() {
    let mut view = fleet();
    view.policy.spread = 0.0;
    view.places =
        vec![place("fra", 8.0, 3), place("iad", -77.0, 4), place("ord", -88.0, 2), place("sin", 104.0, 2)];
    view.places.push(place("syd", 151.0, 9));
    let steer = Steer::new(view);
    let mut count = std::collections::HashMap::new();
    for id in 0..8_000 {
        let decision = steer.decide(&viewer(id), NOW);
        assert_eq!(first(&decision), "fra");
        *count.entry(decision.choices[1].pathway.clone()).or_insert(0u32) += 1;
    }
    assert_eq!(count.len(), 8, "the three best far places, by their edges: {count:?}");
    assert!(count.values().all(|count| (850..1_150).contains(count)), "{count:?}");
}

#[test]
fn an_edge_that_stays_too_full_goes_on_losing_a_share_with_each_turn() {
    // What it sends, and so its load, cannot rise above what it can: it is 1.2, though twice as much is asked for.
    let mut view = fleet();
    let here = view.places[0].edges[0].pathway.to_string();
    view.places[0].edges[0].load = 1.2;
    let steer = Steer::new(view);
    let mut left: Vec<Session> =
        (0..4_000).map(|id| Session { pathway: Some(here.clone()), ..viewer(id) }).collect();
    for turn in 1..=5u64 {
        let now = NOW + turn * 10_000;
        left.retain(|session| steer.decide(session, now).reason != Reason::Relieved);
        assert!(left.iter().all(|session| steer.decide(session, now + 5_000).reason != Reason::Relieved));
        let wanted = 4_000.0 * 0.75f64.powf(turn as f64);
        assert!((left.len() as f64 - wanted).abs() < 100.0, "{} instead of {wanted}", left.len());
    }
}

#[test]
fn where_all_is_full_nobody_goes_to_and_fro_and_nobody_asks_all_the_time() {
    let mut view = fleet();
    view.places.iter_mut().flat_map(|p| &mut p.edges).for_each(|edge| edge.load = 1.2);
    let steer = Steer::new(view);
    for id in 0..1_000 {
        let session = Session { pathway: Some(format!("fra-{}", id % 3)), ..viewer(id) };
        let decision = steer.decide(&session, NOW);
        assert_eq!((decision.reason, decision.ttl_s), (Reason::Stays, 10), "{session:?}");
    }
}

#[test]
fn places_that_are_alike_share_sessions_by_headroom() {
    let mut view = fleet();
    view.places = vec![place("a", 8.0, 1), place("b", 8.1, 3)];
    let steer = Steer::new(view);
    let a = (0..4_000).filter(|id| first(&steer.decide(&viewer(*id), NOW)) == "a").count();
    assert!((900..1_100).contains(&a), "a quarter of 4,000 expected: {a}");
}

#[test]
fn the_mix_follows_its_shares_within_two_percent_and_few_move_when_it_changes() {
    let mix = |share: f64| {
        let mut view = fleet();
        view.places.push(Place { share: Some(share), ..place("cdn-x", 0.0, 1) });
        view.places.push(Place { share: Some(0.1), ..place("cdn-y", 0.0, 1) });
        Steer::new(view)
    };
    let on_x = |steer: &Steer| -> Vec<bool> {
        (0..50_000).map(|id| first(&steer.decide(&viewer(id), NOW)) == "cdn-x").collect()
    };
    let (some, more) = (on_x(&mix(0.3)), on_x(&mix(0.4)));
    let share = |all: &[bool]| all.iter().filter(|x| **x).count() as f64 / all.len() as f64;
    assert!((share(&some) - 0.3).abs() < 0.006 && (share(&more) - 0.4).abs() < 0.008);
    assert!(some.iter().zip(&more).all(|(before, after)| !before || *after), "who was there stays there");
}

#[test]
fn a_rule_forbids_by_country_and_moves_who_is_there() {
    let calm = Steer::new(fleet());
    let mut view = fleet();
    let places = vec!["fra".into()];
    let countries = vec![Country::parse("DE").unwrap()];
    view.policy.rules = vec![policy::Rule { countries, places, never: true, ..Default::default() }];
    let steer = Steer::new(view);
    let german = Session { country: Country::parse("DE"), ..viewer(1) };
    let here = on(german, &calm.decide(&viewer(1), NOW), NOW);
    let decision = steer.decide(&here, NOW);
    assert_eq!((first(&decision), decision.reason), ("msk", Reason::Forbidden { rule: 0 }));
    let why = steer.explain(&here, NOW);
    assert_eq!(why.excluded, [(0, Excluded::Forbidden { rule: 0 })]);
    assert_eq!(why.decision, decision);
}

#[test]
fn a_network_that_is_served_badly_goes_where_it_is_served_well() {
    let mut view = fleet();
    view.places[0].networks.insert(64_496, 0.1);
    let steer = Steer::new(view);
    let there = Session { network: Some(64_496), ..viewer(1) };
    assert_eq!(first(&steer.decide(&there, NOW)), "msk");
    assert_eq!(first(&steer.decide(&viewer(1), NOW)), "fra");
}

#[test]
fn where_nobody_is_well_those_who_are_not_serve() {
    let mut view = fleet();
    view.places.iter_mut().flat_map(|p| &mut p.edges).for_each(|edge| edge.health = 0.2);
    let decision = Steer::new(view).decide(&viewer(1), NOW);
    assert_eq!((first(&decision), decision.ttl_s), ("fra", 1));
}

#[test]
fn with_nothing_to_choose_from_the_base_pathway_is_left() {
    let decision = Steer::new(View::default()).decide(&viewer(1), NOW);
    assert_eq!((decision.reason, decision.choices.len(), decision.ttl_s), (Reason::Nothing, 0, 1));
}

fn any_view() -> impl Strategy<Value = View> {
    let edges = (any::<bool>(), 0.0f64..=1.0, 0.0f64..2.0, 0.0f64..3.0);
    let places = (
        -180.0f64..180.0,
        0.0f64..1.0,
        0.0f64..=1.0,
        prop::option::of(0.0f64..0.3),
        prop::collection::vec(edges, 0..4),
    );
    prop::collection::vec(places, 0..6).prop_map(|places| {
        let places =
            places.into_iter().enumerate().map(|(p, (longitude, price, quality, share, edges))| Place {
                price,
                share,
                quality,
                edges: (edges.into_iter().enumerate())
                    .map(|(e, (open, health, load, weight))| Edge {
                        open,
                        health,
                        load,
                        weight,
                        ..edge(&format!("p{p}-{e}"))
                    })
                    .collect(),
                ..place(&format!("p{p}"), longitude, 0)
            });
        View { version: 3, places: places.collect(), ..View::default() }
    })
}

proptest! {
    #[test]
    fn every_decision_can_be_made_again_and_sends_nobody_where_nothing_serves(
        view in any_view(), id: u64, at in prop::option::of("p[0-5]-[0-3]"), moved in prop::option::of(0u64..100_000),
    ) {
        let session = Session { pathway: at, moved_ms: moved.map(|ago| NOW - ago), ..viewer(id) };
        let steer = Steer::new(view.clone());
        let decision = steer.decide(&session, NOW);
        let text = serde_json::to_string(&view).unwrap();
        let again = Steer::new(serde_json::from_str(&text).unwrap());
        prop_assert_eq!(&again.explain(&session, NOW).decision, &decision);
        let open: Vec<_> = view.places.iter().flat_map(|p| &p.edges)
            .filter(|e| e.serves(steer.bar())).map(|e| e.pathway.as_str()).collect();
        prop_assert!(decision.choices.iter().all(|c| open.contains(&c.pathway.as_str())), "{:?}", decision);
        let mut names: Vec<_> = decision.choices.iter().map(|c| &c.pathway).collect();
        names.sort();
        names.dedup();
        prop_assert_eq!(names.len(), decision.choices.len());
        prop_assert!(decision.choices.len() <= decide::MAX_CHOICES);
        prop_assert!((1..=300).contains(&decision.ttl_s));
        if decision.reason.is_move() && session.pathway.is_some() {
            prop_assert_ne!(&decision.choices[0].pathway, session.pathway.as_ref().unwrap());
        }
    }
}
