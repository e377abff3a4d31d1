//! A SHA-256 that goes on from request to request: its state is kept beside the upload's offset.

use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Digest, Sha256};
use sluice_storage::StorageError;

/// The hash of everything taken so far.
#[derive(Clone)]
pub(super) struct Running(Sha256);

impl Running {
    /// The hash of nothing.
    pub(super) fn new() -> Self {
        Self(Sha256::new())
    }

    /// Goes on from a kept state.
    pub(super) fn resume(state: &[u8]) -> Result<Self, StorageError> {
        let corrupt = || StorageError::Corrupt("the state of an upload's hash".into());
        let state = SerializedState::<Sha256>::try_from(state).map_err(|_| corrupt())?;
        Sha256::deserialize(&state).map(Self).map_err(|_| corrupt())
    }

    /// The state to keep.
    pub(super) fn state(&self) -> Vec<u8> {
        self.0.serialize().to_vec()
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest in lower-case hexadecimal.
    pub(super) fn finish(self) -> String {
        hex::encode(self.0.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_goes_on_where_it_was_kept() {
        let mut whole = Running::new();
        whole.update(b"one two three");
        let mut first = Running::new();
        first.update(b"one t");
        let mut rest = Running::resume(&first.state()).unwrap();
        rest.update(b"wo three");
        assert_eq!(rest.finish(), whole.finish());
        assert!(Running::resume(b"short").is_err());
    }
}
