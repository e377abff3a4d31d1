//! Pictures: from decoded frames to one steady, upright, square-pixelled sequence per rung.
//!
//! One filter graph does it: the rate is made constant, the picture turned, the largest rung scaled from the source and
//! each smaller one from the next larger.

use crate::clock::{Clock, MICROS};
use crate::error::CodecError;
use ffmpeg_next::software::scaling;
use ffmpeg_next::util::color::{Space, TransferCharacteristic};
use ffmpeg_next::{Error, filter, format, frame};
use sluice_wire::ladder::{Ratio, SourceVideo, VideoRung};

/// The graph, fed with decoded pictures.
pub(crate) struct Pictures {
    graph: filter::Graph,
    /// One sink a rung, from the highest rung to the lowest.
    rungs: usize,
    clock: Clock,
    shape: Shape,
    last: Option<i64>,
    /// How long the last picture stays, in microseconds.
    stays: i64,
}

/// What the graph was built for. A picture of another shape is converted first: filters do not expect a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    format: format::Pixel,
    width: u32,
    height: u32,
}

impl Shape {
    fn of(picture: &frame::Video) -> Self {
        Self { format: picture.format(), width: picture.width(), height: picture.height() }
    }
}

/// The longest that a last picture stays, in microseconds: a wrong duration must not freeze it.
const LONGEST_STAY: i64 = 10_000_000;

impl Pictures {
    /// Builds the graph for a source whose first decoded picture is `first`. `rungs` go from the lowest to the highest.
    pub(crate) fn new(
        source: &SourceVideo,
        rungs: &[VideoRung],
        first: &frame::Video,
        clock: Clock,
    ) -> Result<Self, CodecError> {
        let shape = Shape::of(first);
        let build = || -> Result<filter::Graph, Error> {
            let find = |name| filter::find(name).ok_or(Error::FilterNotFound);
            let mut graph = filter::Graph::new();
            graph.add(&find("buffer")?, "in", &buffer(shape)?)?;
            for index in 0..rungs.len() {
                graph.add(&find("buffersink")?, &sink(index), "")?;
            }
            let mut parser = graph.output("in", 0)?;
            for index in 0..rungs.len() {
                parser = parser.input(&sink(index), 0)?;
            }
            parser.parse(&chain(source, rungs, first))?;
            graph.validate()?;
            Ok(graph)
        };
        let graph = build().map_err(CodecError::internal("building the picture's filters"))?;
        let rate = source.frame_rate;
        let stays = i64::from(rate.den) * 1_000_000 / i64::from(rate.num.max(1));
        Ok(Self { graph, rungs: rungs.len(), clock, shape, last: None, stays: stays.clamp(1, LONGEST_STAY) })
    }

    /// Takes a decoded picture. One without a time follows its predecessor.
    pub(crate) fn push(&mut self, picture: &mut frame::Video) -> Result<(), CodecError> {
        let said = self.clock.micros(picture.packet().duration);
        if said > 0 {
            self.stays = said.min(LONGEST_STAY);
        }
        let placed = self.clock.place(picture.timestamp(), self.stays);
        let time = self.last.map_or(placed, |last| placed.max(last + 1));
        if let Some(last) = self.last.filter(|_| said <= 0) {
            // The distance of the last two pictures is the best guess at how long the last one stays.
            self.stays = (time - last).clamp(1, LONGEST_STAY);
        }
        self.last = Some(time);
        let mut converted =
            conform(picture, self.shape).map_err(CodecError::internal("converting a picture"))?;
        let picture = converted.as_mut().unwrap_or(picture);
        assume_matrix(picture);
        picture.set_pts(Some(time));
        let mut input = self.input()?;
        input.source().add(picture).map_err(CodecError::internal("filtering a picture"))
    }

    /// Says that no picture follows. The last one is given its duration, or it would be lost.
    pub(crate) fn finish(&mut self) -> Result<(), CodecError> {
        let end = self.end();
        let mut input = self.input()?;
        input.source().close(end).map_err(CodecError::internal("ending the picture's filters"))
    }

    fn input(&mut self) -> Result<filter::Context, CodecError> {
        self.graph.get("in").ok_or_else(|| CodecError::Internal("the filter's input is gone".into()))
    }

    /// When the last picture ends, in microseconds from the source's zero.
    pub(crate) fn end(&self) -> i64 {
        self.last.map_or(0, |last| last + self.stays)
    }

    /// As [`Pictures::end`], in milliseconds.
    pub(crate) fn end_ms(&self) -> u64 {
        u64::try_from(self.end() / 1_000).unwrap_or(0)
    }

    /// How often the stamps jumped.
    pub(crate) const fn jumps(&self) -> u64 {
        self.clock.jumps
    }

    /// The next picture of a rung (counted from the highest) with its number from 0, if one is ready. Rungs are pulled
    /// in turn: what one gives makes the others' too, and they would pile up.
    pub(crate) fn pull(&mut self, rung: usize) -> Option<(u64, frame::Video)> {
        let mut picture = frame::Video::empty();
        self.graph.get(&sink(rung))?.sink().frame(&mut picture).ok()?;
        let number = u64::try_from(picture.pts()?).ok()?;
        Some((number, picture))
    }

    /// How many rungs there are to pull.
    pub(crate) const fn rungs(&self) -> usize {
        self.rungs
    }
}

/// A copy of the picture in the wanted shape, if it has another.
fn conform(picture: &frame::Video, wanted: Shape) -> Result<Option<frame::Video>, Error> {
    let is = Shape::of(picture);
    if is == wanted {
        return Ok(None);
    }
    let flags = scaling::Flags::BICUBIC;
    let (from, to) = ((is.format, is.width, is.height), (wanted.format, wanted.width, wanted.height));
    let mut scaler = scaling::Context::get(from.0, from.1, from.2, to.0, to.1, to.2, flags)?;
    let mut converted = frame::Video::empty();
    scaler.run(picture, &mut converted)?;
    converted.set_color_space(picture.color_space());
    converted.set_color_range(picture.color_range());
    Ok(Some(converted))
}

/// Where the source does not name its matrix, large pictures are BT.709 and small ones BT.601, as players assume.
fn assume_matrix(picture: &mut frame::Video) {
    if picture.color_space() == Space::Unspecified {
        let large = picture.width().min(picture.height()) > 576;
        picture.set_color_space(if large { Space::BT709 } else { Space::SMPTE170M });
    }
}

fn sink(index: usize) -> String {
    format!("out{index}")
}

fn buffer(shape: Shape) -> Result<String, Error> {
    let format = shape.format.descriptor().ok_or(Error::InvalidData)?.name();
    let (width, height, unit) = (shape.width, shape.height, MICROS.denominator());
    Ok(format!("video_size={width}x{height}:pix_fmt={format}:time_base=1/{unit}:pixel_aspect=1/1"))
}

/// The graph's text, from `[in]` to `[out0]` (the highest rung) and on.
fn chain(source: &SourceVideo, rungs: &[VideoRung], first: &frame::Video) -> String {
    let mut highest_first = rungs.iter().rev();
    let Some(top) = highest_first.next() else { return "[in]nullsink".into() };
    let mut steps: Vec<String> = vec![];
    if first.is_interlaced() || source.interlaced {
        steps.push("bwdif=mode=send_frame:deint=interlaced".into());
    }
    steps.push(steady(full_rate(rungs)));
    steps.extend(turn(source.quarter_turns, source.mirrored).map(str::to_owned));
    steps.push(match tone(first) {
        Some(transfer) => format!("{},{}", resize(top), tone_map(transfer)),
        None => format!("{}:out_color_matrix=bt709:out_range=tv", resize(top)),
    });
    steps.push("format=yuv420p,setsar=1".into());
    let mut text = format!("[in]{}", steps.join(","));
    for (index, rung) in highest_first.enumerate() {
        text += &format!(",split=2[out{index}][t{index}];[t{index}]{},setsar=1", resize(rung));
    }
    text + &format!("[out{}]", rungs.len() - 1)
}

/// The transfer of a picture that must be tone-mapped, as zscale names it. The picture says it, not the container.
fn tone(picture: &frame::Video) -> Option<&'static str> {
    match picture.color_transfer_characteristic() {
        TransferCharacteristic::SMPTE2084 => Some("smpte2084"),
        TransferCharacteristic::ARIB_STD_B67 => Some("arib-std-b67"),
        _ => None,
    }
}

/// PQ and HLG (BT.2100) to linear light, tone-mapped, to what every screen shows.
fn tone_map(transfer: &str) -> String {
    format!(
        "zscale=tin={transfer}:min=2020_ncl:pin=2020:rin=limited:t=linear:npl=100,format=gbrpf32le,zscale=p=709,\
         tonemap=hable:desat=0,zscale=t=709:m=709:p=709:r=limited"
    )
}

/// The highest rate of the rungs: the grid on which all of them lie.
pub(crate) fn full_rate(rungs: &[VideoRung]) -> Ratio {
    let faster = |a: &&VideoRung, b: &&VideoRung| a.frame_rate.as_f64().total_cmp(&b.frame_rate.as_f64());
    rungs.iter().max_by(faster).map_or(Ratio::new(30, 1), |rung| rung.frame_rate)
}

/// Constant rate from time 0: what starts late is filled with its first picture, what starts early is cut.
fn steady(rate: Ratio) -> String {
    format!("fps=fps={}/{}:start_time=0:eof_action=round", rate.num, rate.den)
}

fn resize(rung: &VideoRung) -> String {
    format!("scale={}:{}:flags=bicubic", rung.width, rung.height)
}

fn turn(quarters: u8, mirrored: bool) -> impl Iterator<Item = &'static str> {
    let turned = match quarters % 4 {
        1 => Some("transpose=clock"),
        2 => Some("hflip,vflip"),
        3 => Some("transpose=cclock"),
        _ => None,
    };
    turned.into_iter().chain(mirrored.then_some("hflip"))
}
