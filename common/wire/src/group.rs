//! A media group: a video's rung, about a minute of it. What is placed, asked for and fetched ahead together.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

use crate::id::VideoId;
use crate::limits::{MAX_SEGMENT, SEGMENTS_PER_GROUP};
use crate::media::{MediaAsset, MediaPath, RungName};
use crate::placement::PlacementKey;

/// A media group. Written as `VIDEO/RUNG/NUMBER`, which has one spelling.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MediaGroup {
    /// The video.
    pub video: VideoId,
    /// Its rung.
    pub rung: RungName,
    /// Which of its groups, counted from 0.
    pub number: u32,
}

/// Why a text is no media group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a media group is VIDEO/RUNG/NUMBER")]
pub struct MediaGroupError;

impl MediaGroup {
    /// The group of a segment; `None` for what is none.
    #[must_use]
    pub fn of(path: &MediaPath) -> Option<Self> {
        match &path.asset {
            MediaAsset::Segment(rung, seq, _) | MediaAsset::SealedSegment(rung, seq, ..) => {
                let number = seq / SEGMENTS_PER_GROUP;
                Some(Self { video: path.video, rung: rung.clone(), number })
            }
            _ => None,
        }
    }

    /// By what it is placed.
    #[must_use]
    pub fn placement(&self) -> PlacementKey {
        PlacementKey::of(&self.to_string())
    }

    /// The playlist that names its segments.
    #[must_use]
    pub fn playlist(&self) -> MediaPath {
        MediaPath { video: self.video, asset: MediaAsset::Playlist(self.rung.clone()) }
    }

    /// What a playlist of its rung names that is of it: its segments in their order, after the header where it is the first
    /// group. Lines that are of another video or rung, or no media, are passed over: what a playlist says leads nowhere else.
    pub fn named_in<'p>(&'p self, playlist: &'p str) -> impl Iterator<Item = MediaPath> + 'p {
        let folder = format!("/v/{}/{}", self.video, self.rung);
        let names = playlist.lines().filter_map(|line| match line.strip_prefix("#EXT-X-MAP:") {
            Some(rest) => Some(rest.split_once("URI=\"")?.1.split_once('"')?.0),
            None => Some(line.trim()).filter(|line| !line.is_empty() && !line.starts_with('#')),
        });
        names.filter_map(move |name| MediaPath::parse(&format!("{folder}/{name}"))).filter(|path| match &path
            .asset
        {
            MediaAsset::Init(rung, _) | MediaAsset::SealedInit(rung, ..) => {
                *rung == self.rung && self.number == 0
            }
            _ => Self::of(path).as_ref() == Some(self),
        })
    }
}

impl fmt::Display for MediaGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.video, self.rung, self.number)
    }
}

impl FromStr for MediaGroup {
    type Err = MediaGroupError;
    fn from_str(text: &str) -> Result<Self, MediaGroupError> {
        let read = || {
            let (video, rest) = text.split_once('/')?;
            let (rung, number) = rest.split_once('/')?;
            let number: u32 = number.parse().ok().filter(|n| *n <= MAX_SEGMENT / SEGMENTS_PER_GROUP)?;
            Some(Self { video: video.parse().ok()?, rung: RungName::new(rung).ok()?, number })
        };
        read().filter(|group| group.to_string() == text).ok_or(MediaGroupError)
    }
}

impl TryFrom<String> for MediaGroup {
    type Error = MediaGroupError;
    fn try_from(text: String) -> Result<Self, MediaGroupError> {
        text.parse()
    }
}

impl From<MediaGroup> for String {
    fn from(group: MediaGroup) -> Self {
        group.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DIGEST: &str = "00112233445566778899aabbccddeeff";

    fn video() -> VideoId {
        VideoId::from_parts(1_800_000_000_000, 3)
    }

    proptest! {
        #[test]
        fn a_group_round_trips_and_is_placed_as_its_segments_are(seq in 0..=MAX_SEGMENT, rung in "[a-ce-z][a-z0-9]{0,7}") {
            let path = MediaPath::parse(&format!("/v/{}/{rung}/{seq}-{DIGEST}.m4s", video())).unwrap();
            let group = MediaGroup::of(&path).unwrap();
            prop_assert_eq!(group.placement(), path.placement());
            prop_assert_eq!(group.to_string().parse::<MediaGroup>(), Ok(group));
        }

        #[test]
        fn no_text_breaks_it(text in ".{0,60}") {
            if let Ok(group) = text.parse::<MediaGroup>() {
                prop_assert_eq!(group.to_string(), text);
            }
        }
    }

    #[test]
    fn a_playlist_leads_to_segments_of_the_group_alone() {
        let group: MediaGroup = format!("{}/v720/0", video()).parse().unwrap();
        let list = format!(
            "#EXTM3U\n#EXT-X-MAP:URI=\"init-{DIGEST}.mp4\"\n#EXTINF:4.0,\n0-{DIGEST}.m4s\n#EXTINF:4.0,\n14-{DIGEST}.m4s\n\
             15-{DIGEST}.m4s\nhttp://elsewhere/0-{DIGEST}.m4s\n../../../etc/passwd\n../a64/0-{DIGEST}.m4s\n"
        );
        let named: Vec<String> = group.named_in(&list).map(|path| path.to_string()).collect();
        let base = format!("/v/{}/v720", video());
        let of = |name: &str| format!("{base}/{name}");
        assert_eq!(
            named,
            [
                of(&format!("init-{DIGEST}.mp4")),
                of(&format!("0-{DIGEST}.m4s")),
                of(&format!("14-{DIGEST}.m4s"))
            ]
        );
        let second = MediaGroup { number: 1, ..group };
        assert_eq!(second.named_in(&list).count(), 1, "no header");
        assert_eq!(second.playlist().to_string(), format!("{base}/index.m3u8"));
    }

    #[test]
    fn no_other_spelling_counts() {
        let video = video();
        for text in [
            "",
            "x/v720/0",
            &format!("{video}/v720/01"),
            &format!("{video}/v720/+1"),
            &format!("{video}/V/1"),
        ] {
            assert_eq!(text.parse::<MediaGroup>(), Err(MediaGroupError), "{text}");
        }
    }
}
