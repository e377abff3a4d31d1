//! The frames between the transcoder and its codec child.
//!
//! The child is started as `sluice-codec probe` or `sluice-codec encode`, with the source open as descriptor
//! [`SOURCE_FD`]; for `encode` one [`EncodeRequest`] as JSON is written to its standard input, which is then closed. It
//! answers on standard output with frames: the length of the head (32 bits, big-endian), the length of the payload
//! (likewise), the head ([`CodecMessage`] as JSON), the payload. The last frame is [`CodecMessage::Done`] or
//! [`CodecMessage::Failed`]; an output that ends without either is a crash.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::ladder::{Ladder, Ratio, Source};
use crate::limits::{MAX_CODEC_FRAME, MAX_CODEC_HEAD};
use crate::media::RungName;

/// The child's descriptor of its source: open, read-only, at its beginning. The child knows no name of it.
pub const SOURCE_FD: i32 = 3;

/// What the child is asked to encode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncodeRequest {
    /// The source as probed before.
    pub source: Source,
    /// The rungs to make.
    pub ladder: Ladder,
    /// For each rung the first segment that is wanted; those before it are stored already. Rungs not named start at 0.
    pub resume: Vec<(RungName, u32)>,
    /// True when a poster is wanted.
    pub poster: bool,
}

/// A frame's head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "frame", rename_all = "snake_case")]
#[non_exhaustive]
pub enum CodecMessage {
    /// What `probe` saw. No payload.
    Probed {
        /// The source.
        source: Source,
    },
    /// A rung's CMAF header is the payload. Sent before any segment of the rung, also when resuming.
    Init {
        /// The rung.
        rung: RungName,
        /// RFC 6381 codecs string, read from the encoded parameter sets.
        codecs: String,
        /// Ticks a second.
        timescale: u32,
        /// Size as encoded; 0 for audio.
        width: u32,
        /// Size as encoded; 0 for audio.
        height: u32,
        /// Frames a second; 0/1 for audio.
        frame_rate: Ratio,
    },
    /// A rung's segment is the payload: one or more `moof` + `mdat` pairs, the first sample a keyframe.
    Segment {
        /// The rung.
        rung: RungName,
        /// Counted from 0.
        seq: u32,
        /// Presentation time of the first sample, in ticks.
        start: u64,
        /// How long it lasts when presented, in ticks; samples that an edit list hides are not counted.
        duration: u64,
    },
    /// The poster is the payload (JPEG).
    Poster {
        /// Width.
        width: u32,
        /// Height.
        height: u32,
    },
    /// Media decoded so far. No payload.
    Progress {
        /// Milliseconds of media.
        done_ms: u64,
    },
    /// The source is at its end and everything has been sent. No payload.
    Done {
        /// The true length: the end of the last decoded picture or sample, in milliseconds.
        duration_ms: u64,
        /// What was wrong though something could be shown, for a person to read: a truncated source, say.
        damage: Option<String>,
    },
    /// It cannot be done. No payload.
    Failed {
        /// Whose fault, and whether to try again.
        reason: CodecFailure,
        /// For a person to read.
        detail: String,
    },
}

/// Why the child gave up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CodecFailure {
    /// Not a media file, or in a container that is not accepted.
    NotMedia,
    /// A media file with neither a picture nor sound that can be decoded.
    Undecodable,
    /// Larger, longer or with more tracks than the limits allow.
    TooLarge,
    /// The encoder or the machine failed: try again.
    Internal,
}

impl CodecFailure {
    /// The name in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotMedia => "not_media",
            Self::Undecodable => "undecodable",
            Self::TooLarge => "too_large",
            Self::Internal => "internal",
        }
    }

    /// True when another try may end differently.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::Internal)
    }
}

/// Why a stream of frames cannot be read on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// A length above its limit.
    #[error("a frame of {0} bytes is over the limit")]
    TooLong(usize),
    /// The head is not the JSON of a [`CodecMessage`].
    #[error("bad frame head: {0}")]
    Head(String),
}

/// Bytes of the two lengths.
const PREFIX: usize = 8;

/// Writes one frame.
///
/// # Errors
/// [`FrameError::TooLong`] when the payload is over [`MAX_CODEC_FRAME`].
pub fn encode(message: &CodecMessage, payload: &[u8]) -> Result<Bytes, FrameError> {
    let head = serde_json::to_vec(message).map_err(|e| FrameError::Head(e.to_string()))?;
    if payload.len() > MAX_CODEC_FRAME || head.len() > MAX_CODEC_HEAD {
        return Err(FrameError::TooLong(payload.len().max(head.len())));
    }
    let mut frame = BytesMut::with_capacity(PREFIX + head.len() + payload.len());
    frame.put_u32(head.len() as u32);
    frame.put_u32(payload.len() as u32);
    frame.put_slice(&head);
    frame.put_slice(payload);
    Ok(frame.freeze())
}

/// Takes one whole frame off the front of a buffer; `None` until all of it is there.
///
/// # Errors
/// [`FrameError`]; the stream cannot be read on after it.
pub fn decode(buffer: &mut BytesMut) -> Result<Option<(CodecMessage, Bytes)>, FrameError> {
    let Some(mut prefix) = buffer.get(..PREFIX) else { return Ok(None) };
    let (head, payload) = (prefix.get_u32() as usize, prefix.get_u32() as usize);
    if head > MAX_CODEC_HEAD || payload > MAX_CODEC_FRAME {
        return Err(FrameError::TooLong(head.max(payload)));
    }
    if buffer.len() < PREFIX + head + payload {
        buffer.reserve(PREFIX + head + payload - buffer.len());
        return Ok(None);
    }
    buffer.advance(PREFIX);
    let head = buffer.split_to(head);
    let payload = buffer.split_to(payload).freeze();
    let message = serde_json::from_slice(&head).map_err(|e| FrameError::Head(e.to_string()))?;
    Ok(Some((message, payload)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn frames_survive_any_cut(payload in prop::collection::vec(any::<u8>(), 0..300), cut in 1usize..40, seq: u32) {
            let message = CodecMessage::Segment { rung: RungName::new("v240").unwrap(), seq, start: 7, duration: 9 };
            let bytes = [encode(&message, &payload).unwrap(), encode(&message, &[]).unwrap()].concat();
            let mut buffer = BytesMut::new();
            let mut got = Vec::new();
            for piece in bytes.chunks(cut) {
                buffer.extend_from_slice(piece);
                while let Some(frame) = decode(&mut buffer).unwrap() {
                    got.push(frame);
                }
            }
            prop_assert_eq!(got, vec![(message.clone(), Bytes::from(payload)), (message, Bytes::new())]);
        }

        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut buffer = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = decode(&mut buffer) {}
        }
    }
}
