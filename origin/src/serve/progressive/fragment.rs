//! The head of a stored fragment (`moof`, ISO/IEC 14496-12, 8.8): which samples it has, and where.

use bytes::Bytes;
use futures::TryStreamExt;
use sluice_storage::{Objects, StorageError};
use sluice_wire::ObjectKey;

/// Bytes read at a fragment's beginning: its head with the samples of two seconds at 60 frames, or of four of sound.
const FIRST: u64 = 8 << 10;
/// Bytes of the largest head.
const MOST: u64 = 1 << 20;

/// A sample as a fragment has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) duration: u32,
    pub(super) size: u32,
    /// Presentation time less decoding time, in ticks.
    pub(super) offset: u32,
    pub(super) key: bool,
}

/// What a fragment's head says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fragment {
    /// Decoding time of the first sample.
    pub(super) decoded: u64,
    /// Where the first sample is in its segment.
    pub(super) data: u64,
    pub(super) samples: Vec<Sample>,
}

impl Fragment {
    /// Reads the first fragment of a segment that begins at `from` or after it.
    pub(super) async fn read(
        objects: &Objects,
        key: &ObjectKey,
        from: u64,
        bytes: u64,
    ) -> Result<Self, StorageError> {
        let read = async |most: u64| {
            let object = objects.get_range(key, from..(from + most).min(bytes)).await?;
            let pieces: Vec<Bytes> = object.stream.try_collect().await?;
            Ok::<_, StorageError>(pieces.concat())
        };
        let first = read(FIRST).await?;
        let found = match Self::parse(&first, from) {
            Some(found) => Some(found),
            None => Self::parse(&read(MOST).await?, from),
        };
        found.ok_or_else(|| StorageError::Corrupt(format!("{key} has no fragment at {from}")))
    }

    /// Reads the first fragment's head of these bytes, which are at `from` in their segment.
    fn parse(bytes: &[u8], from: u64) -> Option<Self> {
        let (mut rest, mut at) = (bytes, from);
        loop {
            let (kind, body, after) = next(rest)?;
            if kind == *b"moof" {
                return Self::of(body, at);
            }
            at += (rest.len() - after.len()) as u64;
            rest = after;
        }
    }

    fn of(moof: &[u8], at: u64) -> Option<Self> {
        let traf = find(moof, b"traf")?;
        let (tfdt, trun) = (find(traf, b"tfdt")?, find(traf, b"trun")?);
        let decoded = match tfdt.first()? {
            1 => u64::from_be_bytes(tfdt.get(4..12)?.try_into().ok()?),
            _ => u64::from(word(tfdt, 4)?),
        };
        // As our packager writes it: a data offset, and for each sample duration, size, flags and offset.
        if word(trun, 0)? & 0x00ff_ffff != FLAGS {
            return None;
        }
        let (count, data) = (word(trun, 4)? as usize, word(trun, 8)?);
        let table = trun.get(12..)?;
        if table.len() != count.checked_mul(16)? {
            return None;
        }
        let samples = table.chunks_exact(16).map(|row| {
            Some(Sample {
                duration: word(row, 0)?,
                size: word(row, 4)?,
                offset: word(row, 12)?,
                key: word(row, 8)? & NON_SYNC == 0,
            })
        });
        Some(Self { decoded, data: at + u64::from(data), samples: samples.collect::<Option<_>>()? })
    }
}

const FLAGS: u32 = 0x01 | 0x100 | 0x200 | 0x400 | 0x800;
/// Sample flags (8.8.3.1): is no sync sample.
const NON_SYNC: u32 = 0x0001_0000;

/// A big-endian word.
pub(super) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// The first box: its kind, what is in it, what is after it.
pub(super) fn next(bytes: &[u8]) -> Option<([u8; 4], &[u8], &[u8])> {
    let size = word(bytes, 0)? as usize;
    let kind = bytes.get(4..8)?.try_into().ok()?;
    Some((kind, bytes.get(8..size)?, bytes.get(size..)?))
}

/// What is in the first box of this kind.
pub(super) fn find<'b>(mut bytes: &'b [u8], kind: &[u8; 4]) -> Option<&'b [u8]> {
    loop {
        let (found, body, after) = next(bytes)?;
        if found == *kind {
            return Some(body);
        }
        bytes = after;
    }
}
