//! The feed as its readers see it, on both engines: what is posted is at every follower exactly once, whatever is killed
//! meanwhile, and what is deleted is nowhere.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use std::process::Command;
use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value, json};
use sluice_storage::rows::sea_orm::{ConnectionTrait, Statement};
use sluice_storage::testing::Postgres;
use sluice_storage::{Storage, StorageConfig};
use sluice_tests::client::{client, header};
use sluice_tests::ear::Ear;
use sluice_tests::process::{Process, binary};
use sluice_tests::programs::printed;
use sluice_tests::shop;
use sluice_tests::social::Social;
use sluice_tests::stack::Engines;
use sluice_wire::AccountId;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// How long what happens behind a request may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);
/// How soon what is deleted is nowhere.
const GONE: Duration = Duration::from_secs(1);

/// An origin with its feed, and a look at its tables.
struct Scene {
    origin: Process,
    tables: Storage,
    http: Client,
    _dir: TempDir,
}

impl Scene {
    async fn start(postgres: Option<&Postgres>, more: &[(&'static str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("key.pem").display().to_string();
        let made = Command::new(binary("sluice")).args(["key", &key]).output().unwrap();
        printed("sluice key", &made);
        let mut engines = Engines::embedded(dir.path());
        if let Some(server) = postgres {
            engines.database = server.fresh_database().await;
        }
        let mut flags = vec![
            ("listen.http", "127.0.0.1:0".to_owned()),
            ("listen.admin", "127.0.0.1:0".to_owned()),
            ("storage.database", engines.database.clone()),
            ("storage.bus", engines.bus.clone()),
            ("storage.objects", engines.objects.clone()),
            ("playback.key_file", key),
            ("accounts.admins", "root".to_owned()),
        ];
        flags.extend(more.iter().map(|(flag, value)| (*flag, (*value).to_owned())));
        let mut origin = Process::new("origin", "sluice-origin", dir.path(), &flags);
        origin.start().await;
        let Engines { database, objects, .. } = engines;
        let tables = StorageConfig { database, objects, ..StorageConfig::default() };
        let tables = Storage::open(&tables).await.unwrap();
        Self { origin, tables, http: client(), _dir: dir }
    }

    /// A new account's access token, known to the feed.
    async fn join(&self, handle: &str) -> String {
        let body = json!({ "handle": handle, "password": "correct horse" });
        let url = format!("{}/v1/accounts", self.origin.url());
        let answer = self.http.post(url).body(body.to_string()).send().await.unwrap();
        assert_eq!(answer.status(), 201);
        let token = answer.json::<Value>().await.unwrap()["access_token"].as_str().unwrap().to_owned();
        assert_eq!(self.home(&token).await, [""; 0]);
        token
    }

    async fn ask(&self, method: Method, path: &str, token: &str, body: Value) -> (u16, Value) {
        ask(&self.http, method, &format!("{}/v1/feed{path}", self.origin.url()), token, body).await
    }

    async fn post(&self, token: &str, text: &str) -> String {
        let (status, made) = self.ask(Method::POST, "/posts", token, json!({ "text": text })).await;
        assert_eq!(status, 201, "{made}");
        made["id"].as_str().unwrap().to_owned()
    }

    /// Ids of the first home page, by time.
    async fn home(&self, token: &str) -> Vec<String> {
        let (status, page) = self.ask(Method::GET, "/home?order=latest", token, Value::Null).await;
        assert_eq!(status, 200, "{page}");
        ids(&page)
    }

    async fn follow(&self, token: &str, whom: &str) {
        let (status, said) =
            self.ask(Method::PUT, &format!("/users/{whom}/follow"), token, Value::Null).await;
        assert_eq!(status, 200, "{said}");
    }

    /// Has an author followed by so many readers that come often.
    async fn audience(&self, root: &str, author: &str, readers: u32) {
        let reader = |n: u32| json!([AccountId::from_parts(1_800_000_000_000, n), format!("r{n}")]);
        let readers: Vec<Value> = (0..readers).map(reader).collect();
        let count = readers.len();
        let body = json!({ "author": author, "readers": readers, "active": true });
        let (status, said) = self.ask(Method::POST, "/import", root, body).await;
        assert_eq!((status, &said["new"]), (200, &json!(count)), "{said}");
    }

    /// A number out of the tables.
    async fn number(&self, sql: &str) -> i64 {
        let reader = self.tables.database.reader();
        let ask = Statement::from_string(reader.get_database_backend(), sql);
        reader.query_one_raw(ask).await.unwrap().unwrap().try_get("", "n").unwrap()
    }

    /// Home lists that have a post.
    async fn lists_with(&self, post: &str) -> i64 {
        let id = post.parse::<AccountId>().unwrap().as_i64();
        self.number(&format!("SELECT COUNT(*) AS n FROM feed_home WHERE post = {id}")).await
    }

    /// Waits until every post was brought to all.
    async fn brought(&self) {
        let begun = Instant::now();
        while self.number("SELECT COUNT(*) AS n FROM feed_work").await != 0 {
            assert!(begun.elapsed() < LIMIT, "posts are not brought");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until a post was brought to some, and says to how many.
    async fn under_way(&self, post: &str) -> i64 {
        let begun = Instant::now();
        loop {
            let lists = self.lists_with(post).await;
            if lists > 0 {
                return lists;
            }
            assert!(begun.elapsed() < LIMIT, "{post} is brought to nobody");
            sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn ask(http: &Client, method: Method, url: &str, token: &str, body: Value) -> (u16, Value) {
    let request = http.request(method, url).bearer_auth(token);
    let request = if body.is_null() { request } else { request.body(body.to_string()) };
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

fn ids(page: &Value) -> Vec<String> {
    let last = |item: &Value| item["f"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    page["items"].as_array().unwrap().iter().map(last).collect()
}

async fn likes_are_exact_and_pages_have_no_gap(scene: Scene) {
    let (ann, ben) = (scene.join("ann").await, scene.join("ben").await);
    scene.follow(&ben, "ann").await;
    let liked = scene.post(&ann, "like this").await;
    let mut fans = vec![ann.clone(), ben.clone()];
    for n in 0..6 {
        fans.push(scene.join(&format!("fan{n}")).await);
    }
    let mut asking = JoinSet::new();
    for fan in fans.clone() {
        let (http, url) = (scene.http.clone(), format!("{}/v1/feed/posts/{liked}/like", scene.origin.url()));
        asking.spawn(async move {
            for method in [Method::PUT, Method::PUT, Method::DELETE, Method::PUT, Method::PUT] {
                assert_eq!(ask(&http, method, &url, &fan, Value::Null).await.0, 200);
            }
        });
    }
    asking.join_all().await;
    let fragment = format!("{}/v1/feed/posts/{liked}", scene.origin.url());
    let answer = scene.http.get(&fragment).send().await.unwrap();
    assert!(header(&answer, "sluice-cache-control").contains("max-age=3600"));
    assert_eq!(header(&answer, "surrogate-key"), format!("post:{liked}"));
    assert_eq!(
        header(&answer, "sluice-version"),
        format!("post:{liked}=24"),
        "three changes of each of eight"
    );
    assert_eq!(answer.json::<Value>().await.unwrap()["likes"], 8);

    let mut posted = vec![liked];
    for n in 0..39 {
        posted.insert(0, scene.post(&ann, &format!("post {n}")).await);
    }
    for order in ["latest", "ranked"] {
        scene.brought().await;
        let (mut got, mut after) = (vec![], String::new());
        loop {
            let path = format!("/home?order={order}&limit=7{after}");
            let (_, page) = scene.ask(Method::GET, &path, &ben, Value::Null).await;
            got.extend(ids(&page));
            scene.post(&ann, "while ben reads").await;
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        if order == "ranked" {
            got.sort_by(|a, b| b.cmp(a));
        }
        let old: Vec<String> = got.iter().filter(|id| posted.contains(id)).cloned().collect();
        assert_eq!(old, posted, "{order}: each once, and none is missing");
        let mut once = got.clone();
        once.dedup();
        assert_eq!(once, got, "{order}");
    }
    let (status, why) = scene.ask(Method::GET, "/home/explain", &ben, Value::Null).await;
    assert_eq!(status, 200);
    assert!(
        why["items"][0]["terms"]["score"].as_f64().unwrap() > 0.0 && why["stages"]["mix_us"].is_u64(),
        "{why}"
    );
}

async fn a_post_is_at_each_follower_once_whatever_is_killed(mut scene: Scene) {
    const READERS: u32 = 2_000;
    let (root, ann, ben) = (scene.join("root").await, scene.join("ann").await, scene.join("ben").await);
    scene.audience(&root, "ann", READERS).await;
    let post = scene.post(&ann, "to many").await;
    let before = scene.under_way(&post).await;
    scene.origin.kill9();
    let reached = scene.lists_with(&post).await;
    assert!(before <= reached && reached < i64::from(READERS), "{reached} of {READERS} when it was killed");
    scene.origin.start().await;
    scene.brought().await;
    let lists = scene.number("SELECT COUNT(DISTINCT reader) AS n FROM feed_home WHERE post > 0").await;
    assert_eq!((scene.lists_with(&post).await, lists), (READERS.into(), READERS.into()), "once each");

    scene.follow(&ben, "ann").await;
    assert_eq!(scene.home(&ben).await, std::slice::from_ref(&post));
    let wrong = scene.post(&ann, "to be deleted").await;
    scene.under_way(&wrong).await;
    let (status, _) = scene.ask(Method::DELETE, &format!("/posts/{wrong}"), &ann, Value::Null).await;
    let deleted = Instant::now();
    assert_eq!((status, scene.home(&ben).await), (204, vec![post.clone()]));
    let gone = scene.http.get(format!("{}/v1/feed/posts/{wrong}", scene.origin.url())).send().await.unwrap();
    assert_eq!(gone.status(), 410);
    assert!(deleted.elapsed() < GONE, "{:?}", deleted.elapsed());
    scene.brought().await;
    assert!(scene.lists_with(&wrong).await < i64::from(READERS), "who had it not yet was not brought it");
    assert_eq!(scene.home(&ben).await, [post]);
}

async fn a_post_of_an_author_with_many_followers_costs_none_of_them_a_row(scene: Scene) {
    let (root, ann, ben) = (scene.join("root").await, scene.join("ann").await, scene.join("ben").await);
    scene.follow(&ben, "ann").await;
    let early = scene.post(&ann, "to few").await;
    scene.brought().await;
    scene.audience(&root, "ann", 100).await;
    let post = scene.post(&ann, "to all").await;
    scene.brought().await;
    assert_eq!(scene.lists_with(&post).await, 0);
    assert_eq!(scene.home(&ben).await, [post.clone(), early.clone()]);
    // Lists that are gone are no loss: the page is the same, and then the list is there again.
    assert_eq!(scene.ask(Method::DELETE, "/lists", &root, Value::Null).await.0, 204);
    assert_eq!(scene.home(&ben).await, [post.clone(), early.clone()]);
    let begun = Instant::now();
    while scene.lists_with(&early).await != 1 {
        assert!(begun.elapsed() < LIMIT, "the list was not rebuilt");
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(scene.home(&ben).await, [post, early]);
    let (_, shown) = scene.ask(Method::GET, "/users/ann", "", Value::Null).await;
    assert_eq!(shown, json!({ "handle": "ann", "followers": 101, "following": 0, "posts": 2 }));
}

/// What is said next under a name.
async fn hears(ear: &mut Ear, name: &str) -> Value {
    loop {
        let said = ear.json().await["data"][name].take();
        if !said.is_null() {
            return said;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_device_hears_of_what_is_new_and_of_what_was_seen() {
    let social = Social::start(&[], &[]).await;
    let origin = social.origin.url();
    let (ann, ben) = (shop::sign_up(&origin, "ann").await, shop::sign_up(&origin, "ben").await);
    social.done(Method::PUT, "/v1/feed/users/ann/follow", &ben, Value::Null).await;
    let told = social.done(Method::POST, "/v1/feed/token", &ben, Value::Null).await;
    let mut ears = vec![];
    for edge in &social.edges {
        let mut ear = Ear::open(edge, None).await;
        ear.subscribe(told["channel"].as_str().unwrap(), None, told["token"].as_str()).await;
        ears.push(ear);
    }
    // Once there is a list, what is posted is brought to it.
    social.post(&ann, "before").await;
    let begun = Instant::now();
    loop {
        let page = social.done(Method::GET, "/v1/feed/home/explain", &ben, Value::Null).await;
        if page["items"][0]["why"] == "pushed" {
            break;
        }
        assert!(begun.elapsed() < LIMIT, "there is no list: {page}");
        sleep(Duration::from_millis(20)).await;
    }
    let post = social.post(&ann, "new").await;
    for ear in &mut ears {
        assert_eq!(hears(ear, "new").await, 1);
    }
    let seen = social.ask(&social.edges[0], Method::PUT, "/v1/feed/home/seen", &ben);
    assert_eq!(seen.json(&json!({ "seen": post })).send().await.unwrap().status(), 200);
    for ear in &mut ears {
        assert_eq!(hears(ear, "seen").await, post.as_str());
    }
}

/// Small steps with pauses: there is time to kill somebody.
const SLOW: [(&str, &str); 2] = [("apps.feed.chunk", "50"), ("apps.feed.rest_ms", "40")];
/// Few followers are many.
const FEW: [(&str, &str); 1] = [("apps.feed.push_below", "50")];

#[tokio::test]
async fn likes_are_exact_and_pages_have_no_gap_on_sqlite() {
    likes_are_exact_and_pages_have_no_gap(Scene::start(None, &[]).await).await;
}

#[tokio::test]
async fn likes_are_exact_and_pages_have_no_gap_on_postgres() {
    let server = Postgres::start().await;
    likes_are_exact_and_pages_have_no_gap(Scene::start(Some(&server), &[]).await).await;
}

#[tokio::test]
async fn a_post_is_at_each_follower_once_whatever_is_killed_on_sqlite() {
    a_post_is_at_each_follower_once_whatever_is_killed(Scene::start(None, &SLOW).await).await;
}

#[tokio::test]
async fn a_post_is_at_each_follower_once_whatever_is_killed_on_postgres() {
    let server = Postgres::start().await;
    a_post_is_at_each_follower_once_whatever_is_killed(Scene::start(Some(&server), &SLOW).await).await;
}

#[tokio::test]
async fn a_post_of_an_author_with_many_followers_costs_none_of_them_a_row_on_sqlite() {
    a_post_of_an_author_with_many_followers_costs_none_of_them_a_row(Scene::start(None, &FEW).await).await;
}

#[tokio::test]
async fn a_post_of_an_author_with_many_followers_costs_none_of_them_a_row_on_postgres() {
    let server = Postgres::start().await;
    let scene = Scene::start(Some(&server), &FEW).await;
    a_post_of_an_author_with_many_followers_costs_none_of_them_a_row(scene).await;
}
