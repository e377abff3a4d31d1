//! The filters that a picture goes through: one graph that makes it whole, one that makes a picture of each rung.
//!
//! Both are built for pictures of one [`Shape`] and built anew when it changes on the way.

use super::encoder::pixel;
use super::family::{Family, is_of};
use crate::clock::MICROS;
use crate::error::CodecError;
use ffmpeg_next::util::color::{Range, Space, TransferCharacteristic};
use ffmpeg_next::{Error, filter, format, frame};
use sluice_wire::ladder::{Ratio, SourceVideo, VideoRange, VideoRung};

/// What decides how pictures are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    format: format::Pixel,
    width: u32,
    height: u32,
    transfer: TransferCharacteristic,
    space: Space,
    range: Range,
}

impl Shape {
    pub(super) fn of(picture: &frame::Video) -> Self {
        Self {
            format: picture.format(),
            width: picture.width(),
            height: picture.height(),
            transfer: picture.color_transfer_characteristic(),
            space: picture.color_space(),
            range: picture.color_range(),
        }
    }

    /// The arguments of a graph's source whose stamps count in such units of a second.
    fn buffer(&self, (num, den): (u32, u32)) -> Result<String, Error> {
        let format = self.format.descriptor().ok_or(Error::InvalidData)?.name();
        let (width, height) = (self.width, self.height);
        Ok(format!("video_size={width}x{height}:pix_fmt={format}:time_base={num}/{den}:pixel_aspect=1/1"))
    }
}

/// Builds a graph from `[in]` to as many outputs as asked, `[out0]` and on.
fn build(source: &str, outputs: usize, chain: &str) -> Result<filter::Graph, Error> {
    let find = |name| filter::find(name).ok_or(Error::FilterNotFound);
    let mut graph = filter::Graph::new();
    graph.add(&find("buffer")?, "in", source)?;
    for index in 0..outputs {
        graph.add(&find("buffersink")?, &sink(index), "")?;
    }
    let mut parser = graph.output("in", 0)?;
    for index in 0..outputs {
        parser = parser.input(&sink(index), 0)?;
    }
    parser.parse(chain)?;
    graph.validate()?;
    Ok(graph)
}

fn sink(index: usize) -> String {
    format!("out{index}")
}

fn push(graph: &mut filter::Graph, picture: &frame::Video) -> Result<(), CodecError> {
    let mut input =
        graph.get("in").ok_or_else(|| CodecError::Internal("the filter's input is gone".into()))?;
    input.source().add(picture).map_err(CodecError::internal("filtering a picture"))
}

fn pull(graph: &mut filter::Graph, index: usize) -> Option<frame::Video> {
    let mut picture = frame::Video::empty();
    graph.get(&sink(index))?.sink().frame(&mut picture).ok().map(|()| picture)
}

/// The filter counts in halves of its source's unit, which is put right.
const WEAVE: &str = "[in]bwdif=mode=send_frame:deint=interlaced,settb=1/1000000[out0]";

/// Makes whole pictures of interlaced ones.
pub(super) struct Weave {
    shape: Shape,
    graph: filter::Graph,
}

impl Weave {
    pub(super) fn new(shape: Shape) -> Result<Self, CodecError> {
        let unit = (1, MICROS.denominator().unsigned_abs());
        let graph = shape
            .buffer(unit)
            .and_then(|source| build(&source, 1, WEAVE))
            .map_err(CodecError::internal("building the filter of interlaced pictures"))?;
        Ok(Self { shape, graph })
    }

    pub(super) fn fits(&self, shape: Shape) -> bool {
        self.shape == shape
    }

    /// Takes a picture stamped in microseconds.
    pub(super) fn push(&mut self, picture: &frame::Video) -> Result<(), CodecError> {
        push(&mut self.graph, picture)
    }

    /// Says that no picture follows; `end` is when the last one ends.
    pub(super) fn finish(&mut self, end: i64) {
        if let Some(mut input) = self.graph.get("in") {
            input.source().close(end).ok();
        }
    }

    /// A whole picture with its stamp, if one is ready.
    pub(super) fn pull(&mut self) -> Option<(i64, frame::Video)> {
        let picture = pull(&mut self.graph, 0)?;
        let at = picture.pts()?;
        Some((at, picture))
    }
}

/// Makes the pictures that rungs are encoded from: upright, in square pixels, in the colours of every screen or in those that
/// the source has.
///
/// In each family the lowest and the highest are scaled from the source, each between them from the next larger one of the
/// ladder, be that made or not: a rung's pictures are the same whatever is made beside it.
pub(super) struct Scale {
    shape: Shape,
    graph: filter::Graph,
    outputs: usize,
}

impl Scale {
    /// For those of a ladder's pictures that are made. Pictures are stamped in ticks of `full`, the rate of the fastest.
    pub(super) fn new(
        shape: Shape,
        source: &SourceVideo,
        families: &[Family],
        full: Ratio,
    ) -> Result<Self, CodecError> {
        let outputs = families.iter().map(|family| family.made.len()).sum();
        let graph = shape
            .buffer((full.den, full.num))
            .and_then(|buffer| build(&buffer, outputs, &chain(shape, source, families, full)))
            .map_err(CodecError::internal("building the picture's filters"))?;
        Ok(Self { shape, graph, outputs })
    }

    pub(super) fn fits(&self, shape: Shape) -> bool {
        self.shape == shape
    }

    /// Takes the picture of a tick.
    pub(super) fn push(&mut self, tick: u64, mut picture: frame::Video) -> Result<(), CodecError> {
        assume_matrix(&mut picture);
        picture.set_pts(i64::try_from(tick).ok());
        push(&mut self.graph, &picture)
    }

    /// What comes out at a place, counted over all families, in each from the highest, with its tick; if there is something.
    pub(super) fn pull(&mut self, output: usize) -> Option<(u64, frame::Video)> {
        let picture = pull(&mut self.graph, output)?;
        let tick = u64::try_from(picture.pts()?).ok()?;
        Some((tick, picture))
    }

    /// How many places there are to pull at.
    pub(super) const fn outputs(&self) -> usize {
        self.outputs
    }
}

/// Where the source does not name its matrix, it is that of BT.2020 with a wide range; else large pictures are BT.709 and
/// small ones BT.601, as players assume.
fn assume_matrix(picture: &mut frame::Video) {
    if picture.color_space() == Space::Unspecified {
        let large = picture.width().min(picture.height()) > 576;
        picture.set_color_space(match (range_of(picture.color_transfer_characteristic()), large) {
            (VideoRange::Hlg | VideoRange::Pq, _) => Space::BT2020NCL,
            (VideoRange::Sdr, true) => Space::BT709,
            (VideoRange::Sdr, false) => Space::SMPTE170M,
        });
    }
}

/// The pictures that a rung's come through, from the highest, without its own: none for the lowest.
pub(super) fn above<'r>(pictures: &'r [VideoRung], rung: &VideoRung) -> impl Iterator<Item = &'r VideoRung> {
    let at = pictures.iter().position(|picture| is_of(rung, picture)).filter(|at| *at > 0);
    pictures.iter().skip(at.map_or(pictures.len(), |at| at + 1)).rev()
}

/// The graph's text, from `[in]` to `[out0]` and on.
fn chain(shape: Shape, source: &SourceVideo, families: &[Family], full: Ratio) -> String {
    let turned: Vec<_> = turn(source.quarter_turns, source.mirrored).chain(["null"]).collect();
    let mut text = format!("[in]{}", turned.join(","));
    if families.len() != 1 {
        let ways: String = (0..families.len()).map(|number| format!("[way{number}]")).collect();
        text += &format!(",split={}{ways}", families.len());
    }
    let mut outputs = 0;
    for (number, family) in families.iter().enumerate() {
        if families.len() > 1 {
            text += &format!(";[way{number}]null");
        }
        text += &descent(shape, (number, family), outputs, full);
        outputs += family.made.len();
    }
    text
}

/// A family's part of the text, which goes on from a picture of the source: from the highest on, as far down as pictures are
/// needed. The first of its outputs has this number.
fn descent(shape: Shape, (number, family): (usize, &Family), first: usize, full: Ratio) -> String {
    let is_made = |rung: &VideoRung| family.made.iter().any(|other| other.name == rung.name);
    let Some((lowest, upper)) = family.all.split_first() else { return ",nullsink".into() };
    let down_to = upper.iter().position(is_made);
    let lowest = Some(lowest).filter(|rung| is_made(rung));
    let mut text = match (lowest, down_to) {
        (Some(_), Some(_)) => format!(",split=2[low{number}][high{number}]"),
        (Some(_), None) => format!("[low{number}]"),
        (None, Some(_)) => format!("[high{number}]"),
        (None, None) => ",nullsink".into(),
    };
    let (mut outputs, mut above): (usize, Option<&VideoRung>) = (first, None);
    for (index, rung) in upper.iter().enumerate().skip(down_to.unwrap_or(upper.len())).rev() {
        let steps =
            above.map_or_else(|| from_source(shape, rung, full), |above| from_above(above, rung, full));
        text += &format!(
            ";[{}]{steps}",
            above.map_or_else(|| format!("high{number}"), |above| format!("t-{}", above.name))
        );
        let more = Some(index) > down_to;
        text += &match (is_made(rung), more) {
            (true, true) => format!(",split=2[out{outputs}][t-{}]", rung.name),
            (false, _) => format!("[t-{}]", rung.name),
            (true, false) => format!("[out{outputs}]"),
        };
        outputs += usize::from(is_made(rung));
        above = Some(rung);
    }
    if let Some(rung) = lowest {
        text += &format!(";[low{number}]{}[out{outputs}]", from_source(shape, rung, full));
    }
    text
}

/// What makes a rung's picture of the source's.
fn from_source(shape: Shape, rung: &VideoRung, full: Ratio) -> String {
    let mut steps: Vec<String> = halved(rung, full).map(str::to_owned).into_iter().collect();
    let resized = resize(rung);
    // The picture says what it is, not the container.
    steps.push(match (range_of(shape.transfer), rung.range) {
        (VideoRange::Sdr, VideoRange::Sdr) => format!("{resized}:out_color_matrix=bt709:out_range=tv"),
        (from, VideoRange::Sdr) => format!("{resized},{}", tone_map(transfer(from))),
        (from, to) if from == to => format!("{resized}:out_color_matrix=bt2020:out_range=tv"),
        (from, to) => format!("{resized},{}", carry(from, to)),
    });
    steps.push(format!("format={},setsar=1", pixel(rung.range).1));
    steps.join(",")
}

/// What makes a rung's picture of the next larger one's.
fn from_above(above: &VideoRung, rung: &VideoRung, full: Ratio) -> String {
    // What is thrown away is not scaled first.
    let fewer = halved(rung, full).filter(|_| halved(above, full).is_none());
    fewer.map_or_else(String::new, |filter| format!("{filter},")) + &format!("{},setsar=1", resize(rung))
}

/// Every second tick, for a rung of half the rate.
fn halved(rung: &VideoRung, full: Ratio) -> Option<&'static str> {
    (stride(rung, full) == 2).then_some(r"select=not(mod(pts\,2))")
}

/// Ticks of the full rate from one picture of a rung to the next: 1 or 2.
pub(super) fn stride(rung: &VideoRung, full: Ratio) -> u64 {
    ((full.as_f64() / rung.frame_rate.as_f64()).round() as u64).clamp(1, 2)
}

/// The range of what has this transfer.
pub(crate) const fn range_of(transfer: TransferCharacteristic) -> VideoRange {
    match transfer {
        TransferCharacteristic::SMPTE2084 => VideoRange::Pq,
        TransferCharacteristic::ARIB_STD_B67 => VideoRange::Hlg,
        _ => VideoRange::Sdr,
    }
}

/// A range's transfer, as zscale names it.
const fn transfer(range: VideoRange) -> &'static str {
    match range {
        VideoRange::Sdr => "709",
        VideoRange::Hlg => "arib-std-b67",
        VideoRange::Pq => "smpte2084",
    }
}

/// A picture of another range than the film's, in the film's: white is 203 cd/m2 (ITU-R BT.2408).
fn carry(from: VideoRange, to: VideoRange) -> String {
    let colours = if from.is_sdr() { "min=709:pin=709" } else { "min=2020_ncl:pin=2020" };
    format!(
        "zscale=tin={}:{colours}:rin=limited:t=linear:npl=203,format=gbrpf32le,\
         zscale=p=2020:t={}:m=2020_ncl:r=limited:npl=203",
        transfer(from),
        transfer(to)
    )
}

/// PQ and HLG (BT.2100) to linear light, tone-mapped, to what every screen shows.
fn tone_map(transfer: &str) -> String {
    format!(
        "zscale=tin={transfer}:min=2020_ncl:pin=2020:rin=limited:t=linear:npl=100,format=gbrpf32le,zscale=p=709,\
         tonemap=hable:desat=0,zscale=t=709:m=709:p=709:r=limited"
    )
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
