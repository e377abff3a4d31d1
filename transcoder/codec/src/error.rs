//! Why the codec gives up.

use sluice_wire::codec::CodecFailure;

/// What went wrong, in words that a person who uploaded something understands.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The container cannot be read.
    #[error(
        "this is not a video or audio file that can be read (MP4, MOV, MKV, WebM, MPEG-TS, MP3, AAC, FLAC, Ogg and WAV can): {0}"
    )]
    NotMedia(String),
    /// Nothing in it can be decoded.
    #[error("the file has no picture and no sound that can be decoded: {0}")]
    Undecodable(String),
    /// It is over a limit.
    #[error("the file is beyond what is accepted: {0}")]
    TooLarge(String),
    /// The encoder or the machine failed.
    #[error("the encoder failed: {0}")]
    Internal(String),
    /// The frames cannot be written.
    #[error("the output is gone: {0}")]
    Output(#[from] std::io::Error),
}

impl CodecError {
    pub(crate) const fn failure(&self) -> CodecFailure {
        match self {
            Self::NotMedia(_) => CodecFailure::NotMedia,
            Self::Undecodable(_) => CodecFailure::Undecodable,
            Self::TooLarge(_) => CodecFailure::TooLarge,
            Self::Internal(_) | Self::Output(_) => CodecFailure::Internal,
        }
    }

    /// Wraps what FFmpeg says of our own use of it.
    pub(crate) fn internal(doing: &str) -> impl FnOnce(ffmpeg_next::Error) -> Self + '_ {
        move |error| Self::Internal(format!("{doing}: {error}"))
    }
}
