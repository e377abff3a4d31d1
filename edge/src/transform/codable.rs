//! Which answers are worth a coding: pure functions of an answer's fields.

use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap};
use http::{HeaderName, StatusCode};
use std::ops::RangeInclusive;

/// Bytes of bodies that are coded. Below, head and packet weigh more than what is saved; above, a body is not joined in
/// memory, and coding it in one go would hold a core for long.
const BYTES: RangeInclusive<u64> = 256..=4 << 20;

/// Types that are coded, besides `text/*`, `*+json` and `*+xml`. Pictures, sound, film, archives and woff2 are compressed
/// as they are.
const TYPES: [&str; 22] = [
    "application/json",
    "application/javascript",
    "application/x-javascript",
    "application/ecmascript",
    "application/xml",
    "application/wasm",
    "application/graphql",
    "application/rtf",
    "application/toml",
    "application/yaml",
    "application/x-ndjson",
    "application/vnd.apple.mpegurl",
    "application/x-mpegurl",
    "audio/mpegurl",
    "audio/x-mpegurl",
    "application/vnd.ms-fontobject",
    "application/x-font-ttf",
    "font/ttf",
    "font/otf",
    "font/collection",
    "image/bmp",
    "image/vnd.microsoft.icon",
];
/// Text that is read as it comes: it must not be held back.
const STREAMED: &str = "text/event-stream";

/// True for an answer that has, or may have, coded forms beside the plain one: a whole 200 of a type that compresses, not
/// coded yet, that does not forbid it (RFC 9111 section 5.2.2.6).
pub(crate) fn is_codable(status: StatusCode, headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let announced = text(CONTENT_LENGTH).and_then(|length| length.parse().ok());
    status == StatusCode::OK
        && !headers.contains_key(CONTENT_ENCODING)
        && !headers.contains_key(CONTENT_RANGE)
        && announced.is_none_or(is_worth_coding)
        && text(CONTENT_TYPE).is_some_and(is_type)
        && !forbids(headers)
}

/// True for a length of a body that is coded.
pub(crate) fn is_worth_coding(bytes: u64) -> bool {
    BYTES.contains(&bytes)
}

/// True when fields of an answer, or of a request, say `no-transform` (RFC 9111 sections 5.2.1.6 and 5.2.2.6).
pub(crate) fn forbids(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|member| member.trim().eq_ignore_ascii_case("no-transform"))
}

fn is_type(field: &str) -> bool {
    let essence = field.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let text = essence.starts_with("text/") && essence != STREAMED;
    text || essence.ends_with("+json") || essence.ends_with("+xml") || TYPES.contains(&essence.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codable(status: u16, fields: &[(&'static str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        is_codable(StatusCode::from_u16(status).unwrap(), &headers)
    }

    #[test]
    fn text_in_all_its_kinds_is_coded_and_media_is_not() {
        for kind in [
            "text/html; charset=utf-8",
            "Text/CSS",
            "application/json",
            "image/svg+xml",
            "application/dash+xml",
            "application/vnd.apple.mpegurl",
            "application/wasm",
            "application/problem+json",
            "font/ttf",
        ] {
            assert!(codable(200, &[("content-type", kind)]), "{kind}");
        }
        for kind in [
            "video/mp4",
            "audio/mp4",
            "image/jpeg",
            "image/avif",
            "font/woff2",
            "application/zip",
            "application/octet-stream",
            "text/event-stream",
            "",
        ] {
            assert!(!codable(200, &[("content-type", kind)]), "{kind}");
        }
        assert!(!codable(200, &[]), "no type");
    }

    #[test]
    fn what_is_coded_already_or_forbids_it_or_is_no_whole_answer_stays_as_it_is() {
        let text = ("content-type", "text/plain");
        assert!(codable(200, &[text, ("content-length", "256")]));
        for (status, field) in [
            (200, ("content-encoding", "gzip")),
            (200, ("cache-control", "max-age=60, No-Transform")),
            (200, ("content-length", "255")),
            (200, ("content-length", "4194305")),
            (200, ("content-range", "bytes 0-9/10")),
            (404, ("content-length", "1000")),
            (206, ("content-length", "1000")),
        ] {
            assert!(!codable(status, &[text, field]), "{status} {field:?}");
        }
    }
}
