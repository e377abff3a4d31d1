//! A checksum that a client sends along with bytes (tus 1.0, checksum).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::HeaderMap;
use sha2::{Digest, Sha256};
use sluice_platform::ApiError;

/// What is understood, as `Tus-Checksum-Algorithm` lists it.
pub(super) const ALGORITHMS: &str = "sha1,sha256";

/// A checksum that a client sent along.
pub(super) enum Checksum {
    Sha1([u8; 20], Box<sha1::Sha1>),
    Sha256([u8; 32], Box<Sha256>),
}

impl Checksum {
    /// Takes bytes into account.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(_, hash) => Digest::update(hash.as_mut(), bytes),
            Self::Sha256(_, hash) => hash.update(bytes),
        }
    }

    /// True when the bytes are those that were summed.
    pub(super) fn matches(self) -> bool {
        match self {
            Self::Sha1(wanted, hash) => Digest::finalize(*hash)[..] == wanted,
            Self::Sha256(wanted, hash) => hash.finalize()[..] == wanted,
        }
    }
}

/// Reads `Upload-Checksum`: an algorithm and a digest in Base64.
pub(super) fn checksum(headers: &HeaderMap) -> Result<Option<Checksum>, ApiError> {
    let Some(text) = headers.get("upload-checksum") else { return Ok(None) };
    let bad =
        || ApiError::bad_request(format!("Upload-Checksum is one of {ALGORITHMS}, and a digest in Base64"));
    let (algorithm, digest) = text.to_str().ok().and_then(|t| t.split_once(' ')).ok_or_else(bad)?;
    let digest = STANDARD.decode(digest.trim()).map_err(|_| bad())?;
    match algorithm {
        "sha1" => {
            let wanted = digest.try_into().map_err(|_| bad())?;
            Ok(Some(Checksum::Sha1(wanted, Box::new(Digest::new()))))
        }
        "sha256" => {
            Ok(Some(Checksum::Sha256(digest.try_into().map_err(|_| bad())?, Box::new(Sha256::new()))))
        }
        _ => Err(bad()),
    }
}
