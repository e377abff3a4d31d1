//! How loud a source is (EBU R 128): measured once, of some of it, before anything is made of it.
//!
//! Each sound track is measured as its rungs will be heard: on two speakers, and with six channels also as 5.1. What is not
//! there is not waited for.

use crate::clock::MICROS;
use crate::sound::Convert;
use crate::source::{Got, Next, Source, Supply, got};
use ffmpeg_next::{Rational, Rescale, decoder, frame};
use sluice_wire::ladder::{SURROUND, Source as Seen, SourceAudio};
use std::sync::Arc;

/// Sound that is measured of all tracks together, in microseconds.
const MEASURED: i64 = 120_000_000;
/// Places that it is taken from, where a source is longer and can be sought in.
const PLACES: i64 = 8;
/// The least that says something about the whole, in microseconds; a shorter source is measured to its end.
const ENOUGH: i64 = 10_000_000;
/// Packets of all tracks that are read for it.
const MAX_PACKETS: usize = 60_000;

/// Writes down how loud each track is, as far as that can be found out.
pub(crate) fn measure(supply: &Arc<Supply>, seen: &mut Seen) {
    if seen.audio.is_empty() {
        return;
    }
    let Ok(mut source) = Source::open_here(supply) else { return };
    let mut tracks: Vec<Tracked> =
        seen.audio.iter().filter_map(|track| Tracked::new(&source, track)).collect();
    let each = MEASURED / i64::try_from(seen.audio.len()).unwrap_or(1).max(1);
    let length = i64::try_from(seen.duration_ms).unwrap_or(0).saturating_mul(1_000);
    let sought = seen.indexed && supply.is_complete() && length > each;
    let mut ended = true;
    for place in 0..if sought { PLACES } else { 1 } {
        let at = length / PLACES * place;
        if place > 0 && !source.seek(at + seen.zero_us) {
            break;
        }
        tracks.iter_mut().for_each(|track| track.decoder.flush());
        ended = listen(&mut source, &mut tracks, if sought { each / PLACES } else { each });
    }
    // A source of which more will come says too little by its first seconds.
    let whole = ended && supply.is_complete();
    for track in tracks {
        let Some(kept) = seen.audio.iter_mut().find(|audio| audio.stream == track.stream) else { continue };
        if whole || track.heard >= ENOUGH {
            (kept.loudness, kept.surround_loudness) = track.measured();
        }
    }
}

/// Gives the meters so much of each track. True at the source's end.
fn listen(source: &mut Source, tracks: &mut [Tracked], each: i64) -> bool {
    let until: Vec<i64> = tracks.iter().map(|track| track.heard + each).collect();
    for _ in 0..MAX_PACKETS {
        let satisfied = || tracks.iter().zip(&until).all(|(track, until)| track.heard >= *until);
        if satisfied() {
            return false;
        }
        let Next::Packet(packet) = source.next() else { return true };
        if let Some(track) = tracks.iter_mut().find(|track| track.stream as usize == packet.stream()) {
            track.hear(&packet);
        }
    }
    false
}

/// A track and its meters.
struct Tracked {
    stream: u32,
    decoder: decoder::Audio,
    stereo: Meter,
    surround: Option<Meter>,
    /// How much of it was measured, in microseconds.
    heard: i64,
}

impl Tracked {
    fn new(source: &Source, track: &SourceAudio) -> Option<Self> {
        Some(Self {
            stream: track.stream,
            decoder: source.audio(track.stream).ok()?,
            stereo: Meter::new(track.channels.clamp(1, 2)),
            surround: (track.channels >= SURROUND).then(|| Meter::new(SURROUND)),
            heard: 0,
        })
    }

    fn hear(&mut self, packet: &ffmpeg_next::Packet) {
        self.decoder.send_packet(packet).ok();
        let mut sound = frame::Audio::empty();
        while let Got::One = got(self.decoder.receive_frame(&mut sound)) {
            let rate = i32::try_from(sound.rate()).unwrap_or(0).max(1);
            self.heard += i64::try_from(sound.samples()).unwrap_or(0).rescale(Rational(1, rate), MICROS);
            sound.set_pts(None);
            self.stereo.push(&sound);
            if let Some(meter) = &mut self.surround {
                meter.push(&sound);
            }
        }
    }

    fn measured(self) -> (Option<i32>, Option<i32>) {
        (self.stereo.integrated, self.surround.and_then(|meter| meter.integrated))
    }
}

/// A meter of integrated loudness, for sound turned into so many channels.
struct Meter {
    channels: u32,
    convert: Option<Convert>,
    integrated: Option<i32>,
}

impl Meter {
    const fn new(channels: u32) -> Self {
        Self { channels, convert: None, integrated: None }
    }

    fn push(&mut self, sound: &frame::Audio) {
        if self.convert.is_none() {
            self.convert = Convert::meter(self.channels, sound).ok();
        }
        // What changes its shape on the way is measured as far as it did not.
        let Some(convert) = self.convert.as_mut().filter(|convert| convert.fits(sound)) else { return };
        convert.push(sound).ok();
        while let Some(metered) = convert.pull() {
            let said = metered.metadata().get("lavfi.r128.I").and_then(|said| said.parse::<f64>().ok());
            self.integrated = said.filter(|said| said.is_finite()).map(|said| (said * 100.0).round() as i32);
        }
    }
}
