//! What a server's answer means for what is here already.

use super::FetchError;
use crate::upload::error::UploadError;
use crate::upload::hash::Running;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, LAST_MODIFIED};
use http::{HeaderName, StatusCode};
use reqwest::Response;
use sluice_storage::Upload;

/// Bytes of a validator that is kept.
const MAX_VALIDATOR: usize = 256;

/// What an answer gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// Bytes of the source from here on, and its length if told.
    Rest { from: u64, length: Option<u64> },
    /// Nothing: what is here is all of it.
    All,
}

/// Reads an answer to a request for a source of which `offset` bytes are here.
pub(super) fn read(answer: &Response, offset: u64, known: Option<u64>) -> Result<Answer, FetchError> {
    of_parts(answer.status(), answer.headers(), offset, known)
}

fn of_parts(
    status: StatusCode,
    headers: &HeaderMap,
    offset: u64,
    known: Option<u64>,
) -> Result<Answer, FetchError> {
    let never = |why: &str| Err(FetchError::Never(why.to_owned()));
    if text(headers, CONTENT_ENCODING).is_some_and(|coding| !coding.eq_ignore_ascii_case("identity")) {
        return never("it comes in a coding that was not asked for");
    }
    let range = text(headers, CONTENT_RANGE);
    let found = match status.as_u16() {
        200 => Answer::Rest { from: 0, length: text(headers, CONTENT_LENGTH).and_then(|t| t.parse().ok()) },
        206 => match range.and_then(range_of) {
            Some((from, length)) if from == offset => Answer::Rest { from, length },
            _ => return never("the server sent another range than was asked for"),
        },
        416 if offset > 0 && range.and_then(|t| t.strip_prefix("bytes */")?.parse().ok()) == Some(offset) => {
            Answer::All
        }
        408 | 425 | 429 | 500.. => {
            return Err(FetchError::Later(format!("the server answers {}", status.as_u16())));
        }
        other => return never(&format!("the server answers {other}")),
    };
    match found {
        Answer::Rest { length: Some(0), .. } => never("there is nothing at this URL"),
        Answer::Rest { length: Some(length), .. }
            if length < offset || known.is_some_and(|known| known != length) =>
        {
            never("it changed while it was fetched")
        }
        found => Ok(found),
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// `bytes FIRST-LAST/LENGTH`, to its end; the length may be `*`.
fn range_of(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, length) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (first.parse().ok()?, last.parse::<u64>().ok()?);
    let length = if length == "*" { None } else { Some(length.parse::<u64>().ok()?) };
    length.is_none_or(|length| last.checked_add(1) == Some(length)).then_some((first, length))
}

/// What tells these bytes from others: a strong entity tag, or a date.
pub(super) fn validator(answer: &Response) -> Option<String> {
    let strong = text(answer.headers(), ETAG).filter(|tag| tag.starts_with('"'));
    let validator = strong.or_else(|| text(answer.headers(), LAST_MODIFIED))?;
    (validator.len() <= MAX_VALIDATOR).then(|| validator.to_owned())
}

/// The bytes that are not here yet. Where the server began before those, the ones that are here are taken off: they must
/// have the hash that they had.
pub(super) fn body(
    answer: Response,
    upload: &Upload,
    from: u64,
) -> Result<impl Stream<Item = Result<Bytes, UploadError>> + Send + use<>, FetchError> {
    let (mut skip, kept) = (upload.offset - from, upload.hash_state.clone());
    let mut again = Running::new();
    let body = answer.bytes_stream().map(move |piece| {
        let mut piece = piece.map_err(|error| UploadError::Cut(error.without_url().to_string()))?;
        if skip == 0 {
            return Ok(piece);
        }
        let here = usize::try_from(skip).unwrap_or(usize::MAX).min(piece.len());
        again.update(&piece.split_to(here));
        skip -= here as u64;
        if skip == 0 && again.state() != kept {
            return Err(UploadError::Changed);
        }
        Ok(piece)
    });
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn of(status: u16, fields: &[(HeaderName, &str)], offset: u64, known: Option<u64>) -> Option<Answer> {
        let headers =
            fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()));
        of_parts(StatusCode::from_u16(status).unwrap(), &headers.collect(), offset, known).ok()
    }

    #[test]
    fn an_answer_goes_on_where_the_bytes_here_end_or_begins_anew() {
        let rest = |from, length| Some(Answer::Rest { from, length });
        assert_eq!(of(200, &[(CONTENT_LENGTH, "10")], 0, None), rest(0, Some(10)));
        assert_eq!(of(200, &[], 4, None), rest(0, None));
        assert_eq!(of(206, &[(CONTENT_RANGE, "bytes 4-9/10")], 4, Some(10)), rest(4, Some(10)));
        assert_eq!(of(206, &[(CONTENT_RANGE, "bytes 4-9/*")], 4, None), rest(4, None));
        assert_eq!(of(416, &[(CONTENT_RANGE, "bytes */10")], 10, None), Some(Answer::All));
        for (status, field, offset, known) in [
            (206, (CONTENT_RANGE, "bytes 3-9/10"), 4, None),
            (206, (CONTENT_RANGE, "bytes 4-8/10"), 4, None),
            (206, (CONTENT_RANGE, "bytes 4-9/10"), 4, Some(11)),
            (206, (CONTENT_RANGE, "bytes 4-18446744073709551615/10"), 4, None),
            (206, (CONTENT_LENGTH, "6"), 4, None),
            (416, (CONTENT_RANGE, "bytes */9"), 10, None),
            (200, (CONTENT_LENGTH, "3"), 4, None),
            (200, (CONTENT_LENGTH, "0"), 0, None),
            (200, (CONTENT_ENCODING, "gzip"), 0, None),
            (404, (CONTENT_LENGTH, "3"), 0, None),
            (204, (CONTENT_LENGTH, "3"), 0, None),
            (503, (CONTENT_LENGTH, "3"), 0, None),
        ] {
            assert_eq!(of(status, std::slice::from_ref(&field), offset, known), None, "{status} {field:?}");
        }
    }
}
