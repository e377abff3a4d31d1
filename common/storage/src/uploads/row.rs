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
}

impl UploadState {
    /// The name in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Complete => "complete",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Open, Self::Complete].into_iter().find(|s| s.as_str() == name)
    }
}

/// An upload to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUpload {
    /// Its id, equal in number to its video's.
    pub id: UploadId,
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
    /// Its id, equal in number to its video's.
    pub id: UploadId,
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
}

/// A stored piece of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The upload.
    pub upload: UploadId,
    /// The number in its object's key; unique in the upload, but the order is by offset.
    pub index: u32,
    /// Where it begins.
    pub offset: u64,
    /// Its size.
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
            name: row.name,
            length: row.length.map(|v| unsigned("uploads.length", v)).transpose()?,
            offset: unsigned("uploads.received", row.received)?,
            metadata: from_json("uploads.metadata", &row.metadata)?,
            expires_ms: unsigned("uploads.expires_ms", row.expires_ms)?,
            state: flag("uploads.state", &row.state, UploadState::parse)?,
            hash_state: row.hash_state,
            created_ms: unsigned("uploads.created_ms", row.created_ms)?,
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
