//! Accounts through an edge: signing up, in and out, renewing once, and what becomes of who steals a token.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use reqwest::{Method, Response};
use serde_json::json;
use sluice_storage::testing::Postgres;
use sluice_tests::accounts::{asks, me, renew, scene, sent, sign_up};
use sluice_tests::client::client;
use sluice_tests::process::{Process, binary};
use sluice_tests::social::Social;
use std::process::Command;
use std::time::Duration;
use tokio::time::Instant;

async fn a_life(database: Option<String>) {
    let (stack, _dir) = scene(database).await;
    let edge = stack.edge();
    let ann = sign_up(&edge, "ann").await;
    let (status, told) =
        sent(asks(&edge, Method::GET, "/me").bearer_auth(ann["access_token"].as_str().unwrap())).await;
    assert_eq!((status, &told["handle"], &told["account"]), (200, &json!("ann"), &ann["account"]));
    assert_eq!(sign_up(&edge, "boss").await["roles"], json!(["admin"]));

    let body = json!({ "handle": "ann", "password": "another one" });
    assert_eq!(sent(asks(&edge, Method::POST, "").json(&body)).await.0, 409, "a handle is one's alone");
    assert_eq!(sent(asks(&edge, Method::POST, "/session").json(&body)).await.0, 401);
    let short = json!({ "handle": "Ä", "password": "short" });
    let (status, problem) = sent(asks(&edge, Method::POST, "").json(&short)).await;
    let faults = problem["detail"].as_str().unwrap();
    assert!(status == 422 && faults.contains("handle") && faults.contains("password"), "{problem}");

    let phone = json!({ "handle": "ann", "password": "correct horse", "device": "phone" });
    let (status, phone) = sent(asks(&edge, Method::POST, "/session").json(&phone)).await;
    assert_eq!((status, me(&edge, &phone["access_token"]).await), (200, 200));

    // A token renews once; who brings it again ends that session, and no other.
    let (status, next) = renew(&edge, &phone["refresh_token"]).await;
    assert_eq!(status, 200, "{next}");
    let (again, _) = renew(&edge, &next["refresh_token"]).await;
    assert_eq!(again, 200);
    assert_eq!(renew(&edge, &phone["refresh_token"]).await.0, 401, "it was used");
    assert_eq!(renew(&edge, &next["refresh_token"]).await.0, 401);
    assert_eq!(renew(&edge, &ann["refresh_token"]).await.0, 200);
}

#[tokio::test]
async fn an_account_signs_up_and_in_and_its_refresh_tokens_are_used_once() {
    a_life(None).await;
}

#[tokio::test]
async fn it_is_the_same_on_postgresql() {
    let postgres = Postgres::start().await;
    a_life(Some(postgres.url())).await;
}

fn cookies(answer: &Response) -> Vec<String> {
    let set = answer.headers().get_all("set-cookie").iter();
    set.map(|line| line.to_str().unwrap().split(';').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_page_keeps_cookies_and_another_sites_page_can_do_nothing_with_them() {
    let (stack, _dir) = scene(None).await;
    let edge = stack.edge();
    let body = json!({ "handle": "ann", "password": "correct horse" });
    let made = asks(&edge, Method::POST, "").json(&body).send().await.unwrap();
    let lines: Vec<_> =
        made.headers().get_all("set-cookie").iter().map(|l| l.to_str().unwrap().to_owned()).collect();
    assert!(lines.iter().all(|l| l.contains("SameSite=Lax")), "{lines:?}");
    let (hidden, told): (Vec<_>, Vec<_>) = lines.iter().partition(|l| l.contains("HttpOnly"));
    assert!(hidden.len() == 2 && told.len() == 1 && told[0].starts_with("sluice_known=1;"), "{lines:?}");
    let cookie = cookies(&made).join("; ");
    let with = |method: Method, path: &str, origin: &str| {
        asks(&edge, method, path).header("cookie", &cookie).header("origin", origin)
    };
    assert_eq!(sent(with(Method::GET, "/me", "http://evil.example")).await.0, 200, "reading changes nothing");
    assert_eq!(sent(with(Method::POST, "/refresh", "http://evil.example")).await.0, 403);
    assert_eq!(sent(with(Method::DELETE, "/session", "http://evil.example")).await.0, 403);
    let theirs = asks(&edge, Method::POST, "/session").header("origin", "http://evil.example").json(&body);
    assert_eq!(sent(theirs).await.0, 403, "nor sign anybody into an account of its own");
    let form = asks(&edge, Method::POST, "/session").header("content-type", "text/plain");
    assert_eq!(sent(form.body(body.to_string())).await.0, 415);
    assert_eq!(sent(asks(&edge, Method::POST, "/session").header("origin", &edge).json(&body)).await.0, 200);
    assert_eq!(sent(with(Method::DELETE, "/session", &edge)).await.0, 204);
    assert_eq!(sent(with(Method::POST, "/refresh", &edge)).await.0, 401, "signed out");
}

#[tokio::test]
async fn guessing_has_a_price() {
    let (stack, _dir) = scene(None).await;
    let edge = stack.edge();
    sign_up(&edge, "ann").await;
    let guess = json!({ "handle": "ann", "password": "a wrong guess" });
    let mut statuses = vec![];
    for _ in 0..7 {
        statuses.push(sent(asks(&edge, Method::POST, "/session").json(&guess)).await.0);
    }
    assert_eq!(statuses, [401, 401, 401, 401, 401, 401, 429]);
}

#[tokio::test]
async fn a_session_that_ends_is_refused_at_every_edge_within_a_second_and_no_other_is() {
    let (stack, _dir) = scene(None).await;
    let edges = [stack.edge(), stack.near[1].url()];
    let ann = sign_up(&edges[0], "ann").await;
    let laptop = json!({ "handle": "ann", "password": "correct horse" });
    let (_, laptop) = sent(asks(&edges[1], Method::POST, "/session").json(&laptop)).await;
    for edge in &edges {
        assert_eq!(
            (me(edge, &ann["access_token"]).await, me(edge, &laptop["access_token"]).await),
            (200, 200)
        );
    }
    let out = asks(&edges[0], Method::DELETE, "/session").bearer_auth(ann["access_token"].as_str().unwrap());
    assert_eq!(sent(out).await.0, 204);
    let ended = Instant::now();
    for edge in &edges {
        while me(edge, &ann["access_token"]).await != 401 {
            assert!(ended.elapsed() < Duration::from_secs(1), "{edge} still lets it in");
        }
        assert_eq!(me(edge, &laptop["access_token"]).await, 200);
    }
}

#[tokio::test]
async fn a_session_that_ends_is_refused_at_every_origin_within_a_second_and_by_one_that_starts() {
    let (stack, dir) = scene(None).await;
    let engines = stack.engines();
    let flags = [
        ("listen.http", "127.0.0.1:0".to_owned()),
        ("listen.admin", "127.0.0.1:0".to_owned()),
        ("storage.database", engines.database.clone()),
        ("storage.bus", engines.bus.clone()),
        ("storage.objects", engines.objects.clone()),
        ("playback.key_file", dir.path().join("key.pem").display().to_string()),
    ];
    let mut other = Process::new("other", "sluice-origin", dir.path(), &flags);
    other.start().await;
    let origins = [stack.origin.url(), other.url()];
    let ann = sign_up(&origins[0], "ann").await;
    let ben = sign_up(&origins[1], "ben").await;
    for origin in &origins {
        let seen = (me(origin, &ann["access_token"]).await, me(origin, &ben["access_token"]).await);
        assert_eq!(seen, (200, 200));
    }
    let token = ann["access_token"].as_str().unwrap();
    let out = asks(&origins[0], Method::DELETE, "/session").bearer_auth(token);
    assert_eq!(sent(out).await.0, 204);
    let ended = Instant::now();
    for origin in &origins {
        while me(origin, &ann["access_token"]).await != 401 {
            assert!(ended.elapsed() < Duration::from_secs(1), "{origin} still lets it in");
        }
        assert_eq!(me(origin, &ben["access_token"]).await, 200);
    }
    other.kill9();
    other.start().await;
    let seen = (me(&other.url(), &ann["access_token"]).await, me(&other.url(), &ben["access_token"]).await);
    assert_eq!(seen, (401, 200), "it knows what ended before it began");
}

#[tokio::test]
async fn what_a_rule_closes_is_not_opened_by_an_account_that_anybody_may_have() {
    let (stack, dir) = scene(None).await;
    let edge = stack.edge();
    let ann = sign_up(&edge, "ann").await;
    let key = dir.path().join("key.pem").display().to_string();
    let minted =
        Command::new(binary("sluice")).args(["token", "--key", &key, "--path", "/v1"]).output().unwrap();
    let minted = String::from_utf8(minted.stdout).unwrap();
    let shown = async |token: &str| {
        let asked = client().get(format!("{edge}/v1/storage")).bearer_auth(token).send().await.unwrap();
        asked.status().as_u16()
    };
    assert_eq!(shown(minted.trim()).await, 200);
    let status = shown(ann["access_token"].as_str().unwrap()).await;
    assert!(matches!(status, 401 | 403), "{status}");
}

/// Sign-ups and the like that an address may ask for at once.
const AT_ONCE: u64 = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_often_an_address_signs_up_is_a_rule_of_the_edge() {
    let dir = tempfile::tempdir().unwrap();
    let rules = dir.path().join("rules.toml").display().to_string();
    let rule = format!(
        "[[rule]]\nprefix = \"/v1/accounts\"\nmethods = [\"POST\"]\nneed = \"open\"\n\
         rate = {{ requests = {AT_ONCE}, seconds = 3600 }}\n\
         [[rule]]\nprefix = \"/v1/accounts/refresh\"\nneed = \"open\"\n"
    );
    std::fs::write(&rules, rule).unwrap();
    let scene = Social::start(&[], &[("access.rules_file", rules.as_str())]).await;
    let [edge, other] = [scene.edges[0].url(), scene.edges[1].url()];
    let mut accounts = vec![];
    for n in 0..AT_ONCE {
        accounts.push(sign_up(&edge, &format!("ann{n}")).await);
    }
    for (path, handle) in [("", "eve"), ("/session", "ann0")] {
        let body = json!({ "handle": handle, "password": "correct horse" });
        let answer = asks(&edge, Method::POST, path).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 429, "{path}");
        assert!(answer.headers().contains_key("retry-after"), "{path}");
    }
    // Who is in goes on.
    let renew = json!({ "refresh_token": accounts[0]["refresh_token"] });
    assert_eq!(sent(asks(&edge, Method::POST, "/refresh").json(&renew)).await.0, 200);
    assert_eq!(me(&edge, &accounts[1]["access_token"]).await, 200);
    // Each edge counts by itself.
    sign_up(&other, "eve").await;
}
