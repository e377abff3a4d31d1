//! Nodes that only report: what a control plane knows of a fleet is what its nodes say.

use crate::client::client;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The report of a near edge at a site. Nothing serves at its addresses.
#[must_use]
pub fn report(name: &str, site: &str) -> Value {
    json!({
        "node": name, "tier": "near", "site": site, "weight": 1.0,
        "peer_url": format!("http://{name}.example:1"), "public_url": format!("http://{name}.example:8080"),
        "ready": true, "counters": {}, "log_seq": 0, "table_version": 0, "started_ms": 1,
    })
}

/// Has a node report, and sees that it is taken.
pub async fn reports(control: &str, report: &Value) {
    let url = format!("{control}/v1/nodes/{}/report", report["node"].as_str().unwrap());
    let answer = client().post(url).json(report).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
}

/// Waits until sessions can be steered to so many edges: a report is answered, and a table published, before the view of
/// steering is made anew. `view` asks for `/v1/steering/view`.
pub async fn steerable(count: usize, view: impl AsyncFn() -> Value) {
    let begun = Instant::now();
    loop {
        let view = view().await;
        let places = view["places"].as_array().unwrap().iter();
        if places.map(|place| place["edges"].as_array().unwrap().len()).sum::<usize>() == count {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{view}");
        sleep(Duration::from_millis(20)).await;
    }
}
