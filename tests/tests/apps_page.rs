//! The pages of the three apps in a real Chromium: two people on two edges sell and buy, talk, post and like.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use serde_json::{Value, json};
use sluice_tests::process::binary;
use sluice_tests::programs::printed;
use sluice_tests::stack::{Options, Stack};
use std::path::Path;
use std::process::Command;

#[tokio::test]
async fn two_people_on_two_edges_buy_talk_and_like() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap();
    let pages = root.join("player-demo/web/dist");
    assert!(pages.join("index.html").is_file(), "the pages are not built: `make web` builds them");
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let made = Command::new(binary("sluice")).args(["key", &at("key.pem")]).output().unwrap();
    std::fs::write(at("keys.json"), made.stdout).unwrap();
    let origin = vec![("playback.key_file", at("key.pem")), ("accounts.admins", "boss".to_owned())];
    let near = vec![("access.keys_file", at("keys.json"))];
    let options = Options { pages: Some(pages), origin, near, hold_transcoder: true, ..Options::default() };
    let stack = Stack::with(options).await;
    let output = Command::new("node")
        .current_dir(root.join("tests/browser"))
        .args(["apps.mjs", &stack.edge(), &stack.near[1].url()])
        .arg(root.join("target/browser"))
        .output()
        .expect("node is installed by `make setup`");
    let text = printed("apps.mjs", &output);
    let report: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(report["failure"], Value::Null, "{report}");
    assert_eq!(report["errors"], json!([]), "{report}");
    assert_eq!(report["serious"], json!([]), "what axe finds serious: {report}");
    let fact = |name: &str, value: Value| assert_eq!(report[name], value, "{name}: {report}");
    fact("door_rows", json!(1));
    fact("sold", json!("Only 5 left"));
    fact("orders", json!(["Confirmed", "Canceled", "Declined"]));
    fact("asked_anew", json!(["variants"]));
    fact("parcel_steps", json!(["Packed", "With the carrier", "On its way", "Delivered"]));
    fact("parcel_goods", json!("1 × Tripod, Small"));
    fact("parcel_order", json!("Confirmed"));
    fact("parcel_loads", json!([]));
    fact("in_german", json!([["Stativ", "de"], ["Stativ", "de"], ["Klein", "Large"]]));
    fact("as_written", json!([["Tripod", "en"], ["Tripod", "en"], ["Small", "Large"]]));
    fact("same_ticket", json!(true));
    fact("left", json!(true));
    assert!(report["let_in"].as_str().unwrap().contains("Lantern"), "the next one is let in: {report}");
    fact("unread", json!("1"));
    fact("reaction", json!("👍 1"));
    fact("deleted", json!(false));
    fact("found", json!("It stood through a storm."));
    fact("said_by", json!(["It was a long one.", "Is it sturdy enough?"]));
    let over = ["Are you there?", "I am on the train.", "A tunnel.", "It was a long one."];
    fact("heard_in_the_cut", json!([]));
    fact("said_over_a_cut", json!([over, over]));
    fact("waits_after_the_cut", json!(0));
    let lines = |name: &str| report[name].as_u64().unwrap();
    assert!(
        lines("shown_at_first") < 130 && lines("shown_at_last") > 130,
        "older messages come when asked for: {report}"
    );
    fact("waits", json!(0));
    fact("chosen", json!(["tripod.png", "parts of it.txt"]));
    fact("picture", json!(["tripod.png", 60]));
    fact("file", json!(["parts of it.txt (11 B)", "parts of it.txt"]));
    fact("text_of_file", json!("three legs\n"));
    fact("of_others", json!([403, 403]));
    fact("deleted_files", json!(true));
    fact("files_left", json!(0));
    fact("tick", json!("read"));
    fact("unsent", json!("Not sent yet."));
    fact("likes", json!("1"));
    let thread =
        ["The shop is open: tripods, while there are some.", "Do they fold?", "To half their length."];
    fact("thread", json!(thread));
    fact("fresh", json!("1 new post"));
    fact("talked", json!("Who is there?"));
    fact("photo", json!(true));
    fact("photo_gone", json!(true));
    let own = ["/feed/users/carl"; 5];
    fact("whose", json!(own));
    fact("wrong_password", json!("Your current password is another one."));
    fact("changed_password", json!("Your password is changed. All other devices are signed out."));
    fact("put_out", json!(true));
    let routes: u32 = report["routes"].as_str().unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(routes > 80, "the routes of all apps are shown: {report}");
    assert_eq!(report["found_routes"], 1, "{report}");
    let line = format!(
        "curl -X PUT -H \"authorization: Bearer $TOKEN\" '{}/v1/feed/posts/{{id}}/like'",
        stack.edge()
    );
    assert_eq!(report["line"], json!(line));
}
