//! The fields of a coded form.

use super::{Coding, coded_tag};
use crate::parent::append;
use http::HeaderName;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, ETAG, HeaderMap, HeaderValue, VARY};

/// Fields about the bytes of the plain form: ranges are given of it alone, and digests are its own (RFC 9530).
const OF_PLAIN_BYTES: [&str; 5] = ["accept-ranges", "content-digest", "repr-digest", "digest", "content-md5"];

/// Makes the head of the plain form that of a coded one, but for its length.
pub(crate) fn code_head(headers: &mut HeaderMap, coding: Coding) {
    OF_PLAIN_BYTES.iter().for_each(|name| drop(headers.remove(*name)));
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding.as_str()));
    let tag = headers.remove(ETAG);
    let coded = tag.and_then(|tag| HeaderValue::from_str(&coded_tag(tag.to_str().ok()?, coding)?).ok());
    coded.into_iter().for_each(|tag| _ = headers.insert(ETAG, tag));
}

/// Says that answers depend on `Accept-Encoding` (RFC 9110 section 12.5.5), unless that is said already.
pub(crate) fn add_vary(headers: &mut HeaderMap) {
    let said = |name: &str| name == "*" || name.eq_ignore_ascii_case(ACCEPT_ENCODING.as_str());
    let mut names = headers.get_all(VARY).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
    if !names.any(|name| said(name.trim())) {
        append(headers, HeaderName::from_static("vary"), "Accept-Encoding");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coded_form_has_its_own_tag_and_nothing_of_the_plain_bytes() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("etag", "\"a\""),
            ("accept-ranges", "bytes"),
            ("repr-digest", "sha-256=:x:"),
            ("content-type", "text/css"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        code_head(&mut headers, Coding::Zstd);
        assert_eq!((headers[&ETAG].to_str().unwrap(), headers.len()), ("\"a-zstd\"", 3));
    }

    #[test]
    fn the_dependency_is_said_once() {
        for (before, after) in [
            (None, "Accept-Encoding"),
            (Some("Origin"), "Origin, Accept-Encoding"),
            (Some("accept-encoding, Origin"), "accept-encoding, Origin"),
            (Some("*"), "*"),
        ] {
            let mut headers = HeaderMap::new();
            before.into_iter().for_each(|v| _ = headers.insert(VARY, v.parse().unwrap()));
            add_vary(&mut headers);
            assert_eq!(headers[&VARY], after);
        }
    }
}
