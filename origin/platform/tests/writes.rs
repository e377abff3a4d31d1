//! What writes of accounts cost, on both engines.
//!
//! A statement is what `sluice_storage::count_statements` counts: each that is sent, but for where a transaction begins and ends.
//! Those for an event count; the lines say what a write has beside them. SQLite changes one table with a statement, so that a
//! write has at least as many as it changes tables.
#![allow(clippy::unwrap_used, reason = "tests report a broken assumption by panicking")]

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sluice_platform::AccountsConfig;
use sluice_platform::testing::{Alone, Reply};
use sluice_storage::testing::Postgres;

/// Each write of the description, and the statements that it has at most.
const MOST: [(&str, u64); 7] = [
    // The handle, the account and what is written down of it; the session and what renews it: five tables, once for an account.
    ("post /v1/accounts", 5),
    // The account, and again where the session is made of it: its password may be another by then. The session, what renews it,
    // and what is written down.
    ("post /v1/accounts/session", 5),
    ("delete /v1/accounts/session", 2),
    // Two, and three of a token that was used before: what is written down of it, too.
    ("post /v1/accounts/refresh", 3),
    ("delete /v1/accounts/sessions", 2),
    // The account, its new hash, its other sessions, and what is written down.
    ("put /v1/accounts/password", 4),
    // The account with all that have roles, what renews its sessions, so that no token says the old ones, its new ones, and what
    // is written down.
    ("put /v1/accounts/{account}/roles", 4),
];

async fn ask(alone: &Alone, route: &str, token: &Value, body: &Value) -> Reply {
    let (method, path) = route.split_once(' ').unwrap();
    alone.ask(method, path, token.as_str().unwrap_or_default(), body).await
}

async fn no_write_has_more_than_its_line_says(server: Option<&Postgres>) {
    // What was used before is another's at once.
    let admins = vec!["boss".to_owned()];
    let accounts = AccountsConfig { renew_grace_ms: 0, admins, ..AccountsConfig::default() };
    let alone = Alone::start(server, &accounts).await;
    let (events, mut sent) = (alone.events(), BTreeMap::new());
    let mut hold = |route: &'static str, reply: Reply, wanted: u16, beside: u64| {
        assert_eq!(reply.status, wanted, "{route}: {}", reply.body);
        let kept: &mut u64 = sent.entry(route).or_default();
        *kept = reply.statements.saturating_sub(beside).max(*kept);
        reply.body
    };
    let none = Value::Null;
    let [up, sign_in, out, renew, everywhere, password, roles] = MOST.map(|(route, _)| route);
    let who = json!({ "handle": "ann", "password": "correct horse" });
    let first = hold(up, ask(&alone, up, &none, &who).await, 201, 0);
    let second = hold(sign_in, ask(&alone, sign_in, &none, &who).await, 200, 0);
    let with = |token: &Value| json!({ "refresh_token": token["refresh_token"] });
    let third = hold(renew, ask(&alone, renew, &none, &with(&second)).await, 200, 0);
    assert_ne!(third["refresh_token"], second["refresh_token"]);
    let third = hold(renew, ask(&alone, renew, &none, &with(&third)).await, 200, 0);
    hold(renew, ask(&alone, renew, &none, &with(&second)).await, 401, events);
    hold(renew, ask(&alone, renew, &none, &with(&third)).await, 401, 0);
    hold(out, ask(&alone, out, &first["access_token"], &none).await, 204, events);
    hold(renew, ask(&alone, renew, &none, &with(&first)).await, 401, 0);
    let wrong = json!({ "handle": "ann", "password": "a wrong guess" });
    hold(sign_in, ask(&alone, sign_in, &none, &wrong).await, 401, 0);
    let [one, _other] =
        [ask(&alone, sign_in, &none, &who).await.body, ask(&alone, sign_in, &none, &who).await.body];
    let new = json!({ "current": "correct horse", "new": "battery staple" });
    hold(password, ask(&alone, password, &one["access_token"], &new).await, 204, events);
    hold(everywhere, ask(&alone, everywhere, &one["access_token"], &none).await, 204, events);
    let (_, boss) = alone.join("boss").await;
    let given = alone.ask("PUT", "/v1/accounts/@ann/roles", &boss, &json!({ "roles": ["admin"] })).await;
    hold(roles, given, 200, events);
    assert_eq!(sent, MOST.into_iter().collect(), "as few as said");
    let described = ask(&alone, "get /v1/accounts/openapi.json", &none, &none).await.body;
    for (path, methods) in described["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys().filter(|method| *method != "get") {
            let route = format!("{method} {path}");
            assert!(MOST.iter().any(|(name, _)| *name == route), "{route} has a line above");
        }
    }
    alone.end().await;
}

#[tokio::test]
async fn no_write_has_more_than_its_line_says_on_both_engines() {
    no_write_has_more_than_its_line_says(None).await;
    let server = Postgres::start().await;
    no_write_has_more_than_its_line_says(Some(&server)).await;
}
