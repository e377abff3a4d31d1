//! The gate of every request, whatever protocol brought it: one host, one scheme, one meaning. What HTTP/1 writes wrongly
//! is refused before (`h1::head`), what HTTP/2 frames wrongly below (h2 resets the stream); here is what both let through.

use super::limits::{MAX_FIELDS, MAX_TARGET};
use super::{Peer, Protocol};
use crate::HttpRequest;
use http::header::{CONNECTION, COOKIE, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use sluice_wire::Problem;

/// Fields that speak of an HTTP/1 connection, and have no place elsewhere (RFC 9113 section 8.2.2, RFC 9114 section 4.2).
const OF_A_CONNECTION: [HeaderName; 5] = [
    CONNECTION,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Lets a request in, with its fields as every later hop will read them.
///
/// # Errors
/// What is wrong with it, to be answered.
pub(super) fn admit(request: &mut HttpRequest, peer: Peer) -> Result<(), Problem> {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let headers = request.headers_mut();
    if peer.protocol != Protocol::Http1 {
        join_cookies(headers);
        name_host(&uri, headers);
    }
    if headers.len() > MAX_FIELDS {
        let problem = Problem::new(431, "too-many-fields", "Too many fields");
        return Err(problem.detail(format!("a request has at most {MAX_FIELDS} fields")));
    }
    if uri.path_and_query().is_some_and(|target| target.as_str().len() > MAX_TARGET) {
        let problem = Problem::new(414, "target-too-long", "Target too long");
        return Err(problem.detail(format!("a target has at most {MAX_TARGET} bytes")));
    }
    let fault = host_fault(&uri, headers, peer.protocol)
        .or_else(|| target_fault(&method, &uri, peer))
        .or_else(|| fields_fault(headers, peer.protocol));
    if let Some(fault) = fault {
        return Err(Problem::new(400, "malformed", "Malformed request").detail(fault));
    }
    drop_doubtful(headers);
    Ok(())
}

/// True for what may stand in `Host`: a name or address, and a port that exists (RFC 9110 section 7.2).
#[must_use]
pub fn is_host(host: &str) -> bool {
    let port = host.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.ends_with(']'));
    let malformed = |c: char| c.is_whitespace() || c.is_control() || "@/\\?#,".contains(c);
    let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    !host.is_empty()
        && !host.contains(malformed)
        && port.is_none_or(|port| digits(port) && port.parse::<u16>().is_ok())
}

fn host_fault(uri: &Uri, headers: &HeaderMap, protocol: Protocol) -> Option<&'static str> {
    let mut hosts = headers.get_all(HOST).iter();
    let Some(host) = hosts.next() else {
        // HTTP/1.0 knows no host; HTTP/1.1 without one is refused at its head.
        return (protocol != Protocol::Http1).then_some("name one host");
    };
    let host = host.to_str().unwrap_or_default();
    if hosts.next().is_some() {
        Some("name one host")
    } else if !is_host(host) {
        Some("the host is malformed")
    } else if uri.authority().is_some_and(|authority| !authority.as_str().eq_ignore_ascii_case(host)) {
        Some("the target's authority and Host differ")
    } else {
        None
    }
}

fn target_fault(method: &Method, uri: &Uri, peer: Peer) -> Option<&'static str> {
    // TLS may end in front of a plain listener: either scheme can be true there.
    let fits = |scheme: &str| scheme == "https" || (scheme == "http" && !peer.secure);
    if uri.scheme_str().is_some_and(|scheme| !fits(scheme)) {
        return Some("the scheme is not this connection's");
    }
    (uri.path() == "*" && *method != Method::OPTIONS).then_some("only OPTIONS asks for *")
}

fn fields_fault(headers: &HeaderMap, protocol: Protocol) -> Option<&'static str> {
    if headers.values().any(is_padded) {
        return Some("a field's value neither begins nor ends with a blank");
    }
    if protocol == Protocol::Http1 {
        return None;
    }
    if OF_A_CONNECTION.iter().any(|name| headers.contains_key(name)) {
        return Some("fields of an HTTP/1 connection have no meaning here");
    }
    let trailers = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"trailers");
    (!headers.get_all(TE).iter().all(trailers)).then_some("TE says nothing but trailers here")
}

/// True for a value that begins or ends with a blank.
pub(super) fn is_padded(value: &HeaderValue) -> bool {
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    blank(value.as_bytes().first()) || blank(value.as_bytes().last())
}

/// Drops fields that the next hop may read as another: `_` is `-` to CGI and its heirs, and bytes beyond ASCII are read in
/// as many ways as there are character sets.
fn drop_doubtful(headers: &mut HeaderMap) {
    let doubtful = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.as_str().contains('_') || !value.as_bytes().is_ascii()).then(|| name.clone())
    };
    let names: Vec<HeaderName> = headers.iter().filter_map(doubtful).collect();
    names.iter().for_each(|name| drop(headers.remove(name)));
}

/// HTTP/2 and HTTP/3 may send cookies one by one (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(COOKIE).iter();
    if crumbs.nth(1).is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(cookies) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(COOKIE, cookies);
    }
}

/// HTTP/2 and HTTP/3 name the host in `:authority`; services find it in `Host` alike.
fn name_host(uri: &Uri, headers: &mut HeaderMap) {
    if !headers.contains_key(HOST)
        && let Some(host) = uri.authority().and_then(|a| HeaderValue::from_str(a.as_str()).ok())
    {
        headers.insert(HOST, host);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Body;
    use proptest::prelude::*;

    fn request(method: &str, uri: &str, fields: &[(&str, &[u8])]) -> HttpRequest {
        let mut request = http::Request::builder().method(method).uri(uri);
        for (name, value) in fields {
            request = request.header(*name, HeaderValue::from_bytes(value).unwrap());
        }
        request.body(Body::empty()).unwrap()
    }

    fn judged(request: &mut HttpRequest, protocol: Protocol) -> u16 {
        let peer = Peer { addr: ([127, 0, 0, 1], 1).into(), protocol, secure: protocol == Protocol::Http3 };
        admit(request, peer).map_or_else(|problem| problem.status, |()| 200)
    }

    fn h2(method: &str, uri: &str, fields: &[(&str, &[u8])]) -> u16 {
        judged(&mut request(method, uri, fields), Protocol::Http2)
    }

    #[test]
    fn a_request_names_one_host_and_a_scheme_that_fits() {
        assert_eq!(h2("GET", "http://a.example/", &[]), 200);
        assert_eq!(h2("GET", "https://a.example:8443/", &[("host", b"A.example:8443")]), 200);
        assert_eq!(h2("GET", "/", &[("host", b"a.example")]), 200);
        type Fields = &'static [(&'static str, &'static [u8])];
        let cases: [(&str, Fields); 7] = [
            ("/", &[]),
            ("http://user@a.example/", &[]),
            ("http://a.example:99999/", &[]),
            ("http://a.example/", &[("host", b"b.example")]),
            ("http://a.example/", &[("host", b"a.example"), ("host", b"a.example")]),
            ("ftp://a.example/", &[]),
            ("http://a.example/", &[("host", b"a.ex\xe4mple")]),
        ];
        for (uri, fields) in cases {
            assert_eq!(h2("GET", uri, fields), 400, "{uri} {fields:?}");
        }
        let over_tls = |uri| judged(&mut request("GET", uri, &[]), Protocol::Http3);
        assert_eq!((over_tls("https://a/"), over_tls("http://a/")), (200, 400));
        assert_eq!(judged(&mut request("GET", "/", &[]), Protocol::Http1), 200, "HTTP/1.0");
        for host in ["a", "a.b:80", "[::1]:8080", "[::1]", "127.0.0.1"] {
            assert!(is_host(host), "{host}");
        }
        for host in ["", "a@b", "a b", "a:99999", "a:", "a:x", "a:+1", "a,b", "a/b"] {
            assert!(!is_host(host), "{host}");
        }
    }

    #[test]
    fn a_star_is_for_options_and_a_connection_for_http1() {
        let mut star = request("OPTIONS", "*", &[("host", b"a")]);
        assert_eq!(judged(&mut star, Protocol::Http2), 200);
        *star.method_mut() = Method::GET;
        assert_eq!(judged(&mut star, Protocol::Http2), 400);
        for name in &OF_A_CONNECTION {
            assert_eq!(h2("GET", "http://a/", &[(name.as_str(), b"close")]), 400, "{name}");
            let mut old = request("GET", "/", &[("host", b"a"), (name.as_str(), b"close")]);
            assert_eq!(judged(&mut old, Protocol::Http1), 200, "{name}");
        }
        assert_eq!(h2("GET", "http://a/", &[("te", b"trailers")]), 200);
        assert_eq!(h2("GET", "http://a/", &[("te", b"trailers, deflate;q=0.5")]), 400);
        for padded in [&b" a"[..], b"a ", b"\ta", b" "] {
            assert_eq!(h2("GET", "http://a/", &[("x", padded)]), 400, "{padded:?}");
        }
    }

    #[test]
    fn fields_that_are_read_in_two_ways_are_dropped_and_cookies_are_one() {
        let mut asked = request(
            "GET",
            "http://a/",
            &[("x_forwarded_for", b"1"), ("x", b"\xe4"), ("cookie", b"a=1"), ("cookie", b"b=2"), ("y", b"z")],
        );
        assert_eq!(judged(&mut asked, Protocol::Http2), 200);
        let value = |name: &str| asked.headers().get(name).map(HeaderValue::as_bytes);
        assert_eq!(asked.headers().len(), 3);
        assert_eq!(
            (value("cookie"), value("y"), value("host")),
            (Some(&b"a=1; b=2"[..]), Some(&b"z"[..]), Some(&b"a"[..]))
        );
        let many: Vec<(&str, &[u8])> = (0..200).map(|_| ("x", &b"y"[..])).collect();
        assert_eq!(h2("GET", "http://a/", &many), 431);
        assert_eq!(h2("GET", &format!("http://a/{}", "x".repeat(MAX_TARGET)), &[]), 414);
    }

    proptest! {
        #[test]
        fn what_is_let_in_is_let_in_again_as_it_is(
            fields in prop::collection::vec(("[a-z_-]{1,12}", prop::collection::vec(any::<u8>(), 0..12)), 0..8),
            protocol in prop::sample::select(vec![Protocol::Http1, Protocol::Http2, Protocol::Http3]),
        ) {
            let mut asked = request("GET", "https://a.example/x", &[("host", b"a.example")]);
            for (name, value) in &fields {
                if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_bytes(value)) {
                    asked.headers_mut().append(name, value);
                }
            }
            if judged(&mut asked, protocol) == 200 {
                let once = asked.headers().clone();
                prop_assert_eq!(judged(&mut asked, protocol), 200);
                prop_assert_eq!(&once, asked.headers());
                prop_assert!(once.iter().all(|(name, value)| !name.as_str().contains('_') && value.as_bytes().is_ascii()));
            }
        }
    }
}
