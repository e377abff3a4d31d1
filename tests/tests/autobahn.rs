//! The edge's WebSocket against Autobahn's cases, run by a client from outside: nothing fails, and nothing is done less strictly
//! than it should be.
#![allow(clippy::print_stdout, reason = "what was done and what it took is for whoever reads along")]
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use serde_json::{Value, json};
use sluice_tests::programs::printed;
use sluice_tests::python::{KOSOKU, foreign_with};
use sluice_tests::stack::lone_edge;

/// Framing, pings, reserved bits, opcodes, fragmentation, UTF-8, closing, and what else there is beside the two below.
const CORE: [&str; 8] = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"];
/// Long messages, up to 16 MiB, in long frames, short ones and single pieces; and many.
const LIMITS: [&str; 1] = ["9.*"];
/// Compression (RFC 7692), which is not offered.
const COMPRESSION: [&str; 2] = ["12.*", "13.*"];

async fn run(group: &str, cases: &[&str]) -> Value {
    let dir = tempfile::tempdir().unwrap();
    // The longest message of the cases.
    let flags = [("streams.message_bytes", "16777216")];
    let mut edge = lone_edge(dir.path(), "edge", "http://127.0.0.1:9", &flags);
    edge.start().await;
    let url = format!("ws://{}/v1/live/echo", edge.at.http.as_ref().unwrap());
    let mut command = foreign_with(KOSOKU, "autobahn.py");
    command.arg(url).args(cases);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let told: Value = serde_json::from_str(&printed("autobahn.py", &output)).unwrap();
    println!(
        "{group}: {} cases: {}; closed: {}; the slowest: {}",
        told["cases"], told["behavior"], told["close"], told["slowest"]
    );
    told
}

/// All cases are as they should be: not one failed, or is passed for leniency.
async fn is_strict(group: &str, cases: &[&str], least: u64) {
    let told = run(group, cases).await;
    assert_eq!(told["wrong"], json!([]));
    assert!(told["cases"].as_u64().unwrap() >= least, "{told}");
}

#[tokio::test]
async fn whatever_a_client_of_the_core_protocol_does_is_answered_as_it_should_be() {
    is_strict("core", &CORE, 240).await;
}

#[tokio::test]
async fn long_messages_come_back_whole_however_they_are_cut() {
    is_strict("limits", &LIMITS, 50).await;
}

#[tokio::test]
async fn compression_is_not_offered_and_who_asks_for_it_is_served_without() {
    let told = run("compression", &COMPRESSION).await;
    let all = told["cases"].as_u64().unwrap();
    assert_eq!(
        (told["behavior"]["UNIMPLEMENTED"].as_u64(), &told["wrong"]),
        (Some(all), &json!([])),
        "{told}"
    );
}
