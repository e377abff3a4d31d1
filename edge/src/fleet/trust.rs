//! Whose route tables are believed: of configured keys, or of the key that signed the first one, from then on.

use sluice_wire::published::{Document, Refused, Signature, public_key};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The keys that are trusted.
#[derive(Debug)]
pub(crate) struct Trust {
    keys: Mutex<Vec<String>>,
    /// Where the first key is remembered; none when keys are configured.
    file: Option<PathBuf>,
}

impl Trust {
    /// The configured keys, or those that a file of this folder remembers.
    pub(crate) fn open(configured: &[String], dir: &Path) -> Self {
        if !configured.is_empty() {
            return Self { keys: Mutex::new(configured.to_vec()), file: None };
        }
        let file = dir.join("control-key");
        let kept = std::fs::read_to_string(&file).unwrap_or_default();
        let keys = kept.lines().map(str::trim).filter(|key| public_key(key).is_some()).map(str::to_owned);
        Self { keys: Mutex::new(keys.collect()), file: Some(file) }
    }

    /// Whether a table may come into force, as far as who signed it goes. While no key is known, anything may: there is
    /// nobody yet to tell it from.
    pub(crate) fn judge(&self, document: &Document, signature: Option<&Signature>) -> Result<(), Refused> {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match signature {
            None if keys.is_empty() => Ok(()),
            None => Err(Refused::Unsigned),
            Some(signature) if keys.is_empty() => {
                signature.check(document, std::slice::from_ref(&signature.key))
            }
            Some(signature) => signature.check(document, &keys),
        }
    }

    /// True when this key signs tables that are believed.
    pub(crate) fn believes(&self, key: &str) -> bool {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|known| known == key)
    }

    /// Remembers the key of the first table that came into force.
    pub(crate) fn remember(&self, signature: Option<&Signature>) {
        let (Some(file), Some(signature)) = (&self.file, signature) else { return };
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.is_empty() {
            keys.push(signature.key.clone());
            tracing::info!(key = signature.key, "the route table is believed of this key alone from now on");
            if let Err(error) = keep(file, &signature.key) {
                tracing::warn!(%error, file = %file.display(), "the control plane's key cannot be remembered");
            }
        }
    }
}

fn keep(file: &Path, key: &str) -> io::Result<()> {
    let next = file.with_extension("next");
    std::fs::write(&next, key)?;
    std::fs::File::open(&next)?.sync_all()?;
    std::fs::rename(&next, file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_wire::RouteTable;
    use sluice_wire::token::mint::SigningKey;

    fn key() -> SigningKey {
        SigningKey::from_pem(SigningKey::generate().unwrap().as_bytes(), "k").unwrap()
    }

    #[test]
    fn the_first_key_is_believed_for_good() {
        let dir = tempfile::tempdir().unwrap();
        let (first, other) = (key(), key());
        let document = Document::of(&RouteTable { version: 1, ..RouteTable::default() });
        let (signed, forged) = (document.sign(&first), document.sign(&other));
        let trust = Trust::open(&[], dir.path());
        assert_eq!(trust.judge(&document, None), Ok(()));
        let elsewhere = Document::of(&RouteTable { version: 2, ..RouteTable::default() });
        assert_eq!(
            trust.judge(&elsewhere, Some(&signed)),
            Err(Refused::Signature),
            "not even the first time"
        );
        assert_eq!(trust.judge(&document, Some(&signed)), Ok(()));
        trust.remember(Some(&signed));
        for trust in [trust, Trust::open(&[], dir.path())] {
            assert_eq!(trust.judge(&document, Some(&signed)), Ok(()));
            assert!(matches!(trust.judge(&document, Some(&forged)), Err(Refused::Key(_))));
            assert_eq!(trust.judge(&document, None), Err(Refused::Unsigned));
        }
        let pinned = Trust::open(&[other.public()], dir.path());
        assert!(
            matches!(pinned.judge(&document, Some(&signed)), Err(Refused::Key(_))),
            "configured keys alone count"
        );
        pinned.remember(Some(&forged));
        assert_eq!(Trust::open(&[], dir.path()).judge(&document, Some(&signed)), Ok(()));
    }
}
