//! Pictures: from decoded frames to one steady, upright, square-pixelled sequence per rung.
//!
//! One filter graph does it: the rate is made constant, the picture turned, the largest rung scaled from the source and
//! each smaller one from the next larger.

use crate::error::CodecError;
use ffmpeg_next::{Rational, Rescale, filter, frame};
use sluice_wire::ladder::{Ratio, SourceVideo, VideoRung};

/// The graph, fed with decoded pictures.
pub(crate) struct Pictures {
    graph: filter::Graph,
    /// One sink a rung, from the highest rung to the lowest.
    rungs: usize,
    time_base: Rational,
    /// Subtracted from each time stamp: the source's zero.
    zero: i64,
    last: Option<i64>,
    step: i64,
}

impl Pictures {
    /// Builds the graph for a source whose first decoded picture is `first`. `rungs` go from the lowest to the highest.
    pub(crate) fn new(
        source: &SourceVideo,
        rungs: &[VideoRung],
        first: &frame::Video,
        time_base: Rational,
        zero: i64,
    ) -> Result<Self, CodecError> {
        let build = || -> Result<filter::Graph, ffmpeg_next::Error> {
            let find = |name| filter::find(name).ok_or(ffmpeg_next::Error::FilterNotFound);
            let mut graph = filter::Graph::new();
            graph.add(&find("buffer")?, "in", &buffer(first, time_base))?;
            for index in 0..rungs.len() {
                graph.add(&find("buffersink")?, &sink(index), "")?;
            }
            let mut parser = graph.output("in", 0)?;
            for index in 0..rungs.len() {
                parser = parser.input(&sink(index), 0)?;
            }
            parser.parse(&chain(source, rungs, first.is_interlaced()))?;
            graph.validate()?;
            Ok(graph)
        };
        let graph = build().map_err(CodecError::internal("building the picture's filters"))?;
        let rate = source.frame_rate;
        let step = 1i64.rescale(Rational(rate.den.cast_signed(), rate.num.cast_signed()), time_base).max(1);
        Ok(Self { graph, rungs: rungs.len(), time_base, zero, last: None, step })
    }

    /// Takes a decoded picture. One without a time follows its predecessor.
    pub(crate) fn push(&mut self, picture: &mut frame::Video) -> Result<(), CodecError> {
        let stamp = picture.timestamp().map(|t| t - self.zero);
        let time = match (stamp, self.last) {
            (Some(time), Some(last)) if time <= last => last + 1,
            (Some(time), _) => time,
            (None, Some(last)) => last + self.step,
            (None, None) => 0,
        };
        if let Some(last) = self.last.filter(|last| time > *last) {
            // The distance of the last two pictures is the best guess at how long the last one stays.
            self.step = (time - last).min(10 * self.step.max(1)).max(1);
        }
        self.last = Some(time);
        picture.set_pts(Some(time));
        self.source()?.add(picture).map_err(CodecError::internal("filtering a picture"))
    }

    /// Says that no picture follows. The last one is given its duration, or it would be lost.
    pub(crate) fn finish(&mut self) -> Result<(), CodecError> {
        let end = self.end();
        self.source()?.close(end).map_err(CodecError::internal("ending the picture's filters"))
    }

    fn source(&mut self) -> Result<SourceOf<'_>, CodecError> {
        let context =
            self.graph.get("in").ok_or_else(|| CodecError::Internal("the filter's input is gone".into()))?;
        Ok(SourceOf(context, std::marker::PhantomData))
    }

    fn end(&self) -> i64 {
        self.last.map_or(0, |last| last + self.step)
    }

    /// When the last picture ends, in milliseconds from the source's zero.
    pub(crate) fn end_ms(&self) -> u64 {
        u64::try_from(self.end().rescale(self.time_base, Rational(1, 1_000))).unwrap_or(0)
    }

    /// The next picture of a rung (counted from the highest) with its number from 0, if one is ready.
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

/// Keeps the borrow of the graph while its input is used.
struct SourceOf<'g>(filter::Context, std::marker::PhantomData<&'g ()>);

impl SourceOf<'_> {
    fn add(&mut self, picture: &frame::Video) -> Result<(), ffmpeg_next::Error> {
        self.0.source().add(picture)
    }

    fn close(&mut self, end: i64) -> Result<(), ffmpeg_next::Error> {
        self.0.source().close(end)
    }
}

fn sink(index: usize) -> String {
    format!("out{index}")
}

fn buffer(first: &frame::Video, time_base: Rational) -> String {
    let (width, height) = (first.width(), first.height());
    // Ordinals of AVPixelFormat are what the filter takes for formats without a name of their own too.
    let format = first.format().descriptor().map_or("yuv420p", |d| d.name());
    let (num, den) = (time_base.numerator(), time_base.denominator());
    format!("video_size={width}x{height}:pix_fmt={format}:time_base={num}/{den}:pixel_aspect=1/1")
}

/// The graph's text, from `[in]` to `[out0]` (the highest rung) and on.
fn chain(source: &SourceVideo, rungs: &[VideoRung], interlaced: bool) -> String {
    let mut highest_first = rungs.iter().rev();
    let Some(top) = highest_first.next() else { return "[in]nullsink".into() };
    let mut steps: Vec<String> = vec![];
    if interlaced || source.interlaced {
        steps.push("bwdif=mode=send_frame".into());
    }
    steps.push(steady(full_rate(rungs)));
    steps.extend(turn(source.quarter_turns, source.mirrored).map(str::to_owned));
    steps.push(scale(top));
    if source.hdr {
        // PQ and HLG to linear light, tone-mapped, back to what every screen shows.
        steps.push("zscale=t=linear:npl=100,format=gbrpf32le,zscale=p=bt709,tonemap=hable:desat=0".into());
        steps.push("zscale=t=bt709:m=bt709:r=tv".into());
    }
    steps.push("format=yuv420p,setsar=1".into());
    let mut text = format!("[in]{}", steps.join(","));
    for (index, rung) in highest_first.enumerate() {
        text += &format!(",split=2[out{index}][t{index}];[t{index}]{},setsar=1", scale(rung));
    }
    text + &format!("[out{}]", rungs.len() - 1)
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

fn scale(rung: &VideoRung) -> String {
    format!("scale={}:{}:flags=bicubic:out_color_matrix=bt709:out_range=tv", rung.width, rung.height)
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
