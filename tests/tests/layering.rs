//! The arrows of the architecture, read from `cargo metadata`.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use cargo_metadata::{DependencyKind, MetadataCommand};
use std::collections::{BTreeMap, BTreeSet};

/// Who may depend on whom inside the workspace. Anything else is a fault.
const ARROWS: &[(&str, &[&str])] = &[
    ("sluice-wire", &[]),
    ("sluice-service", &["sluice-wire"]),
    ("sluice-storage", &["sluice-wire"]),
    ("sluice-pictures", &["sluice-wire"]),
    ("sluice-transcoder", &["sluice-wire", "sluice-service", "sluice-storage"]),
    ("sluice-codec", &["sluice-wire"]),
    ("sluice-control-plane", &["sluice-wire", "sluice-service", "sluice-storage"]),
    ("sluice-edge", &["sluice-wire", "sluice-service", "sluice-pictures"]),
    ("sluice-cli", &["sluice-wire"]),
    ("sluice-platform", &["sluice-wire", "sluice-service", "sluice-storage"]),
    ("sluice-seal", &["sluice-wire"]),
    ("sluice-commerce", APP),
    ("sluice-chat", APP),
    ("sluice-feed", APP),
    (
        "sluice-origin",
        &[
            "sluice-wire",
            "sluice-service",
            "sluice-storage",
            "sluice-platform",
            "sluice-seal",
            "sluice-commerce",
            "sluice-chat",
            "sluice-feed",
        ],
    ),
    (
        "sluice-demo",
        &["sluice-wire", "sluice-origin", "sluice-edge", "sluice-transcoder", "sluice-control-plane"],
    ),
];

/// What an app may use: never another app.
const APP: &[&str] =
    &["sluice-wire", "sluice-service", "sluice-storage", "sluice-pictures", "sluice-platform"];

/// Crates above all others: they may use any, and none may use them.
const TOP: &[&str] = &["sluice-tests", "sluice-fuzz", "sluice-bench"];

fn arrows() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .no_deps()
        .other_options(vec!["--offline".into(), "--locked".into()])
        .exec()
        .expect("cargo metadata");
    let runtime = |package: &cargo_metadata::Package| {
        package
            .dependencies
            .iter()
            .filter(|d| d.kind != DependencyKind::Development)
            .map(|d| d.name.clone())
            .collect()
    };
    metadata.packages.iter().map(|p| (p.name.to_string(), runtime(p))).collect()
}

fn ours(dependencies: &BTreeSet<String>) -> BTreeSet<&str> {
    dependencies.iter().map(String::as_str).filter(|d| d.starts_with("sluice-")).collect()
}

#[test]
fn crates_depend_only_along_the_arrows() {
    let found = arrows();
    for (package, dependencies) in &found {
        if TOP.contains(&package.as_str()) {
            continue;
        }
        let allowed = ARROWS.iter().find(|(name, _)| name == package);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("{package} is not in the architecture"));
        for dependency in ours(dependencies) {
            assert!(allowed.contains(&dependency), "{package} must not depend on {dependency}");
        }
    }
    for (package, _) in ARROWS {
        assert!(found.contains_key(*package), "{package} of the architecture is missing");
    }
}

#[test]
fn only_the_codec_links_ffmpeg() {
    for (package, dependencies) in arrows() {
        let links = dependencies.iter().any(|d| d.starts_with("ffmpeg"));
        assert_eq!(links, package == "sluice-codec", "{package}");
    }
}

#[test]
fn the_words_are_pure() {
    let found = arrows();
    for impure in ["tokio", "hyper", "rand", "reqwest", "axum"] {
        assert!(!found["sluice-wire"].contains(impure), "sluice-wire must not depend on {impure}");
    }
}

#[test]
fn only_storage_knows_the_database_library() {
    for (package, dependencies) in arrows() {
        let knows = dependencies.iter().any(|d| d.starts_with("sea-orm") || d.starts_with("sqlx"));
        assert_eq!(knows, package == "sluice-storage", "{package}");
    }
}
