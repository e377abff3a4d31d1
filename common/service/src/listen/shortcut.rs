//! The shortest way: plain requests for what a cache holds, answered without the service; over HTTP/1 before a request is
//! even made of the bytes that were read.

use super::limits::MAX_TARGET;
use super::{Peer, Shell, gate};
use crate::HttpResponse;
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, ALT_SVC, HeaderName, HeaderValue};
use http::{Method, Request};
use rand::Rng;
use sluice_wire::headers::REQUEST_ID;
use std::io::Write;

/// Fields that leave the meaning of a plain GET as it is. A request with any other goes the long way.
const PLAIN: [&str; 15] = [
    "user-agent",
    "accept",
    "accept-language",
    "referer",
    "origin",
    "cookie",
    "priority",
    "dnt",
    "upgrade-insecure-requests",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
    "sec-ch-ua",
    "sec-ch-ua-mobile",
    "sec-ch-ua-platform",
];
/// Fields of a plain request.
const MAX_PLAIN: usize = 24;

/// A cache in front of a service. It answers what it can at once; everything else goes to the service.
pub trait Shortcut: Send + Sync + std::fmt::Debug {
    /// Answers a plain GET in HTTP/1's words: writes status line and fields, each ended by CR LF, and gives the body. `None`,
    /// with nothing written, leaves it to the service.
    fn hit(&self, plain: &Plain<'_>, head: &mut Vec<u8>) -> Option<Bytes>;

    /// Answers a plain GET of any protocol.
    fn answer(&self, plain: &Plain<'_>) -> Option<HttpResponse>;
}

/// A plain GET: no conditions, no range, no credentials, no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plain<'a> {
    /// It came over TLS.
    pub secure: bool,
    /// Its authority.
    pub host: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// What its `Accept-Encoding` says.
    pub codings: Option<&'a str>,
}

/// Answers a head of HTTP/1 by the shortcut, if it can: the whole answer's head is in `out` then.
pub(super) fn take(head: &[u8], peer: Peer, shell: &Shell, out: &mut Vec<u8>) -> Option<Bytes> {
    let shortcut = shell.shortcut.as_ref()?;
    let plain = of_head(head, peer.secure)?;
    if shell.front.is_misdirected(plain.host) {
        return None;
    }
    out.clear();
    let body = shortcut.hit(&plain, out)?;
    let id: u128 = rand::rng().random();
    drop(write!(out, "{REQUEST_ID}: {id:032x}\r\n"));
    if let Some(alt_svc) = shell.front.plain_hit(peer) {
        out.extend_from_slice(b"alt-svc: ");
        out.extend_from_slice(alt_svc.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    Some(body)
}

/// Answers a request of HTTP/2 or HTTP/3 without a body by the shortcut, if it can.
pub(super) fn answer<B>(request: &Request<B>, peer: Peer, shell: &Shell) -> Option<HttpResponse> {
    let shortcut = shell.shortcut.as_ref()?;
    let plain = of_request(request, peer.secure)?;
    if shell.front.is_misdirected(plain.host) {
        return None;
    }
    let mut answer = shortcut.answer(&plain)?;
    let headers = answer.headers_mut();
    headers.insert(HeaderName::from_static(REQUEST_ID), hexadecimal(rand::rng().random()));
    if let Some(alt_svc) = shell.front.plain_hit(peer) {
        headers.insert(ALT_SVC, alt_svc.clone());
    }
    Some(answer)
}

fn hexadecimal(number: u128) -> HeaderValue {
    let mut digits = [0; 32];
    // Both are of just this length.
    hex::encode_to_slice(number.to_be_bytes(), &mut digits).unwrap_or_default();
    HeaderValue::from_bytes(&digits).expect("digits and letters")
}

/// What a GET says on a connection that lasts, with nothing but plain fields.
fn of_request<B>(request: &Request<B>, secure: bool) -> Option<Plain<'_>> {
    let (uri, headers) = (request.uri(), request.headers());
    let scheme_fits = uri.scheme_str().is_none_or(|scheme| scheme == if secure { "https" } else { "http" });
    if *request.method() != Method::GET || !scheme_fits || headers.len() > MAX_PLAIN {
        return None;
    }
    let mut codings = None;
    for (name, value) in headers {
        if *name == ACCEPT_ENCODING && codings.is_none() {
            codings = Some(value.to_str().ok()?);
        } else if !PLAIN.contains(&name.as_str()) {
            return None;
        }
        if gate::is_padded(value) {
            return None;
        }
    }
    let target = uri.path_and_query()?.as_str();
    let (host, fits) = (uri.authority()?.as_str(), target.len() <= MAX_TARGET);
    fits.then_some(Plain { secure, host, target, codings })
}

/// The same of a head of HTTP/1.
fn of_head(head: &[u8], secure: bool) -> Option<Plain<'_>> {
    if !head.starts_with(b"GET /") {
        return None;
    }
    let mut fields = [httparse::EMPTY_HEADER; MAX_PLAIN];
    let mut parsed = httparse::Request::new(&mut fields);
    let Ok(httparse::Status::Complete(_)) = parsed.parse(head) else { return None };
    let (mut host, mut codings) = (None, None);
    for field in parsed.headers.iter() {
        if field.name.eq_ignore_ascii_case("host") {
            if host.is_some() {
                return None;
            }
            host = std::str::from_utf8(field.value).ok();
        } else if field.name.eq_ignore_ascii_case("connection") {
            if !field.value.eq_ignore_ascii_case(b"keep-alive") {
                return None;
            }
        } else if field.name.eq_ignore_ascii_case("accept-encoding") {
            // Several lines are one list, and rare.
            if codings.is_some() {
                return None;
            }
            codings = Some(std::str::from_utf8(field.value).ok()?);
        } else if !PLAIN.iter().any(|name| field.name.eq_ignore_ascii_case(name)) {
            return None;
        }
    }
    let modern = parsed.version == Some(1);
    Some(Plain { secure, host: host.filter(|_| modern)?, target: parsed.path?, codings })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_requests_take_the_shortcut() {
        let of = |fields: &str| {
            of_head(format!("GET /a HTTP/1.1\r\nHost: h\r\n{fields}\r\n").as_bytes(), false).is_some()
        };
        assert!(
            of("")
                && of("Accept-Encoding: br, gzip\r\n")
                && of("User-Agent: x\r\nACCEPT: */*\r\nConnection: Keep-Alive\r\n")
        );
        for long in [
            "Range: bytes=0-1\r\n",
            "If-None-Match: \"a\"\r\n",
            "Authorization: b\r\n",
            "Connection: close\r\n",
            "Content-Length: 0\r\n",
            "Transfer-Encoding: chunked\r\n",
            "Host: h\r\n",
            "Accept-Encoding: br\r\nAccept-Encoding: gzip\r\n",
            "CDN-Loop: a\r\n",
            "Sluice-Floor: a=1\r\n",
        ] {
            assert!(!of(long), "{long}");
        }
        assert_eq!(of_head(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", false), None);
        assert_eq!(of_head(b"GET / HTTP/1.0\r\nHost: h\r\n\r\n", false), None);
    }

    #[test]
    fn requests_of_other_protocols_are_plain_by_the_same_rule() {
        let plain = |method: &str, uri: &str, fields: &[(&str, &[u8])]| {
            let mut request = Request::builder().method(method).uri(uri);
            for (name, value) in fields {
                request = request.header(*name, HeaderValue::from_bytes(value).unwrap());
            }
            let request = request.body(()).unwrap();
            of_request(&request, true)
                .map(|plain| (plain.target.to_owned(), plain.codings.map(str::to_owned)))
        };
        let taken =
            |target: &str, codings: Option<&str>| Some((target.to_owned(), codings.map(str::to_owned)));
        assert_eq!(plain("GET", "https://h/a?b", &[]), taken("/a?b", None));
        let usual: [(&str, &[u8]); 3] =
            [("user-agent", b"x"), ("accept-encoding", b"br"), ("cookie", b"a=1")];
        assert_eq!(plain("GET", "https://h/a", &usual), taken("/a", Some("br")));
        let long: [(&str, &[u8]); 7] = [
            ("range", b"bytes=0-1"),
            ("authorization", b"b"),
            ("host", b"h"),
            ("te", b"trailers"),
            ("content-length", b"1"),
            ("accept", b" x"),
            ("early-data", b"1"),
        ];
        for field in long {
            assert_eq!(plain("GET", "https://h/a", &[field]), None, "{field:?}");
        }
        let twice: [(&str, &[u8]); 2] = [("accept-encoding", b"br"), ("accept-encoding", b"gzip")];
        assert_eq!(plain("GET", "https://h/a", &twice), None);
        assert_eq!(plain("HEAD", "https://h/a", &[]), None);
        assert_eq!(plain("GET", "http://h/a", &[]), None, "over TLS");
        assert_eq!(plain("GET", "/a", &[]), None, "no authority");
    }
}
