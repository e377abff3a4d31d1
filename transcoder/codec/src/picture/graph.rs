//! The filters that a picture goes through: one graph that makes it whole, one that makes a picture of each rung.
//!
//! Both are built for pictures of one [`Shape`] and built anew when it changes on the way.

use crate::clock::MICROS;
use crate::error::CodecError;
use ffmpeg_next::util::color::{Range, Space, TransferCharacteristic};
use ffmpeg_next::{Error, filter, format, frame};
use sluice_wire::ladder::{Ratio, SourceVideo, VideoRung};

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

/// Makes a picture of each rung: upright, in square pixels, in the colours of every screen. The largest is scaled from the
/// source, each smaller one from the next larger.
pub(super) struct Scale {
    shape: Shape,
    graph: filter::Graph,
    rungs: usize,
}

impl Scale {
    /// For rungs from the lowest to the highest. Pictures are stamped in ticks of `full`, the rate of the fastest.
    pub(super) fn new(
        shape: Shape,
        source: &SourceVideo,
        rungs: &[VideoRung],
        full: Ratio,
    ) -> Result<Self, CodecError> {
        let graph = shape
            .buffer((full.den, full.num))
            .and_then(|buffer| build(&buffer, rungs.len(), &chain(shape, source, rungs, full)))
            .map_err(CodecError::internal("building the picture's filters"))?;
        Ok(Self { shape, graph, rungs: rungs.len() })
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

    /// The picture of a rung, counted from the highest, with its tick; if there is one.
    pub(super) fn pull(&mut self, rung: usize) -> Option<(u64, frame::Video)> {
        let picture = pull(&mut self.graph, rung)?;
        let tick = u64::try_from(picture.pts()?).ok()?;
        Some((tick, picture))
    }

    /// How many rungs there are to pull.
    pub(super) const fn rungs(&self) -> usize {
        self.rungs
    }
}

/// Where the source does not name its matrix, large pictures are BT.709 and small ones BT.601, as players assume.
fn assume_matrix(picture: &mut frame::Video) {
    if picture.color_space() == Space::Unspecified {
        let large = picture.width().min(picture.height()) > 576;
        picture.set_color_space(if large { Space::BT709 } else { Space::SMPTE170M });
    }
}

/// The graph's text, from `[in]` to `[out0]` (the highest rung) and on.
fn chain(shape: Shape, source: &SourceVideo, rungs: &[VideoRung], full: Ratio) -> String {
    let mut highest_first = rungs.iter().rev();
    let Some(top) = highest_first.next() else { return "[in]nullsink".into() };
    let mut steps: Vec<String> = halved(top, full).map(str::to_owned).into_iter().collect();
    steps.extend(turn(source.quarter_turns, source.mirrored).map(str::to_owned));
    steps.push(match tone(shape.transfer) {
        Some(transfer) => format!("{},{}", resize(top), tone_map(transfer)),
        None => format!("{}:out_color_matrix=bt709:out_range=tv", resize(top)),
    });
    steps.push("format=yuv420p,setsar=1".into());
    let mut text = format!("[in]{}", steps.join(","));
    let mut above = top;
    for (index, rung) in highest_first.enumerate() {
        // What is thrown away is not scaled first.
        let fewer = halved(rung, full).filter(|_| halved(above, full).is_none());
        let fewer = fewer.map_or_else(String::new, |filter| format!("{filter},"));
        text += &format!(",split=2[out{index}][t{index}];[t{index}]{fewer}{},setsar=1", resize(rung));
        above = rung;
    }
    text + &format!("[out{}]", rungs.len() - 1)
}

/// Every second tick, for a rung of half the rate.
fn halved(rung: &VideoRung, full: Ratio) -> Option<&'static str> {
    (stride(rung, full) == 2).then_some(r"select=not(mod(pts\,2))")
}

/// Ticks of the full rate from one picture of a rung to the next: 1 or 2.
pub(super) fn stride(rung: &VideoRung, full: Ratio) -> u64 {
    ((full.as_f64() / rung.frame_rate.as_f64()).round() as u64).clamp(1, 2)
}

/// The transfer of a picture that must be tone-mapped, as zscale names it. The picture says it, not the container.
fn tone(transfer: TransferCharacteristic) -> Option<&'static str> {
    match transfer {
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
