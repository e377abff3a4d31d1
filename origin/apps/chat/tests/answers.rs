//! What the app answers, alike on both engines.
#![allow(clippy::unwrap_used, reason = "tests report a broken assumption by panicking")]

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use sluice_platform::AccountsConfig;
use sluice_platform::testing::{Alone, Reply, request};
use sluice_storage::testing::Postgres;
use sluice_storage::{ManualClock, SharedClock, SystemClock};
use sluice_wire::channel::Revoked;

/// Hits of a page.
const HITS: usize = 20;
/// Devices whose cursors are kept.
const DEVICES: usize = 50;

async fn start(server: Option<&Postgres>) -> Alone {
    start_at(server, Arc::new(SystemClock)).await
}

async fn start_at(server: Option<&Postgres>, clock: SharedClock) -> Alone {
    let mut alone = Alone::start_at(server, &AccountsConfig::default(), clock).await;
    let app = sluice_chat::start(&alone.ground, &sluice_chat::Config::default()).await.unwrap();
    alone.serve(app);
    alone
}

/// Asks, and is answered as it wants to be.
async fn ask(alone: &Alone, (method, path): (&str, &str), token: &str, body: Value, wanted: u16) -> Value {
    let reply = alone.ask(method, path, token, &body).await;
    assert_eq!(reply.status, wanted, "{method} {path}: {}", reply.body);
    reply.body
}

/// Makes a group with ben; its path.
async fn group(alone: &Alone, token: &str, name: &str) -> String {
    let body = json!({ "kind": "group", "name": name, "members": ["@ben"] });
    let made = ask(alone, ("POST", "/v1/chat"), token, body, 201).await;
    format!("/v1/chat/{}", made["id"].as_str().unwrap())
}

/// Says something; its id.
async fn say(alone: &Alone, chat: &str, token: &str, text: &str) -> String {
    let body = json!({ "client_id": "said", "text": text });
    let said = alone.ask("POST", &format!("{chat}/messages"), token, &body).await;
    assert_eq!(said.status, 201, "{}", said.body);
    said.body["id"].as_str().unwrap().to_owned()
}

/// A text as it stands in a query.
fn quoted(text: &str) -> String {
    text.bytes().fold(String::new(), |quoted, byte| quoted + &format!("%{byte:02X}"))
}

/// What a question finds, and where it goes on.
async fn found(alone: &Alone, token: &str, q: &str, after: &str) -> (Vec<String>, Value) {
    let path = format!("/v1/chat/search?q={}{after}", quoted(q));
    let told = ask(alone, ("GET", &path), token, Value::Null, 200).await;
    let id = |hit: &Value| hit["message"]["id"].as_str().unwrap().to_owned();
    (told["hits"].as_array().unwrap().iter().map(id).collect(), told["next"].clone())
}

async fn what_was_said_is_found_where_and_when_it_was_said(alone: Alone) {
    let ((_, ann), (_, ben)) = (alone.join("ann").await, alone.join("ben").await);
    let (one, other) = (group(&alone, &ann, "One").await, group(&alone, &ann, "Other").await);
    let mut ids = vec![];
    for n in 0..45 {
        let body = json!({ "client_id": n.to_string(), "text": format!("the tide of day {n}") });
        let said = ask(&alone, ("POST", &format!("{one}/messages")), &ann, body, 201).await;
        ids.push(said["id"].as_str().unwrap().to_owned());
    }
    // Of one millisecond, ids are in no order but their own.
    ids.sort_by(|a, b| b.cmp(a));
    let elsewhere = say(&alone, &other, &ben, "the tide elsewhere, far from the sea").await;

    // Where.
    let id_of = |path: &str| path.rsplit('/').next().unwrap().to_owned();
    let within = format!("tide in:{}", id_of(&other));
    assert_eq!(found(&alone, &ben, &within, "").await, (vec![elsewhere.clone()], Value::Null));
    // Together with others, whichever of them is the rarest there, or is not there at all.
    for rare in ["tide elsewhere", "the tide from:ben", "elsewhere the tide from:ben", "sea tide the far"] {
        let hits = vec![elsewhere.clone()];
        assert_eq!(found(&alone, &ben, rare, "").await, (hits, Value::Null), "{rare}");
    }
    for none in ["tide from:cat", "day elsewhere", "elsewhere from:ann", "sea tide of", "tide nowhere"] {
        assert_eq!(found(&alone, &ben, none, "").await.0.len(), 0, "{none}");
    }
    assert_eq!(found(&alone, &ben, "the tide of day from:ann", "").await.0, ids[..HITS]);
    // All pages, the newest first, and each once.
    let question = format!("tide in:{}", id_of(&one));
    let (mut all, mut after, mut pages) = (vec![], String::new(), 0);
    loop {
        let (hits, next) = found(&alone, &ben, &question, &after).await;
        assert!(hits.len() == HITS || next.is_null());
        all.extend(hits);
        pages += 1;
        let Some(next) = next.as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!((all, pages), (ids.clone(), 3));
    // When.
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    for late in [(now_ms + 60_000).to_string(), "2100-01-01".into(), "9999-12-31".into()] {
        let (hits, _) = found(&alone, &ben, &format!("elsewhere before:{late}"), "").await;
        assert_eq!(hits, std::slice::from_ref(&elsewhere), "{late}");
    }
    for early in ["2020-01-01", "1970-01-01", "0"] {
        assert_eq!(found(&alone, &ben, &format!("tide before:{early}"), "").await.0.len(), 0, "{early}");
    }
    // Who is in neither finds nothing, wherever it looks.
    let (_, cat) = alone.join("cat").await;
    assert_eq!(found(&alone, &cat, &within, "").await.0.len(), 0);
    alone.end().await;
}

async fn every_word_is_found_whatever_it_is_written_in(alone: Alone) {
    let ((_, ann), (_, ben)) = (alone.join("ann").await, alone.join("ben").await);
    let chat = group(&alone, &ann, "All").await;
    let words: Vec<String> = (0..900).map(|n| format!("w{n:03}")).collect();
    let long = say(&alone, &chat, &ann, &words[..799].join(" ")).await;
    for word in ["w000", "w200", "w798"] {
        assert_eq!(found(&alone, &ben, word, "").await.0, std::slice::from_ref(&long), "{word}");
    }
    let texts = [
        ("明日は東京タワーに行きます。午後三時に集合しましょう", ["東京タワー", "三時", "行き"]),
        ("今天天气很好,我们去公园散步吧,下午三点见", ["公园", "天气很好", "散步"]),
        ("พรุ่งนี้เราจะไปตลาดน้ำตอนเช้า", ["ตลาดน้ำ", "เช้า", "พรุ่งนี้"]),
    ];
    for (n, (text, parts)) in texts.into_iter().enumerate() {
        let body = json!({ "client_id": format!("run-{n}"), "text": text });
        let said = ask(&alone, ("POST", &format!("{chat}/messages")), &ann, body, 201).await;
        let id = said["id"].as_str().unwrap().to_owned();
        for part in parts {
            assert_eq!(found(&alone, &ben, part, "").await.0, std::slice::from_ref(&id), "{part}");
        }
        // What it says no more it is not found by.
        let message = format!("{chat}/messages/{id}");
        ask(&alone, ("PUT", &message), &ann, json!({ "text": format!("{} 東京湾", parts[1]) }), 200).await;
        assert_eq!(found(&alone, &ben, parts[0], "").await.0.len(), 0, "{}", parts[0]);
        assert_eq!(found(&alone, &ben, parts[1], "").await.0, std::slice::from_ref(&id), "{}", parts[1]);
        ask(&alone, ("DELETE", &message), &ann, Value::Null, 200).await;
        assert_eq!(found(&alone, &ben, "東京湾", "").await.0.len(), 0);
    }
    alone.end().await;
}

async fn a_device_too_many_takes_the_place_of_the_one_that_was_silent_longest(alone: Alone) {
    let ((_, ann), (_, ben)) = (alone.join("ann").await, alone.join("ben").await);
    let chat = group(&alone, &ann, "All").await;
    say(&alone, &chat, &ann, "something to be read by all").await;
    let cursor = format!("{chat}/cursor");
    let put = async |device: String, read: i64| {
        let body = json!({ "device": device, "delivered": read, "read": read });
        ask(&alone, ("PUT", &cursor), &ben, body, 200).await
    };
    let name = |n: usize| format!("device-{n:03}");
    put(name(0), 2).await;
    for n in 1..DEVICES + 3 {
        put(name(n), 0).await;
    }
    let shown = ask(&alone, ("GET", &cursor), &ben, Value::Null, 200).await;
    let devices: Vec<&str> =
        shown["devices"].as_array().unwrap().iter().map(|one| one["device"].as_str().unwrap()).collect();
    assert_eq!(devices, (3..DEVICES + 3).map(name).collect::<Vec<_>>());
    assert_eq!(shown["read"], 2, "what was read is not unread");
    // One that comes back is a new one.
    assert_eq!(put(name(0), 1).await, json!({ "device": name(0), "delivered": 1, "read": 1 }));
    let shown = ask(&alone, ("GET", &cursor), &ben, Value::Null, 200).await;
    let devices = shown["devices"].as_array().unwrap();
    assert_eq!((devices.len(), &devices[0]["device"]), (DEVICES, &json!(name(0))));
    assert_eq!(devices[1]["device"], json!(name(4)));
    alone.end().await;
}

/// By a clock that stands still: all of it is within the second in which one receipt is told.
async fn a_cursor_that_others_are_told_of_says_the_version_of_it(alone: Alone) {
    let ((_, ann), (_, ben)) = (alone.join("ann").await, alone.join("ben").await);
    let chat = group(&alone, &ann, "All").await;
    let move_to = async |chat: &str, read: i64| {
        let body = json!({ "device": "phone", "delivered": read, "read": read });
        let moved = alone.ask("PUT", &format!("{chat}/cursor"), &ben, &body).await;
        assert_eq!((moved.status, &moved.body["read"]), (200, &json!(read)), "{}", moved.body);
        let told = moved.headers.get("sluice-version").map(|told| told.to_str().unwrap().to_owned());
        assert_eq!(moved.body.get("versions").and_then(Value::as_str), told.as_deref());
        told
    };
    say(&alone, &chat, &ann, "something to be read").await;
    let made = format!("{}=3", chat.replace("/v1/chat/", "chat:"));
    assert_eq!(move_to(&chat, 2).await, Some(made));
    let after = format!("{chat}/events?after=2");
    let told = ask(&alone, ("GET", &after), &ann, Value::Null, 200).await;
    let receipt = &told["events"][0];
    assert_eq!(
        (&receipt["type"], &receipt["seq"], &receipt["read"]),
        (&json!("receipt"), &json!(3), &json!(2))
    );

    assert_eq!(move_to(&chat, 2).await, None, "it is told already");
    say(&alone, &chat, &ben, "an answer").await;
    assert_eq!(move_to(&chat, 4).await, None, "it is told when the second is over");
    let channel = json!({ "kind": "channel", "name": "News", "members": ["@ben"] });
    let made = ask(&alone, ("POST", "/v1/chat"), &ann, channel, 201).await;
    let news = format!("/v1/chat/{}", made["id"].as_str().unwrap());
    say(&alone, &news, &ann, "what is new").await;
    assert_eq!(move_to(&news, 2).await, None, "nobody is told in a channel");
    alone.end().await;
}

async fn a_token_says_with_which_seq_it_was_looked_up_who_is_in(alone: Alone) {
    let ((_, ann), (ben, ben_token)) = (alone.join("ann").await, alone.join("ben").await);
    let chat = group(&alone, &ann, "All").await;
    let channel = chat.replace("/v1/chat/", "chat:");
    let seen = async || {
        let told = ask(&alone, ("POST", "/v1/chat/token"), &ben_token, json!({}), 200).await;
        let claims =
            alone.signer.read(told["token"].as_str().unwrap(), alone.ground.storage.clock.now_ms() / 1_000);
        let claims = claims.unwrap();
        let names = claims.channels.unwrap();
        let versions = claims.versions.unwrap();
        assert_eq!((names.len(), &names[0], versions.len()), (2, &channel, 2), "the own channel, too");
        assert_eq!(told["own"]["seq"], versions[1]);
        (claims.iat_ms.unwrap(), versions[0])
    };
    let (minted_ms, before) = seen().await;
    let path = format!("{chat}/members/{ben}");
    let out = ask(&alone, ("DELETE", &path), &ann, Value::Null, 200).await["seq"].as_u64().unwrap();
    let told = ask(&alone, ("POST", "/v1/chat/token"), &ben_token, json!({}), 200).await;
    assert_eq!(told["channels"].as_array().unwrap().len(), 1, "{told}");
    let invited = json!({ "account": ben });
    ask(&alone, ("POST", &format!("{chat}/members")), &ann, invited, 200).await;
    let (_, after) = seen().await;
    assert!(before < out && out < after, "{before} {out} {after}");

    // SQLite has its log at once. What took long to be committed ends what was looked up before, and nothing after.
    if alone.ground.storage.database.has_one_writer() {
        let events = alone.ground.storage.log().since(0, 1_000).await.unwrap();
        let all: Vec<Revoked> = events.iter().filter_map(Revoked::of_event).collect();
        assert_eq!((all.len(), all[0].version, &all[0].revoke.subject), (1, Some(out), &ben));
        assert!(all[0].ends(minted_ms + 60_000, Some(before)), "by a clock that is ahead");
        assert!(!all[0].ends(minted_ms - 60_000, Some(after)), "by one that is behind");
    }
    alone.end().await;
}

/// Asks under a key; the answer, and whether it is one that was given before.
async fn under(alone: &Alone, key: &str, path: &str, token: &str, body: &Value) -> (Reply, bool) {
    let mut asked = request("POST", path, token, body);
    asked.headers_mut().insert("idempotency-key", key.parse().unwrap());
    let reply = alone.send(asked).await;
    let again = reply.headers.contains_key("idempotency-replayed");
    (reply, again)
}

async fn whatever_is_asked_again_under_its_key_is_answered_as_before(alone: Alone) {
    let ((_, ann), (ben, ben_token)) = (alone.join("ann").await, alone.join("ben").await);
    let channel = json!({ "kind": "channel", "name": "All" });
    let (made, _) = under(&alone, "make", "/v1/chat", &ann, &channel).await;
    let id = made.body["id"].as_str().unwrap();
    let at = |what: &str| format!("/v1/chat/{id}/{what}");
    let message = |client: &str| json!({ "client_id": client, "text": "once" });
    let asks = [
        ("direct", "/v1/chat".to_owned(), &ann, json!({ "kind": "direct", "with": "@ben" }), 201),
        ("invite", at("members"), &ann, json!({ "account": ben }), 200),
        ("leave", at("leave"), &ben_token, Value::Null, 200),
        ("join", at("join"), &ben_token, Value::Null, 200),
        ("say", at("messages"), &ben_token, message("m1"), 201),
    ];
    let mut said = vec![];
    for (key, path, token, body, status) in &asks {
        let (reply, again) = under(&alone, key, path, token, body).await;
        assert_eq!((reply.status, again), (*status, false), "{key}: {}", reply.body);
        said.push((reply.headers.get("sluice-version").cloned(), reply.body));
    }
    let version = |n: usize| said[n].0.as_ref().map(|text| text.to_str().unwrap().to_owned());
    assert_eq!(version(4), Some(format!("chat:{id}={}", said[4].1["seq"])), "what it made is told");
    // As it was then, though much has happened since: ben, who left, is in it again.
    for ((key, path, token, body, status), before) in asks.iter().zip(&said) {
        let (reply, again) = under(&alone, key, path, token, body).await;
        assert_eq!((reply.status, again, &reply.body), (*status, true, &before.1), "{key}");
        assert_eq!(reply.headers.get("sluice-version"), before.0.as_ref(), "{key}");
    }
    // What was said is not kept under its key: it is gone once the message is deleted.
    let path = at(&format!("messages/{}", said[4].1["id"].as_str().unwrap()));
    ask(&alone, ("DELETE", &path), &ben_token, Value::Null, 200).await;
    let (reply, again) = under(&alone, "say", &at("messages"), &ben_token, &message("m1")).await;
    assert_eq!((reply.status, again, &reply.body["text"]), (201, true, &json!("")), "{}", reply.body);
    let (reply, _) = under(&alone, "say", &at("messages"), &ben_token, &message("m2")).await;
    assert_eq!((reply.status, &reply.body["type"]), (422, &json!("/problems/key-reused")), "{}", reply.body);
    let members = ask(&alone, ("GET", &at("members")), &ben_token, Value::Null, 200).await;
    assert_eq!(members["members"].as_array().unwrap().len(), 2, "{members}");
    alone.end().await;
}

#[tokio::test]
async fn whatever_is_asked_again_under_its_key_is_answered_as_before_on_both_engines() {
    whatever_is_asked_again_under_its_key_is_answered_as_before(start(None).await).await;
    let server = Postgres::start().await;
    whatever_is_asked_again_under_its_key_is_answered_as_before(start(Some(&server)).await).await;
}

#[tokio::test]
async fn what_was_said_is_found_where_and_when_it_was_said_on_both_engines() {
    what_was_said_is_found_where_and_when_it_was_said(start(None).await).await;
    let server = Postgres::start().await;
    what_was_said_is_found_where_and_when_it_was_said(start(Some(&server)).await).await;
}

#[tokio::test]
async fn every_word_is_found_whatever_it_is_written_in_on_both_engines() {
    every_word_is_found_whatever_it_is_written_in(start(None).await).await;
    let server = Postgres::start().await;
    every_word_is_found_whatever_it_is_written_in(start(Some(&server)).await).await;
}

#[tokio::test]
async fn a_device_too_many_takes_the_place_of_another_on_both_engines() {
    a_device_too_many_takes_the_place_of_the_one_that_was_silent_longest(start(None).await).await;
    let server = Postgres::start().await;
    a_device_too_many_takes_the_place_of_the_one_that_was_silent_longest(start(Some(&server)).await).await;
}

#[tokio::test]
async fn a_cursor_that_others_are_told_of_says_the_version_of_it_on_both_engines() {
    let still = || ManualClock::at(1_800_000_000_000);
    a_cursor_that_others_are_told_of_says_the_version_of_it(start_at(None, still()).await).await;
    let server = Postgres::start().await;
    a_cursor_that_others_are_told_of_says_the_version_of_it(start_at(Some(&server), still()).await).await;
}

#[tokio::test]
async fn a_token_says_with_which_seq_it_was_looked_up_on_both_engines() {
    a_token_says_with_which_seq_it_was_looked_up_who_is_in(start(None).await).await;
    let server = Postgres::start().await;
    a_token_says_with_which_seq_it_was_looked_up_who_is_in(start(Some(&server)).await).await;
}
