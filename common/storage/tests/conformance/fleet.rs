//! The fleet's rows.

use std::time::Duration;

use sluice_storage::ManualClock;
use sluice_wire::{NodeId, NodeReport, RouteTable, Tier};
use tokio::task::JoinSet;

use crate::ground::{Ground, NOON, soon};

pub(crate) async fn reports_renew_and_keep_what_operators_set(ground: Ground) {
    let clock = ManualClock::at(NOON);
    let storage = ground.open_at(&clock).await;
    let fleet = storage.fleet();
    let lease = Duration::from_secs(3);
    let first = fleet.report(&report("near-a", 1.0), lease).await.unwrap();
    assert_eq!((first.draining, first.lease_until_ms, first.first_ms), (false, NOON + 3000, NOON));
    assert!(fleet.set_draining(&node("near-a"), true).await.unwrap());
    assert!(!fleet.set_draining(&node("nobody"), true).await.unwrap());
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
                let table = RouteTable { version, nodes: Vec::new(), origins };
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

fn node(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

fn report(name: &str, weight: f64) -> NodeReport {
    NodeReport {
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
    }
}
