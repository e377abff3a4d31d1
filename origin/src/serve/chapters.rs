//! Chapters as Apple's players read them: JSON that a multivariant playlist names by `EXT-X-SESSION-DATA`
//! (`com.apple.hls.chapters`). Times are those of the presentation, so that nothing needs a date, as `EXT-X-DATERANGE` would.

use super::{missing, subtitles};
use crate::origin::State;
use serde_json::{Value, json};
use sluice_platform::ApiError;
use sluice_storage::TextTrack;
use sluice_wire::text::Track;
use sluice_wire::{MediaPath, TextKind};
use std::collections::BTreeMap;

/// What `EXT-X-SESSION-DATA` calls them.
pub(super) const DATA_ID: &str = "com.apple.hls.chapters";

/// True when there are any.
pub(super) fn are_among(tracks: &[TextTrack]) -> bool {
    tracks.iter().any(|track| track.name.kind == TextKind::Chapters)
}

/// The chapters of a video in all languages that there are.
pub(super) async fn list(state: &State, path: &MediaPath) -> Result<String, ApiError> {
    let tracks = state.storage.videos().texts(path.video).await?;
    if !are_among(&tracks) {
        return Err(missing(path));
    }
    let mut read = vec![];
    for track in tracks.into_iter().filter(|track| track.name.kind == TextKind::Chapters) {
        let cues = subtitles::read(state, path, &track).await?;
        read.push((track.name.language.to_string(), cues));
    }
    Ok(Value::Array(chapters(&read)).to_string())
}

/// Chapters of several languages that begin and end together are one.
fn chapters(tracks: &[(String, Track)]) -> Vec<Value> {
    let mut all: BTreeMap<(u64, u64), Vec<Value>> = BTreeMap::new();
    for (language, track) in tracks {
        for cue in track.cues() {
            let titles = all.entry((cue.start_ms, cue.end_ms)).or_default();
            titles.push(json!({ "language": language, "title": plain(&cue.text) }));
        }
    }
    let seconds = |ms: u64| ms as f64 / 1_000.0;
    let numbered = (1..).zip(all);
    let chapter = |(number, ((from, to), titles)): (u32, ((u64, u64), Vec<Value>))| json!({ "chapter": number, "start-time": seconds(from), "duration": seconds(to - from), "titles": titles });
    numbered.map(chapter).collect()
}

/// A title without markup.
fn plain(text: &str) -> String {
    let (mut out, mut inside) = (String::new(), false);
    for c in text.chars() {
        match c {
            '<' => inside = true,
            '>' => inside = false,
            '\n' => out.push(' '),
            c if !inside => out.push(c),
            _ => {}
        }
    }
    out.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chapters_of_two_languages_are_one_list() {
        let of = |text: &str| Track::parse(text.as_bytes()).unwrap();
        let german = of("WEBVTT\n\n00:00.000 --> 00:04.500\nSalz &amp; <i>Pfeffer</i>\n");
        let english = of("WEBVTT\n\n00:00.000 --> 00:04.500\nSalt\n\n00:04.500 --> 00:09.000\nEnd\n");
        assert_eq!(
            chapters(&[("de".into(), german), ("en".into(), english)]),
            [
                json!({ "chapter": 1, "start-time": 0.0, "duration": 4.5, "titles":
                    [{ "language": "de", "title": "Salz & Pfeffer" }, { "language": "en", "title": "Salt" }] }),
                json!({ "chapter": 2, "start-time": 4.5, "duration": 4.5, "titles": [{ "language": "en", "title": "End" }] }),
            ]
        );
    }
}
