//! `sluice why` and `sluice config try`: why somebody is sent where, and whom another configuration would send elsewhere.

use crate::api::{Api, show, text};
use anyhow::Context;
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;
use std::path::Path;

/// Shows where a viewer of a video would be sent now, and what was weighed.
pub(crate) async fn why(control: &Api, raw: bool, video: &str, client: Option<&str>) -> anyhow::Result<()> {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let client = client.map(|client| format!("&client={}", encode(client))).unwrap_or_default();
    let answer = control.get(&format!("/v1/steering/explain?video={}{client}", encode(video))).await?;
    show(raw, &answer, explained);
    Ok(())
}

/// Shows which of the sessions that asked lately the configuration of a file would send elsewhere. Nothing changes.
pub(crate) async fn dry_run(control: &Api, raw: bool, file: &Path) -> anyhow::Result<()> {
    let body = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    let request = control.request(Method::POST, "/v1/steering/dry-run");
    let answer = control.send(request.header(CONTENT_TYPE, "application/json").body(body)).await?;
    show(raw, &answer, compared);
    Ok(())
}

fn explained(answer: &Value) -> String {
    let decision = &answer["decision"];
    let mut told = format!("{}, asks again in {} s\n", text(&decision["reason"]["why"]), decision["ttl_s"]);
    for choice in decision["choices"].as_array().into_iter().flatten() {
        let (pathway, place, url) = (text(&choice["pathway"]), text(&choice["place"]), text(&choice["url"]));
        told += &format!("  {pathway:<20} {place:<16} {url}\n");
    }
    for place in answer["ranked"].as_array().into_iter().flatten() {
        let name = text(&place["place"]);
        told += &format!("{name:<16} costs {:.3}{}\n", number(&place["cost"]), terms(&place["terms"]));
    }
    for place in answer["excluded"].as_array().into_iter().flatten() {
        told += &format!("{:<16} is no choice: {}\n", text(&place["place"]), text(&place["why"]["why"]));
    }
    told
}

/// What counts, without what is nothing; no word where all is.
fn terms(terms: &Value) -> String {
    let terms = terms.as_object().into_iter().flatten();
    let counts = terms.filter(|(_, value)| number(value) != 0.0);
    let counts: Vec<String> = counts.map(|(name, value)| format!("{name} {:.3}", number(value))).collect();
    if counts.is_empty() { String::new() } else { format!(": {}", counts.join(", ")) }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(0.0)
}

fn compared(answer: &Value) -> String {
    let mut told = format!("{} of {} sessions would move\n", answer["moved"], answer["sessions"]);
    for line in answer["moves"].as_array().into_iter().flatten() {
        let (from, to) = (text(&line["from"]), text(&line["to"]));
        told += &format!("  {:>6} from {from} to {to}\n", line["sessions"]);
    }
    told
}
