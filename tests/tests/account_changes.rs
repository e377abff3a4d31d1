//! Two devices of one account: what one of them changes, the other is told by every edge in under a second.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use reqwest::Method;
use serde_json::{Value, json};
use sluice_storage::testing::Postgres;
use sluice_tests::accounts::{asks, me, renew, scene, sent, sign_up};
use std::time::Duration;
use tokio::time::Instant;

/// How long edges may take to hear of a change.
const HEARD: Duration = Duration::from_secs(1);

async fn sign_in(edge: &str, password: &str) -> (u16, Value) {
    let who = json!({ "handle": "ann", "password": password, "device": "phone" });
    sent(asks(edge, Method::POST, "/session").json(&who)).await
}

async fn put(edge: &str, path: &str, session: &Value, body: &Value) -> (u16, Value) {
    let token = session["access_token"].as_str().unwrap();
    sent(asks(edge, Method::PUT, path).bearer_auth(token).json(body)).await
}

/// Waits until every edge refuses the access token of a session.
async fn refused(edges: &[String], session: &Value, since: Instant) {
    for edge in edges {
        while me(edge, &session["access_token"]).await != 401 {
            assert!(since.elapsed() < HEARD, "{edge} still lets it in");
        }
    }
}

async fn a_new_password(database: Option<String>) {
    let (stack, _dir) = scene(database).await;
    let edges = [stack.edge(), stack.near[1].url()];
    let laptop = sign_up(&edges[0], "ann").await;
    let (status, phone) = sign_in(&edges[1], "correct horse").await;
    assert_eq!((status, me(&edges[1], &phone["access_token"]).await), (200, 200));

    let wrong = json!({ "current": "a wrong guess", "new": "battery staple" });
    let (status, problem) = put(&edges[0], "/password", &laptop, &wrong).await;
    assert_eq!((status, &problem["type"]), (403, &json!("/problems/wrong-password")));
    let new = json!({ "current": "correct horse", "new": "battery staple" });
    assert_eq!(put(&edges[0], "/password", &laptop, &new).await.0, 204);
    refused(&edges, &phone, Instant::now()).await;
    assert_eq!(renew(&edges[1], &phone["refresh_token"]).await.0, 401, "nor is there a new one");
    for edge in &edges {
        assert_eq!(me(edge, &laptop["access_token"]).await, 200, "who changed it goes on");
    }
    assert_eq!(renew(&edges[0], &laptop["refresh_token"]).await.0, 200);
    assert_eq!(sign_in(&edges[1], "correct horse").await.0, 401);
    assert_eq!(sign_in(&edges[1], "battery staple").await.0, 200);
}

#[tokio::test]
async fn a_new_password_puts_every_other_device_out() {
    a_new_password(None).await;
}

#[tokio::test]
async fn it_is_the_same_on_postgresql() {
    let postgres = Postgres::start().await;
    a_new_password(Some(postgres.url())).await;
}

#[tokio::test]
async fn signing_out_everywhere_puts_every_device_out_and_nobody_else() {
    let (stack, _dir) = scene(None).await;
    let edges = [stack.edge(), stack.near[1].url()];
    let (laptop, ben) = (sign_up(&edges[0], "ann").await, sign_up(&edges[1], "ben").await);
    let (_, phone) = sign_in(&edges[1], "correct horse").await;
    let token = laptop["access_token"].as_str().unwrap();
    assert_eq!(sent(asks(&edges[0], Method::DELETE, "/sessions").bearer_auth(token)).await.0, 204);
    let ended = Instant::now();
    refused(&edges, &phone, ended).await;
    refused(&edges, &laptop, ended).await;
    for session in [&phone, &laptop] {
        assert_eq!(renew(&edges[1], &session["refresh_token"]).await.0, 401);
    }
    assert_eq!(me(&edges[0], &ben["access_token"]).await, 200);
    let (status, again) = sign_in(&edges[0], "correct horse").await;
    assert_eq!((status, me(&edges[1], &again["access_token"]).await), (200, 200));
}

#[tokio::test]
async fn a_role_is_there_and_gone_as_soon_as_edges_hear_of_it_and_no_session_ends() {
    let (stack, _dir) = scene(None).await;
    let edges = [stack.edge(), stack.near[1].url()];
    let boss = sign_up(&edges[0], "boss").await;
    let ann = sign_up(&edges[1], "ann").await;
    let admin = json!({ "roles": ["admin"] });
    assert_eq!(put(&edges[1], "/@ann/roles", &ann, &admin).await.0, 403);
    assert_eq!(put(&edges[0], "/@ann/roles", &boss, &json!({ "roles": ["king"] })).await.0, 422);
    assert_eq!(put(&edges[0], "/@boss/roles", &boss, &json!({ "roles": [] })).await.0, 409, "the last one");

    let (status, given) = put(&edges[0], "/@ann/roles", &boss, &admin).await;
    assert_eq!((status, &given["account"], &given["roles"]), (200, &ann["account"], &json!(["admin"])));
    refused(&edges, &ann, Instant::now()).await;
    let (status, ann) = renew(&edges[1], &ann["refresh_token"]).await;
    assert_eq!((status, &ann["roles"]), (200, &json!(["admin"])));
    assert_eq!(me(&edges[0], &ann["access_token"]).await, 200);

    let (status, taken) = put(&edges[1], "/@boss/roles", &ann, &json!({ "roles": [] })).await;
    assert_eq!((status, &taken["roles"]), (200, &json!([])));
    refused(&edges, &boss, Instant::now()).await;
    let (_, boss) = renew(&edges[0], &boss["refresh_token"]).await;
    assert_eq!(put(&edges[0], "/@ann/roles", &boss, &json!({ "roles": [] })).await.0, 403);
}
