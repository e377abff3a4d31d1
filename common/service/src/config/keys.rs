//! The keys of a component: the leaves of its default configuration.

use super::ProcessConfig;
use clap::{Arg, ArgAction, Command, value_parser};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// All keys with their defaults.
pub(super) struct Keys {
    pub(super) defaults: Value,
    leaves: BTreeMap<String, Value>,
}

impl Keys {
    pub(super) fn of<C: ProcessConfig>() -> Self {
        let defaults = serde_json::to_value(C::default()).expect("a configuration serialises");
        let mut leaves = BTreeMap::new();
        flatten("", &defaults, &mut leaves);
        Self { defaults, leaves }
    }

    /// A key's default.
    pub(super) fn default_of(&self, key: &str) -> Option<&Value> {
        self.leaves.get(key)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.leaves.keys().map(String::as_str)
    }

    /// The known key most like a wrong one, when it is like any.
    pub(super) fn nearest(&self, wrong: &str) -> Option<&str> {
        let near = self.names().map(|key| (distance(key, wrong), key)).min()?;
        (near.0 <= wrong.len().div_ceil(3)).then_some(near.1)
    }

    pub(super) fn command(&self, program: &'static str) -> Command {
        let about =
            "Every key is a flag, a variable (listen.http is SLUICE_LISTEN__HTTP) and a line of the file.";
        let mut command = Command::new(program)
            .version(env!("CARGO_PKG_VERSION"))
            .about(about)
            .arg(
                Arg::new("config")
                    .long("config")
                    .value_name("FILE")
                    .value_parser(value_parser!(PathBuf))
                    .help("A TOML file with any of the keys"),
            )
            .arg(
                Arg::new("check-config")
                    .long("check-config")
                    .action(ArgAction::SetTrue)
                    .help("Says whether the configuration is good, and ends"),
            );
        for (key, default) in &self.leaves {
            command = command.arg(
                Arg::new(key.clone())
                    .long(key.clone())
                    .value_name("VALUE")
                    .help(format!("default: {}", shown(default)))
                    .allow_hyphen_values(true),
            );
        }
        command
    }
}

fn shown(default: &Value) -> String {
    match default {
        Value::Null => "none".into(),
        Value::String(text) if text.is_empty() => "empty".into(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// Leaves of a tree by dotted path. An empty table is a leaf of its own.
pub(super) fn flatten(prefix: &str, value: &Value, leaves: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) if !fields.is_empty() || prefix.is_empty() => {
            for (name, value) in fields {
                let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                flatten(&path, value, leaves);
            }
        }
        leaf => drop(leaves.insert(prefix.into(), leaf.clone())),
    }
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
