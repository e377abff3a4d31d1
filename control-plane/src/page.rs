//! The fleet, for people: one page without scripts, which renews itself.

use crate::control::State;
use crate::membership;
use axum::response::Html;
use sluice_storage::NodeRecord;
use sluice_wire::NodeState;

const STYLE: &str = "\
:root{color-scheme:dark;--bg:#0b0e14;--card:#141925;--line:#232b3b;--text:#e8ecf4;--dim:#93a0b8;--accent:#4cc2ff}\
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--text);font:15px/1.5 system-ui,sans-serif}\
main{max-width:1100px;margin:0 auto;padding:24px 16px}h1{font-size:22px;margin:0 0 4px}p{color:var(--dim);margin:0 0 20px}\
.grid{display:grid;gap:14px;grid-template-columns:repeat(auto-fill,minmax(min(320px,100%),1fr))}\
article{background:var(--card);border:1px solid var(--line);border-radius:14px;padding:16px;overflow-wrap:anywhere}\
h2{font-size:16px;margin:0;display:flex;gap:8px;align-items:center}dl{display:grid;grid-template-columns:auto 1fr;gap:2px 14px;margin:12px 0 0}\
dt{color:var(--dim)}dd{margin:0;text-align:right;font-variant-numeric:tabular-nums}a{color:var(--accent)}\
.s{font-size:12px;padding:1px 9px;border-radius:99px;background:#30384a;margin-left:auto}.ready{background:#123d2b;color:#6ee7a8}\
.draining{background:#43350f;color:#fcd470}.gone{background:#46181d;color:#ff9ba4}.joining{background:#1b2f4d;color:#8cc8ff}";

/// `GET /`.
pub(crate) async fn fleet(axum::extract::State(state): axum::extract::State<State>) -> Html<String> {
    let (now, table, records) = (state.storage.clock.now_ms(), state.fleet.table(), state.fleet.records());
    Html(render(&records, table.version, now))
}

fn render(records: &[NodeRecord], version: u64, now: u64) -> String {
    let newest = records.iter().map(|r| r.report.log_seq).max().unwrap_or(0);
    let ready = records.iter().filter(|r| membership::state(r, now) == NodeState::Ready).count();
    let cards: String = records.iter().map(|record| card(record, newest, now)).collect();
    let cards =
        if cards.is_empty() { "<article>No edge has reported yet.</article>".to_owned() } else { cards };
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width,initial-scale=1\">\
         <meta http-equiv=refresh content=2><link rel=icon href=\"data:,\"><title>Sluice fleet</title><style>{STYLE}</style>\
         <main><h1>Fleet</h1><p>{ready} of {} nodes ready, route table {version}, log {newest}</p>\
         <div class=grid>{cards}</div></main></html>",
        records.len()
    )
}

fn card(record: &NodeRecord, newest: u64, now: u64) -> String {
    let (report, state) = (&record.report, membership::state(record, now));
    let c = &report.counters;
    let served = c.hits + c.misses;
    let ratio = if served == 0 {
        "no traffic yet".into()
    } else {
        format!("{:.1} %", 100.0 * c.hits as f64 / served as f64)
    };
    let rows = [
        ("Tier, site", format!("{}, {}", report.tier.as_str(), report.site)),
        ("Hit ratio", ratio),
        ("Requests", c.requests.to_string()),
        ("Errors", c.errors.to_string()),
        ("Sent", size(c.bytes_out)),
        ("Fetched", size(c.bytes_in)),
        ("Cache", format!("{} in {} objects", size(c.cache_bytes), c.cache_objects)),
        ("Log behind by", newest.saturating_sub(report.log_seq).to_string()),
        ("Route table", report.table_version.to_string()),
        ("Address", report.public_url.clone()),
    ];
    let mut list = String::new();
    for (name, value) in rows {
        list += &format!("<dt>{name}</dt><dd>{}</dd>", escape(&value));
    }
    let (name, state) = (escape(report.node.as_str()), state.as_str());
    format!("<article><h2>{name}<span class=\"s {state}\">{state}</span></h2><dl>{list}</dl></article>")
}

fn size(bytes: u64) -> String {
    let units = ["B", "KB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1_000.0 && unit + 1 < units.len() {
        value /= 1_000.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", units[unit]) }
}

fn escape(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            '"' => "&quot;".to_owned(),
            '\'' => "&#39;".to_owned(),
            other => other.to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_nodes_choose_are_text() {
        assert_eq!(escape("<script>\"'&"), "&lt;script&gt;&quot;&#39;&amp;");
        assert_eq!(size(999), "999 B");
        assert_eq!(size(1_500_000), "1.5 MB");
    }
}
