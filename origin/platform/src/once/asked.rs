//! A request with a JSON document, and the key that it may bring.

use axum::body::{Bytes, HttpBody};
use axum::extract::{FromRequest, Request};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, ORIGIN};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Key;
use crate::ApiError;

/// Bytes of a document that apps are sent.
const MAX_BODY: usize = 256 << 10;
/// U+0000 as JSON has it.
const NUL: &[u8] = br"\u0000";
/// Characters of a key.
const MAX_KEY: usize = 255;

/// A document or bytes that were sent, with the `Idempotency-Key` of its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked<T> {
    /// The document.
    pub body: T,
    /// The key: 1 to 255 visible characters.
    pub key: Option<String>,
    /// Of method, path, query, body and what bytes are said to be: whether it is the same request. Empty without a key.
    pub(super) digest: String,
}

impl<T> Asked<T> {
    /// Its key, as one of `owner`'s.
    pub(super) fn named(&self, owner: &str, key: &str) -> Key {
        Key { owner: owner.to_owned(), key: key.to_owned(), digest: self.digest.clone() }
    }
}

impl<S, T> FromRequest<S> for Asked<T>
where
    S: Send + Sync,
    T: DeserializeOwned,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let is_json = says_json(request.headers());
        // A document is one however that is spelled.
        let kind = request.headers().get(CONTENT_TYPE).filter(|_| !is_json).cloned();
        let Asked { body, key, digest } = of_kind(request, MAX_BODY, kind).await?;
        if !is_json && !body.is_empty() {
            let detail = "a document comes with Content-Type: application/json";
            return Err(ApiError::new(415, "not-json", "Not a JSON document", detail));
        }
        Ok(Self { body: document(&body)?, key, digest })
    }
}

impl Asked<Bytes> {
    /// Reads a request whose body is bytes, at most so many.
    ///
    /// # Errors
    /// 413 for more bytes, before any is read where the request tells their number; 400 for a body that was cut and
    /// for a key that is none.
    pub async fn bytes(request: Request, most: usize) -> Result<Self, ApiError> {
        // What bytes are said to be is a part of what is asked.
        let kind = request.headers().get(CONTENT_TYPE).cloned();
        of_kind(request, most, kind).await
    }
}

async fn of_kind(request: Request, most: usize, kind: Option<HeaderValue>) -> Result<Asked<Bytes>, ApiError> {
    let uri = request.uri();
    let path = uri.path_and_query().map_or_else(|| uri.path(), |path| path.as_str()).to_owned();
    let method = request.method().clone();
    let key = request.headers().get("idempotency-key").cloned();
    let body = read(request, most).await?;
    let key = key.map(|key| {
        let text = key.to_str().map(|text| text.trim_matches('"').to_owned()).unwrap_or_default();
        let good = (1..=MAX_KEY).contains(&text.len());
        good.then_some(text)
            .ok_or_else(|| ApiError::bad_request("Idempotency-Key has 1 to 255 visible characters"))
    });
    let key = key.transpose()?;
    let said = kind.as_ref().map(HeaderValue::as_bytes);
    let of = [method.as_str().as_bytes(), path.as_bytes(), &body];
    let digest = if key.is_some() { digest(of.into_iter().chain(said)) } else { String::new() };
    Ok(Asked { body, key, digest })
}

fn digest<'a>(parts: impl Iterator<Item = &'a [u8]>) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part.len().to_be_bytes());
        digest.update(part);
    }
    hex::encode(digest.finalize())
}

/// Whether a request says that its body is JSON. A page of another site can send forms and plain text without asking first (Fetch
/// standard, CORS-safelisted request-header); who is no page may say nothing.
fn says_json(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(CONTENT_TYPE) else { return !headers.contains_key(ORIGIN) };
    let kind = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let kind = kind.to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

/// A document out of a body; no body is the document `null`.
///
/// # Errors
/// 400 for what is not the document that is asked for; 422 for one with U+0000 in a text, which one engine keeps and the other
/// does not.
pub fn document<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let text: &[u8] = if body.is_empty() { b"null" } else { body };
    // JSON has it escaped or not at all; what only looks so is told apart.
    if text.windows(NUL.len()).any(|part| part == NUL)
        && let Ok(read) = serde_json::from_slice::<Value>(text)
        && let Some(place) = place_of_nul(&read)
    {
        let detail = format!("{place}: U+0000 is in no text here");
        return Err(ApiError::new(422, "invalid", "Not a text", detail));
    }
    serde_json::from_slice(text).map_err(|error| {
        ApiError::new(400, "malformed", "Not the document that is asked for", error.to_string())
    })
}

/// Where a document has U+0000 in a text or in a name, as members and indexes from its top.
fn place_of_nul(document: &Value) -> Option<String> {
    let below = |name: String, inner: &Value| {
        let place = place_of_nul(inner)?;
        Some(if place.is_empty() { name } else { format!("{name}.{place}") })
    };
    match document {
        Value::String(text) => text.contains('\0').then(String::new),
        Value::Array(all) => {
            all.iter().enumerate().find_map(|(index, inner)| below(index.to_string(), inner))
        }
        Value::Object(all) => all.iter().find_map(|(name, inner)| match name.contains('\0') {
            true => Some(name.escape_default().to_string()),
            false => below(name.clone(), inner),
        }),
        _ => None,
    }
}

async fn read(request: Request, most: usize) -> Result<Bytes, ApiError> {
    let long =
        || ApiError::new(413, "too-large", "Too large", format!("a body here has at most {most} bytes"));
    if request.body().size_hint().lower() > most as u64 {
        return Err(long());
    }
    axum::body::to_bytes(request.into_body(), most).await.map_err(|error| {
        // What is cut is not too long, whatever its client will make of it.
        let cut =
            std::error::Error::source(&error).is_none_or(|why| !why.is::<http_body_util::LengthLimitError>());
        if cut { ApiError::bad_request("the body was cut") } else { long() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(text: &str) -> Option<String> {
        let read = document::<Value>(text.as_bytes());
        read.err().map(|error| format!("{} {}", error.0.status, error.0.detail.unwrap_or_default()))
    }

    #[test]
    fn nul_is_found_wherever_it_stands_and_what_looks_so_is_let_through() {
        let says = |place: &str| Some(format!("422 {place}: U+0000 is in no text here"));
        assert_eq!(refused(r#"{"lines":[{"text":"a"},{"text":"a\u0000b"}]}"#), says("lines.1.text"));
        assert_eq!(refused(r#"{"a\u0000":1}"#), says("a\\u{0}"));
        assert_eq!(refused(r#"{"text":"a\\u0000 is how it is written"}"#), None);
        assert_eq!(refused(r#"{"text":"a"}"#), None);
        assert!(refused("{\"text\":\"a\0b\"}").is_some_and(|why| why.starts_with("400")), "unescaped");
    }

    #[test]
    fn a_form_of_another_sites_page_is_no_document() {
        let of = |fields: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            fields.iter().for_each(|(name, value)| _ = headers.append(*name, value.parse().unwrap()));
            says_json(&headers)
        };
        let (here, kind) = (("origin", "http://shop.example"), "content-type");
        assert!(of(&[]) && of(&[here, (kind, "application/json; charset=utf-8")]));
        assert!(of(&[(kind, "Application/JSON")]) && of(&[(kind, "application/merge-patch+json")]));
        assert!(!of(&[here]), "a page says what it sends");
        for form in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
        {
            assert!(!of(&[(kind, form)]), "{form}");
        }
        assert_eq!(document::<Value>(b"").unwrap(), json!(null));
    }
}
