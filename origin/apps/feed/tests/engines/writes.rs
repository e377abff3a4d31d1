//! What writes cost.
//!
//! A statement is what `sluice_storage::count_statements` counts: each that is sent, but for where a transaction begins and ends.
//! So a write's events count: two or three statements for all of them (`Alone::events`),
//! the same for every write of every app. An `Idempotency-Key` adds two: what was answered before is looked for, and the answer is
//! kept. The lines below say what a write has beside these: three at most, but where the line says why.
//!
//! SQLite changes one table with a statement, so that a write has at least as many as it changes tables.

use std::collections::BTreeMap;

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};
use sluice_feed::Config;
use sluice_storage::testing::Postgres;

use super::app::{Answer, App, picture};

/// What an `Idempotency-Key` adds.
const KEY: u64 = 2;

/// Each write of the description, and the statements that it has at most.
const MOST: [(&str, u64); 13] = [
    // Four with photos: the post, its author's count, its work, and that the photos are taken are four tables. One more with a
    // video, which is looked for.
    ("post /v1/feed/posts", 5),
    // Four of a repost, which is a row, a mark, a count of what it shows, and how near its author is to whoever wrote that.
    ("delete /v1/feed/posts/{id}", 4),
    ("put /v1/feed/posts/{id}/like", 3),
    ("delete /v1/feed/posts/{id}/like", 3),
    ("put /v1/feed/posts/{id}/repost", 3),
    // As deleting it.
    ("delete /v1/feed/posts/{id}/repost", 4),
    // Of a photo that is sent. One that was uploaded in pieces has what it takes to read an upload and to delete it.
    ("post /v1/feed/photos", 2),
    ("put /v1/feed/users/{handle}/follow", 3),
    ("delete /v1/feed/users/{handle}/follow", 3),
    ("put /v1/feed/home/seen", 1),
    ("post /v1/feed/token", 0),
    // Four for any number of readers up to 2,000: the author is looked up once rather than in each of their rows.
    ("post /v1/feed/import", 4),
    ("delete /v1/feed/lists", 1),
];

/// What was sent for each write at most, beside events.
#[derive(Default)]
struct Sent(BTreeMap<&'static str, u64>);

impl Sent {
    /// Holds an answer to the line of its route, and gives it back.
    fn hold(&mut self, route: &str, answer: Answer, beside: u64) -> Answer {
        let &(name, most) = MOST.iter().find(|(name, _)| *name == route).unwrap();
        assert!(answer.status < 300, "{route}: {} {}", answer.status, answer.body);
        let own = answer.statements.saturating_sub(beside);
        assert!(own <= most, "{route}: {own} statements");
        let kept = self.0.entry(name).or_default();
        *kept = own.max(*kept);
        answer
    }
}

/// A picture that is sent, and where it is kept.
async fn photo(app: &App, token: &str, sent: &mut Sent) -> String {
    let kept = sent.hold("post /v1/feed/photos", app.send(picture(token)).await, 0);
    kept.body["path"].as_str().unwrap().to_owned()
}

/// Posts; the new one's id. With a key.
async fn post(app: &App, token: &str, body: Value, sent: &mut Sent) -> String {
    let request = Request::post("/v1/feed/posts")
        .header("authorization", format!("Bearer {token}"))
        .header("idempotency-key", format!("{body}"))
        .body(Body::from(body.to_string()));
    let made = sent.hold("post /v1/feed/posts", app.send(request.unwrap()).await, app.alone.events() + KEY);
    app.brought().await;
    made.body["id"].as_str().unwrap().to_owned()
}

async fn no_write_has_more_than_its_line_says(app: App) {
    let (events, mut sent) = (app.alone.events(), Sent::default());
    let (root, ann, ben) = (app.join("root").await, app.join("ann").await, app.join("ben").await);
    let plain = post(&app, &ann, json!({ "text": "words" }), &mut sent).await;
    let path = photo(&app, &ann, &mut sent).await;
    let film = sluice_wire::VideoId::from_parts(1_800_000_000_000, 1);
    app.video(film).await;
    let shown = json!({ "text": "shown", "photos": [{ "path": path }], "video": film });
    let shown = post(&app, &ann, shown, &mut sent).await;
    let path = photo(&app, &ben, &mut sent).await;
    let reply = json!({ "text": "mine", "photos": [{ "path": path }], "reply_to": shown });
    let reply = post(&app, &ben, reply, &mut sent).await;
    let shared = app.ask("PUT", &format!("/v1/feed/posts/{shown}/repost"), &ben, Value::Null).await;
    let shared = shared.body["id"].as_str().unwrap();
    app.brought().await;
    let of = |post: &str, what: &str| format!("/v1/feed/posts/{post}{what}");
    let follow = |handle: &str| format!("/v1/feed/users/{handle}/follow");
    let reader =
        |n: u64| json!([sluice_wire::AccountId::from_parts(1_800_000_000_000, n as u32), format!("r{n}")]);
    let readers: Vec<Value> = (1..50).map(reader).collect();
    let import = json!({ "author": "ann", "readers": readers, "active": true });
    let asks: [(&str, String, &str, Value, u64); 22] = [
        ("put /v1/feed/posts/{id}/like", of(&shown, "/like"), &ben, Value::Null, events),
        ("put /v1/feed/posts/{id}/like", of(&shown, "/like"), &ben, Value::Null, 0),
        ("delete /v1/feed/posts/{id}/like", of(&shown, "/like"), &ben, Value::Null, events),
        ("put /v1/feed/posts/{id}/repost", of(&plain, "/repost"), &ben, Value::Null, events),
        ("put /v1/feed/posts/{id}/repost", of(&plain, "/repost"), &ben, Value::Null, 0),
        ("delete /v1/feed/posts/{id}/repost", of(&plain, "/repost"), &ben, Value::Null, events),
        ("delete /v1/feed/posts/{id}/repost", of(&plain, "/repost"), &ben, Value::Null, 0),
        // Of a newcomer, again, of who is here, and back.
        ("put /v1/feed/users/{handle}/follow", follow("root"), &ben, Value::Null, events),
        ("put /v1/feed/users/{handle}/follow", follow("root"), &ben, Value::Null, 0),
        ("put /v1/feed/users/{handle}/follow", follow("ann"), &ben, Value::Null, events),
        ("delete /v1/feed/users/{handle}/follow", follow("ann"), &ben, Value::Null, events),
        ("put /v1/feed/home/seen", "/v1/feed/home/seen".into(), &ben, json!({ "seen": plain }), events),
        ("put /v1/feed/home/seen", "/v1/feed/home/seen".into(), &ann, json!({ "seen": plain }), events),
        ("post /v1/feed/token", "/v1/feed/token".into(), &ben, Value::Null, 0),
        ("post /v1/feed/import", "/v1/feed/import".into(), &root, import, events),
        // Who was brought here has no account.
        ("put /v1/feed/users/{handle}/follow", follow("r7"), &ben, Value::Null, events),
        ("put /v1/feed/users/{handle}/follow", follow("r7"), &ben, Value::Null, 0),
        ("delete /v1/feed/users/{handle}/follow", follow("r7"), &ben, Value::Null, events),
        ("delete /v1/feed/posts/{id}", of(shared, ""), &ben, Value::Null, events),
        ("delete /v1/feed/posts/{id}", of(&reply, ""), &ben, Value::Null, events),
        ("delete /v1/feed/posts/{id}", of(&shown, ""), &ann, Value::Null, events),
        ("delete /v1/feed/lists", "/v1/feed/lists".into(), &root, Value::Null, 0),
    ];
    for (route, path, token, body, beside) in asks {
        let method = route.split(' ').next().unwrap().to_uppercase();
        sent.hold(route, app.ask(&method, &path, token, body).await, beside);
        app.brought().await;
    }
    let person = app.ask("GET", "/v1/feed/users/ann", "", Value::Null).await.body;
    assert_eq!(person, json!({ "handle": "ann", "followers": 49, "following": 0, "posts": 1 }));
    for (handle, following) in [("root", true), ("ann", false), ("nobody", false)] {
        let told = app.ask("GET", &follow(handle), &ben, Value::Null).await;
        assert_eq!((told.body, told.statements), (json!({ "following": following }), 1), "{handle}");
    }
    for handle in ["a", "No%20one", "ann%C3%BC"] {
        let told = app.ask("GET", &follow(handle), &ben, Value::Null).await;
        assert_eq!((told.status, told.statements), (404, 0), "{handle} cannot be a handle: {}", told.body);
    }
    let document = app.ask("GET", "/v1/feed/openapi.json", "", Value::Null).await.body;
    let writes = document["paths"].as_object().unwrap().iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().unwrap().keys();
        methods.filter(|method| *method != "get").map(move |method| format!("{method} {path}"))
    });
    for route in writes {
        assert!(sent.0.contains_key(route.as_str()), "{route} has a line above, and is asked for");
    }
    assert_eq!(sent.0.into_iter().collect::<BTreeMap<_, _>>(), MOST.into_iter().collect(), "as few as said");
    app.end().await;
}

#[tokio::test]
async fn no_write_has_more_than_its_line_says_on_both_engines() {
    no_write_has_more_than_its_line_says(App::start(None, &Config::default()).await).await;
    let server = Postgres::start().await;
    no_write_has_more_than_its_line_says(App::start(Some(&server), &Config::default()).await).await;
}
