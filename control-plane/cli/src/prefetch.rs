//! `sluice prefetch`: what is expected to be asked for where, what is fetched ahead of it, and why the rest is not.

use crate::api::{Api, show, text};
use serde_json::Value;

/// Shows sites, or one of them.
pub(crate) async fn run(control: &Api, raw: bool, site: Option<&str>, limit: u64) -> anyhow::Result<()> {
    let of = |site: &str| {
        format!("&site={}", form_urlencoded::byte_serialize(site.as_bytes()).collect::<String>())
    };
    let answer =
        control.get(&format!("/v1/prefetch?limit={limit}{}", site.map(of).unwrap_or_default())).await?;
    show(raw, &answer, |answer| list(&answer["sites"]).iter().map(of_site).collect());
    Ok(())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn of_site(site: &Value) -> String {
    let window = match (&site["fill"], &site["opened_ms"]) {
        (Value::Null, _) => "no fill window".into(),
        (fill, opened) => {
            let state = if opened.is_null() { "closed" } else { "open" };
            format!(
                "filled from {} to {} UTC ({state}), {} of {} MB planned",
                clock(&fill["from"]),
                clock(&fill["until"]),
                megabytes(&site["planned_bytes"]),
                megabytes(&fill["bytes"])
            )
        }
    };
    let mut lines = format!("{}: {window}\n", text(&site["site"]));
    for one in list(&site["forecast"]) {
        lines += &format!(
            "  {:<40} {:<12} {:>12.1} requests (own {:.1}, fleet {:.1}), chance {:.3}, {} MB: {}\n",
            text(&one["group"]),
            text(&one["owner"]),
            number(&one["requests"]),
            number(&one["own"]),
            number(&one["fleet"]),
            number(&one["chance"]),
            megabytes(&one["bytes"]),
            text(&one["verdict"])
        );
    }
    lines
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(0.0)
}

fn megabytes(bytes: &Value) -> String {
    format!("{:.1}", number(bytes) / 1e6)
}

fn clock(minute: &Value) -> String {
    let minute = minute.as_u64().unwrap_or(0);
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_site_is_told_in_words() {
        let fill = json!({ "from": 90, "until": 300, "bytes": 2_000_000 });
        let one = json!({ "group": "v/r/0", "owner": "near-a", "requests": 30.0, "own": 30.0, "fleet": 1.0,
            "chance": 0.667, "bytes": 1_000_000, "verdict": "planned" });
        let site = json!({ "site": "fra", "fill": fill, "opened_ms": 1, "planned_bytes": 1_000_000, "forecast": [one] });
        let told = of_site(&site);
        assert!(
            told.starts_with("fra: filled from 01:30 to 05:00 UTC (open), 1.0 of 2.0 MB planned\n"),
            "{told}"
        );
        assert!(told.contains("chance 0.667, 1.0 MB: planned"), "{told}");
        assert_eq!(of_site(&json!({ "site": "x" })), "x: no fill window\n");
    }
}
