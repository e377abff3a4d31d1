//! The dashboard and the alert rules ask for metrics that processes have, by labels that those have.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Folders whose code registers metrics.
const CODE: [&str; 5] = ["common", "edge", "origin", "transcoder", "control-plane"];
/// Code behind a metric's name in which its labels are: its help is between.
const REGISTRATION: usize = 400;
/// What Prometheus adds to a histogram's name.
const PARTS: [&str; 3] = ["_bucket", "_sum", "_count"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// The metrics that the code registers: each name with the code behind it.
fn registered() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders: Vec<PathBuf> = CODE.map(|folder| root().join(folder)).into();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let code = std::fs::read_to_string(&path).unwrap();
                for (name, rest) in named(&code, "\"sluice_") {
                    if rest.starts_with('"') {
                        found.insert(name, rest.chars().take(REGISTRATION).collect());
                    }
                }
            }
        }
    }
    found
}

/// The metrics that a text names behind a mark, each with what follows it.
fn named<'a>(text: &'a str, mark: &'a str) -> impl Iterator<Item = (String, &'a str)> {
    text.split(mark).skip(1).map(|rest| {
        let (word, rest) = word(rest);
        (format!("sluice_{word}"), rest)
    })
}

/// The word that a text begins with, and what follows.
fn word(text: &str) -> (String, &str) {
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    (text.chars().take_while(|c| inside(*c)).collect(), text.trim_start_matches(inside))
}

/// What is wrong with an expression: metrics that nobody has, labels that they have not.
fn faults(expression: &str, registered: &BTreeMap<String, String>) -> Vec<String> {
    let mut faults = vec![];
    for (name, rest) in named(expression, "sluice_") {
        let whole = PARTS.iter().find_map(|part| name.strip_suffix(part)).unwrap_or(&name);
        let Some(code) = registered.get(&name).or_else(|| registered.get(whole)) else {
            faults.push(format!("{name}: nobody has it"));
            continue;
        };
        let chosen = rest.strip_prefix('{').and_then(|rest| rest.split('}').next()).unwrap_or_default();
        for label in chosen.split(',').map(|one| word(one).0).filter(|label| !label.is_empty()) {
            if !code.contains(&format!("\"{label}\"")) {
                faults.push(format!("{name}: it has no label {label}"));
            }
        }
    }
    faults
}

#[test]
fn every_panel_asks_for_what_there_is() {
    let dashboard = std::fs::read_to_string(root().join("docs/grafana/sluice.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let registered = registered();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let expressions: Vec<&str> = targets.map(|target| target["expr"].as_str().unwrap()).collect();
    assert!(expressions.len() > 30, "{expressions:?}");
    let wrong: Vec<String> = expressions.iter().flat_map(|expr| faults(expr, &registered)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let mut ids: Vec<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    ids.dedup();
    assert_eq!(ids.len(), panels.len(), "each panel has its own id");
}

#[test]
fn every_alert_asks_for_what_there_is() {
    let rules = std::fs::read_to_string(root().join("docs/prometheus/alerts.yml")).unwrap();
    let alerts = rules.matches("- alert: ").count();
    assert!(alerts >= 10 && alerts == rules.matches("summary:").count(), "each alert says what it is about");
    let wrong = faults(&rules, &registered());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_nobody_has_is_found() {
    let registered = [("sluice_a_seconds".to_owned(), "\", \"help\", &[\"state\"]".to_owned())].into();
    assert!(faults("sum(rate(sluice_a_seconds_bucket{state=\"x\"}[5m]))", &registered).is_empty());
    assert_eq!(faults("sluice_b > 1", &registered), ["sluice_b: nobody has it"]);
    assert_eq!(
        faults("sluice_a_seconds{site=\"x\"}", &registered),
        ["sluice_a_seconds: it has no label site"]
    );
}
