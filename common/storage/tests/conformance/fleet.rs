//! The fleet's rows.

use std::time::Duration;

use futures::StreamExt;
use sluice_storage::{ManualClock, Seen, StorageError, Who};
use sluice_wire::fleet::NodeConfig;
use sluice_wire::quality::Quality;
use sluice_wire::sketch::TopKeys;
use sluice_wire::{FleetConfig, NodeId, NodeReport, RouteTable, Tier};
use tokio::task::JoinSet;

use crate::ground::{Ground, NOON, soon};

pub(crate) async fn reports_renew_and_keep_what_operators_set(ground: Ground) {
    let clock = ManualClock::at(NOON);
    let storage = ground.open_at(&clock).await;
    let fleet = storage.fleet();
    let lease = Duration::from_secs(3);
    let first = fleet.report(&report("near-a", 1.0), lease).await.unwrap();
    assert_eq!((first.draining, first.lease_until_ms, first.first_ms), (false, NOON + 3000, NOON));
    assert!(fleet.set_draining(&node("near-a"), true, &ann()).await.unwrap());
    assert!(!fleet.set_draining(&node("nobody"), true, &ann()).await.unwrap());
    clock.advance(Duration::from_secs(2));
    fleet.report(&report("near-b", 1.0), lease).await.unwrap();
    let again = fleet.report(&report("near-a", 2.5), lease).await.unwrap();
    assert!(again.draining, "a report does not undo an operator's order");
    assert_eq!((again.report.weight, again.lease_until_ms, again.first_ms), (2.5, NOON + 5000, NOON));
    let names: Vec<_> = fleet.nodes().await.unwrap().into_iter().map(|n| n.report.node).collect();
    assert_eq!(names, [node("near-a"), node("near-b")]);
    assert!(fleet.forget(&node("near-b")).await.unwrap());
    assert_eq!(fleet.nodes().await.unwrap().len(), 1);
}

pub(crate) async fn of_two_control_planes_one_publishes(ground: Ground) {
    let planes = [ground.open().await, ground.open().await];
    assert_eq!(planes[0].fleet().table().await.unwrap(), None);
    for version in 1..=3 {
        let mut publishing = JoinSet::new();
        for (n, plane) in planes.iter().enumerate() {
            let (fleet, origins) = (plane.fleet(), vec![format!("http://plane-{n}")]);
            publishing.spawn(async move {
                let table = RouteTable { version, origins, ..RouteTable::default() };
                (fleet.publish(&table).await.unwrap(), table)
            });
        }
        let results = soon("both planes", publishing.join_all()).await;
        let won: Vec<&RouteTable> = results.iter().filter(|(won, _)| *won).map(|(_, t)| t).collect();
        assert_eq!(won.len(), 1);
        assert_eq!(planes[1].fleet().table().await.unwrap().as_ref(), Some(won[0]));
        assert_eq!(planes[0].fleet().table_version().await.unwrap(), version);
    }
    let skipping = RouteTable { version: 9, ..RouteTable::default() };
    assert!(!planes[0].fleet().publish(&skipping).await.unwrap());
}

pub(crate) async fn a_configuration_is_changed_once_and_every_version_kept(ground: Ground) {
    let planes = [ground.open().await, ground.open().await];
    assert_eq!(planes[0].settings().newest().await.unwrap(), 0);
    let heavy = |weight| {
        let config = NodeConfig { weight: Some(weight), ..NodeConfig::default() };
        FleetConfig { nodes: [(node("near-a"), config)].into(), ..FleetConfig::default() }
    };
    let mut putting = JoinSet::new();
    for (n, plane) in planes.iter().enumerate() {
        let (settings, config) = (plane.settings(), heavy(1.0 + n as f64));
        putting.spawn(async move { settings.put(&ann(), Some(0), &config, "first").await });
    }
    let results = soon("both planes", putting.join_all()).await;
    let won: Vec<_> = results.iter().filter_map(|result| result.as_ref().ok()).collect();
    assert_eq!(won.len(), 1, "{results:?}");
    assert!(results.iter().any(|result| matches!(result, Err(StorageError::Conflict(_)))));
    let settings = planes[1].settings();
    assert_eq!(settings.version(1).await.unwrap().unwrap().config, *won[0]);
    settings.put(&ann(), Some(1), &heavy(9.0), "more").await.unwrap();
    assert!(matches!(settings.roll_back(&ann(), 7).await, Err(StorageError::NotFound(_))));
    let back = planes[0].settings().roll_back(&ann(), 1).await.unwrap();
    assert_eq!(back, FleetConfig { version: 3, ..won[0].clone() });
    assert_eq!(settings.newest().await.unwrap(), 3);
    let notes: Vec<_> = settings.versions(None, 2).await.unwrap().into_iter().map(|v| v.note).collect();
    assert_eq!(notes, ["rollback to 1", "more"]);
    assert_eq!(settings.versions(Some(2), 9).await.unwrap().len(), 1);
    let entries = planes[0].audit().list(None, 9).await.unwrap();
    let after: Vec<_> = entries.iter().map(|e| e.after.clone().unwrap()["version"].clone()).collect();
    assert_eq!(after, [3, 2, 1], "the newest first");
    assert_eq!(
        entries[1].before.as_ref().unwrap()["nodes.near-a.weight"],
        won[0].nodes[&node("near-a")].weight.unwrap()
    );
    assert_eq!(planes[0].audit().list(Some(entries[1].id), 9).await.unwrap(), entries[2..]);
}

pub(crate) async fn control_planes_share_the_key_that_was_first(ground: Ground) {
    let planes = [ground.open().await, ground.open().await];
    let mut asking = JoinSet::new();
    for (n, plane) in planes.iter().enumerate() {
        let fleet = plane.fleet();
        asking.spawn(async move { fleet.signing_key(&format!("key {n}")).await.unwrap() });
    }
    let keys = soon("both planes", asking.join_all()).await;
    assert_eq!(keys[0], keys[1]);
    assert_eq!(planes[0].fleet().signing_key("another").await.unwrap(), keys[0]);
}

pub(crate) async fn control_planes_hear_what_the_others_see_while_it_is_news(ground: Ground) {
    let clock = ManualClock::at(NOON);
    let planes = [ground.open_at(&clock).await, ground.open_at(&clock).await];
    let seen = |percent| {
        let seen = Seen { percent: Some(percent), score: 0.25, why: "probe".into() };
        [(node("near-a"), seen)].into()
    };
    planes[0].fleet().say_health("a", &seen(100)).await.unwrap();
    planes[0].fleet().say_health("a", &seen(0)).await.unwrap();
    clock.advance(Duration::from_secs(6));
    planes[1].fleet().say_health("b", &seen(50)).await.unwrap();
    let all = planes[1].fleet().seen_health().await.unwrap();
    assert_eq!((all.len(), &all["a"], &all["b"]), (2, &seen(0), &seen(50)));
    clock.advance(Duration::from_secs(6));
    let left: Vec<String> = planes[0].fleet().seen_health().await.unwrap().into_keys().collect();
    assert_eq!(left, ["b"], "one that says nothing any more is not asked");
}

pub(crate) async fn what_operators_do_is_written_down_or_not_done(ground: Ground) {
    let storage = ground.open().await;
    storage.fleet().report(&report("near-a", 1.0), Duration::from_secs(3)).await.unwrap();
    let mut changes = storage.fleet().changes();
    storage.fleet().set_draining(&node("near-a"), true, &ann()).await.unwrap();
    soon("a wake-up", changes.next()).await.unwrap();
    let entry = storage.audit().list(None, 9).await.unwrap().remove(0);
    assert_eq!(
        (entry.who.as_str(), entry.role.as_str(), entry.action.as_str()),
        ("ann", "operator", "drain")
    );
    assert_eq!(entry.before.unwrap()["draining"], false);
    assert_eq!(entry.after.unwrap()["draining"], true);
    storage.fleet().set_draining(&node("nobody"), true, &ann()).await.unwrap();
    assert_eq!(storage.audit().list(None, 9).await.unwrap().len(), 1, "nothing was done");
}

pub(crate) async fn what_operators_did_is_forgotten_after_400_days(ground: Ground) {
    let clock = ManualClock::at(NOON);
    let storage = ground.open_at(&clock).await;
    storage.fleet().report(&report("near-a", 1.0), Duration::from_secs(3)).await.unwrap();
    storage.fleet().set_draining(&node("near-a"), true, &ann()).await.unwrap();
    let day = Duration::from_secs(24 * 3_600);
    clock.advance(day * 399);
    storage.fleet().set_draining(&node("near-a"), false, &ann()).await.unwrap();
    storage.audit().forget().await.unwrap();
    assert_eq!(storage.audit().list(None, 9).await.unwrap().len(), 2);
    clock.advance(day * 2);
    storage.audit().forget().await.unwrap();
    let kept = storage.audit().list(None, 9).await.unwrap();
    assert_eq!(
        kept.iter().map(|entry| entry.before.clone().unwrap()["draining"].clone()).collect::<Vec<_>>(),
        [true]
    );
}

fn ann() -> Who {
    Who { name: "ann".into(), role: "operator" }
}

fn node(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

fn report(name: &str, weight: f64) -> NodeReport {
    NodeReport {
        quality: Quality::default(),
        node: node(name),
        tier: Tier::Near,
        site: "here".into(),
        weight,
        peer_url: "http://127.0.0.1:1".into(),
        public_url: "http://127.0.0.1:1".into(),
        ready: true,
        counters: Default::default(),
        log_seq: 0,
        table_version: 0,
        started_ms: NOON,
        rack: String::new(),
        popular: TopKeys::default(),
        at_ms: NOON,
    }
}
