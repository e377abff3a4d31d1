//! Webhooks of the gateway, as Stripe signs them: `Stripe-Signature: t=SECONDS,v1=HEX`, HMAC-SHA256 over `SECONDS.BODY`.

use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use sluice_service::ProcessError;

/// Seconds for which a signature is good, either way.
const TOLERANCE_S: u64 = 300;
/// Signatures that are looked at: there are two while a secret is changed.
const MAX_SIGNATURES: usize = 8;

/// What webhooks are signed with.
#[derive(Clone)]
pub(crate) struct Secret(Vec<u8>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// Reads a file of one line.
    ///
    /// # Errors
    /// There is no such file, or nothing in it.
    pub(crate) fn read(file: &Path) -> Result<Self, ProcessError> {
        let named =
            |why: String| format!("apps.commerce.gateway.webhook_secret_file {}: {why}", file.display());
        let text = std::fs::read_to_string(file).map_err(|error| named(error.to_string()))?;
        let text = text.trim();
        if text.is_empty() { Err(named("it is empty".into()).into()) } else { Ok(Self(text.into())) }
    }

    /// A secret that is known.
    #[cfg(test)]
    pub(crate) fn of(secret: &[u8]) -> Self {
        Self(secret.into())
    }

    /// Whether a body was signed with the secret, a short while ago.
    pub(crate) fn signed(&self, header: &str, body: &[u8], now_s: u64) -> bool {
        let parts = || header.split(',').filter_map(|part| part.trim().split_once('='));
        let time = parts().find(|(name, _)| *name == "t").map(|(_, value)| value);
        let Some((text, at)) = time.and_then(|text| Some((text, text.parse::<u64>().ok()?))) else {
            return false;
        };
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(text.as_bytes());
        mac.update(b".");
        mac.update(body);
        let signatures = parts().filter(|(name, _)| *name == "v1").take(MAX_SIGNATURES);
        let good = |hex: &str| hex::decode(hex).is_ok_and(|bytes| mac.clone().verify_slice(&bytes).is_ok());
        at.abs_diff(now_s) <= TOLERANCE_S && signatures.into_iter().any(|(_, hex)| good(hex))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(secret: &[u8], at: u64, body: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
        mac.update(format!("{at}.{body}").as_bytes());
        format!("t={at},v1={}", hex::encode(mac.finalize().into_bytes()))
    }

    #[test]
    fn a_signature_is_good_for_its_body_its_secret_and_five_minutes() {
        let (secret, body) = (Secret(b"whsec_test".into()), r#"{"id":"evt_1"}"#);
        let good = header(b"whsec_test", 1_000_000, body);
        assert!(secret.signed(&good, body.as_bytes(), 1_000_300));
        assert!(!secret.signed(&good, body.as_bytes(), 1_000_301) && !secret.signed(&good, b"{}", 1_000_000));
        assert!(!secret.signed(&header(b"other", 1_000_000, body), body.as_bytes(), 1_000_000));
        let two = format!("{},v1={}", header(b"old", 1_000_000, body), good.split("v1=").nth(1).unwrap());
        assert!(secret.signed(&two, body.as_bytes(), 1_000_000), "a new secret beside the old one");
        for bad in ["", "t=1000000", "v1=00", "t=x,v1=00", "t=1000000,v1=zz"] {
            assert!(!secret.signed(bad, body.as_bytes(), 1_000_000), "{bad}");
        }
    }
}
