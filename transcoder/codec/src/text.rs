//! Text that came with a source: its text tracks and its chapters, as WebVTT. Packets of text are read here, by code that
//! is safe with any bytes; FFmpeg's decoders of subtitles are not used.

use crate::clock::MICROS;
use crate::emit::Emit;
use crate::error::CodecError;
use crate::ffi;
use crate::source::{Next, Source, Supply};
use ffmpeg_next::codec::Id;
use ffmpeg_next::format::stream::{Disposition, Stream};
use ffmpeg_next::{Packet, Rational, Rescale, media};
use sluice_wire::codec::CodecMessage;
use sluice_wire::language::Language;
use sluice_wire::limits::{MAX_CUES, MAX_NAME_LEN, MAX_TEXT_BYTES, MAX_TEXTS};
use sluice_wire::text::{Cue, TextError, TextKind, TextName, Track};
use std::sync::Arc;

/// A text track under way.
struct Reading {
    stream: usize,
    time_base: Rational,
    id: Id,
    name: TextName,
    label: String,
    cues: Vec<Cue>,
    bytes: usize,
}

/// Reads all text of a source whose first moment is at `zero` microseconds, and sends it track by track.
pub(crate) fn text(supply: &Arc<Supply>, zero: i64, emit: &Emit) -> Result<CodecMessage, CodecError> {
    let mut source = Source::open(supply, true)?;
    let names = chapters(&source, zero);
    if let Ok(track) = Track::of(names) {
        let name = TextName { kind: TextKind::Chapters, language: Language::undetermined() };
        send(emit, name, "Chapters".into(), &track)?;
    }
    let mut tracks = tracks(&source);
    let wanted: Vec<usize> = tracks.iter().map(|track| track.stream).collect();
    ffi::read_only(&mut source.input, &wanted);
    while !tracks.is_empty()
        && let Next::Packet(packet) = source.next()
    {
        let track = tracks.iter_mut().find(|track| track.stream == packet.stream());
        if let Some(track) = track {
            track.take(&packet, zero);
        }
    }
    for track in tracks {
        if let Ok(cues) = Track::of(track.cues) {
            send(emit, track.name, track.label, &cues)?;
        }
    }
    Ok(CodecMessage::Done { duration_ms: 0, damage: None })
}

fn send(emit: &Emit, name: TextName, label: String, track: &Track) -> Result<(), CodecError> {
    let text = track.render();
    if text.len() <= MAX_TEXT_BYTES {
        emit.payload(&CodecMessage::Text { name, label }, text.as_bytes())?;
    }
    Ok(())
}

fn chapters(source: &Source, zero: i64) -> Vec<Cue> {
    let chapter = |(number, chapter): (usize, ffmpeg_next::format::chapter::Chapter<'_>)| {
        let at = |stamp: i64| millis(stamp.rescale(chapter.time_base(), MICROS).saturating_sub(zero));
        let title = chapter.metadata().get("title").unwrap_or_default().to_owned();
        let title = if title.trim().is_empty() { format!("Chapter {}", number + 1) } else { title };
        Cue::plain(at(chapter.start()), at(chapter.end()), &title).ok()
    };
    source.input.chapters().take(MAX_CUES).enumerate().filter_map(chapter).collect()
}

/// The tracks that can be read; of several of one kind and language the first.
fn tracks(source: &Source) -> Vec<Reading> {
    let mut all: Vec<Reading> = vec![];
    for stream in source.input.streams() {
        let parameters = stream.parameters();
        let readable =
            matches!(parameters.id(), Id::MOV_TEXT | Id::SUBRIP | Id::TEXT | Id::WEBVTT | Id::ASS | Id::SSA);
        if parameters.medium() != media::Type::Subtitle || !readable || all.len() >= MAX_TEXTS {
            continue;
        }
        let name = name(&stream);
        if all.iter().any(|track| track.name == name) {
            continue;
        }
        let title = stream.metadata().get("title").map(|title| title.trim().to_owned());
        let fits = |label: &String| {
            !label.is_empty()
                && label.len() <= MAX_NAME_LEN
                && !label.chars().any(|c| c.is_control() || c == '"')
        };
        let label = title.filter(fits).unwrap_or_else(|| name.language.to_string());
        let (stream, time_base, id) = (stream.index(), stream.time_base(), parameters.id());
        all.push(Reading { stream, time_base, id, name, label, cues: vec![], bytes: 0 });
    }
    all
}

fn name(stream: &Stream<'_>) -> TextName {
    let disposition = stream.disposition();
    let kind = if disposition.contains(Disposition::FORCED) {
        TextKind::Forced
    } else if disposition.contains(Disposition::HEARING_IMPAIRED) {
        TextKind::Captions
    } else {
        TextKind::Subtitles
    };
    let said = stream.metadata().get("language").and_then(Language::of_container);
    TextName { kind, language: said.unwrap_or_else(Language::undetermined) }
}

impl Reading {
    /// Takes a packet's text; what cannot be read is left out.
    fn take(&mut self, packet: &Packet, zero: i64) {
        let (Some(at), Some(data)) = (packet.pts(), packet.data()) else { return };
        let from = at.rescale(self.time_base, MICROS).saturating_sub(zero);
        let to = from.saturating_add(packet.duration().max(0).rescale(self.time_base, MICROS));
        let (from, to) = (millis(from), millis(to));
        let full = self.cues.len() >= MAX_CUES || self.bytes.saturating_add(data.len()) > MAX_TEXT_BYTES;
        if let Ok(cue) = cue(self.id, from, to, data)
            && !full
        {
            self.bytes += cue.text.len();
            self.cues.push(cue);
        }
    }
}

fn millis(micros: i64) -> u64 {
    u64::try_from(micros).unwrap_or(0) / 1_000
}

fn cue(id: Id, from: u64, to: u64, data: &[u8]) -> Result<Cue, TextError> {
    let utf8 = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned();
    match id {
        Id::MOV_TEXT => Cue::plain(from, to, &timed_text(data)),
        Id::WEBVTT => Cue::webvtt(from, to, &utf8(data)),
        Id::ASS | Id::SSA => Cue::plain(from, to, &dialogue(&utf8(data))),
        _ => Cue::subrip(from, to, &utf8(data)),
    }
}

/// A sample of timed text (3GPP TS 26.245, 5.17): a length, then UTF-8, or UTF-16 that says so.
fn timed_text(data: &[u8]) -> String {
    let Some((length, rest)) = data.split_first_chunk::<2>() else { return String::new() };
    let text = rest.get(..usize::from(u16::from_be_bytes(*length))).unwrap_or(rest);
    match text {
        [0xfe, 0xff, wide @ ..] => {
            let units: Vec<u16> = wide.chunks_exact(2).map(|c| u16::from_be_bytes([c[0], c[1]])).collect();
            String::from_utf16_lossy(&units)
        }
        _ => String::from_utf8_lossy(text).into_owned(),
    }
}

/// The words of a line of dialogue (Advanced SubStation, as containers hold it): after eight fields, without overrides.
fn dialogue(line: &str) -> String {
    let text = line.splitn(9, ',').nth(8).unwrap_or_default();
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((override_, next)) = after.split_once('}') else { break };
        // A drawing is no text.
        if override_.contains("\\p1") {
            return String::new();
        }
        rest = next;
    }
    out.push_str(rest);
    out.replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_read_out_of_each_format() {
        let of = |id, data: &[u8]| cue(id, 0, 1, data).map(|cue| cue.text).unwrap_or_default();
        assert_eq!(of(Id::MOV_TEXT, b"\0\x05a<b\nc\0\0\0\x0cstyl"), "a&lt;b\nc");
        assert_eq!(of(Id::MOV_TEXT, b"\0\x06\xfe\xff\0h\0i"), "hi");
        assert_eq!(of(Id::ASS, b"0,0,Default,,0,0,0,,{\\i1}One, two{\\i0}\\Nthree"), "One, two\nthree");
        assert_eq!(of(Id::ASS, b"0,0,Default,,0,0,0,,{\\p1}m 0 0 l 1 1"), "");
        assert_eq!(of(Id::SUBRIP, b"<i>a</i> & b"), "<i>a</i> &amp; b");
        assert_eq!(of(Id::WEBVTT, b"<v Ann>a &amp; b"), "<v Ann>a &amp; b");
        assert_eq!(of(Id::WEBVTT, b"a --> b"), "");
    }

    proptest! {
        #[test]
        fn whatever_a_packet_holds_is_left_out_or_reads_back(data in prop::collection::vec(any::<u8>(), 0..60), which in 0usize..4) {
            let id = [Id::MOV_TEXT, Id::WEBVTT, Id::ASS, Id::SUBRIP][which];
            if let Ok(cue) = cue(id, 5, 9, &data) {
                let track = Track::of(vec![cue]).unwrap();
                prop_assert_eq!(Track::parse(track.render().as_bytes()), Ok(track));
            }
        }
    }
}
