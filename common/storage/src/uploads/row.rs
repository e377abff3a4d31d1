//! What an upload's rows say.

use std::collections::BTreeMap;

use sluice_wire::UploadId;

use crate::database::entity::{part, upload};
use crate::database::{flag, from_json, unsigned, unsigned32};
use crate::error::StorageError;

/// An upload's place in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UploadState {
    /// It takes more.
    Open,
    /// All of it is here.
    Complete,
    /// It was deleted, and others have its pieces. Nobody is told of it.
    Kept,
}

impl UploadState {
    /// The name in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Complete => "complete",
            Self::Kept => "kept",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Open, Self::Complete, Self::Kept].into_iter().find(|s| s.as_str() == name)
    }
}

/// What an upload is to others (tus 1.0, concatenation).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UploadKind {
    /// It takes bytes and becomes a video.
    Whole,
    /// It takes bytes, has no video, and is joined into a final one.
    Partial,
    /// It takes no bytes: it is made of partial ones, and becomes a video.
    Final,
    /// It becomes a video, and its pieces are stored by its client: they do not pass through an origin.
    Direct,
    /// It becomes a video, and its bytes are fetched: no client sends any. It ends with its fetch, at no other time.
    Fetched,
}

impl UploadKind {
    /// The name in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Partial => "partial",
            Self::Final => "final",
            Self::Direct => "direct",
            Self::Fetched => "fetched",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        let all = [Self::Whole, Self::Partial, Self::Final, Self::Direct, Self::Fetched];
        all.into_iter().find(|k| k.as_str() == name)
    }
}

/// An upload to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUpload {
    /// Its id, equal in number to its video's, if it has one.
    pub id: UploadId,
    /// What it is to others.
    pub kind: UploadKind,
    /// Whose it is; empty when nobody is told apart.
    pub owner: String,
    /// The file's name as the client gave it.
    pub name: String,
    /// Its length in bytes, if known already.
    pub length: Option<u64>,
    /// What the client said of it.
    pub metadata: BTreeMap<String, String>,
    /// When it may be thrown away, in Unix milliseconds.
    pub expires_ms: u64,
    /// The state of the running hash before the first byte.
    pub hash_state: Vec<u8>,
}

/// An upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Its id, equal in number to its video's, if it has one.
    pub id: UploadId,
    /// What it is to others.
    pub kind: UploadKind,
    /// Whose it is; empty when nobody is told apart.
    pub owner: String,
    /// The file's name as the client gave it.
    pub name: String,
    /// Its length in bytes, if known already.
    pub length: Option<u64>,
    /// Bytes that are here, durably.
    pub offset: u64,
    /// What the client said of it.
    pub metadata: BTreeMap<String, String>,
    /// When it may be thrown away, in Unix milliseconds.
    pub expires_ms: u64,
    /// Its state.
    pub state: UploadState,
    /// The state of the running hash at `offset`.
    pub hash_state: Vec<u8>,
    /// When it began, in Unix milliseconds.
    pub created_ms: u64,
    /// For a partial one that was joined: the final one.
    pub whole: Option<UploadId>,
    /// The SHA-256 of all of it in lower-case hex, once known.
    pub sha256: Option<String>,
    /// The upload whose pieces its bytes are, when they are another's.
    pub holder: Option<UploadId>,
    /// How many of its bytes `hash_state` is over, where that is made once the upload is complete.
    pub hashed: u64,
}

/// A stored piece of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The upload.
    pub upload: UploadId,
    /// The number in its object's key; unique in the upload, but the order is by offset.
    pub index: u32,
    /// Where it begins, in bytes.
    pub offset: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its SHA-256 in lower-case hex.
    pub sha256: String,
}

pub(super) fn id_of(id: i64) -> Result<UploadId, StorageError> {
    UploadId::from_u64(unsigned("uploads.id", id)?).map_err(|e| StorageError::Corrupt(e.to_string()))
}

impl TryFrom<upload::Model> for Upload {
    type Error = StorageError;

    fn try_from(row: upload::Model) -> Result<Self, StorageError> {
        Ok(Self {
            id: id_of(row.id)?,
            kind: flag("uploads.kind", &row.kind, UploadKind::parse)?,
            owner: row.owner,
            name: row.name,
            length: row.length.map(|v| unsigned("uploads.length", v)).transpose()?,
            offset: unsigned("uploads.received", row.received)?,
            metadata: from_json("uploads.metadata", &row.metadata)?,
            expires_ms: unsigned("uploads.expires_ms", row.expires_ms)?,
            state: flag("uploads.state", &row.state, UploadState::parse)?,
            hash_state: row.hash_state,
            created_ms: unsigned("uploads.created_ms", row.created_ms)?,
            whole: row.whole.map(id_of).transpose()?,
            sha256: row.sha256,
            holder: row.holder.map(id_of).transpose()?,
            hashed: unsigned("uploads.hashed", row.hashed)?,
        })
    }
}

impl TryFrom<part::Model> for Part {
    type Error = StorageError;

    fn try_from(row: part::Model) -> Result<Self, StorageError> {
        Ok(Self {
            upload: id_of(row.upload)?,
            index: unsigned32("parts.number", row.number)?,
            offset: unsigned("parts.start", row.start)?,
            bytes: unsigned("parts.bytes", row.bytes)?,
            sha256: row.sha256,
        })
    }
}
