//! The request gate: what is let in, and the one spelling under which it is looked up, placed and asked for.

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, Method};
use sluice_service::HttpRequest;
use sluice_wire::headers::{CDN_LOOP, TRIED_PARAM};
use sluice_wire::limits::MAX_TRIED;
use sluice_wire::{NodeId, Problem};
use std::fmt::Write;

pub(crate) use sluice_service::is_host;

/// Fields that end at each hop (RFC 9110 section 7.6.1).
pub(crate) const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Fields that `Connection` may not remove: they decide what is served to whom.
pub(crate) const PROTECTED: [&str; 11] = [
    "host",
    "authorization",
    "cookie",
    "cache-control",
    "pragma",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "via",
    "cdn-loop",
];

/// A target in its one spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// The path, without dot segments, doubled slashes or NUL.
    pub(crate) path: String,
    /// The query that counts: without what only this edge or a measurement reads.
    pub(crate) query: Option<String>,
    /// Nodes that could not serve this before.
    pub(crate) tried: Vec<NodeId>,
}

impl Target {
    /// Path and query as a parent is asked for them.
    pub(crate) fn as_text(&self) -> String {
        self.query.as_ref().map_or_else(|| self.path.clone(), |query| format!("{}?{query}", self.path))
    }
}

/// Reads a request's target, or says why it is not let in.
/// `methods` are let in beside the usual ones.
pub(crate) fn target(request: &HttpRequest, methods: &[String]) -> Result<Target, Problem> {
    let refuse =
        |status, kind: &str, detail: &str| Problem::new(status, kind, "Request refused").detail(detail);
    let headers = request.headers();
    match *request.method() {
        Method::GET
        | Method::HEAD
        | Method::POST
        | Method::PUT
        | Method::PATCH
        | Method::DELETE
        | Method::OPTIONS => {}
        Method::CONNECT | Method::TRACE => {
            return Err(refuse(405, "method", "CONNECT and TRACE are not served"));
        }
        ref other if methods.iter().any(|method| method == other.as_str()) => {}
        _ => return Err(refuse(501, "method", "this method is not known here")),
    }
    if headers.get_all(HOST).iter().count() != 1 {
        return Err(refuse(400, "host", "name one host"));
    }
    let host = headers.get(HOST).and_then(|h| h.to_str().ok()).unwrap_or_default();
    if !is_host(host) {
        return Err(refuse(400, "host", "the host is malformed"));
    }
    if request.uri().authority().is_some_and(|a| !a.as_str().eq_ignore_ascii_case(host)) {
        return Err(refuse(400, "host", "the target's authority and Host differ"));
    }
    if headers.contains_key(CONTENT_LENGTH) && headers.contains_key(TRANSFER_ENCODING) {
        return Err(refuse(400, "framing", "Content-Length and Transfer-Encoding exclude each other"));
    }
    let path = path(request.uri().path())
        .ok_or_else(|| refuse(400, "target", "the path has another meaning than it shows"))?;
    let (query, tried) = query(request.uri().query());
    Ok(Target { path, query, tried })
}

/// The one spelling of a path and query, as requests for them are looked up. `None` for what would not be let in.
pub(crate) fn spelled(target: &str) -> Option<String> {
    let (before, after) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let (query, tried) = query(after);
    Some(Target { path: path(before)?, query, tried }.as_text())
}

/// True for a path in its one spelling beyond doubt: nothing encoded, no query, no empty or dot segment.
pub(crate) fn is_plain(target: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_' | b'~');
    let bytes = target.as_bytes();
    let doubtful = bytes.windows(2).any(|pair| matches!(pair, b"//" | b"/."));
    bytes.first() == Some(&b'/') && bytes.iter().all(|byte| plain(*byte)) && !doubtful
}

/// A path that means what it shows, in its one spelling (RFC 3986 section 6.2.2): what needs no encoding is not encoded,
/// what needs it is, in capitals. `None` for one with dot segments, empty segments, NUL or backslash, in any encoding.
fn path(path: &str) -> Option<String> {
    // An encoded slash or dot in an upload's file name is a name, and goes to the origin as it is.
    let is_name = path.starts_with("/v1/videos/");
    let mut spelt = String::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        let (byte, encoded) = match byte {
            b'%' => (digit(bytes.next()?)? << 4 | digit(bytes.next()?)?, true),
            byte => (byte, false),
        };
        match byte {
            b'/' | b'\\' if encoded && !is_name => return None,
            0 => return None,
            b'\\' | b'#' if !encoded => return None,
            b'.' if encoded && is_name => spelt.push_str("%2E"),
            byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => spelt.push(char::from(byte)),
            byte if !encoded && b"/!$&'()*+,;=:@".contains(&byte) => spelt.push(char::from(byte)),
            byte => drop(write!(spelt, "%{byte:02X}")),
        }
    }
    let doubtful = spelt.contains("//") || spelt.split('/').any(|segment| matches!(segment, "." | ".."));
    (spelt.starts_with('/') && !doubtful).then_some(spelt)
}

/// The value of a hexadecimal digit.
fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn query(query: Option<&str>) -> (Option<String>, Vec<NodeId>) {
    let Some(query) = query else { return (None, vec![]) };
    let mut tried = vec![];
    let kept: Vec<&str> = query
        .split('&')
        .filter(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if name == TRIED_PARAM {
                tried.extend(value.split('.').filter_map(|n| NodeId::new(n).ok()).take(MAX_TRIED));
            }
            // Measurements and steering are about the viewer, not about the object.
            !pair.is_empty()
                && name != TRIED_PARAM
                && !matches!(name, "CMCD" | "_HLS_pathway" | "_HLS_throughput")
        })
        .collect();
    ((!kept.is_empty()).then(|| kept.join("&")), tried)
}

/// True when this node has passed the request before (RFC 8586).
pub(crate) fn loops(headers: &HeaderMap, node: &NodeId) -> bool {
    let passed = headers.get_all(CDN_LOOP).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
    passed
        .map(|member| member.split(';').next().unwrap_or_default().trim())
        .any(|name| name == loop_name(node))
}

/// True when an edge has passed the request before. Anybody can say so: it may cost them, and nobody else.
pub(crate) fn is_from_edge(headers: &HeaderMap) -> bool {
    let passed = headers.get_all(CDN_LOOP).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
    passed.map(str::trim).any(|name| name.starts_with(LOOP_PREFIX))
}

/// What this fleet's nodes are called by in `CDN-Loop`.
const LOOP_PREFIX: &str = "sluice-";

/// This node in `CDN-Loop`.
pub(crate) fn loop_name(node: &NodeId) -> String {
    format!("{LOOP_PREFIX}{node}")
}

/// True when the sender of these fields takes trailers (RFC 9110 section 10.1.4).
pub(crate) fn takes_trailers(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(http::header::TE).iter().filter_map(|v| v.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|member| member.trim().eq_ignore_ascii_case("trailers"))
}

/// Removes what ends at this hop.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(http::header::CONNECTION)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .filter(|name| !PROTECTED.contains(&name.as_str()))
        .filter_map(|name| name.parse().ok())
        .collect();
    HOP_BY_HOP.iter().for_each(|name| drop(headers.remove(*name)));
    named.iter().for_each(|name| drop(headers.remove(name)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sluice_service::Body;

    fn request(method: Method, uri: &str, host: &str) -> HttpRequest {
        http::Request::builder().method(method).uri(uri).header(HOST, host).body(Body::empty()).unwrap()
    }

    #[test]
    fn a_path_has_one_spelling() {
        for good in ["/", "/v/x/master.m3u8", "/v1/videos/..%2Fetc", "/assets/a-b.js"] {
            assert!(target(&request(Method::GET, good, "h"), &[]).is_ok(), "{good}");
        }
        for bad in [
            "/a/../b",
            "/a//b",
            "/v/%2e%2e/x",
            "/v/%2e./x",
            "/a%00",
            "/v/a%2fb",
            "/a/./b",
            "/a/..",
            "/a\\b",
            "/a%5cb",
            "/a%",
            "/a%4",
            "/a%zz",
            "/a%+1",
            "a",
            "*",
            "",
        ] {
            assert_eq!(path(bad), None, "{bad}");
        }
        for (written, spelt) in [
            ("/%61%2D%7e/b", "/a-~/b"),
            ("/a%2eb", "/a.b"),
            ("/%c3%a4\u{e4}", "/%C3%A4%C3%A4"),
            ("/a%20b{c}", "/a%20b%7Bc%7D"),
            ("/a:b@c!$&'()*+,;=", "/a:b@c!$&'()*+,;="),
            ("/a%3ab", "/a%3Ab"),
            ("/v1/videos/..%2f%2e", "/v1/videos/..%2F%2E"),
        ] {
            assert_eq!(path(written).as_deref(), Some(spelt), "{written}");
        }
    }

    #[test]
    fn what_is_plain_is_let_in_as_it_is() {
        for target in ["/", "/a/b.c/d-e_f~", "/v/x/0.m4s"] {
            assert!(is_plain(target) && path(target).as_deref() == Some(target), "{target}");
        }
        for target in ["", "a", "//", "/a//b", "/.a", "/a/../b", "/a?b", "/%61", "/a\\b", "/\u{e4}", "*"] {
            assert!(!is_plain(target), "{target}");
        }
    }

    proptest! {
        #[test]
        fn the_one_spelling_is_spelt_as_it_is(bytes in prop::collection::vec(any::<u8>(), 0..24), encoded in any::<u32>()) {
            let mut text = String::from("/");
            for (n, byte) in bytes.iter().enumerate() {
                if encoded >> (n % 32) & 1 == 1 || !byte.is_ascii_graphic() {
                    write!(text, "%{byte:02x}").unwrap();
                } else {
                    text.push(char::from(*byte));
                }
            }
            if let Some(spelt) = path(&text) {
                prop_assert_eq!(path(&spelt), Some(spelt.clone()));
                prop_assert!(spelt.parse::<http::Uri>().is_ok());
                prop_assert!(!spelt.contains("//") && !spelt.contains("/../") && !spelt.contains("%00"));
            }
        }
    }

    #[test]
    fn hosts_and_methods_are_checked() {
        assert_eq!(target(&request(Method::CONNECT, "/", "h"), &[]).unwrap_err().status, 405);
        assert_eq!(
            target(&request(Method::from_bytes(b"BREW").unwrap(), "/", "h"), &[]).unwrap_err().status,
            501
        );
        assert_eq!(target(&request(Method::GET, "http://other/", "h"), &[]).unwrap_err().status, 400);
        assert_eq!(target(&request(Method::GET, "/", "a@b"), &[]).unwrap_err().status, 400);
    }

    #[test]
    fn what_is_about_the_viewer_is_not_in_the_key() {
        let uri = "/v/x?a=1&CMCD=br%3D5&sluice-tried=near-a.near-b&_HLS_pathway=x&b=2";
        let target = target(&request(Method::GET, uri, "h"), &[]).unwrap();
        assert_eq!(target.query.as_deref(), Some("a=1&b=2"));
        assert_eq!(target.tried.len(), 2);
    }

    #[test]
    fn connection_removes_what_it_names_but_not_what_protects() {
        let mut headers = HeaderMap::new();
        headers.insert("connection", "x-a, authorization".parse().unwrap());
        headers.insert("x-a", "1".parse().unwrap());
        headers.insert("authorization", "b".parse().unwrap());
        remove_hop_by_hop(&mut headers);
        assert_eq!(headers.len(), 1);
        assert!(headers.contains_key("authorization"));
    }
}
