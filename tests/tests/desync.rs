//! What is written so that two servers could read it in two ways: refused, or passed on in the one way it was read. For all of
//! it, the origin sees as many requests as the edge answered out of it.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use sluice_tests::h2::{self, END_HEADERS, END_STREAM, kind};
use sluice_tests::process::Process;
use sluice_tests::rawlog::{LoggingOrigin, MARK, Seen};
use sluice_tests::stack::lone_edge;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

struct Scene {
    origin: LoggingOrigin,
    edge: Process,
    _dir: tempfile::TempDir,
}

async fn scene() -> Scene {
    let origin = LoggingOrigin::start().await;
    let dir = tempfile::tempdir().unwrap();
    let mut edge = lone_edge(dir.path(), "edge-a", &origin.url(), &[]);
    edge.start().await;
    Scene { origin, edge, _dir: dir }
}

impl Scene {
    /// Sends bytes on a connection of their own; all that is answered.
    async fn answers(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.edge.at.http.as_ref().unwrap()).await.unwrap();
        drop(stream.write_all(bytes).await);
        drop(stream.shutdown().await);
        let mut answers = vec![];
        let read = timeout(Duration::from_secs(30), stream.read_to_end(&mut answers)).await;
        drop(read.unwrap_or_else(|_| panic!("held open: {}", show(bytes))));
        String::from_utf8_lossy(&answers).into_owned()
    }

    /// Sends bytes, and sees that the origin saw as many requests as were answered out of it. Both.
    async fn judged(&self, bytes: &[u8]) -> (String, Seen) {
        let answers = self.answers(bytes).await;
        let seen = self.origin.take();
        let passed = answers.matches(MARK).count();
        assert_eq!(passed, seen.whole.len(), "{}\n{answers}\n{seen:?}", show(bytes));
        (answers, seen)
    }
}

fn show(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// Requests that must be refused: what is wrong with them, as they are sent. Each is followed by one that would be
/// smuggled.
const REFUSED: &[&[u8]] = &[
    b"GET /a HTTP/1.1\nHost: a\n\n",
    b"GET /a HTTP/1.1\r\nHost: a\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: a\r\n\n",
    b"GET /a HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: a\r\nX: b\r\n folded\r\n\r\n",
    b"GET /a HTTP/1.1\r\n X: b\r\nHost: a\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: a\r\nX y: b\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
    b"GET  /a HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /a  HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET\t/a HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /a HTTP/1.1 \r\nHost: a\r\n\r\n",
    b"GET /a HTTP/1.2\r\nHost: a\r\n\r\n",
    b"GET /a HTTP/2.0\r\nHost: a\r\n\r\n",
    b"GET /a http/1.1\r\nHost: a\r\n\r\n",
    b"GET /a\r\n\r\n",
    b"\r\n\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n",
    // How long is the body?
    b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: , chunked\r\n\r\n0\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked,\r\n\r\n0\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n0\r\n\r\n",
    b"POST /a HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
    b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
    b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\nx",
    b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx",
    b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\nx",
    b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\nx",
    b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1 1\r\n\r\nx",
    b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nx",
    b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551617\r\n\r\nx",
    b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length : 1\r\n\r\nx",
    // Whose host is it?
    b"GET /a HTTP/1.1\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost:\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: user@a\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: a b\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: a, b\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: a:65536\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: a:8x\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: a/b\r\n\r\n",
    b"GET http://b/a HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET http://user@a/a HTTP/1.1\r\nHost: a\r\n\r\n",
    // What is asked for?
    b"GET /a%00 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /a/../b HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /a/%2e%2e/b HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /a/./b HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET //a HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /a//b HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /a\\b HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /a%2fb HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /a%5cb HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /a%zz HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET a HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
    b"get /a HTTP/1.1\r\nHost: a\r\n\r\n",
    b"BREW /a HTTP/1.1\r\nHost: a\r\n\r\n",
    b"TRACE /a HTTP/1.1\r\nHost: a\r\n\r\n",
    b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
    b"CONNECT /a HTTP/1.1\r\nHost: a\r\n\r\n",
];

#[tokio::test]
async fn what_two_servers_could_read_in_two_ways_is_refused() {
    let scene = scene().await;
    for bytes in REFUSED {
        let mut sent = bytes.to_vec();
        sent.extend_from_slice(b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
        let (answers, seen) = scene.judged(&sent).await;
        let first = answers.get(9..12).unwrap_or_default();
        assert!(
            ["400", "405", "501"].contains(&first) || (bytes.len() < 16 && answers.is_empty()),
            "{}: {answers}",
            show(bytes)
        );
        let asked = seen.whole.iter().filter(|(head, _)| !head.starts_with("GET /smuggled")).count();
        assert_eq!(asked, 0, "{}: {seen:?}", show(bytes));
        // A request that is well framed and asks for what is not to be had leaves its connection in order.
        if answers.matches(MARK).count() > 0 {
            assert!(
                ["405", "501"].contains(&first)
                    || ["target", "host", "OPTIONS"].iter().any(|why| answers.contains(why)),
                "{}: {answers}",
                show(bytes)
            );
        }
    }
}

/// What is let in though it is out of the common, and what the origin then sees.
#[tokio::test]
async fn the_reviewed_list_is_let_in_as_it_is_read() {
    let scene = scene().await;
    let chunked = "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n";
    for (bytes, wanted, body) in [
        ("\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "get /a http/1.1\r\n", ""),
        ("GET http://A/a HTTP/1.1\r\nHost: a\r\n\r\n".into(), "get /a http/1.1\r\n", ""),
        ("GET /%61%2Db HTTP/1.1\r\nHost: a\r\n\r\n".into(), "get /a-b http/1.1\r\n", ""),
        ("GET /%e4 HTTP/1.1\r\nHost: a\r\n\r\n".into(), "get /%e4 http/1.1\r\n", ""),
        (format!("{chunked}\r\n5\r\nhello\r\n0\r\n\r\n"), "transfer-encoding: chunked\r\n", "hello"),
        (
            format!("{chunked}\r\n0005;a=b\r\nhello\r\n0\r\nX-T: dropped\r\n\r\n"),
            "transfer-encoding: chunked\r\n",
            "hello",
        ),
        ("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi".into(), "content-length: 2\r\n", "hi"),
    ] {
        let (answers, seen) = scene.judged(bytes.as_bytes()).await;
        assert_eq!(seen.whole.len(), 1, "{bytes}: {answers}");
        let (head, got) = &seen.whole[0];
        assert!(head.to_ascii_lowercase().contains(wanted), "{bytes}: {head}");
        let got = String::from_utf8_lossy(got);
        assert!(got.contains(body) && !got.contains("dropped") && !got.contains("a=b"), "{bytes}: {got}");
    }
    // A body that no GET has goes no further, nor what says that there is one: what follows is a request of its own.
    let get = "GET /c HTTP/1.1\r\nHost: a\r\nContent-Length: 35\r\nContent-Type: text/plain\r\n\r\n";
    let twice = format!("{get}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\nGET /d HTTP/1.1\r\nHost: a\r\n\r\n");
    let (answers, seen) = scene.judged(twice.as_bytes()).await;
    assert_eq!(seen.whole.len(), 2, "{answers} {seen:?}");
    for (head, body) in &seen.whole {
        let head = head.to_ascii_lowercase();
        assert!(!head.contains("content-") && !head.contains("smuggled"), "{head}");
        assert!(body.is_empty());
    }
    let fields = "X_Forwarded_For: 1\r\nX-Text: \u{e4}\r\nConnection: X-Gone, Authorization, Cookie, X-Forwarded-Proto\r\n\
                  X-Gone: 1\r\nAuthorization: b\r\nCookie: c=d\r\nX-Forwarded-Proto: https\r\nKeep-Alive: 5\r\nTE: gzip\r\n\
                  Upgrade: h2c\r\nX-Kept: 1\r\n";
    let (_, seen) = scene
        .judged(format!("POST /a HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: 0\r\n\r\n").as_bytes())
        .await;
    let head = seen.whole[0].0.to_ascii_lowercase();
    for kept in ["\r\nauthorization: b", "\r\ncookie: c=d", "\r\nx-forwarded-proto: https", "\r\nx-kept: 1"] {
        assert!(head.contains(kept), "{kept} in {head}");
    }
    for gone in ["x_forwarded", "x-text", "x-gone", "\r\nconnection", "keep-alive", "\r\nte:", "upgrade"] {
        assert!(!head.contains(gone), "{gone} in {head}");
    }
}

/// A body that is malformed after its request was passed on never looks whole to the origin.
#[tokio::test]
async fn a_body_that_breaks_off_is_never_finished() {
    let scene = scene().await;
    let head = "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for body in [
        "5\r\nhello\r\nz\r\n",
        "5\r\nhelloX0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\n\n",
        "-1\r\n\r\n",
        "\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello",
        "5\r\nhel",
        "5\r\nhello\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nX: y\n\r\n",
    ] {
        let sent = format!("{head}{body}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
        let (answers, seen) = scene.judged(sent.as_bytes()).await;
        assert!(seen.whole.is_empty(), "{body:?}: {answers} {seen:?}");
        assert_eq!(
            answers.matches("HTTP/1.1 ").count(),
            answers.matches("HTTP/1.1 400").count(),
            "{body:?}: {answers}"
        );
    }
}

/// Small changes to well-formed requests: whatever they come to mean, edge and origin agree on it.
#[tokio::test]
async fn mutations_are_read_alike_by_edge_and_origin() {
    let scene = scene().await;
    let bases: [&[u8]; 3] = [
        b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"GET /a HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n",
    ];
    let odd = b"\r\n\t \0\x0b,;:/#\x7f\xe4a0_";
    // xorshift, seeded: the same mutations in every run.
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    for turn in 0..400 {
        let mut bytes = bases[turn % bases.len()].to_vec();
        for _ in 0..=random(2) {
            let at = random(bytes.len());
            match random(3) {
                0 => drop(bytes.remove(at)),
                1 => bytes[at] = odd[random(odd.len())],
                _ => bytes.insert(at, odd[random(odd.len())]),
            }
        }
        let (_, seen) = scene.judged(&bytes).await;
        for (head, _) in &seen.whole {
            let line = head.lines().next().unwrap_or_default();
            assert!(
                line.ends_with(" HTTP/1.1") && line.matches(' ').count() == 2,
                "{}: {head}",
                show(&bytes)
            );
            let names = || head.lines().skip(1).filter_map(|line| line.split(':').next());
            assert!(names().all(|name| !name.contains('_')) && head.is_ascii(), "{}: {head}", show(&bytes));
        }
    }
}

/// Asks over HTTP/2: the status, or `None` where the stream was reset.
async fn over_h2(scene: &Scene, fields: &[(&str, &[u8])]) -> Option<u16> {
    let (mut sender, mut receiver) = h2::connect(scene.edge.at.http.as_ref().unwrap(), &[]).await;
    sender.request(1, &h2::block(fields)).await.unwrap();
    let frame = receiver.next_of(&[kind::HEADERS, kind::RST_STREAM, kind::GOAWAY]).await?;
    (frame.kind == kind::HEADERS).then(|| frame.status())
}

#[tokio::test]
async fn http2_lets_in_no_more_than_http1() {
    let scene = scene().await;
    let base: [(&str, &[u8]); 4] =
        [(":method", b"GET"), (":scheme", b"http"), (":authority", b"a"), (":path", b"/a")];
    let with = |name: &'static str, value: &'static [u8]| {
        let mut fields = base.to_vec();
        match fields.iter_mut().find(|(n, _)| *n == name) {
            Some(field) => field.1 = value,
            None => fields.push((name, value)),
        }
        fields
    };
    let mut refused = vec![
        with(":authority", b"user@a"),
        with(":authority", b"a:65536"),
        with(":authority", b"a b"),
        with(":authority", b""),
        with(":scheme", b"ftp"),
        with(":scheme", b""),
        with(":path", b""),
        with(":path", b"*"),
        with(":path", b"a"),
        with(":path", b"//a"),
        with(":path", b"/a/../b"),
        with(":path", b"/a%00"),
        with(":path", b"/a b"),
        with(":method", b"get"),
        with(":method", b"BREW"),
        with(":method", b"G ET"),
        with(":method", b"TRACE"),
        with("host", b"b"),
        with("connection", b"close"),
        with("keep-alive", b"5"),
        with("upgrade", b"h2c"),
        with("proxy-connection", b"close"),
        with("transfer-encoding", b"chunked"),
        with("te", b"gzip"),
        with("X", b"capital"),
        with("x y", b"1"),
        with("x", b"a\r\nb: c"),
        with("x", b"a\nb"),
        with("x", b"a\0"),
        with("x", b" a"),
        with("x", b"a "),
        with("x", b"\ta"),
        with(":unknown", b"1"),
        with("content-length", b"5"),
    ];
    refused.push(base[..1].iter().chain(&base[2..]).copied().collect());
    refused.push(base[..2].iter().chain(&base[3..]).copied().collect());
    refused.push(base[..3].to_vec());
    refused.push(base[1..].to_vec());
    refused.push(base.iter().chain(&base[..1]).copied().collect());
    refused.push([("x", &b"first"[..])].iter().chain(&base).copied().collect());
    for fields in &refused {
        let status = over_h2(&scene, fields).await;
        assert!(matches!(status, None | Some(400 | 405 | 501)), "{fields:?}: {status:?}");
        assert!(scene.origin.take().whole.is_empty(), "{fields:?}");
    }

    let mut odd = base.to_vec();
    odd.extend([
        ("host", &b"A"[..]),
        ("te", b"trailers"),
        ("x_y", b"1"),
        ("x-text", b"\xe4"),
        ("cookie", b"a=1"),
        ("cookie", b"b=2"),
        ("x-kept", b"1"),
    ]);
    assert_eq!(over_h2(&scene, &odd).await, Some(200));
    let head = scene.origin.take().whole[0].0.to_ascii_lowercase();
    assert!(
        head.contains("\r\ncookie: a=1; b=2\r\n")
            && head.contains("x-kept: 1")
            && head.contains("\r\nhost: a\r\n"),
        "{head}"
    );
    assert!(!head.contains("x_y") && !head.contains("x-text"), "{head}");
}

/// Trailers end with the body: none of them becomes a field of the request.
#[tokio::test]
async fn trailers_name_nothing() {
    let scene = scene().await;
    let (mut sender, mut receiver) = h2::connect(scene.edge.at.http.as_ref().unwrap(), &[]).await;
    let head = h2::block(&[
        (":method", b"POST"),
        (":scheme", b"http"),
        (":authority", b"a"),
        (":path", b"/a"),
        ("trailer", b"authorization"),
    ]);
    sender.send(kind::HEADERS, END_HEADERS, 1, &head).await.unwrap();
    sender.send(kind::DATA, 0, 1, b"hello").await.unwrap();
    let trailers =
        h2::block(&[("authorization", b"b"), ("content-length", b"9"), ("x-forwarded-for", b"1.2.3.4")]);
    sender.send(kind::HEADERS, END_HEADERS | END_STREAM, 1, &trailers).await.unwrap();
    let answer = receiver.next_of(&[kind::HEADERS, kind::RST_STREAM, kind::GOAWAY]).await.unwrap();
    assert!(answer.kind == kind::HEADERS && answer.status() == 200, "{answer:?}");
    let seen = scene.origin.take();
    let all =
        format!("{}{}", seen.whole[0].0, String::from_utf8_lossy(&seen.whole[0].1)).to_ascii_lowercase();
    assert!(all.contains("hello"), "{all}");
    assert!(!all.contains("authorization") && !all.contains("1.2.3.4"), "{all}");
}
