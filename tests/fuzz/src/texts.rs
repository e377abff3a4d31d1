//! Text tracks and languages.

use super::lines;
use sluice_wire::Language;
use sluice_wire::limits::{MAX_CUE_BYTES, MAX_CUES, TEXT_SEGMENT_S};
use sluice_wire::text::Track;

/// A file is refused, or is bounded and has one spelling as WebVTT, whole and in segments.
pub fn text(bytes: &[u8]) {
    for file in [bytes, lines(bytes).1.as_bytes()] {
        let Ok(track) = Track::parse(file) else { continue };
        let cues = track.cues();
        assert!((1..=MAX_CUES).contains(&cues.len()));
        assert!(cues.iter().all(|cue| cue.start_ms < cue.end_ms && cue.text.len() <= MAX_CUE_BYTES));
        assert_eq!(Track::parse(track.render().as_bytes()).as_ref(), Ok(&track));
        let first = cues.first().map_or(0, |cue| cue.start_ms / 1_000 / u64::from(TEXT_SEGMENT_S));
        let segment = Track::parse(track.segment(first as u32).as_bytes());
        assert!(segment.is_ok_and(|segment| segment.cues().first() == cues.first()));
    }
    if let Ok(language) = lines(bytes).0.parse::<Language>() {
        assert_eq!(language.to_string().parse(), Ok(language));
    }
}
