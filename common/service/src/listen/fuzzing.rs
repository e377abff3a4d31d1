//! What the readers of this crate are held to, whatever the bytes: fuzz targets, each a function of bytes that panics when
//! something does not hold. Servers never call them.

use super::h1::chunks::{Chunks, Piece};
use super::h1::head::{end_of, read as read_head};
use super::proxied::{self, FIXED, MAX_FIELDS as MAX_PROXY_FIELDS, SIGNATURE};
use super::{Peer, Protocol, gate as gates, is_host};
use crate::{Body, HttpRequest};
use bytes::BytesMut;
use futures::FutureExt;
use http::header::{CONTENT_LENGTH, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING};
use std::net::SocketAddr;

/// Bytes that come in at a time, where it must not matter.
const STEP: usize = 7;

/// A head over HTTP/1 ends at the same place however it comes in, is refused or has one meaning, and keeps it when it is
/// written again.
pub fn head(bytes: &[u8]) {
    let whole = end_of(bytes, 0);
    let mut seen = 0;
    let mut by_steps = Ok(None);
    while seen < bytes.len() && matches!(by_steps, Ok(None)) {
        let here = (seen + STEP).min(bytes.len());
        by_steps = end_of(&bytes[..here], seen);
        seen = here;
    }
    assert_eq!(whole.ok(), by_steps.ok());
    let Ok(Some(end)) = whole else { return };
    let Ok((request, manner)) = read_head(&bytes[..end]) else { return };
    let count = |name: HeaderName| request.headers().get_all(name).iter().count();
    assert!(count(HOST) == 1 || (count(HOST) == 0 && request.version() == http::Version::HTTP_10));
    assert!(count(CONTENT_LENGTH) + count(TRANSFER_ENCODING) <= 1, "one framing");
    let again = written(&request);
    assert_eq!(end_of(&again, 0).ok(), Some(Some(again.len())));
    let (same, as_before) = read_head(&again).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((same.method(), same.uri().to_string()), (request.method(), request.uri().to_string()));
    assert_eq!((same.headers(), as_before), (request.headers(), manner));
    admitted(request.map(|()| Body::empty()), Protocol::Http1);
}

fn written(request: &http::Request<()>) -> Vec<u8> {
    let mut text = format!("{} {} {:?}\r\n", request.method(), request.uri(), request.version()).into_bytes();
    for (name, value) in request.headers() {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"\r\n");
    text
}

/// What the gate lets in names one host, has no field that is read in two ways, and is let in again as it is.
fn admitted(mut request: HttpRequest, protocol: Protocol) {
    let peer = Peer { addr: ([127, 0, 0, 1], 1).into(), protocol, secure: protocol == Protocol::Http3 };
    if gates::admit(&mut request, peer).is_err() {
        return;
    }
    let fields = request.headers().clone();
    assert!(fields.iter().all(|(name, value)| !name.as_str().contains('_') && value.as_bytes().is_ascii()));
    let hosts: Vec<_> = fields.get_all(HOST).iter().map(|host| host.to_str().unwrap_or_default()).collect();
    assert!(hosts.len() <= 1 && hosts.iter().all(|host| is_host(host)), "{hosts:?}");
    assert!(gates::admit(&mut request, peer).is_ok());
    assert_eq!(*request.headers(), fields);
}

/// The gate of HTTP/2 and HTTP/3: a line of method and target, and a line for each field.
pub fn gate(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let first = String::from_utf8_lossy(lines.next().unwrap_or_default());
    let (method, target) = first.split_once(' ').unwrap_or(("GET", &first));
    let mut request = http::Request::builder().method(method).uri(target);
    for line in lines {
        let (name, value) = line
            .iter()
            .position(|byte| *byte == b':')
            .map_or((line, &b""[..]), |at| (&line[..at], &line[at + 1..]));
        let (name, value) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value));
        if let (Ok(name), Ok(value)) = (name, value) {
            request = request.header(name, value);
        }
    }
    let Ok(request) = request.body(()) else { return };
    for protocol in [Protocol::Http2, Protocol::Http3] {
        let mut asked = HttpRequest::new(Body::empty());
        (*asked.method_mut(), *asked.uri_mut()) = (request.method().clone(), request.uri().clone());
        *asked.headers_mut() = request.headers().clone();
        admitted(asked, protocol);
    }
}

/// Chunks are joined to the same body however they come in, and that is never longer than what came in.
pub fn chunks(bytes: &[u8]) {
    let whole = joined(bytes, bytes.len());
    assert_eq!(joined(bytes, 1), whole);
    assert_eq!(joined(bytes, STEP), whole);
    if let Some((body, rest)) = whole {
        assert!(body.len() + rest.len() < bytes.len(), "each chunk has a line of its own");
        let again = [format!("{:x}\r\n", body.len()).as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
        let again = if body.is_empty() { b"0\r\n\r\n".to_vec() } else { again };
        assert_eq!(joined(&again, STEP), Some((body, vec![])));
    }
}

/// A chunked body, and what follows it. `None` when it is malformed or does not end.
fn joined(bytes: &[u8], step: usize) -> Option<(Vec<u8>, Vec<u8>)> {
    let (mut chunks, mut buffer, mut body) = (Chunks::default(), BytesMut::new(), vec![]);
    let mut left = bytes;
    loop {
        match chunks.take(&mut buffer).ok()? {
            Piece::Data(data) => body.extend_from_slice(&data),
            Piece::End => return Some((body, [&buffer, left].concat())),
            Piece::Wanting if left.is_empty() => return None,
            Piece::Wanting => {
                let (next, rest) = left.split_at(step.clamp(1, left.len()));
                buffer.extend_from_slice(next);
                left = rest;
            }
        }
    }
}

/// A PROXY header of either version is read within its bound, whatever follows it, and the client it tells of is told of
/// alike by the other version.
pub fn proxied(bytes: &[u8]) {
    let (told, taken) = told(bytes);
    assert!(taken <= FIXED + MAX_PROXY_FIELDS);
    let Some(client) = told else { return };
    let (same, as_much) = self::told(&[&bytes[..taken], b"GET / HTTP/1.1\r\n"].concat());
    assert_eq!((same, as_much), (told, taken));
    let Some(client) = client else { return };
    for header in [version_1(client), version_2(client)] {
        assert_eq!(self::told(&header), (Some(Some(client)), header.len()), "{}", header.escape_ascii());
    }
}

/// What a header tells, if it is one, and the bytes that were read.
fn told(bytes: &[u8]) -> (Option<Option<SocketAddr>>, usize) {
    let mut left = bytes;
    // Bytes in memory are there at once.
    let told = proxied::read(&mut left).now_or_never().and_then(Result::ok);
    (told, bytes.len() - left.len())
}

fn version_1(client: SocketAddr) -> Vec<u8> {
    let (family, balancer) = if client.is_ipv4() { ("TCP4", "192.0.2.1") } else { ("TCP6", "2001:db8::1") };
    format!("PROXY {family} {} {balancer} {} 443\r\n", client.ip(), client.port()).into_bytes()
}

fn version_2(client: SocketAddr) -> Vec<u8> {
    let (family, addresses) = match client.ip() {
        std::net::IpAddr::V4(ip) => (0x11, [ip.octets(), [192, 0, 2, 1]].concat()),
        std::net::IpAddr::V6(ip) => (0x21, [ip.octets(), [0x20; 16]].concat()),
    };
    let fields = [&addresses[..], &client.port().to_be_bytes(), &[1, 187]].concat();
    let length = u16::try_from(fields.len()).unwrap_or(u16::MAX).to_be_bytes();
    [SIGNATURE, &[0x21, family], &length, &fields].concat()
}
