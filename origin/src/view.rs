//! A video's document, as clients read it.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sluice_storage::{Media, Rendition, RenditionKind, Video, VideoState};
use sluice_wire::ladder::{Ladder, Source, VideoCodec, VideoRange};
use sluice_wire::{MediaAsset, MediaPath, Protection, RungName, VideoId};
use std::collections::BTreeMap;

/// A video.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct VideoView {
    pub(crate) id: VideoId,
    name: String,
    title: String,
    #[serde(serialize_with = "state")]
    pub(crate) state: VideoState,
    progress: f64,
    playable: bool,
    duration_ms: Option<u64>,
    width: Option<u32>,
    height: Option<u32>,
    bytes: Option<u64>,
    sha256: Option<String>,
    error: Option<String>,
    created_ms: u64,
    description: String,
    tags: Vec<String>,
    visibility: &'static str,
    protection: &'static str,
    deleted_ms: Option<u64>,
    /// The video that this is an edition of.
    edition_of: Option<VideoId>,
    /// The edition that is being made of it.
    next_edition: Option<VideoId>,
    pub(crate) version: u64,
    rungs: Vec<RungView>,
    urls: Urls,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct RungView {
    name: RungName,
    kind: &'static str,
    width: u32,
    height: u32,
    frame_rate: f64,
    bandwidth: u64,
    average_bandwidth: u64,
    codecs: String,
    range: &'static str,
    segments: u64,
    done: bool,
    /// Segments of it are not stored, and are made when they are asked for.
    cold: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Urls {
    master: String,
    /// `None` while there is none.
    poster: Option<String>,
    /// Where a player asks for content keys, if it does.
    licence: Option<String>,
}

fn state<S: serde::Serializer>(state: &VideoState, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(state.as_str())
}

impl VideoView {
    pub(crate) fn new(video: Video, media: &Media) -> Self {
        let playable = is_playable(&video, media);
        let url = |asset| MediaPath { video: video.id, asset }.to_string();
        let poster = (video.poster_bytes > 0).then(|| url(MediaAsset::Poster));
        let licence = (video.protection == Protection::Cbcs).then(|| url(MediaAsset::Licence));
        let urls = Urls { master: url(MediaAsset::Master), poster, licence };
        let further = media.renditions.iter().any(is_further);
        let ranges = if further { ranges(&video) } else { BTreeMap::new() };
        let rungs = media.renditions.iter().map(|r| rung(r, media, &ranges)).collect();
        Self {
            id: video.id,
            state: video.state,
            progress: f64::from(video.progress_permille) / 1_000.0,
            playable,
            duration_ms: video.duration_ms,
            width: video.width,
            height: video.height,
            bytes: video.bytes,
            error: video.error,
            created_ms: video.created_ms,
            description: video.description,
            tags: video.tags,
            visibility: video.visibility.as_str(),
            protection: video.protection.as_str(),
            deleted_ms: video.deleted_ms,
            edition_of: video.edition_of,
            next_edition: video.next_edition,
            version: video.version.0,
            rungs,
            urls,
            name: video.name,
            title: video.title,
            sha256: video.sha256,
        }
    }
}

/// The ladder that the transcoder planned.
pub(crate) fn ladder(video: &Video) -> Option<Ladder> {
    planned(video, "ladder")
}

/// The ranges of the rungs that were planned to be wider than what every screen shows.
pub(crate) fn ranges(video: &Video) -> BTreeMap<RungName, VideoRange> {
    let beside = ladder(video).map(|ladder| ladder.beside).unwrap_or_default();
    beside.into_iter().filter(|rung| !rung.range.is_sdr()).map(|rung| (rung.name, rung.range)).collect()
}

/// True for pictures of another codec than H.264.
fn is_further(rendition: &Rendition) -> bool {
    VideoCodec::of_codecs(&rendition.codecs).is_some_and(|codec| !codec.is_h264())
}

/// The source as the transcoder saw it.
pub(crate) fn source(video: &Video) -> Option<Source> {
    planned(video, "source")
}

fn planned<T: DeserializeOwned>(video: &Video, part: &str) -> Option<T> {
    serde_json::from_value(video.plan.as_ref()?.get(part)?.clone()).ok()
}

/// True once the rungs that are made first have a segment. The others join them as they are made.
pub(crate) fn is_playable(video: &Video, media: &Media) -> bool {
    let Some(ladder) = ladder(video) else { return false };
    let mut first = ladder.first().peekable();
    first.peek().is_some()
        && video.state != VideoState::Failed
        && first.all(|name| media.segments.get(name).is_some_and(|count| *count > 0))
}

fn rung(rendition: &Rendition, media: &Media, ranges: &BTreeMap<RungName, VideoRange>) -> RungView {
    RungView {
        name: rendition.rung.clone(),
        kind: match rendition.kind {
            RenditionKind::Video => "video",
            RenditionKind::Audio => "audio",
        },
        width: rendition.width,
        height: rendition.height,
        frame_rate: f64::from(rendition.frame_rate_num) / f64::from(rendition.frame_rate_den.max(1)),
        bandwidth: rendition.bandwidth,
        average_bandwidth: rendition.average_bandwidth,
        codecs: rendition.codecs.clone(),
        range: ranges.get(&rendition.rung).copied().unwrap_or_default().as_str(),
        segments: media.segments.get(&rendition.rung).copied().unwrap_or_default(),
        done: rendition.ended,
        cold: media.cold.contains(&rendition.rung),
    }
}
