//! One track's packets on the time line, chunk by chunk.
//!
//! A chunk is decoded from its *start point*: for pictures the last keyframe shown at or before its start, for sound the
//! first packet within [`LEAD`] of it. What lies between the start point of the next chunk and the place reached is kept,
//! so that the next chunk begins without seeking: a source that is still coming can only be read onward.

use crate::clock::{Clock, MICROS};
use crate::error::CodecError;
use crate::ffi;
use crate::source::{Next, Source, Supply};
use ffmpeg_next::{Packet, Rational, Rescale, decoder};
use std::collections::VecDeque;
use std::mem::take;
use std::sync::Arc;

/// How much sound is decoded before it is needed, in microseconds: decoders, resamplers and the encoder's model settle in
/// a fraction of it.
pub(crate) const LEAD: i64 = 1_000_000;
/// How far before a chunk a source with an index is read from, in microseconds: more than pictures are out of order.
const MARGIN: i64 = 2_000_000;
/// Bytes kept for the next chunk: 20 s of the highest bitrates. Sources with fewer keyframes than that are decoded on
/// without a new start.
const MAX_KEPT: usize = 256 << 20;

/// Which track, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Pictures: decoding begins at keyframes.
    Picture,
    /// Sound: decoding begins anywhere.
    Sound,
}

/// What [`Packets::next`] came to.
pub(crate) enum Given<'p> {
    /// A packet; its stamps and duration are microseconds on the time line.
    Packet(&'p Packet),
    /// The track is at its end.
    End,
}

/// The packets of one track.
pub(crate) struct Packets {
    source: Source,
    stream: usize,
    /// Streams and clocks of the other tracks, where this one is sound: their end is needed.
    beside: Vec<(usize, Clock)>,
    kind: Kind,
    clock: Clock,
    /// Packets that were read already and belong to this chunk as well.
    again: VecDeque<Packet>,
    /// Packets from the next chunk's start point on.
    kept: VecDeque<Packet>,
    kept_bytes: usize,
    /// Where the next chunk starts, in microseconds.
    border: i64,
    ended: bool,
    /// Why the source could not be read to its end.
    pub(crate) broken: Option<String>,
    /// True when the next chunk cannot be begun anew: the stamps jumped, or keyframes are too far apart.
    unbroken: bool,
}

impl Packets {
    /// Opens a track and goes to the chunk that starts at `start` microseconds. `zero` is the source's first moment,
    /// `claimed_ms` its claimed length, `seek` whether it has an index to find the place by.
    pub(crate) fn open(
        supply: &Arc<Supply>,
        (kind, stream, beside): (Kind, u32, Vec<u32>),
        (zero, claimed_ms, seek): (i64, u64, bool),
        start: i64,
    ) -> Result<Self, CodecError> {
        let mut source = Source::open(supply, seek)?;
        // What lies between a track's packets may still be on its way.
        let wanted: Vec<usize> = beside.iter().chain([&stream]).map(|stream| *stream as usize).collect();
        ffi::read_only(&mut source.input, &wanted);
        let clock = |stream| source.clock(stream, zero, claimed_ms);
        let mut packets = Self {
            stream: stream as usize,
            beside: beside.into_iter().map(|stream| (stream as usize, clock(stream))).collect(),
            kind,
            clock: clock(stream),
            source,
            again: VecDeque::new(),
            kept: VecDeque::new(),
            kept_bytes: 0,
            border: start,
            ended: false,
            broken: None,
            unbroken: false,
        };
        let near = start - MARGIN;
        if seek && near > 0 && packets.source.seek(near + zero) {
            packets.clock.go_to(near);
            packets.beside.iter_mut().for_each(|(_, clock)| clock.go_to(near));
        }
        packets.skip(start);
        Ok(packets)
    }

    /// A decoder for the track, which takes packets of the time line.
    pub(crate) fn video_decoder(&self) -> Result<decoder::Video, CodecError> {
        self.source.video(self.stream as u32)
    }

    /// As [`Packets::video_decoder`], for sound.
    pub(crate) fn audio_decoder(&self) -> Result<decoder::Audio, CodecError> {
        self.source.audio(self.stream as u32)
    }

    /// What the container says of the codec: its name and its header.
    pub(crate) fn parameters(&self) -> Vec<u8> {
        self.source.parameters(self.stream as u32)
    }

    /// Goes over to the next chunk, which ends at `border` microseconds. True when decoding begins anew with a packet that
    /// [`Packets::next`] gives again; false when it just goes on.
    pub(crate) fn begin(&mut self, border: i64) -> bool {
        self.border = border;
        if self.unbroken {
            return false;
        }
        let mut again = take(&mut self.kept);
        again.append(&mut self.again);
        self.kept_bytes = 0;
        self.again = again;
        true
    }

    /// The next packet of the chunk or after it.
    pub(crate) fn next(&mut self) -> Given<'_> {
        let packet = match self.again.pop_front() {
            Some(packet) => Some(packet),
            None => self.read(),
        };
        match packet {
            Some(packet) => {
                self.keep(packet);
                self.kept.back().map_or(Given::End, Given::Packet)
            }
            None => Given::End,
        }
    }

    /// When the last of the other tracks ends, as far as their packets were read beside this one's, in microseconds.
    pub(crate) fn beside_end(&self) -> i64 {
        self.beside.iter().map(|(_, clock)| clock.end()).max().unwrap_or(0)
    }

    /// How often the stamps jumped.
    pub(crate) const fn jumps(&self) -> u64 {
        self.clock.jumps
    }

    /// Reads up to a chunk's start without decoding.
    fn skip(&mut self, start: i64) {
        let mut reached = start <= 0;
        while !reached && let Some(packet) = self.read() {
            reached = packet.dts().is_some_and(|at| at > start);
            self.keep(packet);
        }
    }

    fn keep(&mut self, packet: Packet) {
        if self.unbroken {
            // Only what is being given is held.
            self.kept.clear();
        } else if self.starts(&packet) {
            self.kept.clear();
            self.kept_bytes = 0;
        } else if self.kept_bytes > MAX_KEPT {
            self.unbroken = true;
            self.kept.clear();
        }
        self.kept_bytes += packet.size();
        self.kept.push_back(packet);
    }

    /// True when the next chunk's decoding may begin with this packet, and need not begin before it.
    fn starts(&self, packet: &Packet) -> bool {
        let at = packet.pts().or_else(|| packet.dts());
        match self.kind {
            Kind::Picture => packet.is_key() && at.is_some_and(|at| at <= self.border),
            Kind::Sound => at.is_some_and(|at| at <= self.border - LEAD),
        }
    }

    /// The next packet of the track, on the time line.
    fn read(&mut self) -> Option<Packet> {
        while !self.ended {
            match self.source.next() {
                Next::Packet(packet) if packet.stream() == self.stream => {
                    let jumps = self.clock.jumps;
                    let packet = place(&mut self.clock, packet);
                    self.unbroken |= self.clock.jumps != jumps;
                    return Some(packet);
                }
                Next::Packet(packet) => {
                    let beside = self.beside.iter_mut().find(|(stream, _)| *stream == packet.stream());
                    if let Some((_, clock)) = beside {
                        place(clock, packet);
                    }
                }
                Next::End => self.ended = true,
                Next::Broken(why) => {
                    self.broken = Some(why);
                    self.ended = true;
                }
            }
        }
        None
    }
}

/// Puts a packet on the time line: stamps and duration in microseconds. What has no decoding time has that of its
/// presentation.
fn place(clock: &mut Clock, mut packet: Packet) -> Packet {
    let (pts, dts) = (packet.pts(), packet.dts());
    let duration = clock.micros(packet.duration().max(0));
    let later = pts.zip(dts).map_or(0, |(pts, dts)| clock.micros(pts.saturating_sub(dts)));
    let at = clock.place(dts.or(pts), duration);
    packet.set_dts(Some(at));
    packet.set_pts(pts.map(|_| at.saturating_add(later)));
    packet.set_duration(duration);
    packet.set_time_base(MICROS);
    packet
}

/// A number of ticks of a rate as microseconds, rounded down.
pub(crate) fn micros_of(ticks: u64, timescale: u32) -> i64 {
    i64::try_from(ticks).unwrap_or(i64::MAX).rescale(Rational(1, timescale.max(1).cast_signed()), MICROS)
}
