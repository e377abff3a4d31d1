//! The layers: each becomes settings (key, value, where from); merging checks every one by itself, so that all faults
//! are found at once.

use super::keys::{Keys, flatten};
use super::{Faults, ProcessConfig};
use clap::ArgMatches;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Variables with this prefix are ours.
const PREFIX: &str = "SLUICE_";

/// Variables with our prefix that belong to tests, benches, the command line and takeovers rather than to a configuration.
const NOT_OURS: [&str; 6] = [
    "SLUICE_MEDIA_DIR",
    "SLUICE_TRACES_DIR",
    "SLUICE_CONTROL",
    "SLUICE_EDGE",
    "SLUICE_TOKEN",
    crate::takeover::VARIABLE,
];

/// One value of one layer.
pub(super) struct Setting {
    key: String,
    source: String,
    value: Given,
}

enum Given {
    /// From the file, with a type.
    Typed(Value),
    /// From the environment or a flag.
    Text(String),
}

/// Reads the file's settings.
pub(super) fn file(keys: &Keys, path: &Path, faults: &mut Faults) -> Vec<Setting> {
    let source = path.display().to_string();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            faults.add_from(&source, "--config", error.to_string());
            return vec![];
        }
    };
    let table: toml::Table = match toml::from_str(&text) {
        Ok(table) => table,
        Err(error) => {
            faults.add_from(&source, "TOML", error.to_string().replace('\n', " "));
            return vec![];
        }
    };
    let mut leaves = BTreeMap::new();
    flatten("", &serde_json::to_value(table).unwrap_or_default(), &mut leaves);
    leaves
        .into_iter()
        .filter(|(key, _)| known(keys, &source, key, key, faults))
        .map(|(key, value)| Setting { key, source: source.clone(), value: Given::Typed(value) })
        .collect()
}

/// Reads the environment's settings.
pub(super) fn environment(
    keys: &Keys,
    variables: impl Iterator<Item = (String, String)>,
    faults: &mut Faults,
) -> Vec<Setting> {
    let mut settings = vec![];
    for (name, text) in variables {
        let Some(rest) = name.strip_prefix(PREFIX).filter(|_| !NOT_OURS.contains(&name.as_str())) else {
            continue;
        };
        let key = rest.to_ascii_lowercase().replace("__", ".");
        if known(keys, "environment", &key, &name, faults) {
            settings.push(Setting { key, source: format!("environment: {name}"), value: Given::Text(text) });
        }
    }
    settings
}

/// Reads the flags' settings; clap has refused unknown ones.
pub(super) fn flags(keys: &Keys, matches: &ArgMatches) -> Vec<Setting> {
    let given = |key: &str| matches.get_one::<String>(key).cloned();
    keys.names()
        .filter_map(|key| {
            let value = Given::Text(given(key)?);
            Some(Setting { key: key.into(), source: "flag".into(), value })
        })
        .collect()
}

fn known(keys: &Keys, source: &str, key: &str, said: &str, faults: &mut Faults) -> bool {
    if keys.default_of(key).is_some() {
        return true;
    }
    let hint = keys.nearest(key).map_or_else(
        || "there is no such key; --help lists them".into(),
        |near| format!("there is no such key; did you mean {near}?"),
    );
    faults.add_from(source, said, hint);
    false
}

/// Lays all settings over the defaults.
pub(super) fn merge<C: ProcessConfig>(keys: &Keys, settings: Vec<Setting>, faults: &mut Faults) -> C {
    let mut merged = keys.defaults.clone();
    for setting in settings {
        let default = keys.default_of(&setting.key).unwrap_or(&Value::Null);
        match fitting::<C>(keys, &setting, default) {
            Ok(value) => put(&mut merged, &setting.key, value),
            Err(error) => faults.add_from(&setting.source, &setting.key, error),
        }
    }
    serde_json::from_value(merged).unwrap_or_else(|error| {
        faults.add("configuration", error.to_string());
        C::default()
    })
}

/// The setting as the first value of a type that the key takes.
fn fitting<C: ProcessConfig>(keys: &Keys, setting: &Setting, default: &Value) -> Result<Value, String> {
    let candidates = match &setting.value {
        Given::Typed(value) => vec![value.clone()],
        Given::Text(text) => readings(text, default),
    };
    let mut first_error = None;
    for value in candidates {
        let mut alone = keys.defaults.clone();
        put(&mut alone, &setting.key, value.clone());
        match serde_json::from_value::<C>(alone) {
            Ok(_) => return Ok(value),
            Err(error) => drop(first_error.get_or_insert_with(|| error.to_string())),
        }
    }
    Err(first_error.unwrap_or_default())
}

/// What a text may mean for a key with this default.
fn readings(text: &str, default: &Value) -> Vec<Value> {
    let parsed = serde_json::from_str::<Value>(text).ok();
    let string = Value::String(text.into());
    match default {
        Value::Array(_) if text.trim_start().starts_with('[') => parsed.into_iter().collect(),
        Value::Array(_) => {
            vec![text.split(',').map(str::trim).filter(|t| !t.is_empty()).map(Value::from).collect()]
        }
        Value::String(_) => vec![string],
        Value::Null if text.is_empty() => vec![Value::Null],
        Value::Null => std::iter::once(string).chain(parsed).collect(),
        _ => parsed.into_iter().chain([string]).collect(),
    }
}

fn put(tree: &mut Value, key: &str, value: Value) {
    let mut at = tree;
    for part in key.split('.') {
        at = &mut at[part];
    }
    *at = value;
}
