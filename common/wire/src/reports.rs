//! Reports, and what else control planes and edges tell one another, as they are signed: which bytes, and in which fields.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::published::public_key;
use crate::token::mint::SigningKey;

/// The field with the public key (Ed25519, RFC 8032; 32 bytes, base64url) of who signed.
pub const KEY: &str = "sluice-key";
/// The field with the signature, 64 bytes in base64url.
pub const SIGNATURE: &str = "sluice-signature";

/// What is signed, so that no signature of one thing counts for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    /// What a node says of itself.
    Report,
    /// What a node's clients asked it for.
    Asked,
    /// What a node is to fetch ahead of demand.
    Plan,
}

impl Signed {
    const fn domain(self) -> &'static [u8] {
        match self {
            Self::Report => b"sluice report 1\n",
            Self::Asked => b"sluice asked 1\n",
            Self::Plan => b"sluice fill plan 1\n",
        }
    }
}

/// Signs a body: what goes into [`KEY`] and [`SIGNATURE`].
#[must_use]
pub fn sign(what: Signed, key: &SigningKey, body: &[u8]) -> (String, String) {
    (key.public(), BASE64_URL_SAFE_NO_PAD.encode(key.sign(&[what.domain(), body].concat())))
}

/// Whether a key has signed this body as what it is.
#[must_use]
pub fn has_signed(what: Signed, key: &str, signature: &str, body: &[u8]) -> bool {
    let (Some(key), Ok(signature)) = (public_key(key), BASE64_URL_SAFE_NO_PAD.decode(signature)) else {
        return false;
    };
    UnparsedPublicKey::new(&ED25519, key).verify(&[what.domain(), body].concat(), &signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_of_one_key_and_one_body() {
        let made = || SigningKey::from_pem(SigningKey::generate().unwrap().as_bytes(), "k").unwrap();
        let (key, signature) = sign(Signed::Report, &made(), b"{}");
        assert!(has_signed(Signed::Report, &key, &signature, b"{}"));
        assert!(!has_signed(Signed::Report, &key, &signature, b"{ }"));
        assert!(!has_signed(Signed::Report, &made().public(), &signature, b"{}"));
        assert!(!has_signed(Signed::Plan, &key, &signature, b"{}"), "of something else");
        for (key, signature) in
            [("", ""), (key.as_str(), ""), ("", signature.as_str()), (key.as_str(), "AAAA")]
        {
            assert!(!has_signed(Signed::Report, key, signature, b"{}"));
        }
    }
}
