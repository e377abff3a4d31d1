//! A read may demand at least the version that a write answered, and is never shown less, whatever its edge has heard; and a
//! path may have origins of its own, without which the others go on.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use sluice_tests::client::client;
use sluice_tests::origin::{ScriptedOrigin, answer};
use sluice_tests::stack::lone_edge;
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a client is told: the status, and the text.
async fn get(edge: &str, path: &str, at_least: Option<&str>) -> (u16, String) {
    let mut asking = client().get(format!("{edge}{path}"));
    if let Some(versions) = at_least {
        asking = asking.header("sluice-at-least", versions);
    }
    let answer = asking.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn a_read_that_demands_a_version_is_shown_that_or_a_newer_one() {
    let version = Arc::new(AtomicU64::new(1));
    let shown = Arc::clone(&version);
    // Its log cannot be followed: the edge hears of no change at all.
    let origin = ScriptedOrigin::start(move |_| {
        let text = format!("version {}", shown.load(Ordering::SeqCst));
        let versions = text.replace("version ", "stock:1=");
        let fields =
            [("cache-control", "max-age=600"), ("surrogate-key", "stock:1"), ("sluice-version", &versions)];
        ready(answer(200, &fields, text))
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let mut edge = lone_edge(dir.path(), "edge", &origin.url(), &[]);
    edge.start().await;
    let edge = edge.url();
    let asked = |at_least| get(&edge, "/stock", at_least);

    assert_eq!(asked(None).await, (200, "version 1".into()));
    version.store(2, Ordering::SeqCst);
    assert_eq!(asked(None).await, (200, "version 1".into()), "nobody has told the edge");
    assert_eq!(asked(Some("stock:1=1")).await, (200, "version 1".into()), "what is kept will do");
    assert_eq!(asked(Some("stock:1=2")).await, (200, "version 2".into()));
    let before = origin.asked("/stock");
    assert_eq!(asked(None).await, (200, "version 2".into()), "and it is kept for all");
    assert_eq!(
        asked(Some("stock:1=2 other:7=9")).await,
        (200, "version 2".into()),
        "other tags are not shown here"
    );
    assert_eq!(origin.asked("/stock"), before);
    let (status, problem) = asked(Some("stock:1=3")).await;
    assert_eq!(status, 412, "{problem}");
    assert!(problem.contains("version-unknown"), "{problem}");
}

#[tokio::test]
async fn a_path_with_origins_of_its_own_takes_nobody_else_along_when_they_are_gone() {
    let serve = |name: &'static str| {
        ScriptedOrigin::start(move |_| {
            ready(answer(200, &[("cache-control", "max-age=600, stale-if-error=600")], name))
        })
    };
    let (all, shop) = (serve("all").await, serve("shop").await);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("edge.toml");
    std::fs::write(&file, format!("[[upstreams]]\nprefix = \"/v1/shop\"\norigins = [\"{}\"]\n", shop.url()))
        .unwrap();
    let mut edge = lone_edge(dir.path(), "edge", &all.url(), &[("config", file.to_str().unwrap())]);
    edge.start().await;
    let edge = edge.url();
    let shown = async |path: &str| get(&edge, path, None).await;

    assert_eq!(shown("/v1/shop/products").await, (200, "shop".into()));
    assert_eq!(shown("/v1/shopping").await, (200, "all".into()));
    drop(shop);
    assert_eq!(shown("/v1/shop/products").await, (200, "shop".into()), "what is kept is served");
    assert_eq!(shown("/v1/shop/orders").await.0, 502);
    assert_eq!(shown("/v1/chat").await, (200, "all".into()));
}
