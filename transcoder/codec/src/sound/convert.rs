//! From whatever a decoder gives to floats at the rung's rate, a plane for each channel.

use crate::ffi;
use ffmpeg_next::channel_layout::ChannelLayout;
use ffmpeg_next::{Error, filter, frame};
use sluice_wire::ladder::AudioRung;

/// What decides how sound is converted. A source may change it on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shape {
    rate: u32,
    format: &'static str,
    layout: u64,
}

impl Shape {
    fn of(sound: &frame::Audio) -> Self {
        let (known, channels) = (sound.channel_layout(), i32::from(sound.channels()).max(1));
        let layout = if known.is_empty() { ChannelLayout::default(channels) } else { known };
        Self { rate: sound.rate().max(1), format: sound.format().name(), layout: layout.bits() }
    }
}

fn layout(channels: u32) -> &'static str {
    match channels {
        1 => "mono",
        2 => "stereo",
        _ => "5.1",
    }
}

/// How many channels become two (ITU-R BS.775, table 2): centre and surround at 3 dB less, without the low-frequency effects.
const DOWNMIX: &str = "clev=0.70710678:slev=0.70710678:lfe_mix_level=0";

/// A converter for sound of one shape.
pub(crate) struct Convert {
    shape: Shape,
    graph: filter::Graph,
}

impl Convert {
    /// For sound like `first`, of which the first `skip` samples are left out.
    pub(super) fn new(rung: &AudioRung, first: &frame::Audio, skip: u64) -> Result<Self, Error> {
        let (rate, layout) = (rung.sample_rate, layout(rung.channels));
        let trim = if skip > 0 { format!("atrim=start_sample={skip},") } else { String::new() };
        Self::by(
            first,
            &format!(
                "{trim}aresample={rate}:ocl={layout}:{DOWNMIX},aformat=sample_fmts=fltp:sample_rates={rate}:channel_layouts={layout}"
            ),
        )
    }

    /// Measures how loud sound like `first` is in so many channels: what comes out says so in its metadata.
    pub(crate) fn meter(channels: u32, first: &frame::Audio) -> Result<Self, Error> {
        let layout = layout(channels);
        let meter = "ebur128=metadata=1:dualmono=1";
        Self::by(
            first,
            &format!("aresample=48000:ocl={layout}:{DOWNMIX},aformat=channel_layouts={layout},{meter}"),
        )
    }

    fn by(first: &frame::Audio, chain: &str) -> Result<Self, Error> {
        let find = |name| filter::find(name).ok_or(Error::FilterNotFound);
        let shape = Shape::of(first);
        let mut graph = filter::Graph::new();
        let rate = shape.rate;
        let input = format!(
            "time_base=1/{rate}:sample_rate={rate}:sample_fmt={}:channel_layout=0x{:x}",
            shape.format, shape.layout
        );
        graph.add(&find("abuffer")?, "in", &input)?;
        graph.add(&find("abuffersink")?, "out", "")?;
        graph.output("in", 0)?.input("out", 0)?.parse(chain)?;
        graph.validate()?;
        Ok(Self { shape, graph })
    }

    /// True when it can take this sound.
    pub(crate) fn fits(&self, sound: &frame::Audio) -> bool {
        self.shape == Shape::of(sound)
    }

    pub(crate) fn push(&mut self, sound: &frame::Audio) -> Result<(), Error> {
        // The filter takes over what it is given, and others may want the same.
        self.graph.get("in").ok_or(Error::FilterNotFound)?.source().add(&ffi::share_sound(sound))
    }

    /// Says that nothing follows: the rest comes out.
    pub(super) fn finish(&mut self) -> Result<(), Error> {
        self.graph.get("in").ok_or(Error::FilterNotFound)?.source().flush()
    }

    /// Converted sound, if any is ready.
    pub(crate) fn pull(&mut self) -> Option<frame::Audio> {
        let mut sound = frame::Audio::empty();
        self.graph.get("out")?.sink().frame(&mut sound).ok().map(|()| sound)
    }
}
