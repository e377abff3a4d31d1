//! What writes cost, on both engines.
//!
//! A statement is what `sluice_storage::count_statements` counts: each that is sent, but for where a transaction begins and ends.
//! So a write's events count: two or three statements for all of them (`Alone::events`),
//! the same for every write of every app. An `Idempotency-Key` adds two: what was answered before is looked for, and the answer is
//! kept. The lines below say what a write has beside these: three at most, but where the line says why.
//!
//! SQLite changes one table with a statement, so that a write has at least as many as it changes tables.
#![allow(clippy::unwrap_used, reason = "tests report a broken assumption by panicking")]

use std::collections::BTreeMap;

use http::HeaderValue;
use serde_json::{Value, json};
use sluice_platform::AccountsConfig;
use sluice_platform::testing::{Alone, Reply, request};
use sluice_storage::testing::Postgres;

/// What an `Idempotency-Key` adds.
const KEY: u64 = 2;

/// Each write of the description, and the statements that it has at most.
const MOST: [(&str, u64); 15] = [
    // Whom it is with is looked up; then a direct one has a row in four tables: the pair's, its own, its members', its first
    // event's. Others have no pair.
    ("post /v1/chat", 5),
    ("post /v1/chat/{conversation}/join", 3),
    // Who is in it is asked, the member's row goes with those of its devices, and is counted, somebody becomes owner if none is
    // left, and what happened is kept: four tables, one of them twice.
    ("post /v1/chat/{conversation}/leave", 6),
    // Whom it is about is looked up among accounts, which are not the app's.
    ("post /v1/chat/{conversation}/members", 4),
    ("put /v1/chat/{conversation}/members/{account}", 3),
    // As leaving, but for the heir.
    ("delete /v1/chat/{conversation}/members/{account}", 5),
    ("post /v1/chat/{conversation}/files", 3),
    // Messages that come at once share these: who is in, what was sent before, and three tables. With files two more: whose they are
    // is read, and that they are named is kept.
    ("post /v1/chat/{conversation}/messages", 7),
    // What it says is read, since words that it has no more are not found any more, and changed in three tables: the words that
    // go and those that come are two statements.
    ("put /v1/chat/{conversation}/messages/{message}", 5),
    // What it said is read, and taken out of all seven tables that have any of it; that it is deleted is kept.
    ("delete /v1/chat/{conversation}/messages/{message}", 9),
    ("put /v1/chat/{conversation}/messages/{message}/reactions/{emoji}", 3),
    ("delete /v1/chat/{conversation}/messages/{message}/reactions/{emoji}", 3),
    // Three of a move that nobody is told of. With a receipt, at most one a second: where the account is is read, since a
    // function decides on it, and a row changes in three tables. A 51st device is one more: the oldest goes.
    ("put /v1/chat/{conversation}/cursor", 4),
    ("post /v1/chat/token", 2),
    ("put /v1/chat/presence", 1),
];

/// The app, alone in a process.
struct App {
    alone: Alone,
    /// What was sent for each write at most, beside events.
    sent: BTreeMap<&'static str, u64>,
}

impl App {
    async fn start(database: Option<&Postgres>) -> Self {
        let mut alone = Alone::start(database, &AccountsConfig::default()).await;
        let app = sluice_chat::start(&alone.ground, &sluice_chat::Config::default()).await.unwrap();
        alone.serve(app);
        Self { alone, sent: BTreeMap::new() }
    }

    /// Does a write, and holds it to the line of its route. `places` are what stands in the path's braces.
    async fn write(
        &mut self,
        (route, places): (&str, &[&str]),
        token: &str,
        body: Value,
        beside: u64,
    ) -> Value {
        let (method, path) = route.split_once(' ').unwrap();
        let mut places = places.iter();
        let parts = path.split('/').map(|part| match part.starts_with('{') {
            true => *places.next().unwrap(),
            false => part,
        });
        let mut request = request(method, &parts.collect::<Vec<_>>().join("/"), token, &body);
        if beside > self.alone.events() {
            request.headers_mut().insert("idempotency-key", HeaderValue::from_static("once"));
        }
        let Reply { status, body: told, statements, .. } = self.alone.send(request).await;
        assert!(status < 300, "{route}: {status} {told}");
        let &(name, most) = MOST.iter().find(|(name, _)| *name == route).unwrap();
        let own = statements.saturating_sub(beside);
        assert!(own <= most, "{route}: {own} statements");
        let kept = self.sent.entry(name).or_default();
        *kept = own.max(*kept);
        told
    }
}

const SEND: &str = "post /v1/chat/{conversation}/messages";
const MAKE: &str = "post /v1/chat";
const CURSOR: &str = "put /v1/chat/{conversation}/cursor";

async fn no_write_has_more_than_its_line_says(mut app: App) {
    let events = app.alone.events();
    let ((_, ann), (ben, ben_token), (cat, cat_token)) =
        (app.alone.join("ann").await, app.alone.join("ben").await, app.alone.join("cat").await);
    let direct = json!({ "kind": "direct", "with": "@ben" });
    let made = app.write((MAKE, &[]), &ann, direct.clone(), events).await;
    assert_eq!(
        app.write((MAKE, &[]), &ben_token, json!({ "kind": "direct", "with": "@ann" }), 0).await["id"],
        made["id"]
    );
    let group = json!({ "kind": "group", "name": "All", "members": ["@ben"] });
    let group = app.write((MAKE, &[]), &ann, group, events + KEY).await["id"].as_str().unwrap().to_owned();
    let channel = json!({ "kind": "channel", "name": "News" });
    let channel = app.write((MAKE, &[]), &ann, channel, events).await["id"].as_str().unwrap().to_owned();
    let (all, news) = (group.as_str(), channel.as_str());

    let file = "post /v1/chat/{conversation}/files";
    let file = app.write((file, &[all]), &ann, json!({ "a": "document" }), 0).await;
    let words = |client: &str| json!({ "client_id": client, "text": "some words that are said", "attachments": [file] });
    let said = app.write((SEND, &[all]), &ann, words("1"), events).await;
    assert_eq!(said["seq"], 2, "{said}");
    let again = app.write((SEND, &[all]), &ann, words("1"), events).await;
    assert_eq!((&again["id"], &again["seq"]), (&said["id"], &json!(2)), "sent again it is the same");
    let id = said["id"].as_str().unwrap();
    let edit = "put /v1/chat/{conversation}/messages/{message}";
    assert_eq!(app.write((edit, &[all, id]), &ann, json!({ "text": "other words" }), events).await["seq"], 3);
    assert_eq!(app.write((edit, &[all, id]), &ann, json!({ "text": "other words" }), 0).await["seq"], 3);
    let react = "put /v1/chat/{conversation}/messages/{message}/reactions/{emoji}";
    assert_eq!(app.write((react, &[all, id, "+1"]), &ben_token, Value::Null, events).await["seq"], 4);
    assert_eq!(app.write((react, &[all, id, "+1"]), &ben_token, Value::Null, 0).await["seq"], 4);
    let unreact = "delete /v1/chat/{conversation}/messages/{message}/reactions/{emoji}";
    assert_eq!(app.write((unreact, &[all, id, "+1"]), &ben_token, Value::Null, events).await["seq"], 5);

    let cursor = |read: i64| json!({ "device": "phone", "delivered": 9, "read": read });
    app.write((CURSOR, &[all]), &ben_token, cursor(0), 0).await;
    app.write((CURSOR, &[all]), &ben_token, cursor(5), events).await;
    let delete = "delete /v1/chat/{conversation}/messages/{message}";
    assert_eq!(app.write((delete, &[all, id]), &ann, Value::Null, events).await["seq"], 7, "after a receipt");

    let join = "post /v1/chat/{conversation}/join";
    assert_eq!(app.write((join, &[news]), &ben_token, Value::Null, events).await["seq"], 2);
    assert_eq!(app.write((join, &[news]), &ben_token, Value::Null, 0).await["seq"], 2);
    let invite = "post /v1/chat/{conversation}/members";
    app.write((invite, &[all]), &ann, json!({ "account": "@cat" }), events).await;
    app.write((invite, &[all]), &ann, json!({ "account": cat }), 0).await;
    let role = "put /v1/chat/{conversation}/members/{account}";
    app.write((role, &[news, &ben]), &ann, json!({ "role": "owner" }), events).await;
    app.write((role, &[news, &ben]), &ann, json!({ "role": "owner" }), 0).await;
    app.write(("delete /v1/chat/{conversation}/members/{account}", &[all, &ben]), &ann, Value::Null, events)
        .await;
    let leave = "post /v1/chat/{conversation}/leave";
    app.write((leave, &[all]), &ann, Value::Null, events).await;
    app.write(("post /v1/chat/token", &[]), &ann, Value::Null, 0).await;
    let here = json!({ "state": "online", "conversation": news });
    app.write(("put /v1/chat/presence", &[]), &ann, here, 0).await;

    // Who is in it longest has it now, and nobody else may read it.
    let show =
        async |token: &str| app.alone.ask("GET", &format!("/v1/chat/{all}"), token, &Value::Null).await;
    let shown = show(&cat_token).await.body;
    assert_eq!((&shown["role"], &shown["members"], &shown["seq"]), (&json!("owner"), &json!(1), &json!(10)));
    assert_eq!(show(&ann).await.status, 403);
    app.every_write_has_a_line().await;
    app.alone.end().await;
}

impl App {
    async fn every_write_has_a_line(&self) {
        let document = self.alone.ask("GET", "/v1/chat/openapi.json", "", &Value::Null).await.body;
        for (path, methods) in document["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys().filter(|method| *method != "get") {
                let route = format!("{method} {path}");
                assert!(self.sent.contains_key(route.as_str()), "{route} has a line above, and is asked for");
            }
        }
        assert_eq!(self.sent, MOST.into_iter().collect(), "as few as said");
    }
}

/// Times that something is said while something else happens in the same conversation.
const ROUNDS: usize = 20;

#[tokio::test]
async fn what_happens_meanwhile_does_not_have_a_message_said_again() {
    let server = Postgres::start().await;
    let App { alone, .. } = App::start(Some(&server)).await;
    let ((_, ann), (_, ben)) = (alone.join("ann").await, alone.join("ben").await);
    let group = json!({ "kind": "group", "name": "All", "members": ["@ben"] });
    let made = alone.ask("POST", "/v1/chat", &ann, &group).await.body;
    let messages = format!("/v1/chat/{}/messages", made["id"].as_str().unwrap());
    let words = |n: usize| json!({ "client_id": n.to_string(), "text": "some words that are said" });
    let first = alone.ask("POST", &messages, &ann, &words(0)).await.body;
    let emoji = format!("{messages}/{}/reactions/+1", first["id"].as_str().unwrap());
    // A message, and who likes it: as in the lines above.
    let once = 5 + 3 + 2 * alone.events();
    let (mut again, nothing) = (0, Value::Null);
    for n in 1..=ROUNDS {
        let (words, method) = (words(n), if n % 2 == 0 { "DELETE" } else { "PUT" });
        let said = alone.ask("POST", &messages, &ann, &words);
        let (said, done) = tokio::join!(said, alone.ask(method, &emoji, &ben, &nothing));
        assert_eq!((said.status, done.status), (201, 200), "{} {}", said.body, done.body);
        again += usize::from(said.statements + done.statements > once);
    }
    // On a machine that stands still for a tenth of a second, a turn is not waited for.
    assert!(again <= ROUNDS / 4, "{again} of {ROUNDS} were done again");
    alone.end().await;
}

#[tokio::test]
async fn no_write_has_more_than_its_line_says_on_both_engines() {
    no_write_has_more_than_its_line_says(App::start(None).await).await;
    let server = Postgres::start().await;
    no_write_has_more_than_its_line_says(App::start(Some(&server)).await).await;
}
