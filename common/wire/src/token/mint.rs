//! Making tokens and signed URLs with a private key: what the command line and an origin do, and no edge can.

use super::jwt::{ALGORITHM, Claims};
use super::signed::SignedUrl;
use super::{MAX_KEY_ID, Refusal};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};

/// Why there is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text holds no private key.
    #[error("no PEM file with a private key (PKCS #8): {0}")]
    NoPem(String),
    /// The key is of another kind.
    #[error("no Ed25519 key: {0}")]
    NoKey(String),
    /// Its id cannot be one.
    #[error("a key's id has 1 to {MAX_KEY_ID} bytes")]
    Id,
    /// The machine gives no random bytes.
    #[error("no key can be made")]
    NoRandom,
}

/// A private key (Ed25519, RFC 8032) and its id.
pub struct SigningKey {
    id: String,
    pair: Ed25519KeyPair,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// Makes a key; its PEM file (PKCS #8).
    ///
    /// # Errors
    /// [`KeyError::NoRandom`].
    pub fn generate() -> Result<String, KeyError> {
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| KeyError::NoRandom)?;
        let text = BASE64_STANDARD.encode(made.as_ref());
        Ok(format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n"))
    }

    /// Reads a key out of a PEM file (PKCS #8). Its id has 1 to [`MAX_KEY_ID`] bytes.
    ///
    /// # Errors
    /// [`KeyError::Id`], [`KeyError::NoPem`], [`KeyError::NoKey`].
    pub fn from_pem(pem: &[u8], id: &str) -> Result<Self, KeyError> {
        if id.is_empty() || id.len() > MAX_KEY_ID {
            return Err(KeyError::Id);
        }
        let key = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|e| KeyError::NoPem(e.to_string()))?;
        let pair =
            Ed25519KeyPair::from_pkcs8(key.secret_pkcs8_der()).map_err(|e| KeyError::NoKey(e.to_string()))?;
        Ok(Self { id: id.to_owned(), pair })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The public key, base64url: `x` of its JWK.
    #[must_use]
    pub fn public(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(self.pair.public_key())
    }

    /// Signs bytes, in 64 bytes; whoever asks says with them what they are.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        self.pair.sign(bytes).as_ref().to_vec()
    }

    /// The public key as a JWKS (RFC 7517 section 5, RFC 8037 section 2), as edges take it.
    #[must_use]
    pub fn jwks(&self) -> Value {
        let x = self.public();
        let key =
            json!({ "kty": "OKP", "crv": "Ed25519", "kid": self.id, "use": "sig", "alg": ALGORITHM, "x": x });
        json!({ "keys": [key] })
    }

    /// A token with these claims (RFC 7519 section 7.1, RFC 8037 section 3.1).
    #[must_use]
    pub fn token(&self, claims: &Claims) -> String {
        let encoded = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({ "alg": ALGORITHM, "typ": "JWT", "kid": self.id });
        let claims = serde_json::to_value(claims).unwrap_or_default();
        let text = format!("{}.{}", encoded(&header), encoded(&claims));
        let signature = BASE64_URL_SAFE_NO_PAD.encode(self.pair.sign(text.as_bytes()));
        format!("{text}.{signature}")
    }

    /// What a token of this key says, where it is good at a time (seconds of Unix time).
    ///
    /// # Errors
    /// Why it is not: as [`key_id`](super::jwt::key_id), [`Refusal::Key`] for another, [`Refusal::Signature`], as
    /// [`Claims::grant`], and [`Refusal::Expired`] or [`Refusal::Early`].
    pub fn read(&self, token: &str, now_s: u64) -> Result<Claims, Refusal> {
        if super::jwt::key_id(token)?.as_deref() != Some(&self.id) {
            return Err(Refusal::Key);
        }
        let (text, signature) = token.rsplit_once('.').ok_or(Refusal::Malformed)?;
        let (_, claims) = text.split_once('.').ok_or(Refusal::Malformed)?;
        let decode = |part| BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| Refusal::Malformed);
        UnparsedPublicKey::new(&ED25519, self.pair.public_key().as_ref())
            .verify(text.as_bytes(), &decode(signature)?)
            .map_err(|_| Refusal::Signature)?;
        let claims: Claims = serde_json::from_slice(&decode(claims)?).map_err(|_| Refusal::Malformed)?;
        claims.clone().grant()?.is_in_time(now_s)?;
        Ok(claims)
    }

    /// The query of a signed URL at a path, as [`path::compared`](super::path::compared) spells it. The URL names this
    /// key.
    #[must_use]
    pub fn query(&self, url: &SignedUrl, at: &str) -> String {
        let url = SignedUrl { key: self.id.clone(), ..url.clone() };
        url.query(self.pair.sign(&url.signed_text(at)).as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::super::jwt;
    use super::*;

    #[test]
    fn a_token_is_of_the_form_that_is_taken() {
        let key = SigningKey::from_pem(SigningKey::generate().unwrap().as_bytes(), "2026").unwrap();
        let token = key.token(&Claims { sub: Some("u1".into()), exp: Some(9.into()), ..Claims::default() });
        assert_eq!(jwt::key_id(&token), Ok(Some("2026".into())));
        let again = key.token(&Claims { sub: Some("u1".into()), exp: Some(9.into()), ..Claims::default() });
        assert_eq!(token, again, "RFC 8032 signs the same text the same way");
        assert_eq!(key.jwks()["keys"][0]["kid"], "2026");
        assert!(key.jwks()["keys"][0].get("d").is_none(), "no secret is told");
    }

    #[test]
    fn a_token_is_read_by_its_key_while_it_is_good() {
        let key = |id| SigningKey::from_pem(SigningKey::generate().unwrap().as_bytes(), id).unwrap();
        let (ours, other) = (key("1"), key("1"));
        let claims = Claims { sub: Some("u1".into()), exp: Some(900.into()), ..Claims::default() };
        let token = ours.token(&claims);
        assert_eq!(ours.read(&token, 899), Ok(claims));
        assert_eq!(ours.read(&token, 960), Err(Refusal::Expired));
        assert_eq!(other.read(&token, 899), Err(Refusal::Signature));
        assert_eq!(key("2").read(&token, 899), Err(Refusal::Key));
        assert_eq!(ours.read(token.trim_start_matches("e"), 899), Err(Refusal::Malformed));
    }

    #[test]
    fn a_signed_url_names_its_key() {
        let key = SigningKey::from_pem(SigningKey::generate().unwrap().as_bytes(), "k").unwrap();
        let query = key.query(&SignedUrl { expires: 9, ..SignedUrl::default() }, "/v/a");
        let (url, signature) = SignedUrl::parse(&query).unwrap().unwrap();
        assert_eq!((url.key.as_str(), signature.len()), ("k", 64));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let pem = SigningKey::generate().unwrap();
        assert_eq!(SigningKey::from_pem(pem.as_bytes(), "").unwrap_err(), KeyError::Id);
        assert!(matches!(SigningKey::from_pem(b"x", "1").unwrap_err(), KeyError::NoPem(_)));
        let other = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert!(matches!(SigningKey::from_pem(other.as_bytes(), "1").unwrap_err(), KeyError::NoKey(_)));
    }
}
