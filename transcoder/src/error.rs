//! Why a job ends before its end, and why the codec is not started.

use crate::sandbox::Wall;
use sluice_storage::StorageError;
use sluice_wire::codec::CodecFailure;

/// What the worker does about it is the variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum JobError {
    /// The source cannot be shown: the video has failed, for this reason.
    #[error("{detail}")]
    Source {
        /// What kind of fault.
        reason: CodecFailure,
        /// For the person who uploaded it.
        detail: String,
    },
    /// Something here failed: another try may do better.
    #[error("{0}")]
    Again(String),
    /// Another worker has the job: nothing more may be written.
    #[error("the job is no longer ours")]
    Lost,
    /// A row or an object is not there. That may mean that the video was deleted; whoever did the job looks.
    #[error("missing: {0}")]
    Missing(String),
    /// Nothing more of the source came for long, or the store or the database is out: the worker does something else, and
    /// comes back. It is no attempt.
    #[error("what is needed next is not there yet")]
    Idle,
    /// Another video's turn has come: the rest of this one is a job as before.
    #[error("it is another video's turn")]
    Turn,
    /// Made anew, a video would be what it is.
    #[error("by the policy of now it would be the same; it can be forced")]
    Same,
    /// The video was deleted: nobody wants the rest.
    #[error("the video was deleted")]
    Gone,
}

impl JobError {
    /// The outcome in metrics.
    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            Self::Source { .. } => "failed",
            Self::Again(_) | Self::Missing(_) => "again",
            Self::Lost => "lost",
            Self::Idle => "idle",
            Self::Turn => "turn",
            Self::Same => "same",
            Self::Gone => "gone",
        }
    }
}

impl From<StorageError> for JobError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Fenced => Self::Lost,
            StorageError::NotFound(what) => Self::Missing(what),
            StorageError::Unavailable { .. } => {
                tracing::warn!(%error, "the job waits for its storage");
                Self::Idle
            }
            other => Self::Again(other.to_string()),
        }
    }
}

impl From<std::io::Error> for JobError {
    fn from(error: std::io::Error) -> Self {
        Self::Again(error.to_string())
    }
}

/// Why the codec is not started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// A wall cannot be put up on this machine.
    #[error(
        "sandbox: the codec is not started without the wall `{}`: {why}; it needs {} \
         (sandbox = \"best-effort\" goes without, on a developer's machine)",
        wall.as_str(), wall.needs()
    )]
    Missing {
        /// Which.
        wall: Wall,
        /// What the system said.
        why: std::io::Error,
    },
    /// The program cannot be run behind the walls.
    #[error("sandbox: {0}")]
    Program(String),
}

impl From<SandboxError> for JobError {
    fn from(error: SandboxError) -> Self {
        Self::Again(error.to_string())
    }
}
