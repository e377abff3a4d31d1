//! Requests that a client sends to the store by itself, each signed for one object and for a while.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer};

use super::storage_error;
use crate::error::StorageError;

/// The SHA-256 of an object, in Base64, as S3 checks, keeps and tells it.
const CHECKSUM: &str = "x-amz-checksum-sha256";
/// Asks for it.
const CHECKSUM_MODE: HeaderName = HeaderName::from_static("x-amz-checksum-mode");
/// How long an answer without a body may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A signed `PUT`: what is sent to this URL with these headers is stored, unless there is an object already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedPut {
    /// Where to.
    pub url: String,
    /// Which headers, all of them signed.
    pub headers: Vec<(&'static str, String)>,
}

/// Signs a `PUT` of bytes with this hash, if it is known, for so long. The store refuses other bytes then, and always a
/// second object under the same key.
pub(super) async fn put(
    store: &AmazonS3,
    path: &Path,
    sha256: Option<&[u8; 32]>,
    life: Duration,
) -> Result<SignedPut, StorageError> {
    let mut headers = vec![("if-none-match", "*".to_owned())];
    if let Some(sha256) = sha256 {
        headers.push((CHECKSUM, base64(sha256)));
    }
    let mut signed = HeaderMap::new();
    for (name, value) in &headers {
        let value = HeaderValue::from_str(value).map_err(StorageError::objects)?;
        signed.insert(HeaderName::from_static(name), value);
    }
    let mut options = SignedUrlOptions::default();
    options.signed_headers = signed;
    let url = store.signed_url_opts(Method::PUT, path, life, &options).await.map_err(storage_error)?;
    Ok(SignedPut { url: url.into(), headers })
}

/// True when the store says that an object has this hash, false when it says another; `None` when it keeps none.
pub(super) async fn has_hash(
    store: &AmazonS3,
    path: &Path,
    sha256: &[u8; 32],
) -> Result<Option<bool>, StorageError> {
    let enabled = HeaderValue::from_static("ENABLED");
    let options = SignedUrlOptions::default().with_signed_header(CHECKSUM_MODE, enabled.clone());
    let url = store.signed_url_opts(Method::HEAD, path, PATIENCE, &options).await.map_err(storage_error)?;
    let unavailable = |e: reqwest::Error| StorageError::Unavailable {
        seam: "objects",
        reason: e.without_url().to_string(),
    };
    let http = reqwest::Client::builder().timeout(PATIENCE).build().map_err(unavailable)?;
    let answer = http.head(url.as_str()).header(CHECKSUM_MODE, enabled).send().await.map_err(unavailable)?;
    Ok(answer.headers().get(CHECKSUM).map(|said| said.as_bytes() == base64(sha256).as_bytes()))
}

fn base64(sha256: &[u8; 32]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(sha256)
}
