//! Text tracks: subtitles, captions and chapters. They are read strictly, from SubRip or WebVTT ([`Track::parse`]), and
//! kept and sent as WebVTT of one spelling ([`Track::render`]), whole or in segments ([`Track::segment`]).

mod subrip;
mod webvtt;

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

use crate::language::Language;
use crate::limits::{MAX_CUE_BYTES, MAX_CUES, MAX_DURATION_S, MAX_TEXT_BYTES, TEXT_SEGMENT_S};

/// What a text track is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TextKind {
    /// What is said, for those who do not know the language.
    Subtitles,
    /// What is said and heard, for those who do not hear it.
    Captions,
    /// What is shown whether or not it was asked for: foreign parts, signs.
    Forced,
    /// Names of parts of the video.
    Chapters,
}

impl TextKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Subtitles, Self::Captions, Self::Forced, Self::Chapters];

    /// The name in URLs, in the database and in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Subtitles => "subtitles",
            Self::Captions => "captions",
            Self::Forced => "forced",
            Self::Chapters => "chapters",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// What tells a video's text tracks apart: `subtitles.pt-br`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TextName {
    /// What it is for.
    pub kind: TextKind,
    /// Its language.
    pub language: Language,
}

/// Why a text is no track's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a text track is named by its kind, a dot and its language in small letters")]
pub struct TextNameError;

impl fmt::Display for TextName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.kind.as_str(), self.language.as_str().to_ascii_lowercase())
    }
}

impl FromStr for TextName {
    type Err = TextNameError;

    /// Reads the one spelling of a name.
    fn from_str(text: &str) -> Result<Self, TextNameError> {
        let (kind, language) = text.split_once('.').ok_or(TextNameError)?;
        let kind = TextKind::parse(kind).ok_or(TextNameError)?;
        let name = Self { kind, language: language.parse().map_err(|_| TextNameError)? };
        if name.to_string() == text { Ok(name) } else { Err(TextNameError) }
    }
}

impl TryFrom<String> for TextName {
    type Error = TextNameError;
    fn try_from(text: String) -> Result<Self, TextNameError> {
        text.parse()
    }
}

impl From<TextName> for String {
    fn from(name: TextName) -> Self {
        name.to_string()
    }
}

/// A text and when it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cue {
    /// From when on, in milliseconds of the video.
    pub start_ms: u64,
    /// Until when; later than `start_ms`.
    pub end_ms: u64,
    /// Where it is shown: WebVTT settings, in the order in which they were given.
    pub settings: String,
    /// Its WebVTT text: one or more lines, none of them empty.
    pub text: String,
}

/// A track's cues, by their start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Track(Vec<Cue>);

/// Why a file is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// More bytes than are taken.
    #[error("a text track has at most {MAX_TEXT_BYTES} bytes")]
    TooLarge,
    /// It is coded otherwise.
    #[error("the file is not UTF-8")]
    NotUtf8,
    /// Nothing in it is shown.
    #[error("there is no cue in it; SubRip (.srt) and WebVTT (.vtt) are read")]
    Empty,
    /// More cues than are taken.
    #[error("line {0}: more than {MAX_CUES} cues")]
    TooMany(usize),
    /// A cue's text is longer than is taken.
    #[error("line {0}: a cue has at most {MAX_CUE_BYTES} bytes of text")]
    TooLong(usize),
    /// A line should say when a cue is shown.
    #[error("line {0}: expected a time, as in 00:00:01.500 --> 00:00:04.000")]
    Timing(usize),
    /// A cue that ends before it begins, or after the longest video.
    #[error("line {0}: a cue ends after its beginning, within 12 hours")]
    Span(usize),
    /// A setting that WebVTT does not have.
    #[error("line {0}: not a WebVTT cue setting: {1}")]
    Setting(usize, String),
    /// Neither a cue nor a comment.
    #[error("line {0}: neither a cue nor NOTE, STYLE or REGION")]
    Block(usize),
}

impl Track {
    /// Reads a file: WebVTT if it says so, SubRip otherwise.
    ///
    /// # Errors
    /// [`TextError::TooLarge`] above [`MAX_TEXT_BYTES`], [`TextError::NotUtf8`], [`TextError::Empty`] without a cue; the others
    /// name the line at fault.
    pub fn parse(bytes: &[u8]) -> Result<Self, TextError> {
        if bytes.len() > MAX_TEXT_BYTES {
            return Err(TextError::TooLarge);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| TextError::NotUtf8)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let cues = match webvtt::body(&text) {
            Some(lines) => webvtt::cues(lines)?,
            None => subrip::cues(&text)?,
        };
        Self::of(cues)
    }

    /// A track of these cues, in their order of time.
    ///
    /// # Errors
    /// [`TextError::Empty`] for none.
    pub fn of(mut cues: Vec<Cue>) -> Result<Self, TextError> {
        if cues.is_empty() {
            return Err(TextError::Empty);
        }
        cues.sort_by_key(|cue| (cue.start_ms, cue.end_ms));
        Ok(Self(cues))
    }

    /// Its cues, by their start.
    #[must_use]
    pub fn cues(&self) -> &[Cue] {
        &self.0
    }

    /// When the last of it is gone, in milliseconds; 0 without a cue.
    #[must_use]
    pub fn end_ms(&self) -> u64 {
        self.0.iter().map(|cue| cue.end_ms).max().unwrap_or(0)
    }

    /// All of it as WebVTT.
    #[must_use]
    pub fn render(&self) -> String {
        webvtt::render("WEBVTT\n", self.0.iter())
    }

    /// What is shown in a segment of [`TEXT_SEGMENT_S`], counted from 0, as WebVTT (RFC 8216bis section 3.1.4): a cue that
    /// reaches over a border is in both.
    #[must_use]
    pub fn segment(&self, seq: u32) -> String {
        let from = u64::from(seq) * u64::from(TEXT_SEGMENT_S) * 1_000;
        let to = from + u64::from(TEXT_SEGMENT_S) * 1_000;
        let shown = self.0.iter().filter(|cue| cue.start_ms < to && cue.end_ms > from);
        webvtt::render("WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n", shown)
    }
}

impl Cue {
    /// A cue of plain text, whose lines may be anything.
    ///
    /// # Errors
    /// [`TextError::Empty`] when nothing would be seen; [`TextError::Span`] and [`TextError::TooLong`].
    pub fn plain(start_ms: u64, end_ms: u64, text: &str) -> Result<Self, TextError> {
        Self::seen(start_ms, end_ms, joined(escaped(text).replace('\r', "\n").lines()))
    }

    /// A cue of SubRip text.
    ///
    /// # Errors
    /// As [`Cue::plain`].
    pub fn subrip(start_ms: u64, end_ms: u64, text: &str) -> Result<Self, TextError> {
        Self::seen(start_ms, end_ms, subrip::formatted(&text.replace('\r', "\n")))
    }

    /// A cue of WebVTT text.
    ///
    /// # Errors
    /// As [`Cue::plain`]; [`TextError::Block`] when it has what separates cues.
    pub fn webvtt(start_ms: u64, end_ms: u64, text: &str) -> Result<Self, TextError> {
        let text = joined(text.replace('\r', "\n").lines());
        if text.contains("-->") { Err(TextError::Block(0)) } else { Self::seen(start_ms, end_ms, text) }
    }

    fn seen(start_ms: u64, end_ms: u64, text: String) -> Result<Self, TextError> {
        if text.is_empty() {
            return Err(TextError::Empty);
        }
        Self { start_ms, end_ms, settings: String::new(), text }.checked(0)
    }

    fn checked(self, line: usize) -> Result<Self, TextError> {
        if self.start_ms >= self.end_ms || self.end_ms > u64::from(MAX_DURATION_S) * 1_000 {
            return Err(TextError::Span(line));
        }
        if self.text.len() > MAX_CUE_BYTES {
            return Err(TextError::TooLong(line));
        }
        Ok(self)
    }
}

/// Plain text as WebVTT has it.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Lines as a cue may have them: those of which nothing would be seen are left out.
fn joined<'t>(lines: impl Iterator<Item = &'t str>) -> String {
    let clean = |line: &str| line.chars().filter(|c| !c.is_control() || *c == '\t').collect::<String>();
    let lines = lines.map(|line| clean(line).trim().to_owned()).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("\n")
}

/// `HH:MM:SS.mmm`, hours where there are any; `separator` is before the milliseconds.
fn time(text: &str, separators: &[char]) -> Option<u64> {
    let (clock, millis) = text.rsplit_once(separators)?;
    let number = |text: &str, digits: std::ops::RangeInclusive<usize>| {
        let plain = digits.contains(&text.len()) && text.bytes().all(|c| c.is_ascii_digit());
        text.parse::<u64>().ok().filter(|_| plain)
    };
    let millis = number(millis, 3..=3)?;
    let mut parts = clock.rsplit(':');
    let seconds = number(parts.next()?, 2..=2).filter(|s| *s < 60)?;
    let minutes = number(parts.next()?, 2..=2).filter(|m| *m < 60)?;
    let hours = parts.next().map_or(Some(0), |hours| number(hours, 1..=4))?;
    if parts.next().is_some() {
        return None;
    }
    Some(((hours * 60 + minutes) * 60 + seconds) * 1_000 + millis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(super) fn read(text: &str) -> Result<Vec<(u64, u64, String)>, TextError> {
        let track = Track::parse(text.as_bytes())?;
        Ok(track.cues().iter().map(|cue| (cue.start_ms, cue.end_ms, cue.text.clone())).collect())
    }

    #[test]
    fn names_have_one_spelling() {
        let name: TextName = "subtitles.pt-br".parse().unwrap();
        assert_eq!(
            (name.to_string().as_str(), name.language.to_string().as_str()),
            ("subtitles.pt-br", "pt-BR")
        );
        for bad in
            ["subtitles.pt-BR", "subtitles", "subtitles.", "x.en", "Subtitles.en", "forced.en.x", "forced.e"]
        {
            assert!(bad.parse::<TextName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_coded_otherwise_or_empty_is_refused() {
        assert_eq!(Track::parse(b"1\n00:00:01,000 --> 00:00:02,000\n\xe9t\xe9\n"), Err(TextError::NotUtf8));
        assert_eq!(read(""), Err(TextError::Empty));
        assert_eq!(read("WEBVTT\n"), Err(TextError::Empty));
        assert_eq!(Track::parse(&vec![b'a'; MAX_TEXT_BYTES + 1]), Err(TextError::TooLarge));
        let late = "WEBVTT\n\n13:00:00.000 --> 13:00:01.000\nx\n";
        assert_eq!(read(late), Err(TextError::Span(3)));
    }

    #[test]
    fn a_cue_over_a_border_is_in_both_segments() {
        let track = Track::of(vec![
            Cue::plain(59_000, 61_000, "over").unwrap(),
            Cue::plain(1_000, 60_000, "first").unwrap(),
            Cue::plain(120_000, 121_000, "third").unwrap(),
        ]);
        let track = track.unwrap();
        let of = |seq| Track::parse(track.segment(seq).as_bytes()).map(|t| t.cues().len()).unwrap_or(0);
        assert_eq!([of(0), of(1), of(2), of(3)], [2, 1, 1, 0]);
        assert!(track.segment(3).starts_with("WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n"));
    }

    proptest! {
        #[test]
        fn what_is_rendered_is_read_as_it_was(cues in prop::collection::vec(
            (0u64..40_000_000, 1u64..100_000, "[ -~\u{e4}\n]{1,40}"), 1..20,
        )) {
            let cues: Vec<Cue> =
                cues.into_iter().filter_map(|(at, long, text)| Cue::plain(at, at + long, &text).ok()).collect();
            if let Ok(track) = Track::of(cues) {
                let text = track.render();
                let again = Track::parse(text.as_bytes()).unwrap();
                prop_assert_eq!(&again, &track);
                prop_assert_eq!(again.render(), text);
            }
        }

        #[test]
        fn no_text_is_read_without_being_bounded(text in "(WEBVTT\n\n)?([0-9:., >a<&{}/\n-]{0,80}|00:00:0[0-9][.,]000 --> 00:00:0[0-9][.,]000\n[ -~]{0,20}\n\n){0,6}") {
            if let Ok(track) = Track::parse(text.as_bytes()) {
                prop_assert_eq!(&Track::parse(track.render().as_bytes()), &Ok(track.clone()));
                prop_assert!(track.cues().windows(2).all(|pair| pair[0].start_ms <= pair[1].start_ms));
            }
        }
    }
}
