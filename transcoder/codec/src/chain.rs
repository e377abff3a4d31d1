//! What a segment was made from, as a digest: of the source's packets as they were decoded, then of the settings.

use ffmpeg_next::Packet;
use sha2::{Digest as _, Sha256};
use sluice_wire::Digest;

/// Raised when what is made of the same packets by the same settings changes.
const MAKER: &[u8] = b"sluice segment 3";

/// The digest of all packets that a chunk's decoder was given so far.
#[derive(Debug, Clone)]
pub(crate) struct Chain([u8; 32]);

impl Chain {
    /// Begins with what the container says of the codec.
    pub(crate) fn new(parameters: &[u8]) -> Self {
        Self(Sha256::new().chain_update(MAKER).chain_update(parameters).finalize().into())
    }

    /// Takes a packet: where it belongs, and its bytes.
    pub(crate) fn take(&mut self, packet: &Packet) {
        let data = packet.data().unwrap_or_default();
        let mut hash = Sha256::new();
        hash.update(self.0);
        for stamp in [packet.pts().unwrap_or(i64::MIN), packet.dts().unwrap_or(i64::MIN), packet.duration()] {
            hash.update(stamp.to_be_bytes());
        }
        hash.update((data.len() as u64).to_be_bytes());
        hash.update(data);
        self.0 = hash.finalize().into();
    }

    /// The source as it is now.
    pub(crate) const fn source(&self) -> [u8; 32] {
        self.0
    }
}

/// The settings of a rung: everything but the source that decides what its segments are.
#[derive(Debug, Clone)]
pub(crate) struct Settings([u8; 32]);

impl Settings {
    /// Of the words that describe them, and of the libraries' versions.
    pub(crate) fn new(words: &impl serde::Serialize, header: &[u8]) -> Self {
        let mut hash = Sha256::new();
        for version in [
            ffmpeg_next::codec::version(),
            ffmpeg_next::filter::version(),
            ffmpeg_next::software::scaling::version(),
            ffmpeg_next::software::resampling::version(),
        ] {
            hash.update(version.to_be_bytes());
        }
        hash.update(serde_json::to_vec(words).unwrap_or_default());
        hash.update(header);
        Self(hash.finalize().into())
    }

    /// The name of a segment made of this source.
    pub(crate) fn name(&self, source: [u8; 32], seq: u32) -> Digest {
        let hash = Sha256::new().chain_update(self.0).chain_update(source).chain_update(seq.to_be_bytes());
        Digest::of_sha256(hash.finalize().into())
    }
}
