//! Progressive MP4 over stored segments: an index in front (`head`), then the segments as they are stored. Nothing is
//! encoded or copied: the index points at samples inside the segments, whose own heads are bytes that it passes over.
//!
//! The index of a whole rung takes a short read of each fragment; it is stored under the digest of all that it is made
//! from, so that the next one who asks gets it from there.

mod fragment;
mod head;
mod table;

use super::{Served, missing, playlist, rates};
use crate::again;
use crate::origin::State;
use bytes::Bytes;
use fragment::Fragment;
use futures::{StreamExt, TryStreamExt, stream};
use head::Track;
use sha2::{Digest as _, Sha256};
use sluice_platform::ApiError;
use sluice_storage::{Objects, Rendition, RenditionKind, SegmentRow, StorageError};
use sluice_wire::ladder::VideoCodec;
use sluice_wire::{Digest, MediaPath, ObjectKey, RungName, VideoId};
use std::ops::Range;

/// Fragments whose heads are read at a time.
const PARALLEL: usize = 16;
/// Bytes of a header: parameter sets and a few boxes.
const MAX_INIT: u64 = 64 << 10;
/// What an index is like; another number for each change, since old ones stay in the store.
const EDITION: &[u8] = b"progressive 1";
/// The short side of the picture that a preview has, about.
const PREVIEW_SIDE: u32 = 360;

/// Bytes that follow each other.
#[derive(Debug, Clone)]
pub(super) enum Piece {
    /// These.
    Bytes(Bytes),
    /// An object of this size.
    Object(ObjectKey, u64),
}

/// A file of pieces.
#[derive(Debug, Clone)]
pub(super) struct Joined {
    pub(super) pieces: Vec<Piece>,
    pub(super) etag: String,
}

impl Piece {
    fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Object(_, size) => *size,
        }
    }
}

impl Joined {
    /// Bytes of all pieces.
    pub(super) fn size(&self) -> u64 {
        self.pieces.iter().map(Piece::size).sum()
    }

    /// The pieces that a range lies in, each with the part of it.
    fn cut(self, range: &Range<u64>) -> Vec<(Piece, Range<u64>)> {
        let mut at = 0;
        let mut parts = vec![];
        for piece in self.pieces {
            let (from, to) = (at, at + piece.size());
            at = to;
            let part = from.max(range.start)..to.min(range.end);
            if part.start < part.end {
                parts.push((piece, part.start - from..part.end - from));
            }
        }
        parts
    }

    /// The bytes of a range, one piece after the other.
    pub(super) fn stream(
        self,
        objects: Objects,
        range: &Range<u64>,
    ) -> impl futures::Stream<Item = Result<Bytes, StorageError>> + Send + 'static {
        let parts = stream::iter(self.cut(range));
        let opened = parts.then(move |(piece, part)| {
            let objects = objects.clone();
            async move {
                Ok::<_, StorageError>(match piece {
                    Piece::Bytes(bytes) => {
                        let (from, to) = (part.start as usize, part.end as usize);
                        stream::once(async move { Ok(bytes.slice(from..to)) }).boxed()
                    }
                    Piece::Object(key, _) => objects.get_range(&key, part).await?.stream,
                })
            }
        });
        opened.try_flatten()
    }
}

/// A rung and its segments.
struct Rung {
    rendition: Rendition,
    segments: Vec<SegmentRow>,
}

/// A whole rung with the sound, once both are whole; of a rung of sound that alone.
pub(super) async fn download(
    state: &State,
    path: &MediaPath,
    shown: VideoId,
    name: &RungName,
) -> Result<Served, ApiError> {
    let videos = state.storage.videos();
    let media = videos.media(shown).await?;
    let is_sound = |r: &Rendition| r.kind == RenditionKind::Audio;
    let wanted = media.renditions.iter().find(|r| r.rung == *name).ok_or_else(|| missing(path))?;
    let sound = media.renditions.iter().find(|r| is_sound(r) && !is_sound(wanted));
    let mut rungs = vec![];
    for rendition in [Some(wanted), sound].into_iter().flatten() {
        let mut segments = videos.segments(shown, &rendition.rung).await?;
        if segments.is_empty() || !playlist::is_whole(rendition, &segments) {
            return Err(missing(path));
        }
        again::whole(state, shown, &rendition.rung, 0..u32::MAX).await?;
        if !rates::are_made(&segments) {
            // The last of them was made just now.
            segments = videos.segments(shown, &rendition.rung).await?;
        }
        rungs.push(Rung { rendition: rendition.clone(), segments });
    }
    let digest = digest(&rungs);
    let key = ObjectKey::Download(path.video, name.clone(), digest);
    let size = match state.storage.objects.head(&key).await {
        Ok(meta) => meta.size,
        Err(StorageError::NotFound(_)) => {
            let head = head(&state.storage.objects, &rungs).await?;
            let size = head.len() as u64;
            state.storage.objects.put_if_absent(&key, head.into()).await?;
            size
        }
        Err(error) => return Err(error.into()),
    };
    let mut pieces = vec![Piece::Object(key, size)];
    pieces.extend(interleaved(&rungs).map(|(_, row)| Piece::Object(segment_key(row), row.bytes)));
    Ok(Served::Joined(Joined { pieces, etag: digest.to_string() }))
}

/// A few seconds from within the video, without sound.
pub(super) async fn preview(state: &State, path: &MediaPath, shown: VideoId) -> Result<Served, ApiError> {
    let videos = state.storage.videos();
    let media = videos.media(shown).await?;
    // What every device plays.
    let h264 = |r: &Rendition| VideoCodec::of_codecs(&r.codecs).is_some_and(|codec| codec.is_h264());
    let mut pictures: Vec<Rendition> = media.renditions.into_iter().filter(h264).collect();
    pictures.sort_by_key(|r| r.width.min(r.height).abs_diff(PREVIEW_SIDE));
    let (rendition, chosen) = previewed(state, pictures).await?.ok_or_else(|| missing(path))?;
    again::whole(state, shown, &rendition.rung, chosen.seq..chosen.seq + 1).await?;
    let rungs = [Rung { rendition, segments: vec![chosen] }];
    let head = head(&state.storage.objects, &rungs).await?;
    let etag = digest(&rungs).to_string();
    let pieces = interleaved(&rungs).map(|(_, row)| Piece::Object(segment_key(row), row.bytes));
    Ok(Served::Joined(Joined {
        pieces: std::iter::once(Piece::Bytes(head.into())).chain(pieces).collect(),
        etag,
    }))
}

/// The first of these rungs that is at its end and has the segment that is shown of it. For a preview nothing is made that nobody
/// has watched.
async fn previewed(
    state: &State,
    pictures: Vec<Rendition>,
) -> Result<Option<(Rendition, SegmentRow)>, StorageError> {
    for rendition in pictures.into_iter().filter(|rendition| rendition.ended) {
        let mut segments = state.storage.videos().segments(rendition.video, &rendition.rung).await?;
        if segments.is_empty() {
            continue;
        }
        // A quarter in: past titles, before the end is told.
        let chosen = segments.swap_remove(segments.len() / 4);
        if chosen.is_made() {
            return Ok(Some((rendition, chosen)));
        }
    }
    Ok(None)
}

/// What a file is made from: the same for the same bytes.
fn digest(rungs: &[Rung]) -> Digest {
    let mut hash = Sha256::new_with_prefix(EDITION);
    for rung in rungs {
        hash.update(rung.rendition.init.0);
        hash.update((rung.segments.len() as u64).to_be_bytes());
        rung.segments.iter().for_each(|row| hash.update(row.digest.0));
    }
    Digest::of_sha256(hash.finalize().into())
}

/// Segments in the order of the file: of those that begin at the same time the first rung's first.
fn interleaved(rungs: &[Rung]) -> impl Iterator<Item = (usize, &SegmentRow)> {
    let mut all: Vec<(usize, &SegmentRow)> = vec![];
    for (place, rung) in rungs.iter().enumerate() {
        all.extend(rung.segments.iter().map(|row| (place, row)));
    }
    let seconds = |place: usize, ticks: u64| {
        let scale = rungs.get(place).map_or(1, |rung| rung.rendition.timescale.max(1));
        ticks as f64 / f64::from(scale)
    };
    all.sort_by(|a, b| seconds(a.0, a.1.start).total_cmp(&seconds(b.0, b.1.start)).then(a.0.cmp(&b.0)));
    all.into_iter()
}

fn segment_key(row: &SegmentRow) -> ObjectKey {
    ObjectKey::Segment(row.video, row.rung.clone(), row.seq, row.digest)
}

/// Everything before the first segment.
async fn head(objects: &Objects, rungs: &[Rung]) -> Result<Vec<u8>, StorageError> {
    let mut tracks = vec![];
    for rung in rungs {
        let rendition = &rung.rendition;
        let key = ObjectKey::Init(rendition.video, rendition.rung.clone(), rendition.init);
        let init = objects.bytes(&key, MAX_INIT).await?;
        let (start, ticks) = (
            rung.segments.first().map_or(0, |row| row.start),
            rung.segments.iter().map(|row| row.duration).sum(),
        );
        // A part of a rung is shown from its own beginning on.
        let late = if rung.segments.first().is_some_and(|row| row.seq == 0) { start } else { 0 };
        let track = Track::new(&init, late, ticks);
        tracks.push(track.ok_or_else(|| StorageError::Corrupt(format!("{key} is no header of ours")))?);
    }
    let (mut at, mut reads) = (0, vec![]);
    for (place, row) in interleaved(rungs) {
        let offsets = match row.keys.as_slice() {
            [] => vec![0],
            keys => keys.iter().map(|key| u64::from(key.offset)).collect(),
        };
        reads.extend(offsets.into_iter().map(|offset| (place, segment_key(row), offset, at, row.bytes)));
        at += row.bytes;
    }
    let read = stream::iter(reads).map(|(place, key, offset, base, bytes)| async move {
        let fragment = Fragment::read(objects, &key, offset, bytes).await?;
        Ok::<_, StorageError>((place, base, fragment))
    });
    let mut read = read.buffered(PARALLEL);
    while let Some((place, base, fragment)) = read.try_next().await? {
        if let Some(track) = tracks.get_mut(place) {
            track.samples.add(base, &fragment);
        }
    }
    Ok(head::write(&tracks, at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_range_is_cut_out_of_the_pieces(sizes in prop::collection::vec(0usize..9, 0..8), from in 0u64..60, long in 0u64..60) {
            let mut whole: Vec<u8> = vec![];
            let pieces: Vec<Piece> = sizes.iter().enumerate().map(|(n, size)| {
                let bytes = vec![n as u8; *size];
                whole.extend(&bytes);
                Piece::Bytes(bytes.into())
            }).collect();
            let joined = Joined { pieces, etag: String::new() };
            prop_assert_eq!(joined.size(), whole.len() as u64);
            let (from, to) = (from.min(joined.size()), (from + long).min(joined.size()));
            let mut cut = vec![];
            for (piece, part) in joined.cut(&(from..to)) {
                let Piece::Bytes(bytes) = piece else { unreachable!() };
                cut.extend_from_slice(&bytes[part.start as usize..part.end as usize]);
            }
            prop_assert_eq!(&cut[..], &whole[from as usize..to as usize]);
        }
    }
}
