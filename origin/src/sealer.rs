//! What media is sealed with: the secrets, the length of key periods, room for the work.

use crate::config::ProtectionConfig;
use sluice_platform::ApiError;
use sluice_seal::cbcs::Track;
use sluice_seal::{ContentKey, Scope, Secrets};
use sluice_service::ProcessError;
use sluice_wire::{Digest, KeyId, Protection, RungName, VideoId};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Segments that are sealed at a time: each is in memory twice meanwhile, and keeps a core busy for some milliseconds.
const PARALLEL: usize = 4;

/// How long one waits for its turn: players give up about then.
const PATIENCE: Duration = Duration::from_secs(10);

/// Tracks whose headers are remembered: a hundred bytes each.
const MAX_TRACKS: usize = 4_096;

/// The sealer.
#[derive(Debug)]
pub(crate) struct Sealer {
    secrets: Option<Secrets>,
    period_segments: u32,
    tracks: Mutex<HashMap<Digest, Track>>,
    turns: Semaphore,
}

impl Sealer {
    /// Reads the secrets, if there are to be any.
    pub(crate) fn load(config: &ProtectionConfig) -> Result<Self, ProcessError> {
        let mut secrets = None;
        if let Some(file) = &config.secret_file {
            let named = |why: String| format!("protection.secret_file {}: {why}", file.display());
            let text = std::fs::read_to_string(file).map_err(|error| named(error.to_string()))?;
            secrets = Some(Secrets::parse(&text).map_err(|error| named(error.to_string()))?);
        }
        Ok(Self {
            secrets,
            period_segments: config.period_segments.max(1),
            tracks: Mutex::default(),
            turns: Semaphore::new(PARALLEL),
        })
    }

    /// Whether it can seal so.
    pub(crate) const fn can(&self, protection: Protection) -> bool {
        matches!(protection, Protection::None) || self.secrets.is_some()
    }

    /// How a video is sealed; `None` for one that is not.
    ///
    /// # Errors
    /// 503 for one that is to be sealed by an origin without a secret: it is never given out clear.
    pub(crate) fn of(&self, video: VideoId, protection: Protection) -> Result<Option<Seal<'_>>, ApiError> {
        if protection == Protection::None {
            return Ok(None);
        }
        let secrets = self.secrets.as_ref().ok_or_else(|| {
            let detail = "this video is sealed, and this origin has no secret (protection.secret_file)";
            ApiError::new(503, "no-secret", "No secret", detail)
        })?;
        Ok(Some(Seal { secrets, video, protection, period_segments: self.period_segments }))
    }

    /// A turn to seal something.
    pub(crate) async fn turn(&self) -> Result<SemaphorePermit<'_>, ApiError> {
        match tokio::time::timeout(PATIENCE, self.turns.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(ApiError::new(503, "busy", "Busy", "too much is being sealed now; try again")),
        }
    }

    /// What is remembered of a track, by its header's name.
    pub(crate) fn track(&self, init: Digest) -> Option<Track> {
        self.tracks.lock().unwrap_or_else(PoisonError::into_inner).get(&init).copied()
    }

    /// Remembers a track. When there is no room, all are forgotten: reading a header again costs little.
    pub(crate) fn remember(&self, init: Digest, track: Track) {
        let mut tracks = self.tracks.lock().unwrap_or_else(PoisonError::into_inner);
        if tracks.len() >= MAX_TRACKS {
            tracks.clear();
        }
        tracks.insert(init, track);
    }
}

/// How one video is sealed: which key is whose.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seal<'a> {
    secrets: &'a Secrets,
    video: VideoId,
    protection: Protection,
    period_segments: u32,
}

impl<'a> Seal<'a> {
    #[cfg(test)]
    pub(crate) const fn new(
        secrets: &'a Secrets,
        video: VideoId,
        protection: Protection,
        period_segments: u32,
    ) -> Self {
        Self { secrets, video, protection, period_segments }
    }

    pub(crate) const fn protection(&self) -> Protection {
        self.protection
    }

    /// The period of a segment.
    pub(crate) const fn period(&self, seq: u32) -> u32 {
        seq / self.period_segments
    }

    /// The id of the key that seals a rung's segment.
    pub(crate) fn key_id(&self, rung: &RungName, seq: u32) -> KeyId {
        self.secrets.key(self.video, self.protection, self.scope(rung), self.period(seq)).id
    }

    /// The key of an id that was told for a rung, now or under another secret.
    pub(crate) fn key(&self, rung: &RungName, id: KeyId) -> Option<ContentKey> {
        self.secrets.find(id, self.video, self.protection, self.scope(rung))
    }

    /// How many segments a rung must have for a period to have begun.
    pub(crate) fn first_of(&self, id: KeyId) -> u64 {
        u64::from(id.period()) * u64::from(self.period_segments)
    }

    /// The vector of a rung's track.
    pub(crate) fn iv(&self, rung: &RungName) -> [u8; 16] {
        sluice_seal::keys::track_iv(self.video, rung)
    }

    /// Whole segments: a key for each rung, since numbers are their vectors. By patterns: one for all, so that a player
    /// that changes rungs needs no other licence.
    const fn scope<'r>(&self, rung: &'r RungName) -> Scope<'r> {
        match self.protection {
            Protection::Aes128 => Scope::Rung(rung),
            Protection::Cbcs | Protection::None => Scope::Video,
        }
    }
}
