//! What is committed to costs nothing until it is used: counted over all edges of a site, over their restarts and the
//! control plane's, and steered by.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use serde_json::{Value, json};
use sluice_tests::cities::{Cities, GERMAN, first};
use sluice_tests::nodes::{report, reports};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const GB: u64 = 1_000_000_000;

/// What is known of a site's use, once it is as it should be.
async fn used(plane: &Cities, site: &str, gb: f64) -> Value {
    let begun = Instant::now();
    loop {
        let told = plane.operator("/v1/traffic").await;
        let of = told["sites"].as_array().unwrap().iter().find(|of| of["site"] == site).cloned();
        if let Some(of) = of.filter(|of| of["used_gb"] == gb) {
            return of;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "never {gb} GB: {told}");
        sleep(Duration::from_millis(20)).await;
    }
}

async fn sends(plane: &Cities, node: &str, site: &str, started_ms: u64, bytes: u64) {
    let mut said = report(node, site);
    said["started_ms"] = json!(started_ms);
    said["counters"] = json!({ "bytes_out": bytes });
    reports(&plane.process.url(), &said).await;
}

#[tokio::test]
async fn a_site_is_left_once_its_commitment_is_used_up() {
    let flags = [("health.look_ms", "0".to_owned()), ("traffic_look_ms", "50".to_owned())];
    let mut plane = Cities::empty(&flags).await;
    let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let now_ms = u64::try_from(now_ms).unwrap();
    // Frankfurt's first 100 GB are paid anyway; New York costs the same for each gigabyte.
    let config = json!({ "sites": {
        "fra": { "latitude": 50.0, "longitude": 8.6, "contract": { "commit_gb": 100, "price_per_gb": 10 } },
        "nyc": { "latitude": 40.8, "longitude": -73.9, "contract": { "price_per_gb": 1 } },
    }, "steering": { "weights": { "price": 20 } } });
    plane.configure(&config).await;
    for (node, site) in [("fra-a", "fra"), ("fra-b", "fra"), ("nyc-a", "nyc")] {
        sends(&plane, node, site, now_ms, 0).await;
    }
    plane.all_are_there(3).await;
    assert_eq!(used(&plane, "fra", 0.0).await["price_per_gb"], 0.0);
    assert!(first(&plane.steer(GERMAN).await).starts_with("fra-"));

    // Far more than a month's part of it, whichever day this is; half of it by an edge that was started anew.
    sends(&plane, "fra-a", "fra", now_ms, 150 * GB).await;
    sends(&plane, "fra-b", "fra", now_ms, 30 * GB).await;
    used(&plane, "fra", 180.0).await;
    sends(&plane, "fra-a", "fra", now_ms + 1, 20 * GB).await;
    let of = used(&plane, "fra", 200.0).await;
    assert_eq!((&of["price_per_gb"], &of["commit_gb"]), (&json!(10.0), &json!(100.0)));
    let view = plane.operator("/v1/steering/view").await;
    assert_eq!(view["places"][0]["price"], 10.0, "{view}");
    assert!(first(&plane.steer(GERMAN).await).starts_with("nyc-"));

    // What was sent stays known over a restart, and is not counted again.
    plane.process.kill9();
    plane.process.start().await;
    sends(&plane, "fra-b", "fra", now_ms, 31 * GB).await;
    used(&plane, "fra", 201.0).await;
}
