//! Phases one by one: what happens between two of them cannot be timed from without.

use super::collapse::collapse;
use super::{Ask, Phase, lookup};
use crate::cache::{Filled, Key};
use crate::config::{CacheConfig, Config};
use crate::deliver::Served;
use crate::edge::Shared;
use crate::floors::readers::{answer, shown, tag};
use crate::gate;
use crate::parent::NoAnswer;
use crate::tenant::Tenant;
use http::header::HOST;
use sluice_service::{Addresses, Body, Drain, Health, Metrics};
use sluice_wire::tag::Version;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// An edge whose origin does not answer.
fn edge(state_dir: &Path) -> Arc<Shared> {
    let cache = CacheConfig { memory_bytes: 16 << 20, max_object_bytes: 1 << 20, ..CacheConfig::default() };
    let origins = vec!["http://127.0.0.1:9".to_owned()];
    let config = Config { origins, cache, state_dir: state_dir.into(), ..Config::default() };
    let drain = Drain::new(Duration::from_secs(1));
    let opened = Shared::open(config, &Addresses::default(), &Metrics::default(), &Health::default(), drain);
    opened.unwrap().0
}

fn ask() -> Ask {
    let request = http::Request::get("/v1/thing").header(HOST, "cdn.example").body(Body::empty()).unwrap();
    let target = gate::target(&request, &[]).unwrap();
    let (tenant, floors) = (Tenant::own(), vec![]);
    let key = Key::new(&tenant, &target.as_text());
    Ask { request, target, tenant, key, floors, tries: 0, missed: false }
}

#[tokio::test]
async fn who_has_its_permit_late_is_shown_what_another_fill_has_brought() {
    let dir = tempfile::tempdir().unwrap();
    let edge = edge(dir.path());
    let Phase::Collapse(late, wanted) = lookup::lookup(&edge, ask()) else { panic!("nothing is kept") };
    // Another fill begins and ends before the permit is had.
    let (_, permit) = edge.fills.join(&wanted.key);
    edge.store.put(&wanted.key, Arc::new(answer(6, Some(6), edge.floors.mark())));
    drop(permit);
    let Phase::Deliver(_, object, Served::Hit(_)) = collapse(&edge, late, wanted).await else {
        panic!("it is kept by now, and no origin is asked for it")
    };
    assert_eq!(shown(&object), 6);
    assert!(!edge.fills.are_under_way(&ask().key), "the permit is given back");
}

#[tokio::test]
async fn what_is_newer_than_what_was_stale_is_shown_too() {
    let dir = tempfile::tempdir().unwrap();
    let edge = edge(dir.path());
    let demanding = || Ask { floors: vec![(tag(), Version(6))], ..ask() };
    edge.store.put(&ask().key, Arc::new(answer(5, Some(5), edge.floors.mark())));
    let Phase::Collapse(late, wanted) = lookup::lookup(&edge, demanding()) else { panic!("5 is too old") };
    edge.store.put(&wanted.key, Arc::new(answer(6, Some(6), edge.floors.mark())));
    let Phase::Deliver(_, object, Served::Hit(_)) = collapse(&edge, late, wanted).await else {
        panic!("6 is kept by now")
    };
    assert_eq!(shown(&object), 6);
}

#[tokio::test]
async fn what_is_for_one_alone_goes_to_who_asked_for_it_and_to_nobody_who_waits() {
    let dir = tempfile::tempdir().unwrap();
    let edge = edge(dir.path());
    let Phase::Collapse(late, wanted) = lookup::lookup(&edge, ask()) else { panic!("nothing is kept") };
    // Somebody's fill is under way, in whose name an origin answers.
    let (fill, permit) = edge.fills.join(&wanted.key);
    fill.hand_over(http::Response::new(Body::from("ann's")), Filled::NotShared);
    let Phase::Alone(_) = collapse(&edge, late, wanted).await else { panic!("it has no part in that") };
    assert!(fill.take().is_some(), "it is still there for who began the fill");
    drop(permit);
}

#[tokio::test]
async fn nor_does_who_waits_get_a_failure_in_the_name_of_another() {
    let dir = tempfile::tempdir().unwrap();
    let edge = edge(dir.path());
    let Phase::Collapse(late, wanted) = lookup::lookup(&edge, ask()) else { panic!("nothing is kept") };
    let (fill, permit) = edge.fills.join(&wanted.key);
    fill.hand_over(http::Response::new(Body::from("ann's")), Filled::Failed(NoAnswer::Erred));
    let Phase::Unserved(_, NoAnswer::Erred) = collapse(&edge, late, wanted).await else {
        panic!("it is told that there was no answer")
    };
    drop(permit);
}
