//! A request with a JSON document, and the key that it may bring.

use axum::body::{Bytes, HttpBody};
use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::Key;
use crate::ApiError;

/// Bytes of a document that apps are sent.
const MAX_BODY: usize = 256 << 10;
/// Characters of a key.
const MAX_KEY: usize = 255;

/// A document or bytes that were sent, with the `Idempotency-Key` of its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked<T> {
    /// The document.
    pub body: T,
    /// The key: 1 to 255 visible characters.
    pub key: Option<String>,
    /// Of method, path and body: whether it is the same request.
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
        let Asked { body, key, digest } = Asked::bytes(request, MAX_BODY).await?;
        Ok(Self { body: document(&body)?, key, digest })
    }
}

impl Asked<Bytes> {
    /// Reads a request whose body is bytes, at most so many.
    ///
    /// # Errors
    /// 413 for more bytes, before any is read where the request tells their number; 400 for a key that is none.
    pub async fn bytes(request: Request, most: usize) -> Result<Self, ApiError> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let key = request.headers().get("idempotency-key").cloned();
        let body = read(request, most).await?;
        let key = key.map(|key| {
            let text = key.to_str().map(|text| text.trim_matches('"').to_owned()).unwrap_or_default();
            let good = (1..=MAX_KEY).contains(&text.len());
            good.then_some(text)
                .ok_or_else(|| ApiError::bad_request("Idempotency-Key has 1 to 255 visible characters"))
        });
        let mut digest = Sha256::new();
        for part in [method.as_str().as_bytes(), path.as_bytes(), &body] {
            digest.update(part.len().to_be_bytes());
            digest.update(part);
        }
        Ok(Self { body, key: key.transpose()?, digest: hex::encode(digest.finalize()) })
    }
}

/// A document out of a body; no body is the document `null`.
///
/// # Errors
/// 400 for what is not the document that is asked for.
pub fn document<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let text: &[u8] = if body.is_empty() { b"null" } else { body };
    serde_json::from_slice(text).map_err(|error| {
        ApiError::new(400, "malformed", "Not the document that is asked for", error.to_string())
    })
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
