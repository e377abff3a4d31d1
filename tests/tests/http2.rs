//! HTTP/2 as RFC 9113 has it, section by section: what the server must do, and how it must end what a client may not do.
#![allow(clippy::unwrap_used, reason = "helpers of tests report a broken assumption by panicking")]

use Wanted::{Acknowledged, Ended, Reset, Served};
use sluice_tests::h2::{self, END_HEADERS, END_STREAM, frame, kind};
use sluice_tests::origin::{ScriptedOrigin, answer};
use sluice_tests::stack::lone_edge;

// Error codes (RFC 9113 section 7).
const PROTOCOL: u32 = 1;
const FLOW_CONTROL: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE: u32 = 6;
const COMPRESSION: u32 = 9;
const CALM: u32 = 11;

/// What must come of a case.
#[derive(Debug)]
enum Wanted {
    /// Stream 1 is answered.
    Served,
    /// The connection ends, with one of these codes where it is said.
    Ended(&'static [u32]),
    /// A stream or the connection ends with one of these codes.
    Reset(&'static [u32]),
    /// An acknowledgement of this kind, with this payload.
    Acknowledged(u8, &'static [u8]),
}

fn asks(flags: u8) -> Vec<u8> {
    frame(kind::HEADERS, flags, 1, &h2::get("/a"))
}

fn whole() -> Vec<u8> {
    asks(END_HEADERS | END_STREAM)
}

fn after(first: Vec<u8>, then: &[u8]) -> Vec<u8> {
    [&first, then].concat()
}

fn fields(extra: &[(&str, &[u8])]) -> Vec<u8> {
    let base: [(&str, &[u8]); 4] =
        [(":method", b"GET"), (":scheme", b"http"), (":authority", b"a"), (":path", b"/a")];
    frame(kind::HEADERS, END_HEADERS | END_STREAM, 1, &h2::block(&[&base, extra].concat()))
}

fn posts(length: &'static [u8]) -> Vec<u8> {
    let block: [(&str, &[u8]); 5] = [
        (":method", b"POST"),
        (":scheme", b"http"),
        (":authority", b"a"),
        (":path", b"/a"),
        ("content-length", length),
    ];
    frame(kind::HEADERS, END_HEADERS, 1, &h2::block(&block))
}

fn framing() -> Vec<(&'static str, Vec<u8>, Wanted)> {
    let ping = |flags, stream, payload: &[u8]| frame(kind::PING, flags, stream, payload);
    let settings = |payload: &[u8]| frame(kind::SETTINGS, 0, 0, payload);
    let window = |stream, size: u32| frame(kind::WINDOW_UPDATE, 0, stream, &size.to_be_bytes());
    let reset = |stream, payload: &[u8]| frame(kind::RST_STREAM, 0, stream, payload);
    vec![
        ("4.1 a frame of unknown type", after(frame(0xee, 0xff, 0, b"?"), &whole()), Served),
        (
            "4.1 undefined flags",
            frame(kind::HEADERS, END_HEADERS | END_STREAM | 0x50, 1, &h2::get("/a")),
            Served,
        ),
        (
            "4.2 DATA beyond the largest frame",
            after(posts(b"20000"), &frame(kind::DATA, 0, 1, &[0; 16_385])),
            Reset(&[FRAME_SIZE]),
        ),
        ("4.2 HEADERS beyond it", frame(kind::HEADERS, END_HEADERS, 1, &[0; 16_385]), Ended(&[FRAME_SIZE])),
        (
            "4.3 a block that is no HPACK",
            frame(kind::HEADERS, END_HEADERS | END_STREAM, 1, &[0x80]),
            Ended(&[COMPRESSION, PROTOCOL]),
        ),
        (
            "4.3 another frame within a block",
            after(asks(END_STREAM), &ping(0, 0, &[0; 8])),
            Ended(&[PROTOCOL]),
        ),
        (
            "4.3 another stream's within a block",
            after(asks(END_STREAM), &frame(kind::CONTINUATION, END_HEADERS, 3, &[])),
            Ended(&[PROTOCOL]),
        ),
        ("5.1 DATA on an idle stream", frame(kind::DATA, END_STREAM, 1, b"x"), Ended(&[PROTOCOL])),
        ("5.1 RST_STREAM of an idle stream", reset(1, &[0, 0, 0, 8]), Ended(&[PROTOCOL])),
        ("5.1 WINDOW_UPDATE of an idle stream", window(1, 100), Ended(&[PROTOCOL])),
        (
            "5.1 CONTINUATION of an idle stream",
            frame(kind::CONTINUATION, END_HEADERS, 1, &[]),
            Ended(&[PROTOCOL]),
        ),
        (
            "5.1 DATA on a half-closed stream",
            after(whole(), &frame(kind::DATA, END_STREAM, 1, b"x")),
            Reset(&[STREAM_CLOSED]),
        ),
        (
            "5.1.1 a stream of even number",
            frame(kind::HEADERS, END_HEADERS | END_STREAM, 2, &h2::get("/a")),
            Ended(&[PROTOCOL]),
        ),
        (
            "5.1.1 a number that goes down",
            after(
                frame(kind::HEADERS, END_HEADERS | END_STREAM, 5, &h2::get("/a")),
                &frame(kind::HEADERS, END_HEADERS | END_STREAM, 3, &h2::get("/a")),
            ),
            Ended(&[PROTOCOL, STREAM_CLOSED]),
        ),
        ("5.5 an unknown setting", after(settings(&[0, 99, 0, 0, 0, 1]), &whole()), Served),
        ("6.1 DATA of no stream", frame(kind::DATA, 0, 0, b"x"), Ended(&[PROTOCOL])),
        (
            "6.1 padding beyond the frame",
            after(posts(b"4"), &frame(kind::DATA, 8, 1, &[9, 0, 0])),
            Ended(&[PROTOCOL]),
        ),
        (
            "6.2 HEADERS of no stream",
            frame(kind::HEADERS, END_HEADERS, 0, &h2::get("/a")),
            Ended(&[PROTOCOL]),
        ),
        (
            "6.2 padding beyond the frame",
            frame(kind::HEADERS, END_HEADERS | 8, 1, &[99, 0x82]),
            Ended(&[PROTOCOL]),
        ),
        ("6.3 PRIORITY of no stream", frame(kind::PRIORITY, 0, 0, &[0; 5]), Ended(&[PROTOCOL])),
        (
            "6.3 PRIORITY of another length",
            after(asks(END_HEADERS), &frame(kind::PRIORITY, 0, 1, &[0; 4])),
            Reset(&[FRAME_SIZE]),
        ),
        ("6.4 RST_STREAM of no stream", reset(0, &[0, 0, 0, 8]), Ended(&[PROTOCOL])),
        (
            "6.4 RST_STREAM of another length",
            after(asks(END_HEADERS), &reset(1, &[0; 3])),
            Ended(&[FRAME_SIZE]),
        ),
        ("6.5 SETTINGS are acknowledged", settings(&[]), Acknowledged(kind::SETTINGS, b"")),
        ("6.5 an acknowledgement with payload", frame(kind::SETTINGS, 1, 0, &[0; 6]), Ended(&[FRAME_SIZE])),
        ("6.5 SETTINGS of a stream", frame(kind::SETTINGS, 0, 1, &[]), Ended(&[PROTOCOL])),
        ("6.5 SETTINGS of another length", settings(&[0; 5]), Ended(&[FRAME_SIZE])),
        ("6.5.2 ENABLE_PUSH beyond 1", settings(&[0, 2, 0, 0, 0, 2]), Ended(&[PROTOCOL])),
        ("6.5.2 a window beyond the largest", settings(&[0, 4, 0x80, 0, 0, 0]), Ended(&[FLOW_CONTROL])),
        ("6.5.2 a frame size below the least", settings(&[0, 5, 0, 0, 0x3f, 0xff]), Ended(&[PROTOCOL])),
        ("6.5.2 a frame size beyond the largest", settings(&[0, 5, 1, 0, 0, 0]), Ended(&[PROTOCOL])),
        ("6.7 PING is answered", ping(0, 0, b"sluice!!"), Acknowledged(kind::PING, b"sluice!!")),
        ("6.7 PING of a stream", ping(0, 1, &[0; 8]), Ended(&[PROTOCOL])),
        ("6.7 PING of another length", ping(0, 0, &[0; 7]), Ended(&[FRAME_SIZE])),
        ("6.8 GOAWAY of a stream", frame(kind::GOAWAY, 0, 1, &[0; 8]), Ended(&[PROTOCOL])),
        ("6.9 no room for the connection", window(0, 0), Ended(&[PROTOCOL])),
        ("6.9 no room for a stream", after(asks(END_HEADERS), &window(1, 0)), Reset(&[PROTOCOL])),
        (
            "6.9 WINDOW_UPDATE of another length",
            frame(kind::WINDOW_UPDATE, 0, 0, &[0; 3]),
            Ended(&[FRAME_SIZE]),
        ),
        ("6.9.1 too much room for the connection", window(0, 0x7fff_ffff), Ended(&[FLOW_CONTROL])),
        (
            "6.9.1 too much room for a stream",
            after(asks(END_HEADERS), &window(1, 0x7fff_ffff)),
            Reset(&[FLOW_CONTROL]),
        ),
        (
            "6.10 CONTINUATION behind a whole block",
            after(whole(), &frame(kind::CONTINUATION, END_HEADERS, 1, &[])),
            Ended(&[PROTOCOL, STREAM_CLOSED]),
        ),
        (
            "6.10 a block in two",
            after(
                frame(kind::HEADERS, END_STREAM, 1, &h2::get("/a")[..20]),
                &frame(kind::CONTINUATION, END_HEADERS, 1, &h2::get("/a")[20..]),
            ),
            Served,
        ),
    ]
}

fn messages() -> Vec<(&'static str, Vec<u8>, Wanted)> {
    let post = |length, body: &[u8]| after(posts(length), &frame(kind::DATA, END_STREAM, 1, body));
    vec![
        (
            "8.1 trailers",
            [
                posts(b"1"),
                frame(kind::DATA, 0, 1, b"x"),
                frame(kind::HEADERS, END_HEADERS | END_STREAM, 1, &h2::block(&[("x", b"y")])),
            ]
            .concat(),
            Served,
        ),
        (
            "8.1 trailers that end nothing",
            [
                posts(b"1"),
                frame(kind::DATA, 0, 1, b"x"),
                frame(kind::HEADERS, END_HEADERS, 1, &h2::block(&[("x", b"y")])),
            ]
            .concat(),
            Reset(&[PROTOCOL]),
        ),
        (
            // Trailers are dropped, whatever they say.
            "8.1 pseudo fields in trailers",
            [
                posts(b"1"),
                frame(kind::DATA, 0, 1, b"x"),
                frame(kind::HEADERS, END_HEADERS | END_STREAM, 1, &h2::block(&[(":path", b"/b")])),
            ]
            .concat(),
            Served,
        ),
        ("8.1.1 a body below its length", post(b"5", b"x"), Reset(&[PROTOCOL])),
        ("8.1.1 a body beyond its length", post(b"1", b"xyz"), Reset(&[PROTOCOL])),
        ("8.2.1 a capital letter", fields(&[("X", b"y")]), Reset(&[PROTOCOL])),
        ("8.2.2 a field of the connection", fields(&[("connection", b"close")]), Reset(&[PROTOCOL])),
        ("8.2.2 TE other than trailers", fields(&[("te", b"gzip")]), Reset(&[PROTOCOL])),
        ("8.3 an unknown pseudo field", fields(&[(":unknown", b"y")]), Reset(&[PROTOCOL])),
        ("8.3 a pseudo field of answers", fields(&[(":status", b"200")]), Reset(&[PROTOCOL])),
        ("8.3 a pseudo field behind others", fields(&[("x", b"y"), (":path", b"/a")]), Reset(&[PROTOCOL])),
        ("8.3.1 a path twice", fields(&[(":path", b"/a")]), Reset(&[PROTOCOL])),
        ("8.4 a client that promises", frame(5, END_HEADERS, 1, &[0, 0, 0, 2, 0x82]), Ended(&[PROTOCOL])),
    ]
}

/// What is wrong with what comes of a case, if anything is.
async fn fault(at: &str, bytes: &[u8], wanted: &Wanted) -> Option<String> {
    let (mut sender, mut receiver) = h2::connect(at, &[]).await;
    if matches!(wanted, Acknowledged(kind::SETTINGS, _)) {
        // That of the connection's first settings.
        while receiver.next_of(&[kind::SETTINGS]).await?.flags == 0 {}
    }
    drop(sender.bytes(bytes).await);
    let kinds = match wanted {
        Acknowledged(kind, _) => vec![*kind, kind::GOAWAY],
        Ended(_) => vec![kind::GOAWAY],
        Served | Reset(_) => vec![kind::HEADERS, kind::RST_STREAM, kind::GOAWAY],
    };
    loop {
        let Some(frame) = receiver.next_of(&kinds).await else {
            return (!matches!(wanted, Ended(_) | Reset(_))).then(|| "it ended".into());
        };
        let answered = (frame.kind == kind::HEADERS).then(|| frame.status());
        let good = match (wanted, frame.kind) {
            (Served, _) => answered == Some(200),
            (Acknowledged(..), kind::SETTINGS | kind::PING) if frame.flags & 1 == 0 => continue,
            (Acknowledged(kind, payload), _) => frame.kind == *kind && frame.payload == *payload,
            // An answer in 400 says the same where the request was understood (RFC 9113 section 8.1.1); one in 200 may have
            // been under way.
            (Reset(_), kind::HEADERS) if answered == Some(200) => continue,
            (Reset(_), kind::HEADERS) => answered == Some(400),
            (Reset(codes), kind::RST_STREAM) => codes.contains(&frame.number(0)),
            (Ended(codes) | Reset(codes), _) => codes.contains(&frame.number(4)) || frame.number(4) == CALM,
        };
        return (!good).then(|| format!("{wanted:?}, but {frame:?}"));
    }
}

#[tokio::test]
async fn every_section_is_heeded() {
    let origin = ScriptedOrigin::start(|request| async move {
        let body = axum::body::to_bytes(request.into_body(), 1 << 20).await;
        answer(if body.is_ok() { 200 } else { 400 }, &[("cache-control", "no-store")], "")
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let mut edge = lone_edge(dir.path(), "edge-a", &origin.url(), &[]);
    edge.start().await;
    let at = edge.at.http.clone().unwrap();
    let mut faults = vec![];
    for (name, bytes, wanted) in framing().iter().chain(&messages()) {
        faults.extend(fault(&at, bytes, wanted).await.map(|fault| format!("{name}: {fault}")));
    }
    assert!(faults.is_empty(), "{faults:#?}");
    // What was done to one connection is nothing to the next.
    assert_eq!(fault(&at, &whole(), &Served).await, None);
}
