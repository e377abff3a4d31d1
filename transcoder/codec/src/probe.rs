//! Looking at a source: which tracks will be shown and heard, and in what shape. Every claim that can be tested by
//! decoding is.

use crate::error::CodecError;
use crate::picture::graph;
use crate::source::{INDEXED, Next, Source, Supply};
use crate::{ffi, loudness};
use ffmpeg_next::codec::packet::side_data::Type as SideDataType;
use ffmpeg_next::format::stream::{Disposition, Stream};
use ffmpeg_next::{Rational, decoder, frame, media};
use sluice_wire::ladder::{
    MAX_TITLE, Ratio, SoundRole, Source as Seen, SourceAudio, SourceVideo, VideoRange,
};
use sluice_wire::language::Language;
use sluice_wire::limits::{MAX_DIMENSION, MAX_DURATION_S, MAX_SOUND_TRACKS};
use std::sync::Arc;

/// Packets read in search of a first picture and a first sound. A minute of most sources, and an end for hostile ones.
const MAX_PACKETS: usize = 6_000;

/// Packets read for further sound tracks when a picture and a sound are there: tracks that begin together are nearer.
const MAX_MORE_PACKETS: usize = 600;

/// Pictures a second above which a container's claim is a unit of time, not a rate.
const MAX_CLAIMED_RATE: f64 = 240.0;

/// Looks at a source.
pub(crate) fn probe(supply: &Arc<Supply>) -> Result<Seen, CodecError> {
    let mut source = Source::open(supply, true)?;
    let container = source.input.format().name().to_owned();
    // FFmpeg counts a container's duration in microseconds.
    let duration_ms = u64::try_from(source.input.duration()).unwrap_or(0) / 1_000;
    if duration_ms > u64::from(MAX_DURATION_S) * 1_000 {
        return Err(CodecError::TooLarge(format!(
            "{} h long; at most {} h",
            duration_ms / 3_600_000,
            MAX_DURATION_S / 3_600
        )));
    }
    let video = best_picture(&source).and_then(|index| describe_video(&source, index));
    if let Some(video) = video.as_ref().filter(|v| v.width.max(v.height) > MAX_DIMENSION) {
        let (w, h) = (video.width, video.height);
        return Err(CodecError::TooLarge(format!("{w} x {h}; at most {MAX_DIMENSION} on a side")));
    }
    let audio = sounds(&source, video.as_ref().map(|v| v.stream));
    let (video, audio) = decodable(&mut source, video, audio);
    if video.is_none() && audio.is_empty() {
        return Err(CodecError::Undecodable("no track of it could be decoded".into()));
    }
    let tracks = || video.iter().map(|v| v.stream).chain(audio.iter().map(|a| a.stream));
    let zero_us = tracks().filter_map(|track| source.start_of(track)).min().unwrap_or(0);
    // Other tracks (subtitles, chapters) may be longer, so the container's word is the last resort.
    let longest = tracks().map(|track| source.claimed_ms(track)).max().filter(|longest| *longest > 0);
    let indexed = INDEXED.iter().any(|name| container.split(',').any(|c| c == *name));
    let duration_ms = longest.unwrap_or(duration_ms);
    let mut seen = Seen { container, duration_ms, zero_us, indexed, video, audio };
    loudness::measure(supply, &mut seen);
    Ok(seen)
}

/// The best picture track that is not cover art: the one the container prefers, then the largest, then the first.
fn best_picture(source: &Source) -> Option<u32> {
    let shown = |s: &Stream<'_>| {
        s.parameters().medium() == media::Type::Video && !s.disposition().contains(Disposition::ATTACHED_PIC)
    };
    let rank = |s: &Stream<'_>| {
        let (width, height, _) = ffi::picture_size(s);
        let preferred = s.disposition().contains(Disposition::DEFAULT);
        (preferred, u64::from(width) * u64::from(height), std::cmp::Reverse(s.index()))
    };
    u32::try_from(source.input.streams().filter(shown).max_by_key(rank)?.index()).ok()
}

fn describe_video(source: &Source, index: u32) -> Option<SourceVideo> {
    let stream = source.input.stream(index as usize)?;
    let decoder = source.video(index).ok()?;
    let (mut width, mut height, shape) = ffi::picture_size(&stream);
    if width == 0 || height == 0 {
        return None;
    }
    if let Some((num, den)) = shape.filter(|(n, d)| n != d) {
        // Square pixels: the longer reading of the picture keeps its detail.
        let wide = u64::from(width) * u64::from(num) / u64::from(den);
        width = u32::try_from(wide).ok().filter(|w| (1..=MAX_DIMENSION * 4).contains(w)).unwrap_or(width);
    }
    let (quarter_turns, mirrored) = orientation(&stream);
    if !quarter_turns.is_multiple_of(2) {
        std::mem::swap(&mut width, &mut height);
    }
    // A container that counts in milliseconds may claim a thousand pictures a second.
    let sane = |rate: &Ratio| rate.as_f64() <= MAX_CLAIMED_RATE;
    let claims = [stream.avg_frame_rate(), stream.rate()];
    let rate = claims.into_iter().filter_map(ratio).find(sane).unwrap_or(Ratio::new(30, 1));
    let codec = decoder.codec().map_or_else(String::new, |c| c.name().to_owned());
    Some(SourceVideo {
        stream: index,
        codec,
        width,
        height,
        quarter_turns,
        mirrored,
        frame_rate: rate,
        interlaced: false,
        hdr: false,
        range: VideoRange::Sdr,
    })
}

fn ratio(rate: Rational) -> Option<Ratio> {
    let (num, den) = (u32::try_from(rate.numerator()).ok()?, u32::try_from(rate.denominator()).ok()?);
    (num > 0 && den > 0).then(|| Ratio::new(num, den))
}

/// The sound tracks that are heard with a picture: the best first, then the others of its programme in the container's order.
fn sounds(source: &Source, picture: Option<u32>) -> Vec<SourceAudio> {
    let Some(best) = ffi::best_audio(&source.input, picture) else { return vec![] };
    let programme = ffi::programme(&source.input, picture.unwrap_or(best));
    let together = |index: &u32| programme.as_ref().is_none_or(|streams| streams.contains(index));
    let heard = source.input.streams().filter(|s| s.parameters().medium() == media::Type::Audio);
    let others = heard.filter_map(|s| u32::try_from(s.index()).ok()).filter(|index| *index != best);
    let all = std::iter::once(best).chain(others.filter(together));
    all.filter_map(|index| describe_audio(source, index)).take(MAX_SOUND_TRACKS).collect()
}

fn describe_audio(source: &Source, index: u32) -> Option<SourceAudio> {
    let decoder = source.audio(index).ok()?;
    let codec = decoder.codec().map_or_else(String::new, |c| c.name().to_owned());
    let (channels, sample_rate) = (u32::from(decoder.channels()), decoder.rate());
    let start_us = source.start_of(index).unwrap_or(0);
    let stream = source.input.stream(index as usize)?;
    let said = stream.metadata();
    let language = said.get("language").and_then(Language::of_container);
    let title = said.get("title").and_then(title);
    let role = role(stream.disposition());
    Some(SourceAudio {
        stream: index,
        codec,
        channels,
        sample_rate,
        start_us,
        language,
        title,
        role,
        loudness: None,
        surround_loudness: None,
    })
}

fn role(said: Disposition) -> SoundRole {
    if said.intersects(Disposition::VISUAL_IMPAIRED | Disposition::DESCRIPTIONS) {
        SoundRole::Description
    } else if said.contains(Disposition::COMMENT) {
        SoundRole::Commentary
    } else if said.contains(Disposition::DUB) {
        SoundRole::Dub
    } else {
        SoundRole::Main
    }
}

/// A name as people may see it; `None` when nothing of it is left.
fn title(said: &str) -> Option<String> {
    let kept: String = said.chars().filter(|c| !c.is_control() && *c != '"').take(MAX_TITLE).collect();
    Some(kept.trim().to_owned()).filter(|title| !title.is_empty())
}

/// A sound track that is tried.
struct Tried {
    track: SourceAudio,
    decoder: decoder::Audio,
    heard: Option<SourceAudio>,
}

/// Decodes until each track has shown something; a track that does not is dropped.
fn decodable(
    source: &mut Source,
    video: Option<SourceVideo>,
    audio: Vec<SourceAudio>,
) -> (Option<SourceVideo>, Vec<SourceAudio>) {
    let mut pictures = video.and_then(|v| Some((source.video(v.stream).ok()?, v)));
    let tried =
        |track: SourceAudio| Some(Tried { decoder: source.audio(track.stream).ok()?, track, heard: None });
    let mut sounds: Vec<Tried> = audio.into_iter().filter_map(tried).collect();
    let mut seen = None;
    let mut patience = MAX_PACKETS;
    while patience > 0 {
        patience -= 1;
        let missing = sounds.iter().filter(|sound| sound.heard.is_none()).count();
        let enough = (pictures.is_none() || seen.is_some()) && (missing < sounds.len() || sounds.is_empty());
        if enough {
            // A track in which nobody speaks for minutes is not waited for.
            patience = patience.min(MAX_MORE_PACKETS);
        }
        let packet = if enough && missing == 0 { Next::End } else { source.next() };
        let Next::Packet(packet) = packet else { break };
        if let Some((decoder, track)) = pictures.as_mut().filter(|p| p.1.stream as usize == packet.stream()) {
            decoder.send_packet(&packet).ok();
            seen = seen.or_else(|| first_picture(decoder, track));
        } else if let Some(sound) = sounds.iter_mut().find(|s| s.track.stream as usize == packet.stream()) {
            sound.decoder.send_packet(&packet).ok();
            sound.listen();
        }
    }
    // What decoders hold back comes out at the end: a source of one picture has nothing else.
    if let Some((decoder, track)) = pictures.as_mut().filter(|_| seen.is_none()) {
        decoder.send_eof().ok();
        seen = first_picture(decoder, track);
    }
    for sound in &mut sounds {
        sound.decoder.send_eof().ok();
        sound.listen();
    }
    (seen, sounds.into_iter().filter_map(|sound| sound.heard).collect())
}

impl Tried {
    fn listen(&mut self) {
        if self.heard.is_none() {
            self.heard = first_sound(&mut self.decoder, &self.track);
        }
    }
}

fn first_picture(decoder: &mut decoder::Video, track: &SourceVideo) -> Option<SourceVideo> {
    let mut picture = frame::Video::empty();
    decoder.receive_frame(&mut picture).ok()?;
    // What the picture itself says counts: containers are wrong about colour.
    let range = graph::range_of(picture.color_transfer_characteristic());
    let (interlaced, hdr) = (picture.is_interlaced(), !range.is_sdr());
    Some(SourceVideo { interlaced, hdr, range, ..track.clone() })
}

fn first_sound(decoder: &mut decoder::Audio, track: &SourceAudio) -> Option<SourceAudio> {
    let mut sound = frame::Audio::empty();
    decoder.receive_frame(&mut sound).ok()?;
    // A decoder may learn the true layout only from the first frame (HE-AAC, parametric stereo).
    Some(SourceAudio {
        channels: u32::from(sound.channels()).max(1),
        sample_rate: sound.rate(),
        ..track.clone()
    })
}

/// Clockwise quarter turns, then whether to mirror left to right, out of the display matrix (ISO/IEC 14496-12, 6.2.2).
fn orientation(stream: &Stream<'_>) -> (u8, bool) {
    let matrix = stream.side_data().find(|d| d.kind() == SideDataType::DisplayMatrix);
    matrix.map_or((0, false), |matrix| turn(matrix.data()))
}

fn turn(matrix: &[u8]) -> (u8, bool) {
    let value = |at: usize| {
        let bytes = matrix.get(at * 4..at * 4 + 4).and_then(|b| b.try_into().ok());
        f64::from(bytes.map_or(0, i32::from_ne_bytes))
    };
    let (a, b, c, d) = (value(0), value(1), value(3), value(4));
    if (a == 0.0 && b == 0.0) || (c == 0.0 && d == 0.0) {
        return (0, false);
    }
    let quarters = (b.atan2(a) / std::f64::consts::FRAC_PI_2).round().rem_euclid(4.0) as u8;
    let mirrored = a * d - b * c < 0.0;
    // A mirrored picture is mirrored top to bottom before it is turned; that is half a turn from left to right after.
    let quarters = if mirrored && quarters.is_multiple_of(2) { (quarters + 2) % 4 } else { quarters };
    (quarters, mirrored)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(a: i32, b: i32, c: i32, d: i32) -> Vec<u8> {
        [a, b, 0, c, d, 0, 0, 0, 1 << 14].iter().flat_map(|n| (n << 16).to_ne_bytes()).collect()
    }

    #[test]
    fn turns_and_mirrors_are_read_from_the_matrix() {
        assert_eq!(turn(&matrix(1, 0, 0, 1)), (0, false));
        assert_eq!(turn(&matrix(0, 1, -1, 0)), (1, false));
        assert_eq!(turn(&matrix(-1, 0, 0, -1)), (2, false));
        assert_eq!(turn(&matrix(0, -1, 1, 0)), (3, false));
        assert_eq!(turn(&matrix(-1, 0, 0, 1)), (0, true));
        assert_eq!(turn(&matrix(1, 0, 0, -1)), (2, true));
        assert_eq!(turn(&matrix(0, 1, 1, 0)), (1, true));
        assert_eq!(turn(&[]), (0, false));
    }
}
