//! Steering as players and operators see it: who is sent where, why, and whom a change would move.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use serde_json::{Value, json};
use sluice_tests::cities::{AMERICAN, Cities, GERMAN, VIDEO, first, next, sites};
use sluice_tests::process::binary;
use std::collections::BTreeMap;

#[tokio::test]
async fn a_session_goes_to_the_nearest_site_and_leaves_it_for_a_reason_that_it_can_ask() {
    let plane = Cities::start().await;
    let german = plane.steer(GERMAN).await;
    let american = plane.steer(AMERICAN).await;
    assert!(
        first(&german).starts_with("fra-") && first(&american).starts_with("nyc-"),
        "{german} {american}"
    );
    assert!((270..=300).contains(&german["TTL"].as_u64().unwrap()), "peace: {german}");
    let order: Vec<&str> =
        german["PATHWAY-PRIORITY"].as_array().unwrap().iter().map(|p| p.as_str().unwrap()).collect();
    let places: Vec<&str> = order.iter().map(|name| name.split('-').next().unwrap()).collect();
    assert_eq!(places, ["fra", "nyc", "fra", "nyc", "here"], "a lost site costs a player one wait");

    let stays = plane.asks(GERMAN, &next(&german)).await;
    assert_eq!(first(&stays), first(&german));
    let why = plane.asks(GERMAN, &next(&german).replace("?", "/why?")).await;
    assert_eq!(why["decision"]["reason"]["why"], "stays", "{why}");
    assert_eq!(why["session"]["country"], "DE");
    assert_eq!(why["ranked"][1]["place"], "nyc");
    assert!(why["ranked"][1]["terms"]["distance"].as_f64().unwrap() > 6.0, "6,000 km: {why}");

    // Its edge is drained: it goes to the other of its site.
    let gone = first(&german).to_owned();
    let drain = format!("{}/v1/nodes/{gone}/drain", plane.process.url());
    assert!(reqwest::Client::new().post(drain).send().await.unwrap().status().is_success());
    let why = plane.asks(GERMAN, &next(&german).replace("?", "/why?")).await;
    assert_eq!(why["decision"]["reason"]["why"], "closed");
    let moved = plane.asks(GERMAN, &next(&german)).await;
    assert!(first(&moved).starts_with("fra-") && first(&moved) != gone, "{moved}");
    assert!(moved["RELOAD-URI"].as_str().unwrap().contains("&moved="), "{moved}");
    let reasons = |reason: &'static str| {
        let process = &plane.process;
        async move { process.metric("sluice_control_steering_total", &[reason]).await }
    };
    assert_eq!((reasons("new").await, reasons("stays").await, reasons("closed").await), (2.0, 1.0, 1.0));
}

/// What the command line prints.
async fn sluice(plane: &Cities, args: &[&str]) -> String {
    let mut command = tokio::process::Command::new(binary("sluice"));
    command.args(args).env("SLUICE_CONTROL", plane.process.url()).stdin(std::process::Stdio::null());
    let said = command.kill_on_drop(true).output().await.unwrap();
    assert!(said.status.success(), "{said:?}");
    String::from_utf8(said.stdout).unwrap()
}

#[tokio::test]
async fn a_dry_run_says_whom_a_change_would_move_and_why_and_then_it_does() {
    let plane = Cities::start().await;
    for client in [GERMAN, GERMAN, GERMAN, AMERICAN] {
        plane.steer(client).await;
    }
    let rule = json!({ "countries": ["DE"], "places": ["fra"], "never": true });
    let config = sites(json!({ "steering": { "rules": [rule] } }));
    let dry_run = reqwest::Client::new().post(format!("{}/v1/steering/dry-run", plane.process.url()));
    let told: Value = dry_run.json(&config).send().await.unwrap().json().await.unwrap();
    assert_eq!((&told["sessions"], &told["moved"]), (&json!(4), &json!(3)), "{told}");
    assert_eq!(told["moves"], json!([{ "from": "fra", "to": "nyc", "sessions": 3 }]));
    assert_eq!(
        told["samples"][0]["would"]["excluded"][0],
        json!({ "place": "fra", "why": { "why": "forbidden", "rule": 0 } })
    );
    assert!(first(&plane.steer(GERMAN).await).starts_with("fra-"), "nothing has changed");

    // The same by the command line.
    let file = plane.dir().join("fleet.json");
    std::fs::write(&file, config.to_string()).unwrap();
    let tried = sluice(&plane, &["config", "try", file.to_str().unwrap()]).await;
    assert!(tried.contains("4 of 5 sessions would move") && tried.contains("4 from fra to nyc"), "{tried}");
    let client = GERMAN.to_string();
    let why = sluice(&plane, &["why", VIDEO, "--client", &client]).await;
    assert!(why.starts_with("new, asks again in") && why.contains("nyc              costs"), "{why}");

    plane.configure(&config).await;
    assert!(first(&plane.steer(GERMAN).await).starts_with("nyc-"));
}

#[tokio::test]
async fn an_outside_cdn_has_its_share_of_the_mix_and_every_answer_can_be_made_again() {
    let plane = Cities::start().await;
    let outside = json!({ "cdn-x": { "host": "https://cdn.example.com", "share": 0.3 } });
    plane.configure(&sites(json!({ "pathways": outside }))).await;
    let mut shares: BTreeMap<bool, usize> = BTreeMap::new();
    let mut told = BTreeMap::new();
    for session in 0..1_000u64 {
        // Names of sessions are evenly spread.
        let name = format!("{:016x}", session.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let manifest = plane.asks(AMERICAN, &format!("/steer/v/{VIDEO}?s={name}")).await;
        *shares.entry(first(&manifest) == "cdn-x").or_default() += 1;
        told.insert(name, first(&manifest).to_owned());
    }
    assert!((260..=340).contains(&shares[&true]), "30 % of 1,000: {shares:?}");
    assert_eq!(
        plane.operator("/v1/steering/decisions?limit=1").await["decisions"].as_array().unwrap().len(),
        1
    );

    // The view changes; what was answered before can still be made again, each time the same.
    let old = plane.operator("/v1/steering/decisions?limit=1000").await;
    plane.configure(&sites(json!({}))).await;
    for one in old["decisions"].as_array().unwrap().iter().step_by(50) {
        let (at, view, session) = (&one["at_ms"], &one["view"], one["session"]["id"].as_str().unwrap());
        let again = plane
            .operator(&format!(
                "/v1/steering/explain?video={VIDEO}&client={AMERICAN}&s={session}&now={at}&view={view}"
            ))
            .await;
        assert_eq!(again["decision"], one["decision"], "{one}");
        assert_eq!(told[session], one["decision"]["choices"][0]["pathway"].as_str().unwrap());
    }
    let gone = plane.operator(&format!("/v1/steering/explain?video={VIDEO}&view=1")).await;
    assert_eq!(gone["status"], 404);
}
