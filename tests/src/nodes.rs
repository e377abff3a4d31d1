//! Nodes that only report: what a control plane knows of a fleet is what its nodes say.

use crate::client::client;
use serde_json::{Value, json};

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
