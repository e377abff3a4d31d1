//! A message and its signature (Standard Webhooks 1.0): HMAC-SHA256 over `id.timestamp.body`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderValue;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName};
use serde_json::json;
use sha2::Sha256;
use std::io;
use std::path::Path;
use time::OffsetDateTime;

/// What a secret's text begins with; Base64 follows.
const PREFIX: &str = "whsec_";
/// Bytes of a secret, least and most.
const LENGTH: std::ops::RangeInclusive<usize> = 24..=64;

/// What messages are signed with.
#[derive(Clone)]
pub(super) struct Secret(Vec<u8>);

impl Secret {
    /// Reads a file that holds `whsec_` and Base64 of 24 to 64 bytes.
    pub(super) fn read(file: Option<&Path>) -> io::Result<Self> {
        let file = file.ok_or_else(|| io::Error::other("webhooks.secret_file is missing"))?;
        let text = std::fs::read_to_string(file)?;
        Self::parse(&text).ok_or_else(|| {
            io::Error::other(format!("{} holds no {PREFIX} and Base64 of 24 to 64 bytes", file.display()))
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text.trim().strip_prefix(PREFIX)?).ok()?;
        LENGTH.contains(&bytes.len()).then_some(Self(bytes))
    }

    fn signature(&self, id: &str, now_s: u64, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(format!("{id}.{now_s}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }

    /// The fields of a message sent now.
    pub(super) fn headers(&self, id: &str, now_s: u64, body: &[u8]) -> HeaderMap {
        let field = |name, text: &str| {
            (HeaderName::from_static(name), HeaderValue::from_str(text).expect("plain characters"))
        };
        HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            field("webhook-id", id),
            field("webhook-timestamp", &now_s.to_string()),
            field("webhook-signature", &self.signature(id, now_s, body)),
        ])
    }
}

/// The body of a message: the same each time it is sent.
pub(super) fn body(state: &str, at_ms: u64, data: &serde_json::Value) -> Vec<u8> {
    let message = json!({ "type": format!("video.{state}"), "timestamp": timestamp(at_ms), "data": data });
    serde_json::to_vec(&message).unwrap_or_default()
}

/// A time as RFC 3339 has it, in UTC.
fn timestamp(unix_ms: u64) -> String {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_ms) * 1_000_000);
    let at = at.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second, milli) = at.to_hms_milli();
    format!("{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z", u8::from(month))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks libraries.
    #[test]
    fn a_message_is_signed_as_the_standard_has_it() {
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
        let signature =
            secret.signature("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        for wrong in ["", "whsec_", "whsec_QQ==", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_***"] {
            assert!(Secret::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn times_are_told_as_rfc_3339_has_them() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(timestamp(951_782_400_007), "2000-02-29T00:00:00.007Z");
        assert_eq!(timestamp(1_795_435_199_999), "2026-11-23T11:59:59.999Z");
    }
}
