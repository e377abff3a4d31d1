//! Accounts as their clients see them, by a clock that tests move.
#![allow(clippy::unwrap_used, reason = "tests report a broken assumption by panicking")]

mod changes;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};
use sluice_storage::ManualClock;
use sluice_storage::rows::sea_orm::{EntityTrait, PaginatorTrait};
use sluice_storage::testing::Postgres;

use super::AccountsConfig;
use super::rows::{refresh, session};
use crate::testing::{Alone, Reply, request};

/// Noon of some day, in Unix milliseconds.
const NOON: u64 = 1_800_000_000_000;
const SESSION: &str = "/v1/accounts/session";

async fn scene(server: Option<&Postgres>, accounts: &AccountsConfig) -> (Alone, Arc<ManualClock>) {
    let clock = ManualClock::at(NOON);
    let shared = Arc::clone(&clock);
    (Alone::start_at(server, accounts, shared).await, clock)
}

fn ann(password: &str) -> Value {
    json!({ "handle": "ann", "password": password })
}

async fn sign_in(alone: &Alone, handle: &str, password: &str) -> Reply {
    alone.ask("POST", SESSION, "", &json!({ "handle": handle, "password": password })).await
}

async fn renew(alone: &Alone, token: &Value) -> Reply {
    alone.ask("POST", "/v1/accounts/refresh", "", &json!({ "refresh_token": token })).await
}

/// A request of a page, with these fields.
fn of_page(path: &str, body: &Value, fields: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::post(path).header("host", "shop.example");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(Body::from(body.to_string())).unwrap()
}

#[tokio::test]
async fn guesses_side_by_side_are_as_few_as_one_by_one() {
    let (alone, _clock) = scene(None, &AccountsConfig::default()).await;
    alone.join("ann").await;
    let guesses = (0..30).map(|_| sign_in(&alone, "ann", "a wrong guess"));
    let guesses = futures::future::join_all(guesses).await;
    let looked_at = guesses.iter().filter(|reply| reply.status != 429).count();
    assert_eq!(looked_at, 6);
    assert_eq!(sign_in(&alone, "ann", "correct horse").await.status, 429, "the handle waits");
    alone.end().await;
}

#[tokio::test]
async fn a_handle_that_nobody_can_have_is_answered_as_a_wrong_password_and_not_remembered() {
    let (alone, _clock) = scene(None, &AccountsConfig::default()).await;
    alone.join("ann").await;
    let wrong = sign_in(&alone, "ann", "a wrong guess").await;
    let long = "x".repeat(200 << 10);
    for _ in 0..8 {
        let reply = sign_in(&alone, &long, "a wrong guess").await;
        assert_eq!((reply.status, &reply.body), (401, &wrong.body));
    }
    alone.end().await;
}

#[tokio::test]
async fn another_sites_page_signs_nobody_in() {
    let (alone, _clock) = scene(None, &AccountsConfig::default()).await;
    alone.join("ann").await;
    let body = ann("correct horse");
    let (json, evil) = (("content-type", "application/json"), ("origin", "http://evil.example"));
    let sent = async |path: &str, body: &Value, fields: &[(&str, &str)]| {
        alone.send(of_page(path, body, fields)).await
    };
    let own = ("origin", "http://shop.example");
    assert_eq!(sent(SESSION, &body, &[evil, ("content-type", "text/plain")]).await.status, 403);
    assert_eq!(sent(SESSION, &body, &[("sec-fetch-site", "cross-site"), json]).await.status, 403);
    let ben = json!({ "handle": "ben", "password": "correct horse" });
    assert_eq!(sent("/v1/accounts", &ben, &[evil, json]).await.status, 403);
    let token = sent(SESSION, &body, &[own, json]).await;
    assert_eq!(token.status, 200, "{}", token.body);
    let renewal = json!({ "refresh_token": token.body["refresh_token"] });
    assert_eq!(sent("/v1/accounts/refresh", &renewal, &[evil, json]).await.status, 403);
    assert_eq!(sent(SESSION, &body, &[own]).await.status, 415, "a page says what it sends");
    assert_eq!(sent(SESSION, &body, &[("content-type", "text/plain")]).await.status, 415);
    alone.end().await;
}

#[tokio::test]
async fn who_came_by_tls_gets_cookies_that_go_by_it_alone() {
    let (alone, _clock) = scene(None, &AccountsConfig::default()).await;
    alone.join("ann").await;
    for (scheme, secure) in [("https", true), ("http", false)] {
        let fields = [("content-type", "application/json"), ("x-forwarded-proto", scheme)];
        let reply = alone.send(of_page(SESSION, &ann("correct horse"), &fields)).await;
        let lines = reply.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap());
        let said: Vec<bool> = lines.map(|line| line.ends_with("; Secure")).collect();
        assert_eq!(said, [secure; 3], "{scheme}");
    }
    alone.end().await;
}

#[tokio::test]
async fn nul_is_refused_before_any_engine_sees_it() {
    let (alone, _clock) = scene(None, &AccountsConfig::default()).await;
    let body = json!({ "handle": "ann", "name": "An\0n", "password": "correct horse" });
    let reply = alone.ask("POST", "/v1/accounts", "", &body).await;
    assert_eq!((reply.status, &reply.body["detail"]), (422, &json!("name: U+0000 is in no text here")));
    let (_, token) = alone.join("ann").await;
    let asked = request("GET", "/v1/accounts/me?name=a%00b", &token, &Value::Null);
    assert_eq!(alone.send(asked).await.status, 400);
    alone.end().await;
}

#[tokio::test]
async fn a_session_that_ended_is_refused_at_once_and_no_other_is() {
    let (alone, _clock) = scene(None, &AccountsConfig::default()).await;
    let (_, token) = alone.join("ann").await;
    let other = sign_in(&alone, "ann", "correct horse").await.body;
    let me = async |token: &str| alone.ask("GET", "/v1/accounts/me", token, &Value::Null).await.status;
    assert_eq!(alone.ask("DELETE", SESSION, &token, &Value::Null).await.status, 204);
    assert_eq!((me(&token).await, me(other["access_token"].as_str().unwrap()).await), (401, 200));
    alone.end().await;
}

async fn two_tabs_renew_at_once_and_a_thief_does_not(server: Option<&Postgres>) {
    let (alone, clock) = scene(server, &AccountsConfig::default()).await;
    alone.join("ann").await;
    let old = sign_in(&alone, "ann", "correct horse").await.body["refresh_token"].clone();
    let one = renew(&alone, &old).await;
    clock.advance(Duration::from_secs(9));
    let two = renew(&alone, &old).await;
    assert_eq!((one.status, two.status), (200, 200), "another tab, or an answer that was lost");
    assert_ne!(one.body["refresh_token"], two.body["refresh_token"]);
    let one = renew(&alone, &one.body["refresh_token"]).await;
    assert_eq!(one.status, 200, "each goes on with its own");
    clock.advance(Duration::from_secs(2));
    assert_eq!(renew(&alone, &old).await.status, 401, "eleven seconds after its use it is a thief's");
    let access = one.body["access_token"].as_str().unwrap();
    let me = alone.ask("GET", "/v1/accounts/me", access, &Value::Null).await;
    assert_eq!(me.status, 401, "its access tokens are refused at once");
    assert_eq!(renew(&alone, &one.body["refresh_token"]).await.status, 401, "and the session has ended");
    assert_eq!(renew(&alone, &two.body["refresh_token"]).await.status, 401);
    alone.end().await;
}

#[tokio::test]
async fn two_tabs_renew_at_once_and_a_thief_does_not_on_both_engines() {
    two_tabs_renew_at_once_and_a_thief_does_not(None).await;
    let server = Postgres::start().await;
    two_tabs_renew_at_once_and_a_thief_does_not(Some(&server)).await;
}

async fn what_has_expired_is_forgotten(server: Option<&Postgres>) {
    let accounts = AccountsConfig { session_ttl_s: 60, ..AccountsConfig::default() };
    let (alone, clock) = scene(server, &accounts).await;
    let kept = async || {
        let reader = alone.ground.storage.database.reader();
        let tokens = refresh::Entity::find().count(reader).await.unwrap();
        (session::Entity::find().count(reader).await.unwrap(), tokens)
    };
    alone.join("ann").await;
    let renewed = sign_in(&alone, "ann", "correct horse").await.body["refresh_token"].clone();
    clock.advance(Duration::from_secs(50));
    let renewed = renew(&alone, &renewed).await.body["refresh_token"].clone();
    alone.ground.accounts.forget().await.unwrap();
    assert_eq!(kept().await, (2, 3), "nothing has expired yet");
    clock.advance(Duration::from_secs(20));
    alone.ground.accounts.forget().await.unwrap();
    assert_eq!(kept().await, (1, 1), "the session that was renewed, and what renews it");
    assert_eq!(renew(&alone, &renewed).await.status, 200);
    clock.advance(Duration::from_secs(61));
    alone.ground.accounts.forget().await.unwrap();
    assert_eq!(kept().await, (0, 0));
    alone.end().await;
}

#[tokio::test]
async fn what_has_expired_is_forgotten_on_both_engines() {
    what_has_expired_is_forgotten(None).await;
    let server = Postgres::start().await;
    what_has_expired_is_forgotten(Some(&server)).await;
}
