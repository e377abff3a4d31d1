//! `sluice owner`: where a URL belongs, by the table that edges follow and by the functions they use.

use crate::api::{Api, show, text};
use anyhow::Context;
use serde_json::{Value, json};
use sluice_wire::{Placement, PlacementKey, RouteNode, RouteTable, Tier};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Shows owner, replicas and order of each site, and the shields.
pub(crate) async fn run(control: &Api, raw: bool, url: &str, site: Option<&str>) -> anyhow::Result<()> {
    let table: RouteTable =
        serde_json::from_value(control.get("/v1/routes?after=0").await?).context("reading the table")?;
    show(raw, &describe(table, path(url), site), line);
    Ok(())
}

/// The path of a URL, or of what is one already.
fn path(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = rest.find('/').map_or("/", |at| rest.get(at..).unwrap_or("/"));
    path.split('?').next().unwrap_or(path)
}

fn describe(table: RouteTable, path: &str, site: Option<&str>) -> Value {
    let (key, table) = (PlacementKey::of_path(path), Arc::new(table));
    let names = |nodes: &[&RouteNode]| nodes.iter().map(|node| node.node.to_string()).collect::<Vec<_>>();
    let is_asked = |node: &&RouteNode| site.is_none_or(|site| node.site == site);
    let sites: BTreeSet<&str> = table.ready(Tier::Near).filter(is_asked).map(|n| n.site.as_str()).collect();
    let at_site = |site: &&str| {
        let placement = Placement::new(Arc::clone(&table), site);
        let order = names(&table.order_at(Tier::Near, site, key));
        json!({
            "site": site,
            "owner": order.first(),
            "replicas": order.get(..placement.replicas(key)),
            "order": order,
            "former": placement.former(key).map(|node| node.node.to_string()),
        })
    };
    json!({
        "path": path,
        "key": key,
        "table": table.version,
        "sites": sites.iter().map(at_site).collect::<Vec<_>>(),
        "near": names(&table.order(Tier::Near, key)),
        "shields": names(&table.order(Tier::Shield, key)),
    })
}

fn line(answer: &Value) -> String {
    let list = |names: &Value| {
        let names = names.as_array().map(Vec::as_slice).unwrap_or_default();
        names.iter().map(text).collect::<Vec<_>>().join(" ")
    };
    let mut lines = format!("key {} in table {}\n", text(&answer["key"]), answer["table"]);
    for site in answer["sites"].as_array().into_iter().flatten() {
        let replicas = list(&site["replicas"]);
        lines += &format!("{}: {} (order {})", text(&site["site"]), replicas, list(&site["order"]));
        if let Some(former) = site["former"].as_str() {
            lines += &format!(", before that {former}");
        }
        lines.push('\n');
    }
    lines + &format!("shields: {}", list(&answer["shields"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_and_a_path_are_asked_for_alike() {
        for url in ["http://h/v/x/a.m3u8?b=/c", "https://h:1/v/x/a.m3u8", "/v/x/a.m3u8"] {
            assert_eq!(path(url), "/v/x/a.m3u8");
        }
        assert_eq!(path("http://h"), "/");
    }
}
