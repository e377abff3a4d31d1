//! A socket of live channels in few bytes: a client that speaks so sees what one that speaks JSON sees, under the same numbers,
//! over every version of HTTP.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use http_body_util::Empty;
use hyper::upgrade::Upgraded;
use hyper_util::rt::{TokioExecutor, TokioIo};
use reqwest::Method;
use serde_json::{Value, json};
use sluice_tests::chat::Scene;
use sluice_tests::client::client;
use sluice_tests::process::Process;
use sluice_tests::programs::printed;
use sluice_tests::python::{AIOQUIC_SOCKETS, foreign_with};
use sluice_tests::shop;
use sluice_tests::stack::lone_edge;
use sluice_wire::Tag;
use sluice_wire::compact::What;
use sluice_wire::compact::talk::{JSON_PROTOCOL, PROTOCOL, Said, Told};
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::Role;

/// Time for anything that is waited for.
const LIMIT: Duration = Duration::from_secs(20);
/// Messages of the story; what they say has 40 characters.
const MESSAGES: usize = 40;

/// A client over WebSocket, and the bytes of the messages that it was sent.
struct Ear<S> {
    socket: WebSocketStream<S>,
    bytes: usize,
    /// Bytes of each plain message's record: of another person's, whose name is known.
    plain: Vec<usize>,
    waiting: VecDeque<Told>,
    /// What channels are called, and people: as it was told.
    channels: HashMap<u64, Tag>,
    names: HashMap<String, Value>,
}

impl Ear<TcpStream> {
    /// Opens one by upgrade, that offers a subprotocol and gets it.
    async fn open(edge: &Process, protocol: &str) -> Self {
        let at = edge.at.http.clone().unwrap();
        let mut request = format!("ws://{at}/v1/live").into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
        let stream = TcpStream::connect(&at).await.unwrap();
        let (socket, answer) = tokio_tungstenite::client_async(request, stream).await.unwrap();
        assert_eq!(answer.headers()["sec-websocket-protocol"], protocol);
        Self::new(socket)
    }
}

/// Opens one by extended CONNECT, on an HTTP/2 connection that `tasks` drives.
async fn over_h2(edge: &Process, tasks: &mut JoinSet<()>) -> Ear<TokioIo<Upgraded>> {
    let at = edge.at.http.clone().unwrap();
    let stream = TokioIo::new(TcpStream::connect(&at).await.unwrap());
    let (mut requests, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tasks.spawn(async move { drop(connection.await) });
    let begun = Instant::now();
    let answer = loop {
        let request = http::Request::connect(format!("http://{at}/v1/live"))
            .extension(hyper::ext::Protocol::from_static("websocket"))
            .header("sec-websocket-version", "13")
            .header("sec-websocket-protocol", format!("other, {PROTOCOL}, {JSON_PROTOCOL}"))
            .body(Empty::<Bytes>::new())
            .unwrap();
        // The server's settings, which allow it, may not have come yet.
        match requests.send_request(request).await {
            Ok(answer) => break answer,
            Err(error) => assert!(begun.elapsed() < LIMIT, "{error}"),
        }
        sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["sec-websocket-protocol"]),
        (200, &PROTOCOL.parse().unwrap())
    );
    let stream = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
    Ear::new(WebSocketStream::from_raw_socket(stream, Role::Client, None).await)
}

impl<S: AsyncRead + AsyncWrite + Unpin> Ear<S> {
    fn new(socket: WebSocketStream<S>) -> Self {
        let (plain, waiting) = (vec![], VecDeque::new());
        Self { socket, bytes: 0, plain, waiting, channels: HashMap::new(), names: HashMap::new() }
    }

    async fn say(&mut self, said: &[Said]) {
        let mut bytes = vec![];
        said.iter().for_each(|said| said.encode(&mut bytes).unwrap());
        self.socket.send(Message::binary(bytes)).await.unwrap();
    }

    async fn hear(&mut self) -> Message {
        loop {
            let said = timeout(LIMIT, self.socket.next()).await.expect("a message in time").unwrap().unwrap();
            match said {
                Message::Ping(_) | Message::Pong(_) => {}
                said => {
                    self.bytes += said.len();
                    return said;
                }
            }
        }
    }

    /// The next record.
    async fn told(&mut self) -> Told {
        while self.waiting.is_empty() {
            let Message::Binary(bytes) = self.hear().await else { panic!("a binary message") };
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (told, more) = Told::decode(rest).unwrap();
                if is_plain(&told) {
                    self.plain.push(rest.len() - more.len());
                }
                self.waiting.push_back(told);
                rest = more;
            }
        }
        self.waiting.pop_front().unwrap()
    }

    /// The next record as JSON would say it, with what was told before.
    async fn as_json(&mut self) -> Value {
        match self.told().await {
            Told::Subscribed { number, seq, channel } => {
                let said = json!({ "subscribed": channel, "seq": seq });
                self.channels.insert(number, channel);
                said
            }
            Told::Frame { number, frame } => {
                let mut data = frame.data();
                let by = data.get("from").or_else(|| data.get("by")).unwrap().as_str().unwrap().to_owned();
                if let Some(name) = data.get("name") {
                    self.names.insert(by, name.clone());
                } else if ["message", "reaction"].iter().any(|kind| data["type"] == *kind) {
                    data["name"] = self.names[&by].clone();
                }
                json!({ "channel": self.channels[&number], "seq": frame.seq, "data": data })
            }
            Told::Json { number, seq, data, .. } => {
                let data: Value = serde_json::from_str(&data).unwrap();
                json!({ "channel": self.channels[&number], "seq": seq, "data": data })
            }
            other => panic!("{other:?}"),
        }
    }

    /// The next message of a client that speaks JSON.
    async fn json(&mut self) -> Value {
        let said = self.hear().await;
        let mut said: Value = serde_json::from_str(said.to_text().unwrap()).unwrap();
        // What happened says when; when it was committed is the same for all.
        said.as_object_mut().unwrap().remove("at_ms");
        said
    }
}

/// True for a message of another person, whose name was told before.
fn is_plain(told: &Told) -> bool {
    let Told::Frame { frame, .. } = told else { return false };
    matches!(frame.what, What::Message { client_id: None, name: None, more: false, .. })
}

/// A message with its author's own id only where its author reads it.
fn without_client_id(mut said: Value) -> Value {
    if let Some(data) = said["data"].as_object_mut() {
        data.remove("client_id");
    }
    said
}

async fn ask(method: Method, url: String, token: &str, body: Value) -> Value {
    let asked = client().request(method, url).bearer_auth(token);
    let asked = if body.is_null() { asked } else { asked.json(&body) };
    let answer = asked.send().await.unwrap();
    assert!(answer.status().is_success(), "{:?}", answer.text().await);
    answer.json().await.unwrap_or_default()
}

/// Everything that can happen in a conversation; its last seq.
async fn much_happens(scene: &Scene, ann: &str, ben: &str, chat: &str) -> u64 {
    let url = format!("{}/v1/chat/{chat}", scene.edges[0].url());
    let mut last = Value::Null;
    for n in 0..MESSAGES {
        let text = format!("{n:02} says what a message usually says, yes");
        assert_eq!(text.len(), 40);
        let body = json!({ "client_id": format!("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a{n:02}"), "text": text });
        let who = if n % 2 == 0 { ann } else { ben };
        last = ask(Method::POST, format!("{url}/messages"), who, body).await;
    }
    let one = format!("{url}/messages/{}", last["id"].as_str().unwrap());
    ask(Method::PUT, format!("{one}/reactions/%F0%9F%91%8D"), ann, Value::Null).await;
    ask(Method::PUT, one.clone(), ben, json!({ "text": "in other words" })).await;
    ask(Method::DELETE, one, ben, Value::Null).await;
    let file = json!({ "name": "a", "type": "text/plain", "bytes": 1, "path": "/a" });
    let body = json!({ "client_id": "f", "text": "with a file", "attachments": [file] });
    let seq = ask(Method::POST, format!("{url}/messages"), ann, body).await["seq"].as_u64().unwrap();
    let read = json!({ "device": "phone", "delivered": seq, "read": seq });
    ask(Method::PUT, format!("{url}/cursor"), ben, read).await;
    ask(Method::POST, format!("{url}/leave"), ann, Value::Null).await["seq"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_speaks_in_few_bytes_sees_what_who_speaks_json_sees() {
    let scene = Scene::new(1, 1).await;
    let (tokens, chat) = scene.group(&["ann", "ben"]).await;
    let edge = &scene.edges[0];
    let body = json!({ "conversations": [chat] });
    let (_, told) = shop::post(&format!("{}/v1/chat/token", edge.url()), &tokens[1], &body).await;
    let token = told["token"].as_str().unwrap();
    let channel = Tag::new(format!("chat:{chat}")).unwrap();
    let subscribe = Said::Subscribe { channel: channel.clone(), after: Some(0), token: Some(token.into()) };

    let (mut json_ear, mut tasks) = (Ear::open(edge, JSON_PROTOCOL).await, JoinSet::new());
    let ask_in_json = json!({ "subscribe": channel, "after": 0, "token": token }).to_string();
    json_ear.socket.send(Message::text(ask_in_json)).await.unwrap();
    let (mut over_h1, mut over_h2) = (Ear::open(edge, PROTOCOL).await, over_h2(edge, &mut tasks).await);
    over_h1.say(std::slice::from_ref(&subscribe)).await;
    over_h2.say(std::slice::from_ref(&subscribe)).await;

    let last = much_happens(&scene, &tokens[0], &tokens[1], &chat).await;
    let mut kinds = HashMap::new();
    loop {
        let wanted = json_ear.json().await;
        let (one, other) = (over_h1.as_json().await, over_h2.as_json().await);
        let kind = wanted["data"]["type"].as_str().unwrap_or("subscribed").to_owned();
        let mut known = wanted.clone();
        // Of files it is only told that there are some.
        if let Some(data) = known.get_mut("data").and_then(Value::as_object_mut) {
            data.remove("attachments");
        }
        // Ben listens, and hears the ids of his own devices.
        if known["data"]["name"] == "ann" && kind == "message" {
            known = without_client_id(known);
        }
        assert_eq!((&one, &other), (&known, &known));
        *kinds.entry(kind).or_insert(0) += 1;
        if wanted["seq"].as_u64() == Some(last) {
            break;
        }
    }
    let (json, h1, h2) = (json_ear.bytes, over_h1.bytes, over_h2.bytes);
    println!("{kinds:?}: {json} bytes in JSON, {h1} and {h2} in few");
    assert!(h1 * 2 < json && h2 * 2 < json);
    assert_eq!(kinds["message"], MESSAGES + 1);
    for plain in [&over_h1.plain, &over_h2.plain] {
        let (many, bytes) = (plain.len(), plain.iter().sum::<usize>());
        assert!(many >= MESSAGES / 2 - 1 && bytes <= 70 * many, "{bytes} bytes of {many} messages");
    }

    // Calls, and what there is not.
    let call = |path: &str, at_least: Option<String>| Said::Call {
        name: "c".into(),
        method: "GET".into(),
        path: path.into(),
        body: None,
        key: None,
        admission: None,
        at_least,
    };
    over_h1.say(&[Said::Authorize { token: tokens[1].clone() }, call("/v1/chat", None)]).await;
    let Told::Answer { name, status, body, .. } = over_h1.told().await else { panic!("an answer") };
    assert_eq!((name.as_str(), status), ("c", 200));
    assert!(body.contains(&chat), "{body}");
    // What was written is demanded, and said to be shown: a record of its own.
    let newest = format!("{channel}={last}");
    over_h1.say(&[call(&format!("/v1/chat/{chat}/events?after=0"), Some(newest.clone()))]).await;
    let Message::Binary(record) = over_h1.hear().await else { panic!("a binary message") };
    assert_eq!(record[0], 9);
    let (Told::Answer { status, body, versions, .. }, rest) = Told::decode(&record).unwrap() else {
        panic!("an answer")
    };
    assert_eq!((status, versions, rest.len()), (200, Some(newest), 0), "{body}");
    let nothing = Said::Subscribe { channel: Tag::new("nothing:1").unwrap(), after: None, token: None };
    over_h1.say(&[Said::Unsubscribe { channel }, nothing]).await;
    let Told::Refused { channel, problem } = over_h1.told().await else { panic!("a refusal") };
    assert!(channel.as_str() == "nothing:1" && problem.contains("404"), "{problem}");
    over_h1.socket.send(Message::binary(vec![9, 9, 9])).await.unwrap();
    assert!(matches!(over_h1.told().await, Told::Problem { .. }));
    over_h1.socket.send(Message::text("{}")).await.unwrap();
    let Message::Close(Some(close)) = over_h1.hear().await else { panic!("a close frame") };
    assert_eq!(u16::from(close.code), 1003, "text is not spoken here");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_another_make_speaks_in_few_bytes_over_http3() {
    let dir = tempfile::tempdir().unwrap();
    let scene = Scene::new(1, 0).await;
    let (tokens, chat) = scene.group(&["ann", "ben"]).await;
    let keys = scene.keys();
    let flags = [("listen.https", "127.0.0.1:0"), ("listen.h3", "true"), ("access.keys_file", keys.as_str())];
    let mut edge = lone_edge(dir.path(), "edge", &scene.origins[0].url(), &flags);
    edge.start().await;
    edge.until("sluice_edge_feed_live", &[], |live| live == 1.0).await;
    for n in 0..3 {
        scene.say(0, &tokens[0], &chat, &format!("m{n}")).await;
    }
    let (_, told) = shop::post(&format!("{}/v1/chat/token", edge.url()), &tokens[1], &json!({})).await;
    let (host, port) = edge.at.h3.as_ref().unwrap().rsplit_once(':').unwrap();
    let mut listener = foreign_with(AIOQUIC_SOCKETS, "live_compact.py");
    listener.args([host, port, &format!("chat:{chat}"), told["token"].as_str().unwrap()]);
    let output = tokio::task::spawn_blocking(move || listener.output().unwrap()).await.unwrap();
    let heard: Value = serde_json::from_str(&printed("live_compact.py", &output)).unwrap();
    assert_eq!(heard, json!([[2, "m0"], [3, "m1"], [4, "m2"]]));
}
