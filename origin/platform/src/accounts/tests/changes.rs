//! A new password, signing out everywhere, roles, and what is written down of it all.

use std::time::Duration;

use serde_json::{Value, json};
use sluice_storage::testing::Postgres;

use super::{SESSION, renew, scene, sign_in};
use crate::accounts::AccountsConfig;
use crate::accounts::tries;
use crate::testing::{Alone, Reply};

const PASSWORD: &str = "/v1/accounts/password";

fn bossy() -> AccountsConfig {
    AccountsConfig { admins: vec!["boss".to_owned()], ..AccountsConfig::default() }
}

async fn me(alone: &Alone, token: &Value) -> Reply {
    alone.ask("GET", "/v1/accounts/me", token.as_str().unwrap(), &Value::Null).await
}

/// Asks for a new password with the token of a session.
async fn change(alone: &Alone, session: &Value, current: &str, new: &str) -> u16 {
    let (token, body) =
        (session["access_token"].as_str().unwrap(), json!({ "current": current, "new": new }));
    alone.ask("PUT", PASSWORD, token, &body).await.status
}

async fn a_new_password_ends_all_other_sessions(server: Option<&Postgres>) {
    let (alone, clock) = scene(server, &AccountsConfig::default()).await;
    alone.join("ann").await;
    let phone = sign_in(&alone, "ann", "correct horse").await.body;
    let laptop = sign_in(&alone, "ann", "correct horse").await.body;
    let old = alone.ground.accounts.find("ann").await.unwrap().unwrap();
    clock.advance(Duration::from_secs(1));
    assert_eq!(change(&alone, &phone, "a wrong guess", "battery staple").await, 403);
    assert_eq!(change(&alone, &phone, "correct horse", "short").await, 422);
    assert_eq!(change(&alone, &phone, "correct horse", "battery staple").await, 204);
    assert_eq!(me(&alone, &phone["access_token"]).await.status, 200, "it goes on");
    assert_eq!(me(&alone, &laptop["access_token"]).await.status, 401);
    assert_eq!(renew(&alone, &phone["refresh_token"]).await.status, 200);
    assert_eq!(renew(&alone, &laptop["refresh_token"]).await.status, 401);
    assert_eq!(sign_in(&alone, "ann", "correct horse").await.status, 401);
    assert_eq!(sign_in(&alone, "ann", "battery staple").await.status, 200);
    let late = alone.ground.accounts.begin(&old, "", false).await;
    assert_eq!(late.err().map(|error| error.0.status), Some(409), "its password was looked at before");
    alone.end().await;
}

#[tokio::test]
async fn a_new_password_ends_all_other_sessions_on_both_engines() {
    a_new_password_ends_all_other_sessions(None).await;
    let server = Postgres::start().await;
    a_new_password_ends_all_other_sessions(Some(&server)).await;
}

#[tokio::test]
async fn guesses_of_the_current_password_are_as_few_as_at_sign_ins_and_apart_from_them() {
    let (alone, _clock) = scene(None, &AccountsConfig::default()).await;
    alone.join("ann").await;
    let ann = sign_in(&alone, "ann", "correct horse").await.body;
    for _ in 0..6 {
        assert_eq!(change(&alone, &ann, "a wrong guess", "battery staple").await, 403);
    }
    assert_eq!(change(&alone, &ann, "correct horse", "battery staple").await, 429);
    let other = sign_in(&alone, "ann", "correct horse").await;
    assert_eq!(other.status, 200, "a stolen token keeps nobody out");
    for _ in 0..6 {
        assert_eq!(sign_in(&alone, "ann", "a wrong guess").await.status, 401);
    }
    assert_eq!(sign_in(&alone, "ann", "correct horse").await.status, 429);
    assert_eq!(change(&alone, &other.body, "correct horse", "battery staple").await, 204, "nor do strangers");
    alone.end().await;
}

#[tokio::test]
async fn signing_out_everywhere_leaves_no_session() {
    let (alone, _clock) = scene(None, &AccountsConfig::default()).await;
    let (_, first) = alone.join("ann").await;
    let (_, other) = alone.join("ben").await;
    let phone = sign_in(&alone, "ann", "correct horse").await.body;
    let out = alone.ask("DELETE", "/v1/accounts/sessions", &first, &Value::Null).await;
    assert_eq!((out.status, out.headers.get_all("set-cookie").iter().count()), (204, 3));
    for token in [&json!(first), &phone["access_token"]] {
        assert_eq!(me(&alone, token).await.status, 401);
    }
    assert_eq!(renew(&alone, &phone["refresh_token"]).await.status, 401);
    assert_eq!(me(&alone, &json!(other)).await.status, 200);
    let again = sign_in(&alone, "ann", "correct horse").await.body;
    assert_eq!(me(&alone, &again["access_token"]).await.status, 200, "the account is as good as before");
    alone.end().await;
}

async fn of_too_many_sessions_the_oldest_ends(server: Option<&Postgres>) {
    let (alone, clock) = scene(server, &AccountsConfig::default()).await;
    let (_, first) = alone.join("ann").await;
    clock.advance(Duration::from_millis(1));
    let second = sign_in(&alone, "ann", "correct horse").await.body;
    let begin = async || {
        clock.advance(Duration::from_millis(1));
        let ann = alone.ground.accounts.find("ann").await.unwrap().unwrap();
        assert!(alone.ground.accounts.begin(&ann, "", false).await.is_ok());
    };
    for _ in 2..100 {
        begin().await;
    }
    assert_eq!(me(&alone, &json!(first)).await.status, 200, "a hundred are there");
    begin().await;
    assert_eq!(me(&alone, &json!(first)).await.status, 401);
    assert_eq!(me(&alone, &second["access_token"]).await.status, 200);
    alone.end().await;
}

#[tokio::test]
async fn of_too_many_sessions_the_oldest_ends_on_both_engines() {
    of_too_many_sessions_the_oldest_ends(None).await;
    let server = Postgres::start().await;
    of_too_many_sessions_the_oldest_ends(Some(&server)).await;
}

async fn roles_are_given_and_taken(server: Option<&Postgres>) {
    let (alone, clock) = scene(server, &bossy()).await;
    let (_, boss) = alone.join("boss").await;
    let (id, _) = alone.join("ann").await;
    let ann = sign_in(&alone, "ann", "correct horse").await.body;
    let give = async |token: &str, whom: &str, roles: Value| {
        clock.advance(Duration::from_secs(1));
        let path = format!("/v1/accounts/{whom}/roles");
        alone.ask("PUT", &path, token, &json!({ "roles": roles })).await
    };
    let own = ann["access_token"].as_str().unwrap();
    assert_eq!(give(own, "@ann", json!(["admin"])).await.status, 403, "nobody helps themselves");
    assert_eq!(give(&boss, "@ann", json!(["king"])).await.status, 422);
    assert_eq!(give(&boss, "@nobody", json!([])).await.status, 404);
    assert_eq!(give(&boss, "@boss", json!([])).await.status, 409, "one is left");
    let given = give(&boss, &id, json!(["admin"])).await;
    assert_eq!(
        (given.status, &given.body["roles"], &given.body["account"]),
        (200, &json!(["admin"]), &json!(id))
    );

    assert_eq!(me(&alone, &ann["access_token"]).await.status, 401, "it says what was");
    clock.advance(Duration::from_secs(1));
    let ann = renew(&alone, &ann["refresh_token"]).await.body;
    assert_eq!(me(&alone, &ann["access_token"]).await.body["roles"], json!(["admin"]));
    let taken = give(ann["access_token"].as_str().unwrap(), "@boss", json!([])).await;
    assert_eq!((taken.status, &taken.body["handle"]), (200, &json!("boss")));
    assert_eq!(give(&boss, "@ann", json!([])).await.status, 401, "its token is refused at once");
    alone.end().await;
}

#[tokio::test]
async fn roles_are_given_and_taken_on_both_engines() {
    roles_are_given_and_taken(None).await;
    let server = Postgres::start().await;
    roles_are_given_and_taken(Some(&server)).await;
}

#[tokio::test]
async fn what_accounts_do_is_written_down_and_no_password_is() {
    let (alone, clock) = scene(None, &AccountsConfig { renew_grace_ms: 0, ..bossy() }).await;
    let (_, boss) = alone.join("boss").await;
    let ann = json!({ "handle": "ann", "password": "correct horse" });
    assert_eq!(alone.ask("POST", "/v1/accounts", "", &ann).await.status, 201);
    sign_in(&alone, "ann", "hunter22").await;
    sign_in(&alone, "hunter22", "correct horse").await;
    let phone = sign_in(&alone, "ann", "correct horse").await.body;
    change(&alone, &phone, "correct horse", "battery staple").await;
    clock.advance(Duration::from_secs(1));
    renew(&alone, &phone["refresh_token"]).await;
    assert_eq!(renew(&alone, &phone["refresh_token"]).await.status, 401, "it was used");
    let roles = json!({ "roles": ["admin"] });
    assert_eq!(alone.ask("PUT", "/v1/accounts/@ann/roles", &boss, &roles).await.status, 200);
    assert_eq!(alone.ask("DELETE", SESSION, &boss, &Value::Null).await.status, 204);

    let mut entries = alone.ground.storage.audit().list(None, 99).await.unwrap();
    entries.reverse();
    let acts: Vec<&str> = entries.iter().map(|entry| entry.action.as_str()).collect();
    let signed_up = ["sign-up", "sign-up", "refuse-sign-in", "refuse-sign-in", "sign-in", "change-password"];
    assert_eq!(acts, [&signed_up[..], &["end-session", "give-roles", "end-session"]].concat());
    assert_eq!((entries[2].subject.as_str(), &entries[3].subject), ("ann", &tries::digest("hunter22")));
    assert_eq!(entries[5].after, Some(json!({ "sessions_ended": 1 })));
    assert_eq!(entries[6].after, Some(json!("refresh token used twice")));
    assert_eq!((&entries[7].before, &entries[7].after), (&Some(json!([])), &Some(json!(["admin"]))));
    let all = serde_json::to_string(&entries).unwrap();
    assert!(["hunter22", "correct horse", "battery"].iter().all(|word| !all.contains(word)), "{all}");
    alone.end().await;
}
