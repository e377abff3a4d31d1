//! What reads cost: three statements at most, as `writes.rs` counts them.

use serde_json::{Value, json};
use sluice_feed::Config;
use sluice_platform::testing::request;
use sluice_storage::testing::Postgres;

use super::app::{App, picture};

async fn no_read_has_more_than_its_line_says(app: App) {
    let (ann, ben) = (app.join("ann").await, app.join("ben").await);
    // One comes here for the first time, the other never does.
    let (dan, _) = (app.join("dan").await, app.join("cat").await);
    let photo = app.send(picture(&ann)).await;
    let photo = photo.body["path"].as_str().unwrap();
    let post = app.post(&ann, "words").await;
    let reply = json!({ "text": "yes", "reply_to": post });
    assert_eq!(app.ask("POST", "/v1/feed/posts", &ben, reply).await.status, 201);
    let shared = app.ask("PUT", &format!("/v1/feed/posts/{post}/repost"), &ben, Value::Null).await;
    let repost = shared.body["id"].as_str().unwrap();
    app.ask("PUT", "/v1/feed/users/ann/follow", &ben, Value::Null).await;
    app.brought().await;

    let asked = |path: &str, token: &str| request("GET", path, token, &Value::Null);
    let get = |path: &str, token: &str| asked(&format!("/v1/feed/{path}"), token);
    let reads = vec![
        // Where the reader is, that it looks now (or who it is, the first time), and the posts. Where Redis keeps the list and so much of
        // it was deleted that it does not fill the page, the posts are looked for once more, by their rows.
        ("/v1/feed/home", get("home", &dan), 3),
        ("/v1/feed/home", get("home?order=latest&limit=1", &ben), 3),
        ("/v1/feed/home", get("home", &ben), 3),
        ("/v1/feed/home/explain", get("home/explain", &ben), 3),
        ("/v1/feed/marks", get(&format!("marks?ids={post},{repost}"), &ben), 1),
        // Its version, and the post; of a repost also what it shows.
        ("/v1/feed/posts/{id}", get(&format!("posts/{post}"), ""), 2),
        ("/v1/feed/posts/{id}", get(&format!("posts/{repost}"), ""), 3),
        // The post that is asked for, the conversation's version, and the conversation.
        ("/v1/feed/posts/{id}/thread", get(&format!("posts/{post}/thread"), ""), 3),
        ("/v1/feed/photos/{name}", asked(photo, ""), 2),
        // The version, and the profile; the account, of one who has done nothing here.
        ("/v1/feed/users/{handle}", get("users/ann", ""), 2),
        ("/v1/feed/users/{handle}", get("users/cat", ""), 3),
        ("/v1/feed/users/{handle}/posts", get("users/ann/posts", ""), 3),
        ("/v1/feed/users/{handle}/posts", get("users/cat/posts", ""), 3),
        ("/v1/feed/users/{handle}/follow", get("users/ann/follow", &ben), 1),
    ];
    app.alone.hold_reads("/v1/feed/openapi.json", reads).await;
    app.end().await;
}

#[tokio::test]
async fn no_read_has_more_than_its_line_says_on_both_engines() {
    no_read_has_more_than_its_line_says(App::start(None, &Config::default()).await).await;
    let server = Postgres::start().await;
    no_read_has_more_than_its_line_says(App::start(Some(&server), &Config::default()).await).await;
}
