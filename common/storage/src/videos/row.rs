//! What a video's row says.

use serde_json::Value;
use sluice_wire::{Protection, Version, VideoId};

use super::media::video_id;
use crate::database::entity::{tag_version, video};
use crate::database::{flag, from_json, unsigned, unsigned32};
use crate::error::StorageError;

/// A video's place in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VideoState {
    /// Its source is being received.
    Uploading,
    /// Its source is complete and waits for a transcoder.
    Queued,
    /// It is being transcoded; what is done can be played.
    Processing,
    /// All of it can be played.
    Ready,
    /// It never will be; the error says why.
    Failed,
}

impl VideoState {
    /// The name in the database and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Uploading => "uploading",
            Self::Queued => "queued",
            Self::Processing => "processing",
            Self::Ready => "ready",
            Self::Failed => "failed",
        }
    }

    /// True when it changes no more by itself.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Ready | Self::Failed)
    }

    /// The state of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Uploading, Self::Queued, Self::Processing, Self::Ready, Self::Failed]
            .into_iter()
            .find(|s| s.as_str() == name)
    }
}

/// Who comes by a video.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Visibility {
    /// Everybody: it is in lists.
    #[default]
    Public,
    /// Whoever knows its address: it is in no list.
    Unlisted,
    /// Whoever has a token for it.
    Private,
}

impl Visibility {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Public, Self::Unlisted, Self::Private];

    /// The name in the database and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Unlisted => "unlisted",
            Self::Private => "private",
        }
    }

    /// The visibility of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|v| v.as_str() == name)
    }
}

/// A video to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewVideo {
    /// Its id, equal in number to its upload's.
    pub id: VideoId,
    /// The file's name as the client gave it.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// The state it begins in.
    pub state: VideoState,
    /// The source's size in bytes, if known.
    pub bytes: Option<u64>,
    /// The source's SHA-256 in lower-case hex, if known.
    pub sha256: Option<String>,
    /// The video that it is to be an edition of.
    pub edition_of: Option<VideoId>,
}

/// What probing a source found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SourceFacts {
    /// Its length in milliseconds.
    pub duration_ms: Option<u64>,
    /// Its width in pixels as shown; `None` without a picture.
    pub width: Option<u32>,
    /// Its height in pixels as shown; `None` without a picture.
    pub height: Option<u32>,
}

/// A video.
#[derive(Debug, Clone, PartialEq)]
pub struct Video {
    /// Its id.
    pub id: VideoId,
    /// The file's name as the client gave it.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// Its state.
    pub state: VideoState,
    /// How much of the transcoding is done, 0 to 1000.
    pub progress_permille: i32,
    /// The source's size in bytes, once known.
    pub bytes: Option<u64>,
    /// The source's SHA-256 in lower-case hex, once known.
    pub sha256: Option<String>,
    /// Its length in milliseconds, once probed.
    pub duration_ms: Option<u64>,
    /// The source's width in pixels, once probed.
    pub width: Option<u32>,
    /// The source's height in pixels, once probed.
    pub height: Option<u32>,
    /// Why it failed, in words for a person.
    pub error: Option<String>,
    /// The transcoder's plan.
    pub plan: Option<Value>,
    /// When it was added, in Unix milliseconds.
    pub created_ms: u64,
    /// When it last changed, in Unix milliseconds.
    pub updated_ms: u64,
    /// What people say of it.
    pub description: String,
    /// Its tags, in the order they were given.
    pub tags: Vec<String>,
    /// Who comes by it.
    pub visibility: Visibility,
    /// How its media is sealed for delivery.
    pub protection: Protection,
    /// When it was deleted, in Unix milliseconds; until it is removed it can be restored.
    pub deleted_ms: Option<u64>,
    /// The size of its poster in bytes; 0 while it has none.
    pub poster_bytes: u64,
    /// The video that this is an edition of.
    pub edition_of: Option<VideoId>,
    /// The edition whose media is shown; its own when absent.
    pub edition: Option<VideoId>,
    /// The edition that is being made.
    pub next_edition: Option<VideoId>,
    /// The version of its tag that this state belongs to.
    pub version: Version,
}

impl Video {
    /// Whose media is shown: an edition's, or its own.
    #[must_use]
    pub fn shown(&self) -> VideoId {
        self.edition.unwrap_or(self.id)
    }
}

/// What decides on whether a video's media may be had, without the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Its state.
    pub state: VideoState,
    /// Who comes by it.
    pub visibility: Visibility,
    /// How its media is sealed for delivery.
    pub protection: Protection,
    /// It is deleted, or no more than another's edition.
    pub deleted: bool,
    /// Whose media is shown: an edition's, or its own.
    pub shown: VideoId,
}

impl TryFrom<video::Model> for Video {
    type Error = StorageError;

    /// Everything but the version, which is another table's.
    fn try_from(row: video::Model) -> Result<Self, StorageError> {
        let pixels = |column, value: Option<i64>| value.map(|v| unsigned32(column, v)).transpose();
        Ok(Self {
            id: video_id(row.id)?,
            name: row.name,
            title: row.title,
            state: flag("videos.state", &row.state, VideoState::parse)?,
            progress_permille: i32::try_from(row.progress_permille.clamp(0, 1000)).unwrap_or(0),
            bytes: row.bytes.map(|v| unsigned("videos.bytes", v)).transpose()?,
            sha256: row.sha256,
            duration_ms: row.duration_ms.map(|v| unsigned("videos.duration_ms", v)).transpose()?,
            width: pixels("videos.width", row.width)?,
            height: pixels("videos.height", row.height)?,
            error: row.error,
            plan: row.plan.map(|text| from_json("videos.plan", &text)).transpose()?,
            created_ms: unsigned("videos.created_ms", row.created_ms)?,
            updated_ms: unsigned("videos.updated_ms", row.updated_ms)?,
            description: row.description,
            tags: from_json("videos.tags", &row.tags)?,
            visibility: flag("videos.visibility", &row.visibility, Visibility::parse)?,
            protection: flag("videos.protection", &row.protection, Protection::parse)?,
            deleted_ms: row.deleted_ms.map(|v| unsigned("videos.deleted_ms", v)).transpose()?,
            poster_bytes: unsigned("videos.poster_bytes", row.poster_bytes)?,
            edition_of: row.edition_of.map(video_id).transpose()?,
            edition: row.edition.map(video_id).transpose()?,
            next_edition: row.next_edition.map(video_id).transpose()?,
            version: Version(0),
        })
    }
}

pub(super) fn version_of(row: Option<&tag_version::Model>) -> Result<Version, StorageError> {
    Ok(Version(unsigned("tag_versions.version", row.map_or(0, |row| row.version))?))
}
