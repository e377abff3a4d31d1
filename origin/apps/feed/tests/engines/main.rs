//! The app's routes on both engines, in one process: what they answer, and how many statements that takes.
#![allow(clippy::unwrap_used, reason = "tests report a broken assumption by panicking")]

mod app;
mod ranks;
mod reads;
mod writes;

use std::time::Duration;

use app::{App, LIMIT, ids};
use serde_json::{Value, json};
use sluice_feed::Config;
use sluice_platform::AccountsConfig;
use sluice_platform::testing::Alone;
use sluice_storage::StorageError;
use sluice_storage::testing::Postgres;
use sluice_wire::VideoId;
use tokio::time::{Instant, sleep};

async fn the_whole_life_of_a_post(app: App) {
    let (ann, ben) = (app.join("ann").await, app.join("ben").await);
    for token in [&ann, &ben] {
        assert_eq!(app.home(token).await, [""; 0]);
    }
    let (cat, _) = (app.join("cat").await, app.join("newcomer").await);
    let newcomer = app.ask("PUT", "/v1/feed/users/newcomer/follow", &cat, Value::Null).await;
    assert_eq!(
        (newcomer.status, &newcomer.body),
        (200, &json!({ "following": true })),
        "who never used the feed"
    );
    let shown = app.ask("GET", "/v1/feed/users/newcomer", "", Value::Null).await;
    assert_eq!(shown.body["followers"], 1, "{}", shown.body);
    assert_eq!(app.ask("PUT", "/v1/feed/users/nobody/follow", &cat, Value::Null).await.status, 404);
    let first = app.post(&ann, "first").await;
    let events = app.alone.events();
    let follow = app.ask("PUT", "/v1/feed/users/ann/follow", &ben, Value::Null).await;
    assert_eq!(follow.status, 200, "{}", follow.body);
    app.took(&follow, 3 + events);
    let again = app.ask("PUT", "/v1/feed/users/ann/follow", &ben, Value::Null).await;
    assert_eq!(again.status, 200);
    app.took(&again, 2);
    assert_eq!(app.home(&ben).await, std::slice::from_ref(&first), "what was posted before is there");
    app.listed(&ben, 1).await;

    let new = json!({ "text": "second", "photos": [{ "path": "/i/a.jpg", "blur": "L00000" }] });
    let made = app.ask("POST", "/v1/feed/posts", &ann, new).await;
    assert_eq!(made.status, 201, "{}", made.body);
    app.took(&made, 3 + events);
    let second = made.body["id"].as_str().unwrap().to_owned();
    app.listed(&ben, 2).await;
    assert_eq!(app.home(&ben).await, [second.clone(), first.clone()]);
    assert_eq!(app.whys(&ann).await, ["own", "own"]);

    let like = format!("/v1/feed/posts/{second}/like");
    for (method, n, statements) in [
        ("PUT", 1, 3 + events),
        ("PUT", 1, 2),
        ("DELETE", 0, 3 + events),
        ("DELETE", 0, 2),
        ("PUT", 1, 3 + events),
    ] {
        let liked = app.ask(method, &like, &ben, Value::Null).await;
        assert_eq!((liked.status, &liked.body["likes"]), (200, &json!(n)), "{method}");
        app.took(&liked, statements);
    }
    let reply = json!({ "text": "yes", "reply_to": second });
    let reply = app.ask("POST", "/v1/feed/posts", &ben, reply).await;
    assert_eq!(reply.status, 201, "{}", reply.body);
    app.took(&reply, 2 + events);
    let reply = reply.body["id"].as_str().unwrap().to_owned();
    let deeper = json!({ "text": "so", "reply_to": reply });
    let deeper =
        app.ask("POST", "/v1/feed/posts", &ann, deeper).await.body["id"].as_str().unwrap().to_owned();
    let thread = app.ask("GET", &format!("/v1/feed/posts/{second}/thread"), "", Value::Null).await;
    assert_eq!((ids(&thread.body), thread.statements), (vec![reply.clone(), deeper.clone()], 3));
    assert_eq!(thread.body["items"][1]["p"], json!(reply));

    let shared = app.ask("PUT", &format!("/v1/feed/posts/{first}/repost"), &ben, Value::Null).await;
    assert_eq!(shared.status, 200, "{}", shared.body);
    app.took(&shared, 3 + events);
    let twice = app.ask("PUT", &format!("/v1/feed/posts/{first}/repost"), &ben, Value::Null).await;
    assert_eq!(twice.body["id"], shared.body["id"]);

    let of_repost = format!("/v1/feed/posts/{}", shared.body["id"].as_str().unwrap());
    let repost = app.ask("GET", &of_repost, "", Value::Null).await;
    assert_eq!((repost.status, repost.statements), (200, 3), "{}", repost.body);
    let versions = repost.headers["sluice-version"].to_str().unwrap().to_owned();
    assert!(versions.contains(&format!("reposts:{first}=0")), "{versions}");

    let fragment = app.ask("GET", &format!("/v1/feed/posts/{second}"), "", Value::Null).await;
    assert_eq!((fragment.status, fragment.statements), (200, 2));
    let counts = json!([fragment.body["likes"], fragment.body["replies"], fragment.body["reposts"]]);
    assert_eq!(counts, json!([1, 1, 0]));
    let version = fragment.headers["sluice-version"].to_str().unwrap();
    assert_eq!(version, format!("post:{second}=4"), "three likes that changed it, and a reply");
    let home = app.ask("GET", "/v1/feed/home", &ben, Value::Null).await;
    assert!(home.statements <= 3 && home.headers["cache-control"] == "no-store", "{}", home.statements);
    let shown = app.ask("GET", "/v1/feed/users/ann", "", Value::Null).await;
    assert_eq!(
        (&shown.body, shown.statements),
        (&json!({"handle":"ann","followers":1,"following":0,"posts":2}), 2)
    );
    let list = app.ask("GET", "/v1/feed/users/ann/posts", "", Value::Null).await;
    assert_eq!((ids(&list.body), list.statements), (vec![second.clone(), first.clone()], 3));

    let seen = app.ask("PUT", "/v1/feed/home/seen", &ben, json!({ "seen": second })).await;
    assert_eq!(seen.status, 200);
    app.took(&seen, 1 + events);
    app.ask("PUT", "/v1/feed/home/seen", &ben, json!({ "seen": first })).await;
    let home = app.ask("GET", "/v1/feed/home", &ben, Value::Null).await;
    assert_eq!(home.body["seen"], json!(second), "it never goes back");

    let path = format!("/v1/feed/posts/{first}");
    assert_eq!(app.ask("DELETE", &path, &ben, Value::Null).await.status, 403);
    let gone = app.ask("DELETE", &path, &ann, Value::Null).await;
    assert_eq!(gone.status, 204);
    app.took(&gone, 3 + events);
    let said = gone.headers["sluice-version"].to_str().unwrap();
    assert!(said.contains(&format!("reposts:{first}=1")), "what reposts it hears of it: {said}");
    assert_eq!(app.ask("GET", &of_repost, "", Value::Null).await.status, 410);
    assert_eq!(app.ask("DELETE", &path, &ann, Value::Null).await.status, 204);
    assert_eq!(app.home(&ben).await, std::slice::from_ref(&second), "with it went what reposted it");
    let tombstone = app.ask("GET", &path, "", Value::Null).await;
    assert_eq!(
        (tombstone.status, &tombstone.headers["surrogate-key"]),
        (410, &format!("post:{first}").parse().unwrap())
    );
    assert_eq!(app.ask("PUT", &format!("{path}/like"), &ben, Value::Null).await.status, 410);
    assert_eq!(app.ask("GET", "/v1/feed/posts/0000000000000", "", Value::Null).await.status, 404);

    let left = app.ask("DELETE", "/v1/feed/users/ann/follow", &ben, Value::Null).await;
    assert_eq!(left.status, 200);
    app.took(&left, 3 + events);
    assert_eq!(app.home(&ben).await, [""; 0]);
    app.end().await;
}

async fn a_post_has_no_video_that_is_not_there(app: App) {
    let ann = app.join("ann").await;
    let id = VideoId::from_parts(1_800_000_000_000, 1);
    let (film, videos) = (json!({ "video": id }), &app.alone.ground.storage.videos());
    let refused = async || {
        let refused = app.ask("POST", "/v1/feed/posts", &ann, film.clone()).await;
        assert_eq!((refused.status, &refused.body["type"]), (422, &json!("/problems/no-such-video")));
    };
    refused().await;
    app.video(id).await;
    let made = app.ask("POST", "/v1/feed/posts", &ann, film.clone()).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let delete = app
        .alone
        .ground
        .storage
        .database
        .write::<_, StorageError, _>(|tx| Box::pin(async move { videos.put_aside(tx, id).await }));
    assert!(delete.await.unwrap());
    refused().await;
    let shown = app.ask("GET", made.body["fragment"].as_str().unwrap(), "", Value::Null).await;
    assert_eq!((shown.status, &shown.body["video"]), (200, &json!(id)), "what was posted stays");
    app.end().await;
}

#[tokio::test]
async fn a_post_has_no_video_that_is_not_there_on_both_engines() {
    a_post_has_no_video_that_is_not_there(App::start(None, &Config::default()).await).await;
    let server = Postgres::start().await;
    a_post_has_no_video_that_is_not_there(App::start(Some(&server), &Config::default()).await).await;
}

async fn lists_that_are_lost_leave_no_page_empty(app: App) {
    let (root, ann, ben) = (app.join("root").await, app.join("ann").await, app.join("ben").await);
    app.home(&ann).await;
    let follow = app.ask("PUT", "/v1/feed/users/ann/follow", &ben, Value::Null).await;
    assert_eq!(follow.status, 200, "{}", follow.body);
    let mut posts = vec![];
    for n in 0..30 {
        posts.insert(0, app.post(&ann, &format!("post {n}")).await);
    }
    app.home(&ben).await;
    app.listed(&ben, 24).await;
    let page = app.ask("GET", "/v1/feed/home", &ben, Value::Null).await;
    assert!(page.text.len() < 1_024, "{} bytes: {}", page.text.len(), page.body);
    for (post, act) in [
        (2, "like"),
        (3, "like"),
        (3, "repost"),
        (5, "like"),
        (9, "like"),
        (12, "like"),
        (17, "like"),
        (20, "like"),
    ] {
        let marked =
            app.ask("PUT", &format!("/v1/feed/posts/{}/{act}", posts[post]), &ben, Value::Null).await;
        assert_eq!(marked.status, 200, "{}", marked.body);
    }
    let own = app.ask("GET", "/v1/feed/home?order=latest", &ben, Value::Null).await;
    let marks = |page: &Value| {
        page["items"].as_array().unwrap().iter().map(|item| item["m"].clone()).collect::<Vec<_>>()
    };
    // The repost comes first, and shows what is liked.
    let (of, l, lr) = (marks(&own.body), json!("l"), json!("lr"));
    assert_eq!((&of[0], &of[1], &of[3], &of[4], &of[6]), (&lr, &Value::Null, &l, &lr, &l), "{}", own.body);
    assert!(own.text.len() < 1_024 && own.statements <= 3, "{} statements: {}", own.statements, own.text);
    let asked = format!("/v1/feed/marks?ids={},{},{}", posts[1], posts[2], posts[3]);
    let told = app.ask("GET", &asked, &ben, Value::Null).await;
    assert_eq!(told.body["marks"], json!({ posts[2].clone(): "l", posts[3].clone(): "lr" }));
    assert_eq!(
        (told.statements, app.ask("GET", &asked, &root, Value::Null).await.body),
        (1, json!({ "marks": {} }))
    );
    assert_eq!(app.ask("GET", "/v1/feed/marks?ids=x", &ben, Value::Null).await.status, 400);
    let undone = app.ask("DELETE", &format!("/v1/feed/posts/{}/repost", posts[3]), &ben, Value::Null).await;
    assert_eq!(undone.status, 204);
    let dropped = app.ask("DELETE", "/v1/feed/lists", &root, Value::Null).await;
    assert_eq!(
        (dropped.status, app.ask("DELETE", "/v1/feed/lists", &ann, Value::Null).await.status),
        (204, 403)
    );
    let page = app.ask("GET", "/v1/feed/home?order=latest", &ben, Value::Null).await;
    assert_eq!(ids(&page.body), posts[..24], "without its list it is the same page");
    assert!(page.statements <= 3, "{}", page.statements);
    let next = page.body["next"].as_str().unwrap();
    let rest = app.ask("GET", &format!("/v1/feed/home?order=latest&after={next}"), &ben, Value::Null).await;
    assert_eq!(ids(&rest.body), posts[24..]);
    assert_eq!(rest.body.get("next"), None);
    app.listed(&ben, 24).await;
    assert_eq!(app.home(&ben).await, posts[..24]);
    app.end().await;
}

/// With a list of three, and readers who are idle at once.
async fn who_does_not_come_is_brought_nothing_and_misses_nothing(app: App) {
    let (ann, ben) = (app.join("ann").await, app.join("ben").await);
    assert_eq!((app.home(&ann).await.len(), app.home(&ben).await.len()), (0, 0));
    // Behind those reads lists were begun: what is posted while they are made may be in them.
    let begun = Instant::now();
    while app.number("SELECT COUNT(*) AS n FROM feed_home WHERE post = 0").await != 2 {
        assert!(begun.elapsed() < LIMIT, "the lists are not begun");
        sleep(Duration::from_millis(10)).await;
    }
    app.ask("PUT", "/v1/feed/users/ann/follow", &ben, Value::Null).await;
    let mut posts = vec![];
    for n in 0..5 {
        posts.insert(0, app.post(&ann, &format!("post {n}")).await);
    }
    app.brought().await;
    assert_eq!(app.number("SELECT COUNT(*) AS n FROM feed_home WHERE post > 0").await, 0);
    let page = app.ask("GET", "/v1/feed/home?order=latest", &ben, Value::Null).await;
    assert_eq!(ids(&page.body), posts);
    assert!(page.statements <= 3, "{}", page.statements);
    let begun = Instant::now();
    while app.number("SELECT COUNT(*) AS n FROM feed_home WHERE post > 0").await != 3 {
        assert!(begun.elapsed() < LIMIT, "the list is not rebuilt to its bound");
        sleep(Duration::from_millis(10)).await;
    }
    app.end().await;
}

#[tokio::test]
async fn who_does_not_come_is_brought_nothing_and_misses_nothing_on_both_engines() {
    let config = Config { idle_ms: 0, list: 3, ..Config::default() };
    who_does_not_come_is_brought_nothing_and_misses_nothing(App::start(None, &config).await).await;
    let server = Postgres::start().await;
    who_does_not_come_is_brought_nothing_and_misses_nothing(App::start(Some(&server), &config).await).await;
}

#[tokio::test]
async fn the_whole_life_of_a_post_on_sqlite() {
    the_whole_life_of_a_post(App::start(None, &Config::default()).await).await;
}

#[tokio::test]
async fn the_whole_life_of_a_post_on_postgres() {
    let server = Postgres::start().await;
    the_whole_life_of_a_post(App::start(Some(&server), &Config::default()).await).await;
}

#[tokio::test]
async fn lists_that_are_lost_leave_no_page_empty_on_sqlite() {
    lists_that_are_lost_leave_no_page_empty(App::start(None, &Config::default()).await).await;
}

#[tokio::test]
async fn lists_that_are_lost_leave_no_page_empty_on_postgres() {
    let server = Postgres::start().await;
    lists_that_are_lost_leave_no_page_empty(App::start(Some(&server), &Config::default()).await).await;
}

#[tokio::test]
async fn every_route_is_described() {
    let app = App::start(None, &Config::default()).await;
    let document = app.ask("GET", "/v1/feed/openapi.json", "", Value::Null).await;
    assert_eq!(document.body["openapi"].as_str().map(|version| version.starts_with("3.1")), Some(true));
    assert_eq!(document.body["paths"].as_object().unwrap().len(), 17);
    app.end().await;
}

/// Its tables, and those that all apps stand on.
async fn tables_go_and_come_again(server: Option<&Postgres>) {
    let alone = Alone::start(server, &AccountsConfig::default()).await;
    let database = &alone.ground.storage.database;
    alone.join("ann").await;
    for schema in [&sluice_feed::SCHEMA, &sluice_platform::SCHEMA] {
        database.install(schema).await.unwrap();
        database.uninstall(schema).await.unwrap();
        database.install(schema).await.unwrap();
    }
    // The handle is free again.
    alone.join("ann").await;
    alone.end().await;
}

#[tokio::test]
async fn tables_go_and_come_again_on_both_engines() {
    tables_go_and_come_again(None).await;
    let server = Postgres::start().await;
    tables_go_and_come_again(Some(&server)).await;
}
