//! The opening of a WebSocket (RFC 6455 section 4): what a client must say, and what an origin must answer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use http::header::{
    CONNECTION, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use sha1::{Digest, Sha1};
use sluice_service::Protocol;
use sluice_wire::Problem;

/// What a key is hashed with (RFC 6455 section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// The one version there is.
const VERSION: &str = "13";
/// Bytes of a key.
const KEY: usize = 16;

/// The key of a request for a WebSocket. Over HTTP/1.1 the client brings it; over HTTP/2 and HTTP/3 there is none, and
/// `fresh` is taken for the way to the origin.
///
/// # Errors
/// The answer for a request that RFC 6455 section 4.2.1 does not let in: 426 for another version, 400 for the rest.
pub(crate) fn key(headers: &HeaderMap, protocol: Protocol, fresh: [u8; KEY]) -> Result<HeaderValue, Problem> {
    let one = |name| {
        let mut lines = headers.get_all(name).iter();
        lines.next().filter(|_| lines.next().is_none())
    };
    if one(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != VERSION) {
        return Err(Problem::new(426, "websocket-version", "Another version of WebSocket")
            .detail("Sec-WebSocket-Version: 13 is the version that is carried here"));
    }
    if protocol != Protocol::Http1 {
        return Ok(HeaderValue::from_str(&STANDARD.encode(fresh)).expect("base64 is visible ASCII"));
    }
    let key =
        one(SEC_WEBSOCKET_KEY).filter(|key| STANDARD.decode(key.as_bytes()).is_ok_and(|k| k.len() == KEY));
    key.cloned().ok_or_else(|| {
        Problem::new(400, "websocket-key", "Malformed request for a WebSocket")
            .detail("Sec-WebSocket-Key is 16 bytes in base64, said once")
    })
}

/// Makes a request's fields, without those of hops, ask for a WebSocket under this key.
pub(crate) fn ask(headers: &mut HeaderMap, key: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_KEY, key);
}

/// True when an answer opens the WebSocket that was asked for under a key (RFC 6455 section 4.1).
pub(crate) fn is_opened(status: StatusCode, headers: &HeaderMap, key: &HeaderValue) -> bool {
    let says = |name, wanted: &str| {
        let lines = headers.get_all(name).iter().filter_map(|v| v.to_str().ok());
        lines.into_iter().flat_map(|line| line.split(',')).any(|p| p.trim().eq_ignore_ascii_case(wanted))
    };
    let accepted = headers.get(SEC_WEBSOCKET_ACCEPT).is_some_and(|v| v.as_bytes() == accept(key).as_bytes());
    status == StatusCode::SWITCHING_PROTOCOLS
        && says(CONNECTION, "upgrade")
        && says(UPGRADE, "websocket")
        && accepted
}

/// What answers a key.
fn accept(key: &HeaderValue) -> String {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(GUID);
    STANDARD.encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        fields.iter().for_each(|(name, value)| _ = headers.append(*name, value.parse().unwrap()));
        headers
    }

    #[test]
    fn a_key_is_16_bytes_said_once() {
        let of = |fields: &[(&'static str, &str)]| {
            key(&headers(fields), Protocol::Http1, [0; KEY]).map_err(|problem| problem.status)
        };
        let version = ("sec-websocket-version", "13");
        assert_eq!(of(&[version, ("sec-websocket-key", SAMPLE)]).unwrap(), SAMPLE);
        assert_eq!(of(&[version]), Err(400));
        assert_eq!(of(&[version, ("sec-websocket-key", "dG9vIHNob3J0")]), Err(400));
        assert_eq!(of(&[version, ("sec-websocket-key", SAMPLE), ("sec-websocket-key", SAMPLE)]), Err(400));
        assert_eq!(of(&[("sec-websocket-version", "8"), ("sec-websocket-key", SAMPLE)]), Err(426));
        assert_eq!(of(&[("sec-websocket-key", SAMPLE)]), Err(426));
    }

    #[test]
    fn where_a_client_brings_no_key_one_is_made() {
        let made = key(&headers(&[("sec-websocket-version", "13")]), Protocol::Http2, [7; KEY]).unwrap();
        assert_eq!(STANDARD.decode(made).unwrap(), [7; KEY]);
    }

    #[test]
    fn an_origin_must_answer_the_key() {
        let key = HeaderValue::from_static(SAMPLE);
        // The example of RFC 6455 section 1.3.
        let accept = ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let (upgrade, connection) = (("upgrade", "WebSocket"), ("connection", "keep-alive, Upgrade"));
        let opens = |status, fields: &[(&'static str, &str)]| {
            is_opened(StatusCode::from_u16(status).unwrap(), &headers(fields), &key)
        };
        assert!(opens(101, &[upgrade, connection, accept]));
        assert!(!opens(200, &[upgrade, connection, accept]));
        assert!(!opens(101, &[upgrade, connection]));
        assert!(!opens(101, &[upgrade, connection, ("sec-websocket-accept", SAMPLE)]));
        assert!(!opens(101, &[upgrade, accept]) && !opens(101, &[connection, accept]));
    }
}
