//! What ranks a post, as a home explains it.

use serde_json::{Value, json};
use sluice_feed::Config;
use sluice_storage::testing::Postgres;

use super::app::App;

/// A term of a post's score, as a home explains it.
async fn term(app: &App, token: &str, post: &str, name: &str) -> f64 {
    let page = app.ask("GET", "/v1/feed/home/explain", token, Value::Null).await;
    let mut items = page.body["items"].as_array().unwrap().iter();
    let item = items.find(|item| item["f"].as_str().unwrap().ends_with(post)).unwrap();
    item["terms"][name].as_f64().unwrap()
}

async fn a_repost_ranks_by_what_it_shows(app: App) {
    let (ann, ben, cat) = (app.join("ann").await, app.join("ben").await, app.join("cat").await);
    let post = app.post(&ann, "liked").await;
    let shared = app.ask("PUT", &format!("/v1/feed/posts/{post}/repost"), &ben, Value::Null).await;
    let repost = shared.body["id"].as_str().unwrap();
    app.ask("PUT", "/v1/feed/users/ben/follow", &cat, Value::Null).await;
    app.ask("PUT", &format!("/v1/feed/posts/{post}/like"), &ann, Value::Null).await;
    app.brought().await;
    assert_eq!(app.home(&cat).await, [repost], "she follows who reposts alone");
    let before = term(&app, &cat, repost, "engagement").await;
    assert!(before > 1.0, "{before}");
    let reply = json!({ "text": "yes", "reply_to": post });
    assert_eq!(app.ask("POST", "/v1/feed/posts", &cat, reply).await.status, 201);
    assert!(term(&app, &cat, repost, "engagement").await > before);

    let like = app.ask("PUT", &format!("/v1/feed/posts/{repost}/like"), &cat, Value::Null).await;
    assert_eq!(like.status, 400, "{}", like.body);
    let reply = json!({ "text": "yes", "reply_to": repost });
    let reply = app.ask("POST", "/v1/feed/posts", &cat, reply).await;
    assert_eq!(reply.status, 400, "{}", reply.body);
    let shown = app.ask("GET", &format!("/v1/feed/posts/{repost}"), "", Value::Null).await;
    assert_eq!((&shown.body["likes"], &shown.body["replies"]), (&json!(0), &json!(0)));
    app.end().await;
}

#[tokio::test]
async fn a_repost_ranks_by_what_it_shows_on_both_engines() {
    a_repost_ranks_by_what_it_shows(App::start(None, &Config::default()).await).await;
    let server = Postgres::start().await;
    a_repost_ranks_by_what_it_shows(App::start(Some(&server), &Config::default()).await).await;
}

async fn what_is_taken_back_counts_no_more(app: App) {
    let (ann, ben) = (app.join("ann").await, app.join("ben").await);
    let post = app.post(&ann, "liked").await;
    app.ask("PUT", "/v1/feed/users/ann/follow", &ben, Value::Null).await;
    let before = term(&app, &ben, &post, "affinity").await;
    for act in ["like", "repost", "like"] {
        let path = format!("/v1/feed/posts/{post}/{act}");
        for (method, nearer) in [("PUT", true), ("DELETE", false)] {
            let done = app.ask(method, &path, &ben, Value::Null).await;
            assert!(done.status < 300, "{method} {act}: {}", done.body);
            app.brought().await;
            let now = term(&app, &ben, &post, "affinity").await;
            assert_eq!(now > before + 1e-9, nearer, "{method} {act}: {now}, before {before}");
        }
    }
    app.end().await;
}

#[tokio::test]
async fn what_is_taken_back_counts_no_more_on_both_engines() {
    what_is_taken_back_counts_no_more(App::start(None, &Config::default()).await).await;
    let server = Postgres::start().await;
    what_is_taken_back_counts_no_more(App::start(Some(&server), &Config::default()).await).await;
}
