//! The request gate: what is let in, and the one spelling under which it is looked up, placed and asked for.

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, Method};
use sluice_service::HttpRequest;
use sluice_wire::headers::{CDN_LOOP, TRIED_PARAM};
use sluice_wire::limits::MAX_TRIED;
use sluice_wire::{NodeId, Problem};

/// Fields that end at each hop (RFC 9110 section 7.6.1).
const HOP_BY_HOP: [&str; 8] = [
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
const PROTECTED: [&str; 6] =
    ["host", "authorization", "cookie", "cache-control", "x-forwarded-for", "cdn-loop"];

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

/// True for what may stand in `Host`: a name or address, and a port that exists.
pub(crate) fn is_host(host: &str) -> bool {
    let port = host.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.ends_with(']'));
    let malformed = |c: char| c.is_whitespace() || c.is_control() || "@/\\?#,".contains(c);
    !host.is_empty() && !host.contains(malformed) && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// True for a path in its one spelling beyond doubt: nothing encoded, no query, no empty or dot segment.
pub(crate) fn is_plain(target: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'-' | b'_' | b'~');
    let bytes = target.as_bytes();
    let doubtful = bytes.windows(2).any(|pair| matches!(pair, b"//" | b"/."));
    bytes.first() == Some(&b'/') && bytes.iter().all(|byte| plain(*byte)) && !doubtful
}

/// A path that means what it shows: no dot segments, empty segments, NUL or backslash, in any encoding.
fn path(path: &str) -> Option<String> {
    if !path.starts_with('/') {
        return None;
    }
    let lower = path.to_ascii_lowercase();
    let tricks = ["%00", "%2e", "%2f", "%5c", "\\", "//", "\0", "#"];
    // An encoded slash or dot in an upload's file name is a name, and goes to the origin as it is.
    let is_name = lower.starts_with("/v1/videos/");
    let tricked =
        tricks.iter().any(|t| lower.contains(t) && !(is_name && matches!(*t, "%2e" | "%2f" | "%5c")));
    let dots = path.split('/').any(|segment| segment == "." || segment == "..");
    (!tricked && !dots).then(|| path.to_owned())
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

/// This node in `CDN-Loop`.
pub(crate) fn loop_name(node: &NodeId) -> String {
    format!("sluice-{node}")
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
    use sluice_service::Body;

    fn request(method: Method, uri: &str, host: &str) -> HttpRequest {
        http::Request::builder().method(method).uri(uri).header(HOST, host).body(Body::empty()).unwrap()
    }

    #[test]
    fn a_path_has_one_spelling() {
        for good in ["/", "/v/x/master.m3u8", "/v1/videos/..%2Fetc", "/assets/a-b.js"] {
            assert!(target(&request(Method::GET, good, "h"), &[]).is_ok(), "{good}");
        }
        for bad in ["/a/../b", "/a//b", "/v/%2e%2e/x", "/a%00", "/v/a%2fb", "/a/./b", "/a\\b"] {
            assert_eq!(path(bad), None, "{bad}");
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
        for host in ["a", "a.b:80", "[::1]:8080", "[::1]", "127.0.0.1"] {
            assert!(is_host(host), "{host}");
        }
        for host in ["", "a@b", "a b", "a:99999", "a:", "a:x", "a,b", "a/b"] {
            assert!(!is_host(host), "{host}");
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
