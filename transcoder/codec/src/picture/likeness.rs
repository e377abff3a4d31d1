//! How alike two pictures are: structural similarity (SSIM), of one that is brought to the size of the other.

use crate::ffi;
use crate::source::{Got, got};
use ffmpeg_next::{Error, filter, frame};
use sluice_wire::ladder::VideoRung;

/// Compares pictures of one rung with those of another size.
pub(super) struct Likeness(filter::Graph);

impl Likeness {
    pub(super) fn new(rung: &VideoRung, (width, height): (u32, u32)) -> Result<Self, Error> {
        let find = |name| filter::find(name).ok_or(Error::FilterNotFound);
        let buffer = |width, height| {
            format!("video_size={width}x{height}:pix_fmt=yuv420p:time_base=1/25:pixel_aspect=1/1")
        };
        let mut graph = filter::Graph::new();
        graph.add(&find("buffer")?, "made", &buffer(rung.width, rung.height))?;
        graph.add(&find("buffer")?, "shown", &buffer(width, height))?;
        graph.add(&find("buffersink")?, "out", "")?;
        let chain = format!("[made]scale={width}:{height}:flags=bicubic[whole];[whole][shown]ssim[out]");
        graph.output("made", 0)?.output("shown", 0)?.input("out", 0)?.parse(&chain)?;
        graph.validate()?;
        Ok(Self(graph))
    }

    /// How many of the pairs were compared, and the sum of how alike they are: from 0 to 1, of luma and chroma as the filter
    /// weighs them.
    pub(super) fn of(mut self, made: &[frame::Video], shown: &[&frame::Video]) -> Result<(u64, f64), Error> {
        let mut sum = (0, 0.0);
        for (tick, (made, shown)) in (0..).zip(made.iter().zip(shown)) {
            for (name, picture) in [("made", made), ("shown", shown)] {
                let mut picture = ffi::share(picture);
                picture.set_pts(Some(tick));
                self.input(name)?.source().add(&picture)?;
            }
            self.pull(&mut sum)?;
        }
        // A pair comes out when the next one is there, or none follows.
        for name in ["made", "shown"] {
            self.input(name)?.source().flush()?;
        }
        self.pull(&mut sum)?;
        Ok(sum)
    }

    fn input(&mut self, name: &str) -> Result<filter::Context, Error> {
        self.0.get(name).ok_or(Error::FilterNotFound)
    }

    fn pull(&mut self, sum: &mut (u64, f64)) -> Result<(), Error> {
        let mut seen = frame::Video::empty();
        while let Got::One = got(self.input("out")?.sink().frame(&mut seen)) {
            let said = seen.metadata().get("lavfi.ssim.All").and_then(|said| said.parse::<f64>().ok());
            if let Some(alike) = said.filter(|alike| alike.is_finite()) {
                *sum = (sum.0 + 1, sum.1 + alike);
            }
        }
        Ok(())
    }
}
