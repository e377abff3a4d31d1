//! What rungs of a title need and give: samples of it are scaled and encoded as they would be, and compared with the source.

use super::encoder::open;
use super::family::Family;
use super::full_rate;
use super::graph::{Scale, Shape, stride};
use super::likeness::Likeness;
use crate::error::CodecError;
use crate::ffi;
use crate::source::{Got, Next, Source, Supply, got};
use ffmpeg_next::{Packet, codec, decoder, encoder, frame, picture};
use sluice_wire::codec::JudgeRequest;
use sluice_wire::ladder::{FACTORS, Point, Ratio, SourceVideo, VideoRange, VideoRung};
use std::sync::Arc;

/// Places that samples are taken from, each in the middle of its part of the source.
const PLACES: i64 = 4;
/// Pictures of a sample: half a second and more. What they need is told apart by keyframe and others, so that a whole group of
/// pictures can be reckoned from them.
const PICTURES: usize = 16;
/// Packets of all tracks that are read for a sample.
const MAX_PACKETS: usize = 4_000;

/// Measures each rung of a ladder at each factor. Empty where too little can be known: of a source without an index only the
/// beginning could be seen, and what is interlaced is another picture before it is woven.
pub(crate) fn judge(supply: &Arc<Supply>, request: &JudgeRequest) -> Result<Vec<Point>, CodecError> {
    let (source, rungs) = (&request.source, &request.ladder.video);
    let Some(seen) = source.video.as_ref().filter(|v| source.indexed && !v.interlaced) else {
        return Ok(vec![]);
    };
    let length = i64::try_from(source.duration_ms).unwrap_or(0).saturating_mul(1_000);
    let mut input = Source::open(supply, true)?;
    let mut sums = vec![[Sum::default(); FACTORS.len()]; rungs.len()];
    for place in 0..PLACES {
        if !input.seek(length / (2 * PLACES) * (2 * place + 1) + source.zero_us) {
            break;
        }
        let sample = Sample::take(&mut input, (seen, rungs))?;
        let Some(reference) = sample.0.first().filter(|pictures| !pictures.is_empty()) else { continue };
        for ((rung, pictures), sums) in rungs.iter().zip(sample.0.iter().rev()).zip(&mut sums) {
            let stride = usize::try_from(stride(rung, full_rate(rungs))).unwrap_or(1);
            let shown: Vec<&frame::Video> = reference.iter().step_by(stride).collect();
            for (crf, sum) in FACTORS.into_iter().zip(sums) {
                sum.add(&VideoRung { crf, ..rung.clone() }, pictures, &shown)?;
            }
        }
    }
    let point = |(rung, sums): (&VideoRung, &[Sum; FACTORS.len()])| -> Vec<Point> {
        let each = FACTORS.into_iter().zip(sums);
        each.filter_map(|(crf, sum)| sum.point(rung, crf)).collect()
    };
    Ok(rungs.iter().zip(&sums).flat_map(point).collect())
}

/// Pictures of a place: of each rung, from the highest to the lowest.
struct Sample(Vec<Vec<frame::Video>>);

impl Sample {
    fn take(input: &mut Source, (seen, rungs): (&SourceVideo, &[VideoRung])) -> Result<Self, CodecError> {
        let full = full_rate(rungs);
        let mut decoder = input.video(seen.stream)?;
        let (mut scale, mut tick) = (None, 0);
        let mut taken = Self(rungs.iter().map(|_| vec![]).collect());
        for _ in 0..MAX_PACKETS {
            match input.next() {
                Next::Packet(packet) if packet.stream() == seen.stream as usize => {
                    // What cannot be decoded says nothing.
                    decoder.send_packet(&packet).ok();
                }
                Next::Packet(_) => continue,
                Next::End | Next::Broken(_) => {
                    decoder.send_eof().ok();
                    taken.fill(&mut decoder, (seen, rungs, full), &mut scale, &mut tick)?;
                    break;
                }
            }
            if taken.fill(&mut decoder, (seen, rungs, full), &mut scale, &mut tick)? {
                break;
            }
        }
        Ok(taken)
    }

    /// Takes what a decoder has. True when it is enough, or the picture becomes another on the way.
    fn fill(
        &mut self,
        decoder: &mut decoder::Video,
        (seen, rungs, full): (&SourceVideo, &[VideoRung], Ratio),
        scale: &mut Option<Scale>,
        tick: &mut u64,
    ) -> Result<bool, CodecError> {
        let mut picture = frame::Video::empty();
        while let Got::One = got(decoder.receive_frame(&mut picture)) {
            let shape = Shape::of(&picture);
            if scale.is_none() {
                let (all, made) = (rungs.to_vec(), rungs.to_vec());
                let family = Family { range: VideoRange::Sdr, all, made };
                *scale = Some(Scale::new(shape, seen, &[family], full)?);
            }
            let Some(scale) = scale.as_mut().filter(|scale| scale.fits(shape)) else { return Ok(true) };
            scale.push(*tick, ffi::share(&picture))?;
            *tick += 1;
            for (index, pictures) in self.0.iter_mut().enumerate() {
                while let Some((_, picture)) = scale.pull(index) {
                    pictures.push(picture);
                }
            }
            if self.0.first().is_some_and(|highest| highest.len() >= PICTURES) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// What was measured of a rung at a factor, over all places.
#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    keys: u64,
    key_bytes: u64,
    others: u64,
    other_bytes: u64,
    compared: u64,
    likeness: f64,
}

impl Sum {
    /// Encodes pictures, and compares what becomes of them with what is to be shown.
    fn add(
        &mut self,
        rung: &VideoRung,
        pictures: &[frame::Video],
        shown: &[&frame::Video],
    ) -> Result<(), CodecError> {
        let failed = CodecError::internal("encoding a sample");
        let (parameters, packets) = encoded(rung, pictures).map_err(failed)?;
        for packet in &packets {
            let bytes = packet.size() as u64;
            let (count, sum) = if packet.is_key() {
                (&mut self.keys, &mut self.key_bytes)
            } else {
                (&mut self.others, &mut self.other_bytes)
            };
            *count += 1;
            *sum += bytes;
        }
        let Some(first) = shown.first() else { return Ok(()) };
        let failed = CodecError::internal("comparing a sample");
        let again = decoded(&parameters, &packets).map_err(failed)?;
        let likeness = Likeness::new(rung, (first.width(), first.height()));
        let (compared, alike) = likeness
            .and_then(|likeness| likeness.of(&again, shown))
            .map_err(CodecError::internal("comparing"))?;
        self.compared += compared;
        self.likeness += alike;
        Ok(())
    }

    /// `None` where nothing was seen.
    fn point(&self, rung: &VideoRung, crf: u8) -> Option<Point> {
        let mean = |bytes: u64, count: u64| bytes as f64 / count.max(1) as f64;
        let group = f64::from(rung.gop_frames.max(1));
        let bytes = mean(self.key_bytes, self.keys) + mean(self.other_bytes, self.others) * (group - 1.0);
        let bitrate = (bytes * 8.0 * rung.frame_rate.as_f64() / group).round() as u64;
        let likeness = (self.compared > 0).then(|| self.likeness / self.compared as f64)?;
        Some(Point { rung: rung.name.clone(), crf, bitrate, quality: quality(likeness) })
    }
}

/// Hundredths of decibels of a structural similarity from 0 to 1.
fn quality(likeness: f64) -> i32 {
    ((1.0 - likeness).max(1e-4).log10() * -1_000.0).round() as i32
}

/// The encoder's parameter sets, and the packets of some pictures.
fn encoded(
    rung: &VideoRung,
    pictures: &[frame::Video],
) -> Result<(Vec<u8>, Vec<Packet>), ffmpeg_next::Error> {
    let mut encoder = open(rung)?;
    let (parameters, mut packets) = (ffi::extradata(&encoder), vec![]);
    for (number, picture) in (0..).zip(pictures) {
        let mut picture = ffi::share(picture);
        picture.set_pts(Some(number));
        picture.set_kind(if number == 0 { picture::Type::I } else { picture::Type::None });
        encoder.send_frame(&picture)?;
        collect(&mut encoder, &mut packets)?;
    }
    encoder.send_eof()?;
    collect(&mut encoder, &mut packets)?;
    Ok((parameters, packets))
}

fn collect(encoder: &mut encoder::Video, packets: &mut Vec<Packet>) -> Result<(), ffmpeg_next::Error> {
    loop {
        let mut packet = Packet::empty();
        match got(encoder.receive_packet(&mut packet)) {
            Got::One => packets.push(packet),
            Got::NoMore => return Ok(()),
            Got::Failed(error) => return Err(error),
        }
    }
}

/// Pictures of packets in the order in which they are shown.
fn decoded(parameters: &[u8], packets: &[Packet]) -> Result<Vec<frame::Video>, ffmpeg_next::Error> {
    let codec = decoder::find(codec::Id::H264).ok_or(ffmpeg_next::Error::DecoderNotFound)?;
    let mut decoder = codec::Context::new_with_codec(codec).decoder().video()?;
    let mut pictures = vec![];
    for (number, packet) in packets.iter().enumerate() {
        let head = if number == 0 { parameters } else { &[] };
        let mut whole = Packet::copy(&[head, packet.data().unwrap_or_default()].concat());
        whole.set_pts(packet.pts());
        whole.set_dts(packet.dts());
        decoder.send_packet(&whole)?;
        drain(&mut decoder, &mut pictures);
    }
    decoder.send_eof()?;
    drain(&mut decoder, &mut pictures);
    Ok(pictures)
}

fn drain(decoder: &mut decoder::Video, pictures: &mut Vec<frame::Video>) {
    let mut picture = frame::Video::empty();
    while let Got::One = got(decoder.receive_frame(&mut picture)) {
        pictures.push(ffi::share(&picture));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quality_is_in_hundredths_of_decibels() {
        assert_eq!([quality(0.0), quality(0.9), quality(0.99), quality(1.0)], [0, 1_000, 2_000, 4_000]);
    }
}
