//! Whether a credential allows a request: pure, of keys, rule, request and now.

use super::credentials::{Credential, Kind};
use super::keys::{self, Keys};
use super::rules::Rule;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use coset::iana;
use coset::{CborSerializable, CoseSign1, RegisteredLabelWithPrivate, TaggedCborSerializable};
use sluice_wire::token::{Grant, MAX_TOKEN, Question, Refusal, cat, jwt};

/// What is expected of every token.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected<'a> {
    pub(crate) issuer: Option<&'a str>,
    pub(crate) audience: Option<&'a str>,
}

/// What a credential grants, when it allows the request.
pub(crate) fn check(
    credential: &Credential,
    rule: &Rule,
    keys: &Keys,
    expected: Expected<'_>,
    asked: &Question<'_>,
    now_s: u64,
) -> Result<Grant, Refusal> {
    let grant = match &credential.kind {
        Kind::Signed(url, signature) if rule.need.takes_signed() => {
            keys::has_signed(keys.find(Some(&url.key))?, &url.signed_text(asked.path), signature)?;
            url.grant()?
        }
        Kind::Token(token) if rule.need.takes_tokens() => {
            let grant = read(token, keys)?;
            // Anybody may have an account: what a rule closes is for tokens that were minted for it.
            if grant.session.is_some() || !grant.channels.is_empty() {
                return Err(Refusal::Kind);
            }
            grant.is_for(expected.issuer, expected.audience, &rule.tenants)?;
            grant
        }
        _ => return Err(Refusal::Kind),
    };
    grant.check(asked, now_s)?;
    Ok(grant)
}

/// A token that a known key has signed.
pub(crate) fn read(token: &str, keys: &Keys) -> Result<Grant, Refusal> {
    // A JWT has dots; a CAT is base64url without any.
    if token.contains('.') {
        let id = jwt::key_id(token)?;
        return keys::claims_of(keys.find(id.as_deref())?, token)?.grant();
    }
    if token.len() > MAX_TOKEN {
        return Err(Refusal::Malformed);
    }
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).map_err(|_| Refusal::Malformed)?;
    cat::grant(&claims_of_cose(&bytes, keys)?)
}

/// CBOR's tag of a CWT (RFC 8392 section 6), and first bytes of the tagged structures of COSE (RFC 9052 section 2).
const CWT: [u8; 2] = [0xd8, 0x3d];
const SIGN1: u8 = 0xd2;
const MAC0: u8 = 0xd1;

/// The payload of a COSE_Sign1 with EdDSA. A MAC is refused: who can check it can mint it.
fn claims_of_cose(bytes: &[u8], keys: &Keys) -> Result<Vec<u8>, Refusal> {
    let bytes = bytes.strip_prefix(&CWT).unwrap_or(bytes);
    let message = match bytes.first() {
        Some(&SIGN1) => CoseSign1::from_tagged_slice(bytes),
        Some(&MAC0) => return Err(Refusal::Algorithm),
        _ => CoseSign1::from_slice(bytes),
    };
    let message = message.map_err(|_| Refusal::Malformed)?;
    let (protected, open) = (&message.protected.header, &message.unprotected);
    if protected.alg != Some(RegisteredLabelWithPrivate::Assigned(iana::Algorithm::EdDSA)) {
        return Err(Refusal::Algorithm);
    }
    // Nothing that brings a key, changes the meaning or must be understood. The id may stand in either.
    let odd = |header: &coset::Header| {
        !header.rest.is_empty() || !header.crit.is_empty() || !header.counter_signatures.is_empty()
    };
    if odd(protected) || odd(open) || open.alg.is_some() {
        return Err(Refusal::Header);
    }
    let id = if protected.key_id.is_empty() { &open.key_id } else { &protected.key_id };
    let id = std::str::from_utf8(id).map_err(|_| Refusal::Key)?;
    let key = keys.find((!id.is_empty()).then_some(id))?;
    message.verify_signature(&[], |signature, text| keys::has_signed(key, text, signature))?;
    message.payload.ok_or(Refusal::Malformed)
}
