//! Published media: names of rungs, the URL grammar and the object-key grammar.
//!
//! ```text
//! /v/VIDEO/master.m3u8            /v/VIDEO/manifest.mpd               /v/VIDEO/poster.jpg
//! /v/VIDEO/RUNG/index.m3u8        /v/VIDEO/RUNG/init-DIGEST.mp4       /v/VIDEO/RUNG/SEQ-DIGEST.m4s
//! /v/VIDEO/RUNG/iframes.m3u8
//! /v/VIDEO/download/RUNG.mp4      /v/VIDEO/preview.mp4
//! /v/VIDEO/storyboard.vtt         /v/VIDEO/storyboard/SEQ-DIGEST.jpg  /v/VIDEO/chapters.json
//! /v/VIDEO/text/KIND.LANG/index.m3u8                /v/VIDEO/text/KIND.LANG/DIGEST.vtt
//!                                                   /v/VIDEO/text/KIND.LANG/SEQ-DIGEST.vtt
//!
//! /v/VIDEO/RUNG/init-DIGEST-KEYID.mp4      /v/VIDEO/RUNG/SEQ-DIGEST-KEYID.m4s      (sealed)
//! /v/VIDEO/keys/KEYID.key                  /v/VIDEO/licence
//!
//! uploads/UPLOAD/PART             a piece of a source, in order
//! media/VIDEO/RUNG/init-DIGEST.mp4       media/VIDEO/RUNG/SEQ-DIGEST.m4s     media/VIDEO/poster.jpg
//! media/VIDEO/text/KIND.LANG/DIGEST.vtt  media/VIDEO/download/RUNG-DIGEST.mp4
//! media/VIDEO/storyboard/SEQ-DIGEST.jpg
//! photos/PHOTO                    a photo of a post                   files/FILE    a file of a conversation
//! ```
//!
//! A segment is named by the digest of what it was made from, a header and a text track by that of its bytes: what a name means never
//! changes, and what was encoded anew has a new name.
//!
//! Each text has one spelling: what parses renders to the same text, so a cache key, an access rule and an object name
//! can never disagree.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

use crate::id::{FileId, PhotoId, UploadId, VideoId};
use crate::limits::{MAX_SEGMENT, SEGMENTS_PER_GROUP};
use crate::placement::PlacementKey;
use crate::seal::KeyId;
use crate::tag::Tag;
use crate::text::TextName;

/// Why a text is not a rung's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a rung is named by 1 to 16 characters of a-z and 0-9")]
pub struct RungNameError;

/// The name of one rendition of a video: `v720`, `a128`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RungName(String);

impl RungName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`RungNameError`] when it is not 1 to 16 characters of `a-z` and `0-9`.
    pub fn new(name: impl Into<String>) -> Result<Self, RungNameError> {
        let name = name.into();
        let ok = (1..=16).contains(&name.len())
            && name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
            && name != DOWNLOAD;
        if ok { Ok(Self(name)) } else { Err(RungNameError) }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RungName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for RungName {
    type Error = RungNameError;
    fn try_from(text: String) -> Result<Self, RungNameError> {
        Self::new(text)
    }
}

impl From<RungName> for String {
    fn from(rung: RungName) -> Self {
        rung.0
    }
}

/// What names something that never changes: the first 16 bytes of a SHA-256, in lower-case hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(pub [u8; 16]);

/// Why a text is not a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a digest is 32 characters of 0-9 and a-f")]
pub struct DigestError;

impl Digest {
    /// The first half of a SHA-256.
    #[must_use]
    pub fn of_sha256(sha256: [u8; 32]) -> Self {
        let mut half = [0; 16];
        half.copy_from_slice(&sha256[..16]);
        Self(half)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Digest {
    type Err = DigestError;
    fn from_str(text: &str) -> Result<Self, DigestError> {
        sixteen(text).map(Self).ok_or(DigestError)
    }
}

/// Sixteen bytes out of 32 digits.
pub(crate) fn sixteen(text: &str) -> Option<[u8; 16]> {
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let text: &[u8; 32] = text.as_bytes().try_into().ok()?;
    let mut bytes = [0; 16];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

impl TryFrom<String> for Digest {
    type Error = DigestError;
    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// One published resource of a video.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MediaAsset {
    /// The multivariant playlist (HLS).
    Master,
    /// The media presentation description (DASH).
    Manifest,
    /// The poster image (JPEG).
    Poster,
    /// A rung's media playlist.
    Playlist(RungName),
    /// A video rung's playlist of keyframes alone.
    Keyframes(RungName),
    /// A rung's CMAF header.
    Init(RungName, Digest),
    /// A rung's segment, counted from 0.
    Segment(RungName, u32, Digest),
    /// A rung's CMAF header that names a content key.
    SealedInit(RungName, Digest, KeyId),
    /// A rung's segment, encrypted with a content key.
    SealedSegment(RungName, u32, Digest, KeyId),
    /// A content key, as HLS fetches it.
    Key(KeyId),
    /// Where content keys are asked for (Encrypted Media Extensions, section 9.1).
    Licence,
    /// A rung and the sound in one MP4 file.
    Download(RungName),
    /// A few seconds without sound, as an MP4 file.
    Preview,
    /// Chapters, as Apple's players read them (JSON).
    Chapters,
    /// Where the small pictures of a storyboard are (WebVTT).
    Storyboard,
    /// A sheet of them (JPEG), counted from 0.
    Sheet(u32, Digest),
    /// A text track's media playlist.
    TextPlaylist(TextName),
    /// A whole text track (WebVTT).
    Text(TextName, Digest),
    /// A segment of a text track, counted from 0.
    TextSegment(TextName, u32, Digest),
}

/// The path of a published resource, without a query.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MediaPath {
    /// The video.
    pub video: VideoId,
    /// Which of its resources.
    pub asset: MediaAsset,
}

impl MediaPath {
    /// Reads a path. `None` for every text that [`fmt::Display`] would not write.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let (video, rest) = path.strip_prefix("/v/")?.split_once('/')?;
        Some(Self { video: video.parse().ok()?, asset: MediaAsset::parse(rest)? })
    }

    /// Tags of every answer at this path.
    #[must_use]
    pub fn tags(&self) -> Vec<Tag> {
        match &self.asset {
            MediaAsset::Text(..) | MediaAsset::TextSegment(..) => {
                vec![Tag::media(self.video), Tag::text(self.video)]
            }
            asset if asset.is_immutable() => vec![Tag::media(self.video)],
            _ => vec![Tag::video(self.video)],
        }
    }

    /// What decides which node owns this path: the video, the rung and about 60 s of media.
    #[must_use]
    pub fn placement(&self) -> PlacementKey {
        let group = |rung: &RungName, group: u32| format!("{}/{rung}/{group}", self.video);
        PlacementKey::of(&match &self.asset {
            MediaAsset::Master
            | MediaAsset::Manifest
            | MediaAsset::Poster
            | MediaAsset::Key(_)
            | MediaAsset::Licence
            | MediaAsset::Download(_)
            | MediaAsset::Preview
            | MediaAsset::Chapters
            | MediaAsset::Storyboard
            | MediaAsset::Sheet(..)
            | MediaAsset::TextPlaylist(_)
            | MediaAsset::Text(..)
            | MediaAsset::TextSegment(..) => self.video.to_string(),
            MediaAsset::Playlist(rung)
            | MediaAsset::Keyframes(rung)
            | MediaAsset::Init(rung, _)
            | MediaAsset::SealedInit(rung, ..) => group(rung, 0),
            MediaAsset::Segment(rung, seq, _) | MediaAsset::SealedSegment(rung, seq, ..) => {
                group(rung, seq / SEGMENTS_PER_GROUP)
            }
        })
    }
}

impl fmt::Display for MediaPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/v/{}/{}", self.video, self.asset)
    }
}

impl MediaAsset {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "master.m3u8" => return Some(Self::Master),
            "manifest.mpd" => return Some(Self::Manifest),
            "poster.jpg" => return Some(Self::Poster),
            "licence" => return Some(Self::Licence),
            "preview.mp4" => return Some(Self::Preview),
            "chapters.json" => return Some(Self::Chapters),
            "storyboard.vtt" => return Some(Self::Storyboard),
            _ => {}
        }
        let (rung, file) = text.split_once('/')?;
        if let Some((track, file)) = file.split_once('/').filter(|_| rung == TEXT) {
            return Self::parse_text(track.parse().ok()?, file);
        }
        if let Some(sheet) = file.strip_suffix(".jpg").filter(|_| rung == STORYBOARD) {
            let (seq, digest) = sheet.split_once('-')?;
            return Some(Self::Sheet(parse_number(seq, MAX_SEGMENT)?, digest.parse().ok()?));
        }
        if let ("keys", Some(id)) = (rung, file.strip_suffix(".key")) {
            return Some(Self::Key(id.parse().ok()?));
        }
        if rung == DOWNLOAD {
            return Some(Self::Download(RungName::new(file.strip_suffix(".mp4")?).ok()?));
        }
        let rung = RungName::new(rung).ok()?;
        match file {
            "index.m3u8" => Some(Self::Playlist(rung)),
            "iframes.m3u8" => Some(Self::Keyframes(rung)),
            _ => match file.strip_prefix("init-") {
                Some(rest) => Some(match sealed(rest.strip_suffix(".mp4")?)? {
                    (digest, None) => Self::Init(rung, digest),
                    (digest, Some(key)) => Self::SealedInit(rung, digest, key),
                }),
                None => {
                    let (seq, rest) = file.strip_suffix(".m4s")?.split_once('-')?;
                    let seq = parse_number(seq, MAX_SEGMENT)?;
                    Some(match sealed(rest)? {
                        (digest, None) => Self::Segment(rung, seq, digest),
                        (digest, Some(key)) => Self::SealedSegment(rung, seq, digest, key),
                    })
                }
            },
        }
    }

    fn parse_text(track: TextName, file: &str) -> Option<Self> {
        if file == "index.m3u8" {
            return Some(Self::TextPlaylist(track));
        }
        let file = file.strip_suffix(".vtt")?;
        match file.split_once('-') {
            None => Some(Self::Text(track, file.parse().ok()?)),
            Some((seq, digest)) => {
                Some(Self::TextSegment(track, parse_number(seq, MAX_SEGMENT)?, digest.parse().ok()?))
            }
        }
    }

    /// True for the resources whose bytes never change once published.
    #[must_use]
    pub const fn is_immutable(&self) -> bool {
        matches!(
            self,
            Self::Init(..)
                | Self::Segment(..)
                | Self::SealedInit(..)
                | Self::SealedSegment(..)
                | Self::Text(..)
                | Self::TextSegment(..)
                | Self::Sheet(..)
        )
    }

    /// The media type (RFC 8216 section 4, ISO/IEC 23009-1 annex C, RFC 6381).
    #[must_use]
    pub const fn content_type(&self) -> &'static str {
        match self {
            Self::Master | Self::Playlist(_) | Self::Keyframes(_) | Self::TextPlaylist(_) => {
                "application/vnd.apple.mpegurl"
            }
            Self::Text(..) | Self::TextSegment(..) | Self::Storyboard => "text/vtt",
            Self::Manifest => "application/dash+xml",
            Self::Chapters | Self::Licence => "application/json",
            Self::Poster | Self::Sheet(..) => "image/jpeg",
            Self::Init(..)
            | Self::Segment(..)
            | Self::SealedInit(..)
            | Self::SealedSegment(..)
            | Self::Download(_)
            | Self::Preview => "video/mp4",
            Self::Key(_) => "application/octet-stream",
        }
    }
}

impl fmt::Display for MediaAsset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Master => f.write_str("master.m3u8"),
            Self::Manifest => f.write_str("manifest.mpd"),
            Self::Poster => f.write_str("poster.jpg"),
            Self::Playlist(rung) => write!(f, "{rung}/index.m3u8"),
            Self::Keyframes(rung) => write!(f, "{rung}/iframes.m3u8"),
            Self::Init(rung, digest) => write!(f, "{rung}/init-{digest}.mp4"),
            Self::Segment(rung, seq, digest) => write!(f, "{rung}/{seq}-{digest}.m4s"),
            Self::SealedInit(rung, digest, key) => write!(f, "{rung}/init-{digest}-{key}.mp4"),
            Self::SealedSegment(rung, seq, digest, key) => write!(f, "{rung}/{seq}-{digest}-{key}.m4s"),
            Self::Key(key) => write!(f, "keys/{key}.key"),
            Self::Licence => f.write_str("licence"),
            Self::Download(rung) => write!(f, "{DOWNLOAD}/{rung}.mp4"),
            Self::Preview => f.write_str("preview.mp4"),
            Self::Chapters => f.write_str("chapters.json"),
            Self::Storyboard => f.write_str("storyboard.vtt"),
            Self::Sheet(seq, digest) => write!(f, "{STORYBOARD}/{seq}-{digest}.jpg"),
            Self::TextPlaylist(track) => write!(f, "{TEXT}/{track}/index.m3u8"),
            Self::Text(track, digest) => write!(f, "{TEXT}/{track}/{digest}.vtt"),
            Self::TextSegment(track, seq, digest) => write!(f, "{TEXT}/{track}/{seq}-{digest}.vtt"),
        }
    }
}

/// A digest, and the key that what it names is sealed with, if it is.
fn sealed(text: &str) -> Option<(Digest, Option<KeyId>)> {
    match text.split_once('-') {
        None => Some((text.parse().ok()?, None)),
        Some((digest, key)) => Some((digest.parse().ok()?, Some(key.parse().ok()?))),
    }
}

/// Where text is. No rung's paths have so many parts, so that one of this name would be told apart.
const TEXT: &str = "text";
/// Where sheets are; nothing of a rung ends as they do.
const STORYBOARD: &str = "storyboard";
/// Where downloads are: the one name that no rung may have.
const DOWNLOAD: &str = "download";
/// The folder of photos.
const PHOTOS: &str = "photos";
/// The folder of files of conversations.
const FILES: &str = "files";

/// Reads a decimal without sign, leading zero or excess, so that each number has one spelling.
fn parse_number(text: &str, max: u32) -> Option<u32> {
    let canonical = !text.is_empty()
        && text.bytes().all(|c| c.is_ascii_digit())
        && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|&n| canonical && n <= max)
}

/// The name of an object in the store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ObjectKey {
    /// A piece of a source: a source is its upload's parts, in order.
    SourcePart(UploadId, u32),
    /// A rung's CMAF header.
    Init(VideoId, RungName, Digest),
    /// A rung's segment.
    Segment(VideoId, RungName, u32, Digest),
    /// The poster image.
    Poster(VideoId),
    /// A whole text track.
    Text(VideoId, TextName, Digest),
    /// A sheet of small pictures.
    Sheet(VideoId, u32, Digest),
    /// What is before the segments in a download of a rung, under the digest of what it was made from.
    Download(VideoId, RungName, Digest),
    /// A photo, as it is shown.
    Photo(PhotoId),
    /// A file of a conversation, as it was sent.
    File(FileId),
}

impl ObjectKey {
    /// The prefix of all parts of a source: `uploads/UPLOAD`, without a slash at its end.
    #[must_use]
    pub fn source_prefix(upload: UploadId) -> String {
        format!("uploads/{upload}")
    }

    /// The prefix of all that was published of a video: `media/VIDEO`, without a slash at its end.
    #[must_use]
    pub fn media_prefix(video: VideoId) -> String {
        format!("media/{video}")
    }

    /// Reads a key. `None` for every text that [`fmt::Display`] would not write.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (area, rest) = text.split_once('/')?;
        if area == PHOTOS {
            return rest.parse().ok().map(Self::Photo);
        }
        if area == FILES {
            return rest.parse().ok().map(Self::File);
        }
        let (id, rest) = rest.split_once('/')?;
        match area {
            "uploads" => Some(Self::SourcePart(id.parse().ok()?, parse_number(rest, u32::MAX)?)),
            "media" => {
                let video = id.parse().ok()?;
                if let Some(file) = rest.strip_prefix(DOWNLOAD).and_then(|file| file.strip_prefix('/')) {
                    let (rung, digest) = file.strip_suffix(".mp4")?.split_once('-')?;
                    return Some(Self::Download(video, RungName::new(rung).ok()?, digest.parse().ok()?));
                }
                match MediaAsset::parse(rest)? {
                    MediaAsset::Init(rung, digest) => Some(Self::Init(video, rung, digest)),
                    MediaAsset::Segment(rung, seq, digest) => Some(Self::Segment(video, rung, seq, digest)),
                    MediaAsset::Poster => Some(Self::Poster(video)),
                    MediaAsset::Text(track, digest) => Some(Self::Text(video, track, digest)),
                    MediaAsset::Sheet(seq, digest) => Some(Self::Sheet(video, seq, digest)),
                    // Sealed when they are served: only what is clear is stored.
                    MediaAsset::SealedInit(..)
                    | MediaAsset::SealedSegment(..)
                    | MediaAsset::Key(_)
                    | MediaAsset::Licence
                    | MediaAsset::Master
                    | MediaAsset::Manifest
                    | MediaAsset::Playlist(_)
                    | MediaAsset::Keyframes(_)
                    | MediaAsset::Download(_)
                    | MediaAsset::Preview
                    | MediaAsset::Chapters
                    | MediaAsset::Storyboard
                    | MediaAsset::TextPlaylist(_)
                    | MediaAsset::TextSegment(..) => None,
                }
            }
            _ => None,
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SourcePart(upload, part) => write!(f, "uploads/{upload}/{part}"),
            Self::Init(video, rung, digest) => write!(f, "media/{video}/{rung}/init-{digest}.mp4"),
            Self::Segment(video, rung, seq, digest) => write!(f, "media/{video}/{rung}/{seq}-{digest}.m4s"),
            Self::Poster(video) => write!(f, "media/{video}/poster.jpg"),
            Self::Sheet(video, seq, digest) => write!(f, "media/{video}/{STORYBOARD}/{seq}-{digest}.jpg"),
            Self::Download(video, rung, digest) => write!(f, "media/{video}/{DOWNLOAD}/{rung}-{digest}.mp4"),
            Self::Text(video, track, digest) => write!(f, "media/{video}/{TEXT}/{track}/{digest}.vtt"),
            Self::Photo(photo) => write!(f, "{PHOTOS}/{photo}"),
            Self::File(file) => write!(f, "{FILES}/{file}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn assets() -> impl Strategy<Value = MediaAsset> {
        let rung = "[a-z0-9]{1,16}".prop_map(|r| RungName::new(r).unwrap());
        let track =
            "(subtitles|captions|forced|chapters)[.][a-z]{2}(-[a-z]{2})?".prop_map(|t| t.parse().unwrap());
        prop_oneof![
            Just(MediaAsset::Master),
            Just(MediaAsset::Manifest),
            Just(MediaAsset::Poster),
            Just(MediaAsset::Preview),
            Just(MediaAsset::Chapters),
            Just(MediaAsset::Storyboard),
            (0..9u32, any::<[u8; 16]>()).prop_map(|(s, d)| MediaAsset::Sheet(s, Digest(d))),
            rung.clone().prop_map(MediaAsset::Download),
            rung.clone().prop_map(MediaAsset::Playlist),
            rung.clone().prop_map(MediaAsset::Keyframes),
            (rung.clone(), any::<[u8; 16]>()).prop_map(|(r, d)| MediaAsset::Init(r, Digest(d))),
            (rung.clone(), 0..=MAX_SEGMENT, any::<[u8; 16]>()).prop_map(|(r, s, d)| MediaAsset::Segment(
                r,
                s,
                Digest(d)
            )),
            Just(MediaAsset::Licence),
            any::<[u8; 16]>().prop_map(|k| MediaAsset::Key(KeyId(k))),
            (rung.clone(), any::<[u8; 16]>(), any::<[u8; 16]>())
                .prop_map(|(r, d, k)| MediaAsset::SealedInit(r, Digest(d), KeyId(k))),
            (rung, 0..=MAX_SEGMENT, any::<[u8; 16]>(), any::<[u8; 16]>())
                .prop_map(|(r, s, d, k)| MediaAsset::SealedSegment(r, s, Digest(d), KeyId(k))),
            track.clone().prop_map(MediaAsset::TextPlaylist),
            (track.clone(), any::<[u8; 16]>()).prop_map(|(t, d)| MediaAsset::Text(t, Digest(d))),
            (track, 0..=MAX_SEGMENT, any::<[u8; 16]>()).prop_map(|(t, s, d)| MediaAsset::TextSegment(
                t,
                s,
                Digest(d)
            )),
        ]
    }

    proptest! {
        #[test]
        fn paths_round_trip(id in 0..(1u64 << 63), asset in assets()) {
            let path = MediaPath { video: VideoId::from_u64(id).unwrap(), asset };
            prop_assert_eq!(MediaPath::parse(&path.to_string()), Some(path));
        }

        #[test]
        fn each_path_has_one_spelling(text in "/v/[0-9a-z./%]{0,40}") {
            if let Some(path) = MediaPath::parse(&text) {
                prop_assert_eq!(path.to_string(), text);
            }
        }
    }

    #[test]
    fn path_tricks_are_no_media_paths() {
        let id = VideoId::from_parts(1_800_000_000_000, 7);
        for tail in [
            "../master.m3u8",
            "v720/../v720/0-00112233445566778899aabbccddeeff.m4s",
            "v720/00-00112233445566778899aabbccddeeff.m4s",
            "v720/+1-00112233445566778899aabbccddeeff.m4s",
            "v720/-1-00112233445566778899aabbccddeeff.m4s",
            "v720/0-00112233445566778899aabbccddeeff.M4S",
            "v720//0-00112233445566778899aabbccddeeff.m4s",
            "v720/999999999999-00112233445566778899aabbccddeeff.m4s",
            "v720/0-00112233445566778899AABBCCDDEEFF.m4s",
            "v720/0-0112233445566778899aabbccddeeff.m4s",
            "v720/0.m4s",
            "v720/init.mp4",
            "V720/0-00112233445566778899aabbccddeeff.m4s",
            "master.m3u8/",
            "%6daster.m3u8",
            "manifest.MPD",
            "v720/manifest.mpd",
            "iframes.m3u8",
            "keys/00112233445566778899aabbccddeeff",
            "key/00112233445566778899aabbccddeeff.key",
            "keys/00112233445566778899aabbccddee.key",
            "v720/licence",
            "licence/",
            "v720/0-00112233445566778899aabbccddeeff-.m4s",
            "v720/0-00112233445566778899aabbccddeeff-00112233445566778899aabbccddeeff-.m4s",
            "download/index.m3u8",
            "download/v720.MP4",
            "download/v720-00112233445566778899aabbccddeeff.mp4",
            "text/index.m3u8/",
            "text/subtitles.EN/index.m3u8",
            "text/subtitles.en/../master.m3u8",
            "text/subtitles.en/00112233445566778899aabbccddeeff.srt",
            "v720/0-00112233445566778899aabbccddeeff.m4s\0",
        ] {
            assert_eq!(MediaPath::parse(&format!("/v/{id}/{tail}")), None, "{tail}");
        }
    }

    #[test]
    fn object_keys_round_trip() {
        let video = VideoId::from_parts(1_800_000_000_000, 7);
        let rung = RungName::new("v720").unwrap();
        for key in [
            ObjectKey::SourcePart(video.upload(), 0),
            ObjectKey::Init(video, rung.clone(), Digest([1; 16])),
            ObjectKey::Segment(video, rung, 12, Digest([0xab; 16])),
            ObjectKey::Poster(video),
            ObjectKey::Download(video, RungName::new("v720").unwrap(), Digest([3; 16])),
            ObjectKey::Sheet(video, 2, Digest([4; 16])),
            ObjectKey::Photo(PhotoId::from_parts(1_800_000_000_000, 7)),
            ObjectKey::File(FileId::from_parts(1_800_000_000_000, 8)),
            ObjectKey::Text(video, "captions.pt-br".parse().unwrap(), Digest([2; 16])),
        ] {
            assert_eq!(ObjectKey::parse(&key.to_string()), Some(key));
        }
    }

    #[test]
    fn a_minute_of_media_has_one_owner() {
        let video = VideoId::from_parts(1_800_000_000_000, 7);
        let at = |seq| {
            let asset = MediaAsset::Segment(RungName::new("v720").unwrap(), seq, Digest([seq as u8; 16]));
            MediaPath { video, asset }.placement()
        };
        assert_eq!(at(0), at(SEGMENTS_PER_GROUP - 1));
        assert_ne!(at(0), at(SEGMENTS_PER_GROUP));
    }
}
