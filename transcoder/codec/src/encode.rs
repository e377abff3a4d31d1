//! Encoding: picture and sound side by side, each with its own reader of the source.

use crate::emit::Emit;
use crate::error::CodecError;
use crate::packets::micros_of;
use crate::source::Supply;
use crate::work::Ended;
use crate::{picture, sound};
use sluice_wire::codec::{CodecMessage, EncodeRequest};
use sluice_wire::limits::CHUNK_SEGMENTS;
use std::sync::Arc;
use std::thread::scope;

/// A source may end this much before its container's claim without being called truncated.
const SLACK_MS: u64 = 1_000;

/// Makes what a request asks for.
pub(crate) fn encode(
    supply: &Arc<Supply>,
    request: &EncodeRequest,
    emit: &Emit,
) -> Result<CodecMessage, CodecError> {
    let (pictures, sounds) = scope(|scope| {
        let sounds = scope.spawn(|| sound::run(supply, request, emit));
        let pictures = picture::run(scope, supply, request, emit);
        let died = || Err(CodecError::Internal("the sound's thread died".into()));
        (pictures, sounds.join().unwrap_or_else(|_| died()))
    });
    let (mut pictures, mut sounds) = (pictures?, sounds?);
    // What was there before the first chunk is no news, and no loss where nothing follows.
    let before_us = start_us(request);
    pictures.iter_mut().chain(&mut sounds).for_each(|ended| ended.end_us = ended.end_us.max(before_us));
    let ended: Vec<&Ended> = pictures.iter().chain(&sounds).collect();
    let end_us = ended.iter().map(|e| e.end_us).max().unwrap_or(0);
    let duration_ms = u64::try_from(end_us / 1_000).unwrap_or(0);
    let nothing = request.chunks.iter().any(|work| work.chunk == 0) && duration_ms == 0;
    if nothing && !ended.is_empty() {
        return Err(CodecError::Undecodable("nothing of it could be decoded".into()));
    }
    let damage = damage(request, pictures.as_ref(), sounds.as_ref(), duration_ms);
    Ok(CodecMessage::Done { duration_ms, damage })
}

/// Where the first chunk starts, in microseconds.
fn start_us(request: &EncodeRequest) -> i64 {
    let segments = request.chunks.iter().map(|work| work.chunk).min().unwrap_or(0) * CHUNK_SEGMENTS;
    match (request.ladder.video.first(), request.ladder.audio.first()) {
        (Some(rung), _) => micros_of(u64::from(segments) * rung.segment_ticks(), rung.frame_rate.num),
        (None, Some(rung)) => micros_of(u64::from(segments * rung.segment.num), rung.segment.den),
        (None, None) => 0,
    }
}

/// What is wrong with a source that could be shown nevertheless.
fn damage(
    request: &EncodeRequest,
    pictures: Option<&Ended>,
    sounds: Option<&Ended>,
    shown_ms: u64,
) -> Option<String> {
    let ended = || pictures.into_iter().chain(sounds);
    let claimed = request.source.duration_ms;
    let seconds = |ms: u64| ms as f64 / 1_000.0;
    let damaged: u64 = ended().map(|e| e.damaged).sum();
    if let Some(why) = ended().find_map(|e| e.broken.as_ref()) {
        Some(format!("the file is broken after {:.1} s: {why}", seconds(shown_ms)))
    } else if request.onward && claimed > shown_ms + SLACK_MS {
        let (shown, claimed) = (seconds(shown_ms), seconds(claimed));
        Some(format!("the file ends after {shown:.1} s of the {claimed:.1} s it claims"))
    } else if pictures.is_some_and(|p| p.end_us == 0) {
        Some("the picture could not be decoded: only the sound is left".into())
    } else {
        (damaged > 0).then(|| format!("{damaged} damaged pieces were left out"))
    }
}
