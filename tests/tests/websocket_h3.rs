//! WebSockets through an edge over HTTP/3, by a client that is not ours.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use serde_json::{Value, json};
use sluice_tests::echo::Echo;
use sluice_tests::programs::printed;
use sluice_tests::python::{AIOQUIC_SOCKETS, python};
use sluice_tests::stack::lone_edge;
use std::path::Path;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;

#[tokio::test]
async fn a_client_of_another_make_opens_websockets_over_http3() {
    let (dir, echo) = (tempfile::tempdir().unwrap(), Echo::start().await);
    let flags = [("listen.https", "127.0.0.1:0"), ("listen.h3", "true")];
    let mut edge = lone_edge(dir.path(), "edge", &echo.url(), &flags);
    edge.start().await;
    let (host, port) = edge.at.h3.as_ref().unwrap().rsplit_once(':').unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign/websocket.py");
    let mut client = Command::new(python(AIOQUIC_SOCKETS));
    let output = timeout(Duration::from_secs(60), client.arg(script).args([host, port]).output());
    let output = output.await.unwrap().unwrap();
    let told: Value = serde_json::from_str(&printed("websocket.py", &output)).unwrap();

    assert_eq!(told["allowed"], 1, "SETTINGS_ENABLE_CONNECT_PROTOCOL: {told}");
    assert_eq!(
        (&told["head"][":status"], &told["head"]["sec-websocket-protocol"]),
        (&json!("200"), &json!("chat"))
    );
    assert_eq!(told["head"].get("sec-websocket-accept"), None, "of HTTP/1.1 alone");
    assert_eq!(told["echoed"], json!(["one", "two", true, "last"]), "both ways, more than any buffer holds");
    assert_eq!(told["ping"], "pong");
    assert_eq!((&told["beside"], &told["other"]), (&json!("403"), &json!("405")), "refused beside it");
    assert_eq!(told["bye"], json!([[4001, "as you wish"], "end"]));
    assert!(told["drop"] == "end" || told["drop"] == "reset", "{told}");

    let head = echo.last_head();
    assert!(head.contains_key("sec-websocket-key"), "the edge's own, where HTTP/3 has none");
    assert!(head.contains_key("via") && head.contains_key("x-forwarded-for"));
    assert!(edge.metric("sluice_edge_tunnel_bytes_total", &["up"]).await > 4e6);
    assert_eq!(edge.metric("sluice_edge_tunnels_total", &[]).await, 2.0);
    assert_eq!(edge.metric("sluice_edge_tunnels_open", &[]).await, 0.0);
    assert!(!edge.output().contains("panicked"), "a stream is stopped though a read waits");
}
