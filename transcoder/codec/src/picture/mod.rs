//! Pictures: decoded once, made whole and steady, looked at for cuts, scaled to each rung, encoded by a thread a rung.

mod cells;
mod cuts;
pub(crate) mod encoder;
mod family;
mod feed;
pub(crate) mod graph;
mod header;
mod judge;
mod likeness;
mod named;
pub(crate) mod poster;
mod rung;
mod steady;

use crate::chain::Chain;
use crate::emit::Emit;
use crate::error::CodecError;
use crate::ffi;
use crate::packets::{Given, Kind, Packets, micros_of};
use crate::source::{Got, Supply, got};
use crate::work::{Ended, Work};
use cells::cells;
use cuts::Cuts;
use family::{Family, families, output, pictures};
use feed::{Feed, Handle, ended_by, start_rungs};
use ffmpeg_next::{decoder, frame};
use graph::{Scale, Shape, Weave, stride};
pub(crate) use judge::judge;
use named::Named;
use poster::Poster;
use rung::{ChunkEnd, Step};
use sluice_wire::codec::{CodecMessage, EncodeRequest, Track};
use sluice_wire::ladder::{Ratio, SourceVideo, VideoRange, VideoRung};
use sluice_wire::limits::{CHUNK_SEGMENTS, MAX_DURATION_S};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread::Scope;
use steady::Steady;

/// Media between two progress frames, in microseconds.
const PROGRESS: i64 = 500_000;
/// The longest that a last picture stays, in microseconds: a wrong duration must not freeze it.
const LONGEST_STAY: i64 = 10_000_000;

/// Makes the picture's part of a request. `None` when it has none.
pub(crate) fn run<'s>(
    scope: &'s Scope<'s, '_>,
    supply: &Arc<Supply>,
    request: &'s EncodeRequest,
    emit: &'s Emit,
) -> Result<Option<Ended>, CodecError> {
    let Some(seen) = &request.source.video else { return Ok(None) };
    let work = Work::new(request, Track::Picture);
    let rungs: Vec<VideoRung> = request.ladder.pictures().filter(|r| work.names(&r.name)).cloned().collect();
    if rungs.is_empty() {
        return Ok(None);
    }
    let rungs = rungs.into_iter().partition(|rung| request.named.contains(&rung.name));
    let mut pictures = Pictures::new(scope, supply, request, (seen, rungs, &work), emit)?;
    let ended = pictures.chunks(&work);
    // A rung that failed closed its channel: its own error says more than that of whoever noticed.
    pictures.join().and(ended).map(Some)
}

/// The highest rate of the rungs: the grid on which all of them lie.
fn full_rate(rungs: &[VideoRung]) -> Ratio {
    let faster = |a: &&VideoRung, b: &&VideoRung| a.frame_rate.as_f64().total_cmp(&b.frame_rate.as_f64());
    rungs.iter().max_by(faster).map_or(Ratio::new(30, 1), |rung| rung.frame_rate)
}

struct Pictures<'s> {
    seen: &'s SourceVideo,
    families: Vec<Family>,
    emit: &'s Emit,
    packets: Packets,
    decoder: decoder::Video,
    chain: Chain,
    weave: Option<Weave>,
    steady: Steady<frame::Video>,
    cuts: Cuts,
    scale: Option<Scale>,
    poster: Option<Poster>,
    /// Where the pictures come out that are looked at for it.
    poster_output: Option<usize>,
    /// Ticks of the full rate, and of a segment and a chunk in them.
    full: Ratio,
    segment_ticks: u64,
    rungs: Vec<VideoRung>,
    /// One for each rung that is made.
    feeds: Vec<Feed>,
    /// Those that are named and not made.
    named: Vec<Named>,
    threads: Vec<Handle<'s>>,
    /// When the last decoded picture was, and how long it stays.
    last: Option<i64>,
    stays: i64,
    /// Keyframes read of the source's first chunk, as far as they are counted.
    groups: u32,
    told: i64,
    damaged: u64,
}

impl<'s> Pictures<'s> {
    fn new(
        scope: &'s Scope<'s, '_>,
        supply: &Arc<Supply>,
        request: &'s EncodeRequest,
        (seen, (named, rungs), work): (&'s SourceVideo, (Vec<VideoRung>, Vec<VideoRung>), &Work),
        emit: &'s Emit,
    ) -> Result<Self, CodecError> {
        let source = &request.source;
        // The grid is that of the whole ladder, whichever rungs are made; further codecs have that of H.264.
        let full = full_rate(&request.ladder.video);
        let segment_ticks = segment_ticks(&request.ladder.video, full);
        let first = segment_ticks * u64::from(CHUNK_SEGMENTS * work.first());
        let start = micros_of(first * u64::from(full.den), full.num);
        let about = (source.zero_us, source.duration_ms, source.indexed);
        let packets = Packets::open(supply, (Kind::Picture, seen.stream, vec![]), about, start)?;
        let families = families(&request.ladder, &rungs);
        let places: Vec<usize> = rungs.iter().map(|rung| output(&families, rung).unwrap_or(0)).collect();
        let (feeds, threads) = start_rungs(scope, &request.ladder, (&rungs, &places), (full, seen), emit)?;
        let named = named
            .iter()
            .map(|rung| Named::new((&pictures(&request.ladder, rung.range), rung), seen, full, emit));
        let named = named.collect::<Result<_, _>>()?;
        let poster_output = for_poster(&families);
        let poster =
            (request.poster && work.first() == 0).then(|| Poster::new(source.duration_ms, full.as_f64()));
        let (decoder, chain) = (packets.video_decoder()?, Chain::new(&packets.parameters()));
        let stays = i64::from(seen.frame_rate.den) * 1_000_000 / i64::from(seen.frame_rate.num.max(1));
        Ok(Self {
            seen,
            families,
            emit,
            packets,
            decoder,
            chain,
            weave: None,
            steady: Steady::new(full, first),
            cuts: cuts(&request.ladder.video, full),
            scale: None,
            poster,
            poster_output,
            full,
            segment_ticks,
            rungs,
            feeds,
            named,
            threads,
            last: None,
            stays: stays.clamp(1, LONGEST_STAY),
            groups: if work.first() == 0 { 0 } else { 2 },
            told: 0,
            damaged: 0,
        })
    }

    fn chunks(&mut self, work: &Work) -> Result<Ended, CodecError> {
        for chunk in work.chunks() {
            for (feed, rung) in self.feeds.iter_mut().zip(&self.rungs) {
                feed.wanted = work.wanted(chunk, &rung.name);
            }
            self.named.iter_mut().for_each(|named| named.begin(work.wanted(chunk, &named.rung().name)));
            if self.chunk(chunk)? {
                break;
            }
        }
        if let Some(poster) = self.poster.take() {
            poster.send(self.emit)?;
        }
        let end_us = self.end();
        let damaged = self.damaged + self.packets.jumps();
        Ok(Ended { end_us, damaged, broken: self.packets.broken.take() })
    }

    /// Makes one chunk. True when the source ends in it.
    fn chunk(&mut self, chunk: u32) -> Result<bool, CodecError> {
        let ticks = self.segment_ticks * u64::from(CHUNK_SEGMENTS);
        let (first, end) = (ticks * u64::from(chunk), ticks * (u64::from(chunk) + 1));
        if self.packets.begin(self.at(end)) {
            self.decoder = self.packets.video_decoder()?;
            self.chain = Chain::new(&self.packets.parameters());
            self.weave = None;
            self.steady = Steady::new(self.full, first);
            self.cuts.forget();
            self.last = None;
        }
        let ended = loop {
            match self.packets.next() {
                Given::Packet(packet) => {
                    if self.groups < 2 && packet.is_key() {
                        self.groups += 1;
                        let end = u64::try_from(packet.position()).ok();
                        if let Some(end) = end.filter(|_| self.groups == 2) {
                            self.emit.message(&CodecMessage::Group { end })?;
                        }
                    }
                    self.chain.take(packet);
                    if self.decoder.send_packet(packet).is_err() {
                        self.damaged += 1;
                    }
                }
                Given::End => break true,
            }
            if self.decoded(end)?.is_break() {
                break false;
            }
        };
        let last = ended && self.finish(end)?.is_continue();
        self.cut(chunk, end, last)?;
        Ok(last)
    }

    /// A tick in microseconds.
    fn at(&self, tick: u64) -> i64 {
        micros_of(tick * u64::from(self.full.den), self.full.num)
    }

    /// Takes what the decoder has. Breaks when the chunk has all of its ticks.
    fn decoded(&mut self, end: u64) -> Result<ControlFlow<()>, CodecError> {
        let mut picture = frame::Video::empty();
        while self.next_picture(&mut picture) {
            self.whole(&picture, end)?;
            if self.steady.next() >= end {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The next decoded picture. What cannot be decoded is counted and left out.
    fn next_picture(&mut self, picture: &mut frame::Video) -> bool {
        let got = got(self.decoder.receive_frame(picture));
        let whole = matches!(got, Got::One) && !picture.is_corrupt();
        self.damaged += u64::from(!whole && !matches!(got, Got::NoMore));
        matches!(got, Got::One)
    }

    /// Gives a decoded picture its time, and takes it through the filter of interlaced pictures if there is one.
    fn whole(&mut self, picture: &frame::Video, end: u64) -> Result<(), CodecError> {
        let said = picture.packet().duration;
        if said > 0 {
            self.stays = said.min(LONGEST_STAY);
        }
        // One without a time follows its predecessor.
        let placed = picture.timestamp().unwrap_or_else(|| self.last.map_or(0, |last| last + self.stays));
        let at = self.last.map_or(placed, |last| placed.max(last + 1));
        if let Some(last) = self.last.filter(|_| said <= 0) {
            // The distance of the last two pictures is the best guess at how long the last one stays.
            self.stays = (at - last).clamp(1, LONGEST_STAY);
        }
        self.last = Some(at);
        self.tell(at)?;
        if !self.seen.interlaced {
            return self.steadily(at, ffi::share(picture), end);
        }
        let shape = Shape::of(picture);
        if !self.weave.as_ref().is_some_and(|weave| weave.fits(shape)) {
            self.unweave(at, end)?;
            self.weave = Some(Weave::new(shape)?);
        }
        if let Some(weave) = &mut self.weave {
            let mut picture = ffi::share(picture);
            picture.set_pts(Some(at));
            weave.push(&picture)?;
        }
        self.woven(end)
    }

    /// Ends the filter of interlaced pictures; what it held comes out.
    fn unweave(&mut self, at: i64, end: u64) -> Result<(), CodecError> {
        if let Some(weave) = &mut self.weave {
            weave.finish(at);
        }
        self.woven(end)?;
        self.weave = None;
        Ok(())
    }

    fn woven(&mut self, end: u64) -> Result<(), CodecError> {
        while let Some((at, picture)) = self.weave.as_mut().and_then(Weave::pull) {
            self.steadily(at, picture, end)?;
        }
        Ok(())
    }

    /// Puts a picture on the grid of ticks, and what it displaces into the rungs.
    fn steadily(&mut self, at: i64, picture: frame::Video, end: u64) -> Result<(), CodecError> {
        let mut steady = std::mem::replace(&mut self.steady, Steady::new(self.full, 0));
        let shown = steady.push(at, picture, end, |tick, picture| self.show(tick, picture));
        self.steady = steady;
        shown
    }

    /// Drains everything at the source's end. Breaks when the chunk is full nevertheless.
    fn finish(&mut self, end: u64) -> Result<ControlFlow<()>, CodecError> {
        self.decoder.send_eof().ok();
        if self.decoded(end)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        let at = self.end();
        self.unweave(at, end)?;
        let mut steady = std::mem::replace(&mut self.steady, Steady::new(self.full, 0));
        let shown = steady.finish(at, end, |tick, picture| self.show(tick, picture));
        self.steady = steady;
        shown?;
        let beyond = self.at(end) < at;
        Ok(if beyond { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    /// When the last picture ends, in microseconds.
    fn end(&self) -> i64 {
        self.last.map_or(0, |last| last + self.stays)
    }

    /// Takes the picture of a tick to the rungs; cuts the segment when it was the last of one.
    fn show(&mut self, tick: u64, picture: &frame::Video) -> Result<(), CodecError> {
        let segment = u32::try_from(tick / self.segment_ticks).unwrap_or(u32::MAX);
        if !self.feeds.is_empty() {
            self.scaled(tick, segment, picture)?;
        }
        self.named.iter_mut().for_each(|named| named.show(tick, segment));
        if (tick + 1).is_multiple_of(self.segment_ticks) {
            self.end_segment(segment)?;
        }
        Ok(())
    }

    /// Scales the picture of a tick and hands it to the rungs that are made.
    fn scaled(&mut self, tick: u64, segment: u32, picture: &frame::Video) -> Result<(), CodecError> {
        let key = self.cuts.look(tick, cells(picture));
        let shape = Shape::of(picture);
        if !self.scale.as_ref().is_some_and(|scale| scale.fits(shape)) {
            self.scale = Some(Scale::new(shape, self.seen, &self.families, self.full)?);
        }
        let Some(scale) = &mut self.scale else { return Ok(()) };
        scale.push(tick, ffi::share(picture))?;
        for output in 0..scale.outputs() {
            while let Some((at, picture)) = scale.pull(output) {
                if self.poster_output == Some(output)
                    && self.poster.as_mut().is_some_and(|p| p.look(at, &picture))
                    && let Some(poster) = self.poster.take()
                {
                    poster.send(self.emit)?;
                }
                let key = key && at == tick;
                for feed in self.feeds.iter().filter(|f| f.output == output && segment >= f.wanted) {
                    let (number, picture) = (at / feed.stride, ffi::share(&picture));
                    feed.send(Step::Picture { number, picture, key })?;
                }
            }
        }
        Ok(())
    }

    fn end_segment(&mut self, seq: u32) -> Result<(), CodecError> {
        let source = self.chain.source();
        self.named.iter_mut().try_for_each(|named| named.cut(seq, source, self.emit))?;
        self.feeds.iter().filter(|f| seq >= f.wanted).try_for_each(|f| f.send(Step::Cut { seq, source }))
    }

    /// Ends a chunk: its last segment may be a short one.
    fn cut(&mut self, chunk: u32, end: u64, last: bool) -> Result<(), CodecError> {
        let next = self.steady.next();
        if next < end && !next.is_multiple_of(self.segment_ticks) {
            self.end_segment(u32::try_from(next / self.segment_ticks).unwrap_or(u32::MAX))?;
        }
        let ended = Arc::new(ChunkEnd { chunk, track: Track::Picture, last });
        self.feeds.iter().try_for_each(|feed| feed.send(Step::End(Arc::clone(&ended))))?;
        ended_by(ended, self.emit)
    }

    /// Says how far it is, now and then.
    fn tell(&mut self, at: i64) -> Result<(), CodecError> {
        if at > i64::from(MAX_DURATION_S) * 1_000_000 {
            return Err(CodecError::TooLarge(format!("it goes on after {} h", MAX_DURATION_S / 3_600)));
        }
        if at >= self.told + PROGRESS {
            self.told = at;
            self.emit.message(&CodecMessage::Progress { done_ms: u64::try_from(at / 1_000).unwrap_or(0) })?;
        }
        Ok(())
    }

    fn join(mut self) -> Result<(), CodecError> {
        self.feeds.clear();
        let mut first = Ok(());
        for thread in self.threads.drain(..) {
            let ended =
                thread.join().unwrap_or_else(|_| Err(CodecError::Internal("a rung's thread died".into())));
            first = first.and(ended);
        }
        first
    }
}

/// Ticks of the full rate in a segment: the same for each rung.
fn segment_ticks(rungs: &[VideoRung], full: Ratio) -> u64 {
    rungs.first().map_or(1, |rung| u64::from(rung.segment_frames) * stride(rung, full))
}

/// Cuts on the grid of a whole ladder.
fn cuts(rungs: &[VideoRung], full: Ratio) -> Cuts {
    let gop = rungs.first().map_or(1, |rung| u64::from(rung.gop_frames) * stride(rung, full));
    Cuts::new(gop.max(1), rungs.iter().map(|rung| stride(rung, full)).max().unwrap_or(1))
}

/// Where the pictures come out that a poster is chosen from: the largest that are not too wide, in the colours of every
/// screen; `None` where none are made.
fn for_poster(families: &[Family]) -> Option<usize> {
    let made = &families.iter().find(|family| family.range == VideoRange::Sdr)?.made;
    let chosen = made.iter().rfind(|rung| rung.width <= poster::MAX_WIDTH).or_else(|| made.first())?;
    output(families, chosen)
}
