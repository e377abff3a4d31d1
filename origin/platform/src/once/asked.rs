//! A request with a JSON document, and the key that it may bring.

use axum::body::{Bytes, HttpBody};
use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::ApiError;

/// Bytes of a document that apps are sent.
const MAX_BODY: usize = 256 << 10;
/// Characters of a key.
const MAX_KEY: usize = 255;

/// A document that was sent, with the `Idempotency-Key` of its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked<T> {
    /// The document.
    pub body: T,
    /// The key: 1 to 255 visible characters.
    pub key: Option<String>,
    /// Of method, path and body: whether it is the same request.
    pub(super) digest: String,
}

impl<S, T> FromRequest<S> for Asked<T>
where
    S: Send + Sync,
    T: DeserializeOwned,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let key = request.headers().get("idempotency-key").cloned();
        let body = read(request).await?;
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
        let text: &[u8] = if body.is_empty() { b"null" } else { &body };
        let body = serde_json::from_slice(text).map_err(|error| {
            ApiError::new(400, "malformed", "Not the document that is asked for", error.to_string())
        })?;
        Ok(Self { body, key: key.transpose()?, digest: hex::encode(digest.finalize()) })
    }
}

async fn read(request: Request) -> Result<Bytes, ApiError> {
    let long =
        || ApiError::new(413, "too-large", "Too large", format!("a document has at most {MAX_BODY} bytes"));
    if request.body().size_hint().lower() > MAX_BODY as u64 {
        return Err(long());
    }
    axum::body::to_bytes(request.into_body(), MAX_BODY).await.map_err(|_| long())
}
