//! Parts of an object: one range, several, or none that it has (RFC 9110 section 14).

use crate::cache::Object;
use crate::deliver;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderName, HeaderValue};
use sluice_service::{Body, HttpResponse, problem_response};
use sluice_wire::Problem;
use sluice_wire::conditions::{self, Part};
use std::io;
use std::sync::Arc;

/// Answers the range of an object of this length.
pub(crate) fn answer(range: &str, length: u64, object: &Arc<Object>) -> HttpResponse {
    match conditions::parts(range, length).as_slice() {
        [] | [Part::Whole] => {
            let mut whole = deliver::head(object, StatusCode::OK);
            whole.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
            *whole.body_mut() = Body::from_stream(object.read(0, length));
            whole
        }
        [Part::Bytes(from, to)] => {
            let mut part = deliver::head(object, StatusCode::PARTIAL_CONTENT);
            *part.body_mut() = Body::from_stream(object.read(*from, *to));
            part.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(to - from));
            deliver::send_of_file(&mut part, object, *from, *to);
            set(&mut part, CONTENT_RANGE, &content_range(*from, *to, length));
            part
        }
        [Part::Unsatisfiable] => unsatisfiable(length),
        parts => multipart(parts, length, object),
    }
}

fn content_range(from: u64, to: u64, length: u64) -> String {
    format!("bytes {from}-{}/{length}", to - 1)
}

fn unsatisfiable(length: u64) -> HttpResponse {
    let problem =
        Problem::new(416, "range", "Range not satisfiable").detail(format!("it has {length} bytes"));
    let mut answer = problem_response(problem);
    set(&mut answer, CONTENT_RANGE, &format!("bytes */{length}"));
    answer
}

/// Several ranges as `multipart/byteranges` (RFC 9110 section 14.6).
fn multipart(parts: &[Part], length: u64, object: &Arc<Object>) -> HttpResponse {
    let boundary = format!("sluice-{:032x}", rand::random::<u128>());
    let kind = object.head.headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let kind = kind.map_or_else(String::new, |kind| format!("Content-Type: {kind}\r\n"));
    let mut total = 0;
    let mut pieces: Vec<BoxStream<'static, io::Result<Bytes>>> = vec![];
    for part in parts {
        let Part::Bytes(from, to) = *part else { continue };
        let range = content_range(from, to, length);
        let head = Bytes::from(format!("\r\n--{boundary}\r\n{kind}Content-Range: {range}\r\n\r\n"));
        total += head.len() as u64 + (to - from);
        pieces.push(stream::once(async { Ok(head) }).boxed());
        pieces.push(object.read(from, to));
    }
    let end = Bytes::from(format!("\r\n--{boundary}--\r\n"));
    total += end.len() as u64;
    pieces.push(stream::once(async { Ok(end) }).boxed());
    let mut answer = deliver::head(object, StatusCode::PARTIAL_CONTENT);
    *answer.body_mut() = Body::from_stream(stream::iter(pieces).flatten());
    answer.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(total));
    set(&mut answer, CONTENT_TYPE, &format!("multipart/byteranges; boundary={boundary}"));
    answer
}

fn set(answer: &mut HttpResponse, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        answer.headers_mut().insert(name, value);
    }
}
