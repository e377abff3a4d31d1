//! What the transcoder and its codec child say to each other.
//!
//! The child is started as `sluice-codec probe`, `encode`, `judge`, `text` or `storyboard`. It has the source as descriptor
//! [`SOURCE_FD`], a file of which not all bytes need to be there yet. On its standard input it reads [`Order`]s, each the
//! length of its JSON (32 bits, big-endian) and the JSON: for each but `probe` first what to make, then what becomes known
//! of the source. It answers on standard output with frames: the length of the head (32 bits, big-endian), the length of
//! the payload (likewise), the head ([`CodecMessage`] as JSON), the payload. The last frame is [`CodecMessage::Done`],
//! [`CodecMessage::Probed`], [`CodecMessage::Judged`] or [`CodecMessage::Failed`]; an output that ends without one is a crash.
//!
//! Media is encoded in *chunks* of [`CHUNK_SEGMENTS`](crate::limits::CHUNK_SEGMENTS) segments. A chunk is decoded from
//! the last keyframe at or before its start by a decoder of its own, and each segment is encoded by an encoder of its own,
//! so that a segment is a function of the source's bytes from that keyframe on and of the settings: whoever makes it, and
//! whatever was made before it, gets the same bytes, under the same [`Digest`].

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::ladder::{Ladder, Point, Ratio, Source};
use crate::limits::{MAX_CODEC_FRAME, MAX_CODEC_HEAD};
use crate::media::{Digest, RungName};
use crate::text::TextName;

/// The source's descriptor in the child: the first after the three that every process has.
pub const SOURCE_FD: i32 = 3;

/// What is written to the child's standard input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum Order {
    /// What to make. The first order of `encode`.
    Encode(Box<EncodeRequest>),
    /// Whose rungs to measure. The first order of `judge`.
    Judge(Box<JudgeRequest>),
    /// Whose text to read: that of a source whose first moment is here. The first order of `text`.
    Text {
        /// In microseconds of the container's clock.
        zero_us: i64,
    },
    /// Sheets of small pictures to make. The first order of `storyboard`.
    Sheets(SheetWork),
    /// The source has so many bytes in all.
    Length {
        /// Bytes.
        bytes: u64,
    },
    /// The source is still coming: one who skips ahead may wait for as long as an upload takes. This or `Complete` is said
    /// before anything is read.
    Growing,
    /// The source is complete: what is asked for comes, however far on it is.
    Complete,
    /// These bytes of the source are in the file now. Until an order says so, they are not.
    Here {
        /// The first.
        from: u64,
        /// One past the last.
        to: u64,
    },
}

impl Order {
    /// What is said of a source of which all is there.
    #[must_use]
    pub const fn whole(bytes: u64) -> [Self; 3] {
        [Self::Length { bytes }, Self::Complete, Self::Here { from: 0, to: bytes }]
    }
}

/// What the child is asked to encode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncodeRequest {
    /// The source as probed before.
    pub source: Source,
    /// All rungs of the video.
    pub ladder: Ladder,
    /// The chunks to make, ascending, without a gap.
    pub chunks: Vec<ChunkWork>,
    /// Video rungs of the chunks whose segments are to be named, and not made.
    pub named: Vec<RungName>,
    /// True to go on after the last of them, with its rungs, until the source ends.
    pub onward: bool,
    /// True when a poster is wanted.
    pub poster: bool,
}

/// What the child is asked to measure: what each rung of a ladder needs and gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgeRequest {
    /// The source as probed before.
    pub source: Source,
    /// All rungs that could be made of it.
    pub ladder: Ladder,
}

/// Sheets to make: each keyframe is a tile, in rows from left to right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SheetWork {
    /// Pixels of a tile.
    pub width: u32,
    /// Pixels of a tile.
    pub height: u32,
    /// Tiles in a row.
    pub columns: u32,
    /// Rows of a sheet.
    pub rows: u32,
}

/// A chunk to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChunkWork {
    /// Counted from 0.
    pub chunk: u32,
    /// The rungs to make, each with the first segment that is wanted: those before it are stored already.
    pub rungs: Vec<(RungName, u32)>,
}

/// One of the two that are made side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Track {
    /// All video rungs.
    Picture,
    /// All audio rungs.
    Sound,
}

/// A keyframe in a segment: a fragment (`moof`, `mdat`) of its own begins with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Where its fragment begins in the segment, in bytes.
    pub offset: u32,
    /// Bytes from there to the end of the keyframe: what a player needs to show it.
    pub bytes: u32,
    /// Ticks until the next keyframe or the segment's end.
    pub duration: u32,
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
    /// What `judge` measured. No payload.
    Judged {
        /// Of each rung at each factor; empty where too little can be known.
        points: Vec<Point>,
    },
    /// Somebody waits for these bytes of the source. No payload.
    Want {
        /// The first.
        from: u64,
        /// One past the last that will be read soon.
        to: u64,
    },
    /// The source's first group of pictures was read whole. No payload.
    Group {
        /// Where the next one begins in the source, in bytes.
        end: u64,
    },
    /// A rung's CMAF header is the payload. Sent before any segment of the rung, by each child.
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
        /// Digest of what it was made from: the source's packets, as far as they were read, and the settings.
        digest: Digest,
        /// Presentation time of the first sample, in ticks.
        start: u64,
        /// How long it lasts when presented, in ticks; samples that an edit list hides are not counted.
        duration: u64,
        /// Its keyframes; empty for sound.
        keys: Vec<Key>,
    },
    /// A segment of a rung that is to be named and not made: what is said of one that is, but for its keyframes. No payload.
    Named {
        /// The rung.
        rung: RungName,
        /// Counted from 0.
        seq: u32,
        /// The digest that it will have when it is made.
        digest: Digest,
        /// Presentation time of the first sample, in ticks.
        start: u64,
        /// How long it lasts when presented, in ticks.
        duration: u64,
    },
    /// All segments of a chunk's track have been sent. No payload.
    Chunk {
        /// Counted from 0.
        chunk: u32,
        /// Which track.
        track: Track,
        /// True when the track ends in this chunk or before it.
        last: bool,
    },
    /// The poster is the payload (JPEG).
    Poster {
        /// Width.
        width: u32,
        /// Height.
        height: u32,
    },
    /// A text track of the source is the payload (WebVTT).
    Text {
        /// What it is for, and its language.
        name: TextName,
        /// What people choose it by.
        label: String,
    },
    /// A sheet of small pictures is the payload (JPEG).
    Sheet {
        /// Counted from 0.
        sheet: u32,
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

/// Writes one order.
///
/// # Errors
/// [`FrameError::TooLong`] when its JSON is over [`MAX_CODEC_HEAD`].
pub fn encode_order(order: &Order) -> Result<Bytes, FrameError> {
    let text = serde_json::to_vec(order).map_err(|e| FrameError::Head(e.to_string()))?;
    if text.len() > MAX_CODEC_HEAD {
        return Err(FrameError::TooLong(text.len()));
    }
    let mut out = BytesMut::with_capacity(4 + text.len());
    out.put_u32(text.len() as u32);
    out.put_slice(&text);
    Ok(out.freeze())
}

/// Reads the next order of a blocking stream; `None` at its end.
///
/// # Errors
/// What reading gives; `InvalidData` for what is no order.
pub fn read_order(stream: &mut impl std::io::Read) -> std::io::Result<Option<Order>> {
    use std::io::{Error, ErrorKind};
    let mut length = [0; 4];
    match stream.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = u32::from_be_bytes(length) as usize;
    if length > MAX_CODEC_HEAD {
        return Err(Error::new(ErrorKind::InvalidData, FrameError::TooLong(length)));
    }
    let mut text = vec![0; length];
    stream.read_exact(&mut text)?;
    serde_json::from_slice(&text).map(Some).map_err(|error| Error::new(ErrorKind::InvalidData, error))
}

/// Bytes of the two lengths.
const PREFIX: usize = 8;

/// Writes one frame.
///
/// # Errors
/// [`FrameError::TooLong`] when the payload is over [`MAX_CODEC_FRAME`], or the head's JSON over [`MAX_CODEC_HEAD`].
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
/// [`FrameError::TooLong`] for lengths over [`MAX_CODEC_HEAD`] and [`MAX_CODEC_FRAME`], [`FrameError::Head`] for a head that is
/// none; the stream cannot be read on after it.
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
            let (rung, digest) = (RungName::new("v240").unwrap(), Digest([7; 16]));
            let message = CodecMessage::Segment { rung, seq, digest, start: 7, duration: 9, keys: vec![] };
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
        fn orders_come_back(from: u64, to: u64) {
            let order = Order::Here { from, to };
            let bytes = [encode_order(&order).unwrap(), encode_order(&order).unwrap()].concat();
            let mut stream = &bytes[..];
            prop_assert_eq!(read_order(&mut stream).unwrap(), Some(order.clone()));
            prop_assert_eq!(read_order(&mut stream).unwrap(), Some(order));
            prop_assert_eq!(read_order(&mut stream).unwrap(), None);
        }

        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut buffer = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = decode(&mut buffer) {}
        }
    }
}
