//! Files of conversations, alike on both engines: who may send, name and see them, and that they go.
#![allow(clippy::unwrap_used, reason = "tests report a broken assumption by panicking")]

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};
use sluice_platform::AccountsConfig;
use sluice_platform::testing::{Alone, Reply};
use sluice_storage::ManualClock;
use sluice_storage::testing::Postgres;
use sluice_wire::ObjectKey;
use tokio::time::{Instant, sleep};

/// How long what happens behind a request may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);
/// Milliseconds after which one goes that no message names.
const FILE_MS: u64 = 4_000;
/// Bytes of an account's files.
const FILE_BYTES: u64 = 1_000_000;
/// Files of an account that no message names.
const MAX_WAITING: usize = 100;

/// The app, whose files go after four seconds by a clock that stands until it is moved.
async fn start(server: Option<&Postgres>) -> (Alone, Arc<ManualClock>) {
    let clock = ManualClock::at(1_800_000_000_000);
    let shared = Arc::clone(&clock);
    let mut alone = Alone::start_at(server, &AccountsConfig::default(), shared).await;
    let config = sluice_chat::Config { file_ms: FILE_MS, file_bytes: FILE_BYTES };
    let app = sluice_chat::start(&alone.ground, &config).await.unwrap();
    alone.serve(app);
    (alone, clock)
}

/// Sends a file to a conversation.
async fn send(alone: &Alone, chat: &str, token: &str, (name, kind): (&str, &str), bytes: &[u8]) -> Reply {
    let request = Request::post(format!("{chat}/files?name={name}"))
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", kind)
        .body(Body::from(bytes.to_vec()));
    alone.send(request.unwrap()).await
}

/// Sends a picture; the attachment that it is.
async fn picture(alone: &Alone, chat: &str, token: &str) -> Value {
    let sent = send(alone, chat, token, ("a.png", "image/png"), b"a picture").await;
    assert_eq!(sent.status, 201, "{}", sent.body);
    sent.body
}

async fn say(alone: &Alone, chat: &str, token: &str, client: &str, files: &[&Value]) -> Reply {
    let body = json!({ "client_id": client, "attachments": files });
    alone.ask("POST", &format!("{chat}/messages"), token, &body).await
}

async fn get(alone: &Alone, path: &str, token: &str) -> Reply {
    alone.ask("GET", path, token, &Value::Null).await
}

/// A group of ann and ben, and a channel of ann's: their paths, and the tokens of ann, ben and eve, who is in neither.
async fn scene(alone: &Alone) -> ([String; 2], [String; 3]) {
    let [(_, ann), (_, ben), (_, eve)] =
        [alone.join("ann").await, alone.join("ben").await, alone.join("eve").await];
    let make = async |body: Value| {
        let made = alone.ask("POST", "/v1/chat", &ann, &body).await;
        assert_eq!(made.status, 201, "{}", made.body);
        format!("/v1/chat/{}", made.body["id"].as_str().unwrap())
    };
    let group = make(json!({ "kind": "group", "name": "All", "members": ["@ben"] })).await;
    let other = make(json!({ "kind": "channel", "name": "News" })).await;
    ([group, other], [ann, ben, eve])
}

/// The key of a file's object.
fn object(path: &str) -> ObjectKey {
    ObjectKey::File(path.rsplit('/').next().unwrap().parse().unwrap())
}

/// Waits until an object is not there any more.
async fn swept(alone: &Alone, path: &str) {
    let begun = Instant::now();
    while alone.ground.storage.objects.head(&object(path)).await.is_ok() {
        assert!(begun.elapsed() < LIMIT, "its bytes are still there");
        sleep(Duration::from_millis(20)).await;
    }
}

async fn a_file_is_seen_by_members_once_a_message_names_it_and_goes_with_it(alone: Alone) {
    let ([group, _], [ann, ben, eve]) = scene(&alone).await;
    let sent = send(&alone, &group, &ann, ("a%20picture.png", "Image/PNG"), b"a picture").await;
    let path = sent.body["path"].as_str().unwrap();
    let whole = json!({ "name": "a picture.png", "type": "image/png", "bytes": 9, "path": path });
    assert_eq!((sent.status, &sent.body), (201, &whole));
    assert_eq!(get(&alone, path, &ann).await.text, "a picture", "who sent it sees it");
    assert_eq!(get(&alone, path, &ben).await.status, 404, "no message names it yet");

    // What is said of it is what is known of it.
    let said = json!({ "name": "x.html", "type": "text/html", "bytes": 1, "path": path });
    let said = say(&alone, &group, &ann, "m1", &[&said]).await;
    assert_eq!((said.status, &said.body["attachments"]), (201, &json!([whole])), "{}", said.body);
    let seen = get(&alone, path, &ben).await;
    assert_eq!((seen.status, seen.text.as_str()), (200, "a picture"));
    for (name, value) in [
        ("content-type", "image/png"),
        ("content-disposition", "inline; filename*=UTF-8''a%20picture%2Epng"),
        ("x-content-type-options", "nosniff"),
        ("cache-control", "private, no-cache"),
        ("content-length", "9"),
    ] {
        assert_eq!(seen.headers[name], value, "{name}");
    }
    let part = Request::get(path)
        .header("authorization", format!("Bearer {ben}"))
        .header("range", "bytes=2-4")
        .body(Body::empty());
    let part = alone.send(part.unwrap()).await;
    assert_eq!((part.status, part.text.as_str()), (206, "pic"));
    assert_eq!(part.headers["content-range"], "bytes 2-4/9");
    assert!(seen.headers["content-security-policy"].to_str().unwrap().contains("sandbox"));
    let again = Request::get(path)
        .header("authorization", format!("Bearer {ben}"))
        .header("if-none-match", &seen.headers["etag"])
        .body(Body::empty());
    assert_eq!(alone.send(again.unwrap()).await.status, 304);
    assert_eq!(get(&alone, path, &eve).await.status, 403);
    assert_eq!(get(&alone, path, "").await.status, 401);
    let listed = get(&alone, &format!("{group}/events?after=1"), &ben).await.body;
    assert_eq!(listed["events"][0]["attachments"], json!([whole]));

    let message = format!("{group}/messages/{}", said.body["id"].as_str().unwrap());
    assert_eq!(alone.ask("DELETE", &message, &ann, &Value::Null).await.status, 200);
    let gone = get(&alone, path, &ben).await;
    assert!(matches!(gone.status, 404 | 410), "{}", gone.status);
    assert_eq!(gone.headers["cache-control"], "no-store");
    swept(&alone, path).await;
    alone.end().await;
}

async fn a_file_is_named_once_by_who_sent_it_where_it_was_sent(alone: Alone) {
    let ([group, other], [ann, ben, eve]) = scene(&alone).await;
    let refused = async |chat: &str, token: &str, files: &[&Value], why: &str| {
        let reply = say(&alone, chat, token, "refused", files).await;
        assert_eq!((reply.status, &reply.body["type"]), (422, &json!("/problems/no-such-file")), "{why}");
    };
    let (file, second) = (picture(&alone, &group, &ann).await, picture(&alone, &group, &ann).await);
    refused(&group, &ben, &[&file], "another's").await;
    refused(&other, &ann, &[&file], "sent elsewhere").await;
    refused(&group, &ann, &[&file, &file], "twice").await;
    let absent =
        json!({ "name": "a", "type": "a/b", "bytes": 1, "path": format!("{group}/files/0000000000000") });
    refused(&group, &ann, &[&file, &absent], "one that is not there").await;
    let search = json!({ "name": "a", "type": "a/b", "bytes": 1, "path": "/v1/chat/search" });
    refused(&group, &ann, &[&search], "no file").await;

    // Of two messages at once, each with a file that it shares with the other, one is said.
    let both: [&[&Value]; 2] = [&[&file, &second], &[&second]];
    let (one, two) =
        tokio::join!(say(&alone, &group, &ann, "1", both[0]), say(&alone, &group, &ann, "2", both[1]));
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 422], "{} {}", one.body, two.body);
    let (client, files) = if one.status == 201 { ("1", both[0]) } else { ("2", both[1]) };
    assert_eq!(say(&alone, &group, &ann, client, files).await.status, 200, "sent again it is the same");

    // Others of this host are no files of conversations, and are as they were said.
    let video = json!({ "name": "v", "type": "video/mp4", "bytes": 1, "path": "/v/1/master.m3u8" });
    assert_eq!(say(&alone, &group, &ann, "3", &[&video]).await.body["attachments"], json!([video]));

    let of = ("a.png", "image/png");
    assert_eq!(send(&alone, &group, &eve, of, b"x").await.status, 403);
    assert_eq!(send(&alone, &group, &ann, ("..%2Fa", "image/png"), b"x").await.status, 422);
    assert_eq!(send(&alone, &group, &ann, ("a.png", "picture"), b"x").await.status, 415);
    assert_eq!(send(&alone, &group, &ann, of, &vec![0; (20 << 20) + 1]).await.status, 413);
    alone.end().await;
}

async fn what_no_message_names_is_bounded_and_goes((alone, clock): (Alone, Arc<ManualClock>)) {
    let ([group, _], [ann, ben, eve]) = scene(&alone).await;
    let mut last = Value::Null;
    for _ in 0..MAX_WAITING {
        last = picture(&alone, &group, &ann).await;
    }
    let many = send(&alone, &group, &ann, ("a", "image/png"), b"x").await;
    assert_eq!((many.status, &many.body["type"]), (429, &json!("/problems/too-many-files")));
    let keyed = async |bytes: &'static str, kind: &str| {
        let request = Request::post(format!("{group}/files?name=k"))
            .header("authorization", format!("Bearer {eve}"))
            .header("content-type", kind)
            .header("idempotency-key", "k1")
            .body(Body::from(bytes));
        alone.send(request.unwrap()).await
    };
    assert_eq!(
        alone.ask("POST", &format!("{group}/members"), &ann, &json!({ "account": "@eve" })).await.status,
        200
    );
    let first = keyed("x", "image/png").await;
    for _ in 1..MAX_WAITING {
        picture(&alone, &group, &eve).await;
    }
    let again = keyed("x", "image/png").await;
    assert_eq!((again.status, &again.body), (201, &first.body), "what was answered is answered again");
    assert_eq!(keyed("x", "text/html").await.status, 422, "what it is said to be counts");
    let large = send(&alone, &group, &ben, ("a", "image/png"), &vec![0; 1_000_001]).await;
    assert_eq!((large.status, &large.body["type"]), (507, &json!("/problems/quota-exceeded")));
    let kept = picture(&alone, &group, &ben).await;
    assert_eq!(say(&alone, &group, &ben, "1", &[&kept]).await.status, 201);
    clock.advance(Duration::from_millis(FILE_MS + 1));
    swept(&alone, last["path"].as_str().unwrap()).await;
    let lapsed = say(&alone, &group, &ann, "2", &[&last]).await;
    assert_eq!((lapsed.status, &lapsed.body["type"]), (422, &json!("/problems/no-such-file")));
    assert_eq!(get(&alone, kept["path"].as_str().unwrap(), &ann).await.status, 200, "what is named stays");
    alone.end().await;
}

#[tokio::test]
async fn a_file_is_seen_by_members_and_goes_with_its_message_on_both_engines() {
    a_file_is_seen_by_members_once_a_message_names_it_and_goes_with_it(start(None).await.0).await;
    let server = Postgres::start().await;
    a_file_is_seen_by_members_once_a_message_names_it_and_goes_with_it(start(Some(&server)).await.0).await;
}

#[tokio::test]
async fn a_file_is_named_once_on_both_engines() {
    a_file_is_named_once_by_who_sent_it_where_it_was_sent(start(None).await.0).await;
    let server = Postgres::start().await;
    a_file_is_named_once_by_who_sent_it_where_it_was_sent(start(Some(&server)).await.0).await;
}

#[tokio::test]
async fn what_no_message_names_is_bounded_and_goes_on_both_engines() {
    what_no_message_names_is_bounded_and_goes(start(None).await).await;
    let server = Postgres::start().await;
    what_no_message_names_is_bounded_and_goes(start(Some(&server)).await).await;
}
