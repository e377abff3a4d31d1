//! The shortest way: plain requests for what a cache holds, answered out of the bytes that were read.

use super::super::{Peer, Shell};
use bytes::Bytes;
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
    /// Answers a plain GET (no conditions, no range, no credentials): writes status line and fields, each ended by CR LF,
    /// and gives the body. `None`, with nothing written, leaves it to the service. `secure` is true over TLS; `codings` is
    /// what its `Accept-Encoding` says.
    fn hit(
        &self,
        secure: bool,
        host: &str,
        target: &str,
        codings: Option<&str>,
        head: &mut Vec<u8>,
    ) -> Option<Bytes>;
}

/// Answers a head by the shortcut, if it can: the whole answer's head is in `out` then.
pub(super) fn take(head: &[u8], peer: Peer, shell: &Shell, out: &mut Vec<u8>) -> Option<Bytes> {
    let shortcut = shell.shortcut.as_ref()?;
    let Plain { host, target, codings } = plain(head)?;
    if shell.front.is_misdirected(host) {
        return None;
    }
    out.clear();
    let body = shortcut.hit(peer.secure, host, target, codings, out)?;
    let id: u128 = rand::rng().random();
    drop(write!(out, "{REQUEST_ID}: {id:032x}\r\n"));
    shell.front.finish_plain(peer, out);
    out.extend_from_slice(b"\r\n");
    Some(body)
}

/// What a plain request says.
#[derive(Debug, PartialEq, Eq)]
struct Plain<'a> {
    host: &'a str,
    target: &'a str,
    codings: Option<&'a str>,
}

/// Reads a GET on a lasting connection with nothing but plain fields.
fn plain(head: &[u8]) -> Option<Plain<'_>> {
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
    Some(Plain { host: host.filter(|_| modern)?, target: parsed.path?, codings })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_requests_take_the_shortcut() {
        let of =
            |fields: &str| plain(format!("GET /a HTTP/1.1\r\nHost: h\r\n{fields}\r\n").as_bytes()).is_some();
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
        assert_eq!(plain(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n"), None);
        assert_eq!(plain(b"GET / HTTP/1.0\r\nHost: h\r\n\r\n"), None);
    }
}
