//! What this node tells a control plane, signed where it has a key.

use crate::edge::Shared;
use reqwest::Response;
use reqwest::header::CONTENT_TYPE;
use sluice_wire::reports::{self, Signed};
use std::time::Duration;

/// Posts JSON to `/v1/nodes/NODE/WHAT` of a control plane.
///
/// # Errors
/// The library's: no answer in this time, or one whose status is 400 and above.
pub(super) async fn post(
    edge: &Shared,
    (control, what): (&str, &str),
    signed: Signed,
    body: Vec<u8>,
    patience: Duration,
) -> reqwest::Result<Response> {
    let url = format!("{control}/v1/nodes/{}/{what}", edge.config.node);
    let mut request = edge.http.post(url).header(CONTENT_TYPE, "application/json").timeout(patience);
    if let Some(key) = &edge.report_key {
        let (key, signature) = reports::sign(signed, key, &body);
        request = request.header(reports::KEY, key).header(reports::SIGNATURE, signature);
    }
    request.body(body).send().await?.error_for_status()
}
