//! What sites have sent.

use sluice_storage::{ManualClock, Month, Sent};
use sluice_wire::NodeId;

use crate::ground::{Ground, NOON};

const DAY: u64 = 24 * 3_600 * 1_000;

fn sent(node: &str, started_ms: u64, site: &str, bytes: u64) -> Sent {
    Sent { node: NodeId::new(node).unwrap(), started_ms, site: site.into(), bytes }
}

pub(crate) async fn what_is_noted_twice_counts_once_and_months_are_apart(ground: Ground) {
    let clock = ManualClock::at(NOON);
    let planes = [ground.open_at(&clock).await, ground.open_at(&clock).await];
    let first = Month { begins_ms: NOON - 10 * DAY, before_ms: NOON - 40 * DAY };
    let next = Month { begins_ms: NOON + 20 * DAY, before_ms: first.begins_ms };
    let old = NOON - 50 * DAY;
    for plane in &planes {
        // One was started this month, one long before anybody listened.
        let all = [sent("a", NOON, "fra", 1_000), sent("b", old, "fra", 70_000), sent("c", NOON, "nyc", 5)];
        plane.traffic().note(first, &all).await.unwrap();
    }
    let all = [sent("a", NOON, "fra", 1_500), sent("b", old, "fra", 70_200), sent("c", NOON, "nyc", 5)];
    planes[0].traffic().note(first, &all).await.unwrap();
    planes[1].traffic().note(first, &[sent("a", NOON, "fra", 1_200)]).await.unwrap();
    let by_site = planes[1].traffic().by_site(first).await.unwrap();
    assert_eq!(by_site, [("fra".into(), 1_700), ("nyc".into(), 5)].into(), "a late word takes nothing away");
    // A start of its own is counted from nothing.
    planes[1].traffic().note(first, &[sent("a", NOON + 1, "fra", 300)]).await.unwrap();
    assert_eq!(planes[0].traffic().by_site(first).await.unwrap()["fra"], 2_000);
    planes[0]
        .traffic()
        .note(next, &[sent("a", NOON + 1, "fra", 400), sent("b", old, "fra", 70_250)])
        .await
        .unwrap();
    assert_eq!(planes[0].traffic().by_site(next).await.unwrap(), [("fra".into(), 150)].into());
    assert_eq!(planes[0].traffic().by_site(first).await.unwrap()["fra"], 2_000);
}
