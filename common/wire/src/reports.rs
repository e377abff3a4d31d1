//! Reports as they are signed: which bytes, and in which fields of the request.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::published::public_key;
use crate::token::mint::SigningKey;

/// The field with the public key (Ed25519, base64url) of who reports.
pub const KEY: &str = "sluice-key";
/// The field with the signature, base64url.
pub const SIGNATURE: &str = "sluice-signature";
/// What a signature is of, so that none for something else counts.
const DOMAIN: &[u8] = b"sluice report 1\n";

/// Signs a report's body: what goes into [`KEY`] and [`SIGNATURE`].
#[must_use]
pub fn sign(key: &SigningKey, body: &[u8]) -> (String, String) {
    (key.public(), BASE64_URL_SAFE_NO_PAD.encode(key.sign(&[DOMAIN, body].concat())))
}

/// Whether a key has signed this body.
#[must_use]
pub fn has_signed(key: &str, signature: &str, body: &[u8]) -> bool {
    let (Some(key), Ok(signature)) = (public_key(key), BASE64_URL_SAFE_NO_PAD.decode(signature)) else {
        return false;
    };
    UnparsedPublicKey::new(&ED25519, key).verify(&[DOMAIN, body].concat(), &signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_of_one_key_and_one_body() {
        let made = || SigningKey::from_pem(SigningKey::generate().unwrap().as_bytes(), "k").unwrap();
        let (key, signature) = sign(&made(), b"{}");
        assert!(has_signed(&key, &signature, b"{}"));
        assert!(!has_signed(&key, &signature, b"{ }"));
        assert!(!has_signed(&made().public(), &signature, b"{}"));
        for (key, signature) in
            [("", ""), (key.as_str(), ""), ("", signature.as_str()), (key.as_str(), "AAAA")]
        {
            assert!(!has_signed(key, signature, b"{}"));
        }
    }
}
