//! Answers to the questions by which an authority sees that a name is ours.

use crate::tls::provider;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::server::ClientHello;
use rustls::sign::CertifiedKey;
use rustls_pki_types::PrivateKeyDer;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The protocol in which the question over TLS comes (RFC 8737 section 6.1).
pub(crate) const ALPN: &[u8] = b"acme-tls/1";
/// Where the question over HTTP comes to (RFC 8555 section 8.3), up to its token.
const PATH: &str = "/.well-known/acme-challenge/";

/// The answers that are waited for at the moment: at most one for each name of an order.
#[derive(Debug, Default)]
pub(crate) struct Challenges {
    /// Key authorizations by token.
    http: Mutex<HashMap<String, String>>,
    /// Certificates by name.
    tls: Mutex<HashMap<String, Arc<CertifiedKey>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Challenges {
    /// The answer over HTTP to a request for this path.
    pub(crate) fn over_http(&self, path: &str) -> Option<String> {
        lock(&self.http).get(path.strip_prefix(PATH)?).cloned()
    }

    /// The certificate that answers over TLS, when it is the question: a client that offers its protocol alone.
    pub(crate) fn over_tls(&self, hello: &ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let mut offered = hello.alpn()?;
        if offered.next() != Some(ALPN) || offered.next().is_some() {
            return None;
        }
        lock(&self.tls).get(&hello.server_name()?.to_ascii_lowercase()).cloned()
    }

    pub(super) fn expect_http(&self, token: &str, authorization: &str) {
        lock(&self.http).insert(token.into(), authorization.into());
    }

    pub(super) fn expect_tls(&self, name: &str, digest: &[u8]) -> Result<(), String> {
        let answer = certificate(name, digest)?;
        lock(&self.tls).insert(name.to_ascii_lowercase(), Arc::new(answer));
        Ok(())
    }

    /// No order is under way any more.
    pub(super) fn clear(&self) {
        lock(&self.http).clear();
        lock(&self.tls).clear();
    }
}

/// A certificate for the name alone, with the digest of the key authorization in a critical extension (RFC 8737 section 3).
fn certificate(name: &str, digest: &[u8]) -> Result<CertifiedKey, String> {
    let mut params = CertificateParams::new(vec![name.to_owned()]).map_err(|e| e.to_string())?;
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions.push(CustomExtension::new_acme_identifier(digest));
    let key = KeyPair::generate().map_err(|e| e.to_string())?;
    let made = params.self_signed(&key).map_err(|e| e.to_string())?;
    let secret = PrivateKeyDer::try_from(key.serialize_der())?;
    let secret = provider().key_provider.load_private_key(secret).map_err(|e| e.to_string())?;
    // Its critical extension is for the authority to know; the library would refuse to look whether the key is its own.
    Ok(CertifiedKey::new(vec![made.der().clone()], secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_answered_while_its_order_is_under_way() {
        let challenges = Challenges::default();
        challenges.expect_http("token", "token.thumbprint");
        assert_eq!(
            challenges.over_http("/.well-known/acme-challenge/token").as_deref(),
            Some("token.thumbprint")
        );
        for path in ["/.well-known/acme-challenge/other", "/token", "/.well-known/acme-challenge/"] {
            assert_eq!(challenges.over_http(path), None, "{path}");
        }
        assert!(challenges.expect_tls("a.example", &[7; 32]).is_ok());
        challenges.clear();
        assert_eq!(challenges.over_http("/.well-known/acme-challenge/token"), None);
    }
}
