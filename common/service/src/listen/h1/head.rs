//! The gate on an HTTP/1 head: what is not written as RFC 9112 has it is refused, so that no two hops of a chain read a
//! request in two ways.

use super::super::limits::{MAX_FIELDS, MAX_HEAD};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};

/// How a request's body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::listen) enum Framing {
    /// It has none.
    None,
    /// This many bytes, above 0.
    Length(u64),
    /// In chunks.
    Chunked,
}

/// What follows a head on its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::listen) struct Manner {
    pub(super) framing: Framing,
    /// The connection may serve another request.
    pub(super) keep_alive: bool,
    /// The client waits for 100 before it sends its body.
    pub(super) expects: bool,
    /// It asks for another protocol on this connection.
    pub(super) upgrade: bool,
    /// HTTP/1.1, which knows chunks and interim answers.
    pub(super) modern: bool,
    /// It takes trailers (`TE: trailers`, RFC 9110 section 10.1.4).
    pub(super) trailers: bool,
}

/// Why a head is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::listen) enum BadHead {
    #[error("a line ends in CR LF, and neither stands elsewhere")]
    LineEnd,
    #[error("the head is not written as RFC 9112 has it")]
    Syntax,
    #[error("a head has at most {MAX_HEAD} bytes and {MAX_FIELDS} fields")]
    TooLarge,
    #[error("the target is malformed")]
    Target,
    #[error("the body's length is said once, in one way")]
    Framing,
    #[error("chunked is the only transfer coding that is read here")]
    Coding,
    #[error("name one host")]
    Host,
}

/// The end of the first head in a buffer: just past its empty line. `Ok(None)` while it is not all there.
pub(in crate::listen) fn end_of(buffer: &[u8], seen: usize) -> Result<Option<usize>, BadHead> {
    let from = seen.saturating_sub(3);
    let found = buffer.get(from..).and_then(|tail| tail.windows(4).position(|w| w == b"\r\n\r\n"));
    match found.map(|at| from + at + 4) {
        Some(end) if end > MAX_HEAD => Err(BadHead::TooLarge),
        Some(end) => lines(&buffer[..end]).map(|()| Some(end)),
        // A head that ends in bare line feeds would never be found: it is refused as soon as one is seen.
        None if buffer.len() > MAX_HEAD => Err(BadHead::TooLarge),
        None => lines(buffer.strip_suffix(b"\r").unwrap_or(buffer)).map(|()| None),
    }
}

/// Each CR is followed by LF and each LF follows a CR; NUL stands nowhere.
fn lines(head: &[u8]) -> Result<(), BadHead> {
    let mut before = 0;
    for &byte in head {
        if (before == b'\r') != (byte == b'\n') || byte == 0 {
            return Err(BadHead::LineEnd);
        }
        before = byte;
    }
    Ok(())
}

/// Reads a whole head into a request without its body.
pub(in crate::listen) fn read(head: &[u8]) -> Result<(http::Request<()>, Manner), BadHead> {
    // Of the empty lines that the parser would pass over, one was.
    if head.starts_with(b"\r") {
        return Err(BadHead::Syntax);
    }
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut parsed = httparse::Request::new(&mut fields);
    match parsed.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Err(httparse::Error::TooManyHeaders) => return Err(BadHead::TooLarge),
        Ok(httparse::Status::Partial) | Err(_) => return Err(BadHead::Syntax),
    }
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(BadHead::Syntax);
    };
    let mut request = http::Request::new(());
    *request.method_mut() = Method::from_bytes(method.as_bytes()).map_err(|_| BadHead::Syntax)?;
    *request.uri_mut() = target_of(target)?;
    *request.version_mut() = if minor == 0 { Version::HTTP_10 } else { Version::HTTP_11 };
    let headers = request.headers_mut();
    headers.reserve(parsed.headers.len());
    for field in parsed.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| BadHead::Syntax)?;
        headers.append(name, HeaderValue::from_bytes(field.value).map_err(|_| BadHead::Syntax)?);
    }
    let manner = manner(request.headers(), minor)?;
    Ok((request, manner))
}

fn target_of(target: &str) -> Result<Uri, BadHead> {
    if target.contains('#') {
        return Err(BadHead::Target);
    }
    target.parse().map_err(|_| BadHead::Target)
}

fn manner(headers: &HeaderMap, minor: u8) -> Result<Manner, BadHead> {
    let modern = minor == 1;
    let hosts = headers.get_all(http::header::HOST).iter().count();
    if hosts > 1 || (modern && hosts == 0) {
        return Err(BadHead::Host);
    }
    let says = |name: HeaderName, wanted: &str| {
        let lines = headers.get_all(name).iter().filter_map(|v| v.to_str().ok());
        lines.into_iter().flat_map(|v| v.split(',')).any(|o| o.trim().eq_ignore_ascii_case(wanted))
    };
    let connection = |wanted: &str| says(http::header::CONNECTION, wanted);
    let expects =
        headers.get(http::header::EXPECT).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    Ok(Manner {
        framing: framing(headers, modern)?,
        keep_alive: if modern { !connection("close") } else { connection("keep-alive") },
        expects: modern && expects,
        upgrade: modern && connection("upgrade") && headers.contains_key(http::header::UPGRADE),
        modern,
        trailers: modern && says(http::header::TE, "trailers"),
    })
}

/// RFC 9112 section 6.3, without its leniencies: a length said twice, even alike, is refused.
fn framing(headers: &HeaderMap, modern: bool) -> Result<Framing, BadHead> {
    let mut lengths = headers.get_all(http::header::CONTENT_LENGTH).iter();
    let mut codings = headers.get_all(http::header::TRANSFER_ENCODING).iter();
    match (lengths.next(), codings.next()) {
        (None, None) => Ok(Framing::None),
        (Some(length), None) if lengths.next().is_none() => {
            let digits =
                length.to_str().ok().filter(|t| !t.is_empty() && t.bytes().all(|c| c.is_ascii_digit()));
            match digits.and_then(|t| t.parse().ok()).ok_or(BadHead::Framing)? {
                0 => Ok(Framing::None),
                length => Ok(Framing::Length(length)),
            }
        }
        (None, Some(coding)) if modern && codings.next().is_none() => {
            if coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
                Ok(Framing::Chunked)
            } else {
                Err(BadHead::Coding)
            }
        }
        _ => Err(BadHead::Framing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn judged(text: &str) -> Result<Manner, BadHead> {
        let end = end_of(text.as_bytes(), 0)?.ok_or(BadHead::Syntax)?;
        read(&text.as_bytes()[..end]).map(|(_, manner)| manner)
    }

    fn framed(fields: &str) -> Result<Framing, BadHead> {
        judged(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).map(|m| m.framing)
    }

    #[test]
    fn a_length_is_said_once_in_one_way() {
        assert_eq!(framed(""), Ok(Framing::None));
        assert_eq!(framed("Content-Length: 0\r\n"), Ok(Framing::None));
        assert_eq!(framed("Content-Length: 12\r\n"), Ok(Framing::Length(12)));
        assert_eq!(framed("Transfer-Encoding: Chunked\r\n"), Ok(Framing::Chunked));
        for bad in [
            "Content-Length: 1\r\nContent-Length: 1\r\n",
            "Content-Length: 1, 1\r\n",
            "Content-Length: +1\r\n",
            "Content-Length: 0x1\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        ] {
            assert_eq!(framed(bad), Err(BadHead::Framing), "{bad}");
        }
        for bad in ["gzip, chunked", ", chunked", "chunked, identity", "xchunked", "chunked;a"] {
            assert_eq!(framed(&format!("Transfer-Encoding: {bad}\r\n")), Err(BadHead::Coding), "{bad}");
        }
        assert_eq!(
            judged("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Err(BadHead::Framing),
            "HTTP/1.0 knows no chunks"
        );
    }

    #[test]
    fn a_head_is_written_as_it_must_be() {
        for (bad, why) in [
            ("GET / HTTP/1.1\nHost: a\n\n", BadHead::LineEnd),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n", BadHead::LineEnd),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: b\0\r\n\r\n", BadHead::LineEnd),
            ("GET / HTTP/1.1\r\nHost: a\r\n X: folded\r\n\r\n", BadHead::Syntax),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", BadHead::Syntax),
            ("GET / HTTP/1.1\r\n\r\n", BadHead::Host),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", BadHead::Host),
            ("GET /#a HTTP/1.1\r\nHost: a\r\n\r\n", BadHead::Target),
            ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", BadHead::Syntax),
            ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", BadHead::Syntax),
        ] {
            assert_eq!(judged(bad), Err(why), "{bad:?}");
        }
        let close = judged("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n").unwrap();
        assert!(!close.keep_alive && !close.upgrade);
        assert!(!judged("GET / HTTP/1.0\r\n\r\n").unwrap().keep_alive);
        assert!(judged("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").unwrap().keep_alive);
    }

    proptest! {
        #[test]
        fn a_head_is_found_however_it_comes_in(cut in 1usize..40) {
            let text = b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\nrest";
            let cut = cut.min(text.len());
            let first = end_of(&text[..cut], 0).unwrap();
            let found = first.or_else(|| end_of(text, cut).unwrap());
            prop_assert_eq!(found, Some(text.len() - 4));
        }

        #[test]
        fn no_bytes_make_the_gate_fail(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(Some(end)) = end_of(&bytes, 0) {
                drop(read(&bytes[..end]));
            }
        }
    }
}
