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

/// Makes a picture of each rung that is made: upright, in square pixels, in the colours of every screen.
///
/// The lowest rung and the highest are scaled from the source, each between them from the next larger one of the ladder,
/// be that made or not: a rung's pictures are the same whatever is made beside it.
pub(super) struct Scale {
    shape: Shape,
    graph: filter::Graph,
    rungs: usize,
}

impl Scale {
    /// For those of a ladder's rungs (from the lowest to the highest) that are made. Pictures are stamped in ticks of
    /// `full`, the rate of the fastest.
    pub(super) fn new(
        shape: Shape,
        source: &SourceVideo,
        (ladder, made): (&[VideoRung], &[VideoRung]),
        full: Ratio,
    ) -> Result<Self, CodecError> {
        let graph = shape
            .buffer((full.den, full.num))
            .and_then(|buffer| build(&buffer, made.len(), &chain(shape, source, (ladder, made), full)))
            .map_err(CodecError::internal("building the picture's filters"))?;
        Ok(Self { shape, graph, rungs: made.len() })
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

/// The rungs that a rung's pictures come through, from the highest, without itself: none for the lowest.
pub(super) fn above<'r>(ladder: &'r [VideoRung], rung: &VideoRung) -> impl Iterator<Item = &'r VideoRung> {
    let at = ladder.iter().position(|other| other.name == rung.name).filter(|at| *at > 0);
    ladder.iter().skip(at.map_or(ladder.len(), |at| at + 1)).rev()
}

/// The graph's text, from `[in]` to `[out0]` (the highest rung that is made) and on.
fn chain(
    shape: Shape,
    source: &SourceVideo,
    (ladder, made): (&[VideoRung], &[VideoRung]),
    full: Ratio,
) -> String {
    let is_made = |rung: &VideoRung| made.iter().any(|other| other.name == rung.name);
    let turned: Vec<_> = turn(source.quarter_turns, source.mirrored).chain(["null"]).collect();
    let mut text = format!("[in]{}", turned.join(","));
    let Some((lowest, upper)) = ladder.split_first() else { return text + ",nullsink" };
    let down_to = upper.iter().position(is_made);
    let lowest = Some(lowest).filter(|rung| is_made(rung));
    match (lowest, down_to) {
        (Some(_), Some(_)) => text += ",split=2[low][high]",
        (Some(_), None) => text += "[low]",
        (None, Some(_)) => text += "[high]",
        (None, None) => text += ",nullsink",
    }
    let (mut outputs, mut above): (usize, Option<&VideoRung>) = (0, None);
    for (index, rung) in upper.iter().enumerate().skip(down_to.unwrap_or(upper.len())).rev() {
        let steps =
            above.map_or_else(|| from_source(shape, rung, full), |above| from_above(above, rung, full));
        text += &format!(
            ";[{}]{steps}",
            above.map_or_else(|| "high".to_owned(), |above| format!("t-{}", above.name))
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
        text += &format!(";[low]{}[out{outputs}]", from_source(shape, rung, full));
    }
    text
}

/// What makes a rung's picture of the source's.
fn from_source(shape: Shape, rung: &VideoRung, full: Ratio) -> String {
    let mut steps: Vec<String> = halved(rung, full).map(str::to_owned).into_iter().collect();
    steps.push(match tone(shape.transfer) {
        Some(transfer) => format!("{},{}", resize(rung), tone_map(transfer)),
        None => format!("{}:out_color_matrix=bt709:out_range=tv", resize(rung)),
    });
    steps.push("format=yuv420p,setsar=1".into());
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
