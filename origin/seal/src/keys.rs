//! Content keys, derived from master secrets (HKDF, RFC 5869): nothing about them is stored.
//!
//! A key is of a video, of what shares it and of a period. Its id begins with bytes derived from the same, apart from the
//! period, and ends with the period: given an id, the key is computed or refused, never searched.

use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use sluice_wire::{KeyId, Protection, RungName, VideoId};
use std::fmt;

/// Secrets of one file: the one that seals, and those that are being replaced.
const MAX_SECRETS: usize = 8;

/// Bytes of a secret: as many as the hash has, and no more than anybody generates.
const SECRET: std::ops::RangeInclusive<usize> = 32..=128;

/// Sets these derivations apart from whatever else a secret might be used for.
const SALT: &[u8] = b"sluice content keys 1";

/// What shares a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope<'a> {
    /// Everything of a video.
    Video,
    /// A rung.
    Rung(&'a RungName),
}

/// A key that media is encrypted with, by AES-128.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ContentKey {
    /// What names it.
    pub id: KeyId,
    /// The key itself.
    pub key: [u8; 16],
}

impl fmt::Debug for ContentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentKey({})", self.id)
    }
}

/// Why there are no secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretsError {
    /// There is no line with a secret.
    #[error("it has no secret: a line of 64 to 256 hexadecimal digits (`openssl rand -hex 32`)")]
    None,
    /// There are too many.
    #[error("it has more than 8 secrets")]
    Many,
    /// A line is none.
    #[error("line {0} is no secret: 64 to 256 hexadecimal digits")]
    Line(usize),
}

/// Master secrets. The first seals; keys of the others are still given to whoever names them.
#[derive(Clone)]
pub struct Secrets(Vec<Hkdf<Sha256>>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

impl Secrets {
    /// Reads a file: a secret a line in hexadecimal (32 to 128 bytes), the newest first. Empty lines and those
    /// that begin with `#` do not count.
    ///
    /// # Errors
    /// [`SecretsError::None`] without a secret, [`SecretsError::Many`] for more than 8, [`SecretsError::Line`] for one that is none.
    pub fn parse(text: &str) -> Result<Self, SecretsError> {
        let mut secrets = vec![];
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let secret = hex::decode(line).map_err(|_| SecretsError::Line(number))?;
            if !SECRET.contains(&secret.len()) {
                return Err(SecretsError::Line(number));
            }
            secrets.push(Hkdf::new(Some(SALT), &secret));
        }
        match secrets.len() {
            0 => Err(SecretsError::None),
            1..=MAX_SECRETS => Ok(Self(secrets)),
            _ => Err(SecretsError::Many),
        }
    }

    /// The key that seals a period.
    #[must_use]
    pub fn key(&self, video: VideoId, protection: Protection, scope: Scope<'_>, period: u32) -> ContentKey {
        let newest = self.0.first().expect("there is one secret at least");
        let id = KeyId::new(beginning(newest, video, protection, scope), period);
        ContentKey { id, key: derived(newest, video, protection, scope, id) }
    }

    /// The key of this id, if it is one of this video and scope.
    #[must_use]
    pub fn find(
        &self,
        id: KeyId,
        video: VideoId,
        protection: Protection,
        scope: Scope<'_>,
    ) -> Option<ContentKey> {
        let made = |secret: &&Hkdf<Sha256>| {
            KeyId::new(beginning(secret, video, protection, scope), id.period()) == id
        };
        let secret = self.0.iter().find(made)?;
        Some(ContentKey { id, key: derived(secret, video, protection, scope, id) })
    }
}

fn beginning(secret: &Hkdf<Sha256>, video: VideoId, protection: Protection, scope: Scope<'_>) -> [u8; 12] {
    let mut bytes = [0; 12];
    let info = info("id", video, protection, scope);
    secret.expand(&info, &mut bytes).expect("twelve bytes are less than HKDF can give");
    bytes
}

fn derived(
    secret: &Hkdf<Sha256>,
    video: VideoId,
    protection: Protection,
    scope: Scope<'_>,
    id: KeyId,
) -> [u8; 16] {
    let mut key = [0; 16];
    let mut info = info("key", video, protection, scope);
    info.extend(id.0);
    secret.expand(&info, &mut key).expect("sixteen bytes are less than HKDF can give");
    key
}

/// What is derived for what. Lengths stand before texts, so that no two say the same.
fn info(what: &str, video: VideoId, protection: Protection, scope: Scope<'_>) -> Vec<u8> {
    let scope = match scope {
        Scope::Video => "",
        Scope::Rung(rung) => rung.as_str(),
    };
    let mut info = video.as_u64().to_be_bytes().to_vec();
    for text in [what, protection.as_str(), scope] {
        info.push(text.len() as u8);
        info.extend(text.bytes());
    }
    info
}

/// The initialization vector of a track, the same for all its keys: everybody may know it. Tracks differ in it, so that
/// equal beginnings of samples do not look equal.
#[must_use]
pub fn track_iv(video: VideoId, rung: &RungName) -> [u8; 16] {
    let hash = Sha256::new().chain_update(b"sluice track iv 1").chain_update(video.as_u64().to_be_bytes());
    let hash: [u8; 32] = hash.chain_update(rung.as_str()).finalize().into();
    let mut iv = [0; 16];
    iv.copy_from_slice(&hash[..16]);
    iv
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn secrets(lines: &[u8]) -> Secrets {
        let text: Vec<String> = lines.iter().map(|byte| hex::encode([*byte; 32])).collect();
        Secrets::parse(&text.join("\n")).unwrap()
    }

    #[test]
    fn a_file_holds_secrets() {
        let good = "ab".repeat(32);
        assert_eq!(Secrets::parse(&format!("# newest\n\n {good} \n")).unwrap().0.len(), 1);
        assert_eq!(Secrets::parse("# none\n").unwrap_err(), SecretsError::None);
        assert_eq!(Secrets::parse(&format!("{good}\nzz")).unwrap_err(), SecretsError::Line(2));
        assert_eq!(Secrets::parse(&"ab".repeat(31)).unwrap_err(), SecretsError::Line(1));
        assert_eq!(Secrets::parse(&format!("{good}\n").repeat(9)).unwrap_err(), SecretsError::Many);
        assert_eq!(format!("{:?}", secrets(&[7])), "Secrets(1)", "a secret is not shown");
    }

    #[test]
    fn keys_differ_by_all_that_they_are_of() {
        let all = secrets(&[1]);
        let (a, b) = (RungName::new("v480").unwrap(), RungName::new("v48").unwrap());
        let mut seen = vec![];
        for video in [VideoId::from_parts(1, 1), VideoId::from_parts(1, 2)] {
            for protection in [Protection::Aes128, Protection::Cbcs] {
                for scope in [Scope::Video, Scope::Rung(&a), Scope::Rung(&b)] {
                    for period in [0, 1, u32::MAX] {
                        seen.push(all.key(video, protection, scope, period));
                    }
                }
            }
        }
        for (at, one) in seen.iter().enumerate() {
            assert!(seen[..at].iter().all(|other| other.id != one.id && other.key != one.key), "{one:?}");
        }
        assert_ne!(track_iv(VideoId::from_parts(1, 1), &a), track_iv(VideoId::from_parts(1, 1), &b));
    }

    #[test]
    fn keys_stay_what_they_are() {
        // What players were told must be found by the next release.
        let key =
            secrets(&[1]).key(VideoId::from_parts(1_800_000_000_000, 7), Protection::Cbcs, Scope::Video, 2);
        assert_eq!((key.id.to_string().as_str(), hex::encode(key.key).as_str()), KNOWN);
    }

    /// Computed by another implementation of HKDF.
    const KNOWN: (&str, &str) = ("b229c31812b70045c87cc1dd00000002", "f87fba45ecf883c6c4b259e3187b3938");

    proptest! {
        #[test]
        fn a_key_is_found_by_its_id_and_by_no_other(period: u32, other: [u8; 16], number in 0u64..1 << 40) {
            let (old, new) = (secrets(&[1]), secrets(&[2, 1]));
            let video = VideoId::from_parts(number, 3);
            let key = old.key(video, Protection::Cbcs, Scope::Video, period);
            prop_assert_eq!(new.find(key.id, video, Protection::Cbcs, Scope::Video), Some(key), "still given");
            prop_assert_ne!(new.key(video, Protection::Cbcs, Scope::Video, period), key, "seals no more");
            prop_assert_eq!(secrets(&[2]).find(key.id, video, Protection::Cbcs, Scope::Video), None);
            prop_assert_eq!(new.find(key.id, video, Protection::Aes128, Scope::Video), None);
            prop_assert_eq!(new.find(key.id, VideoId::from_parts(number, 4), Protection::Cbcs, Scope::Video), None);
            prop_assert_eq!(new.find(KeyId(other), video, Protection::Cbcs, Scope::Video), None);
        }
    }
}
