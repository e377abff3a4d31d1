//! The S3 engine: its URL, and the bucket behind it.

use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, S3ConditionalPut};
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, RetryConfig};

use crate::error::StorageError;

/// How long one request may take; parts are 8 MiB at most.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a connection attempt may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Retries of one operation, all within [`RETRY_TIMEOUT`].
const RETRIES: usize = 5;

/// After this time an operation is not tried again.
const RETRY_TIMEOUT: Duration = Duration::from_secs(30);

/// A parsed `s3://BUCKET/PREFIX?...` URL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Target {
    bucket: String,
    prefix: String,
    endpoint: Option<String>,
    /// Where clients reach it.
    public_endpoint: Option<String>,
    region: Option<String>,
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
    session_token: Option<String>,
    allow_http: bool,
    virtual_hosted: bool,
}

/// The store, the same as clients reach it, and the prefix of keys.
pub(super) fn open(url: &str) -> Result<(AmazonS3, AmazonS3, Path), StorageError> {
    let target = parse(url)?;
    let store = build(&target, target.endpoint.as_ref())?;
    let public = build(&target, target.public_endpoint.as_ref().or(target.endpoint.as_ref()))?;
    Ok((store, public, Path::from(target.prefix)))
}

fn build(target: &Target, endpoint: Option<&String>) -> Result<AmazonS3, StorageError> {
    let options = ClientOptions::new()
        .with_allow_http(target.allow_http)
        .with_timeout(REQUEST_TIMEOUT)
        .with_connect_timeout(CONNECT_TIMEOUT);
    let retry =
        RetryConfig { backoff: BackoffConfig::default(), max_retries: RETRIES, retry_timeout: RETRY_TIMEOUT };
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(&target.bucket)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_virtual_hosted_style_request(target.virtual_hosted)
        .with_client_options(options)
        .with_retry(retry);
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(region) = &target.region {
        builder = builder.with_region(region);
    }
    if let (Some(id), Some(secret)) = (&target.access_key_id, &target.secret_access_key) {
        builder = builder.with_access_key_id(id).with_secret_access_key(secret);
    }
    if let Some(token) = &target.session_token {
        builder = builder.with_token(token);
    }
    builder.build().map_err(|e| StorageError::Config(format!("storage.objects: {e}")))
}

pub(super) fn parse(url: &str) -> Result<Target, StorageError> {
    let wrong =
        |what: &str| StorageError::Config(format!("storage.objects (s3://BUCKET/PREFIX?...): {what}"));
    let rest = url.strip_prefix("s3://").ok_or_else(|| wrong("not an s3 URL"))?;
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    if bucket.is_empty() || bucket.contains('@') {
        return Err(wrong("no bucket; keys go into the query or the environment"));
    }
    let mut target = Target {
        bucket: bucket.to_owned(),
        prefix: prefix.trim_matches('/').to_owned(),
        ..Target::default()
    };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or_else(|| wrong("an option is NAME=VALUE"))?;
        let value = decode(value).ok_or_else(|| wrong("a value is not percent-encoded UTF-8"))?;
        match name {
            "endpoint" => target.endpoint = Some(value),
            "public_endpoint" => target.public_endpoint = Some(value),
            "region" => target.region = Some(value),
            "access_key_id" => target.access_key_id = Some(value),
            "secret_access_key" => target.secret_access_key = Some(value),
            "session_token" => target.session_token = Some(value),
            "allow_http" => target.allow_http = switch(&value).ok_or_else(|| wrong("allow_http"))?,
            "virtual_hosted" => {
                target.virtual_hosted = switch(&value).ok_or_else(|| wrong("virtual_hosted"))?;
            }
            other => return Err(wrong(&format!("unknown option {other:?}"))),
        }
    }
    let plain = |endpoint: &Option<String>| endpoint.as_ref().is_some_and(|e| e.starts_with("http://"));
    if (plain(&target.endpoint) || plain(&target.public_endpoint)) && !target.allow_http {
        return Err(wrong("an http:// endpoint needs allow_http=true"));
    }
    Ok(target)
}

fn switch(value: &str) -> Option<bool> {
    value.parse().ok()
}

fn decode(text: &str) -> Option<String> {
    percent_encoding::percent_decode_str(text).decode_utf8().ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_bucket_prefix_and_options() {
        let target = parse(
            "s3://media/a/b/?endpoint=http://127.0.0.1:9000&region=eu-1&allow_http=true\
             &access_key_id=id&secret_access_key=a%2Fb%2Bc",
        )
        .unwrap();
        assert_eq!(target.bucket, "media");
        assert_eq!(target.prefix, "a/b");
        assert_eq!(target.endpoint.as_deref(), Some("http://127.0.0.1:9000"));
        assert_eq!(target.secret_access_key.as_deref(), Some("a/b+c"));
        assert!(target.allow_http && !target.virtual_hosted);
    }

    #[test]
    fn mistakes_are_refused_rather_than_ignored() {
        for bad in [
            "s3://",
            "s3:///prefix",
            "s3://id:key@bucket/x",
            "s3://b?colour=red",
            "s3://b?endpoint",
            "s3://b?allow_http=maybe",
            "s3://b?endpoint=http://h",
            "s3://b?public_endpoint=http://h",
        ] {
            assert!(matches!(parse(bad), Err(StorageError::Config(_))), "{bad}");
        }
    }
}
