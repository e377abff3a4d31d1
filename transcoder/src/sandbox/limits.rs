//! What the codec may use, by what it is to do. Pure.

use nix::sys::resource::{Resource, getrlimit, rlim_t};
use sluice_wire::ladder::{Source, VideoCodec, VideoRung};
use std::time::Duration;

/// Memory for a look at a source. A look decodes a few pictures of at most 8192 x 8192.
const PROBE_MEMORY: u64 = 1 << 30;
/// Processor time for a look at a source; the look at a sound one takes well under a second.
pub(crate) const PROBE_PROCESSOR: Duration = Duration::from_secs(30);
/// Memory of an encoding that does not depend on the picture: libraries, sound, segments on their way out, and the
/// stacks of its threads, 8 MiB each, of which little is used.
const ENCODE_BASE: u64 = 512 << 20;
/// Memory for each pixel of the source's picture: see [`Bounds::encode`].
const BYTES_PER_PIXEL: u64 = 320;
/// Memory of each encoder of H.265, and for each pixel of its pictures: 65 MiB and 190 bytes were measured, 300 bytes with ten
/// bits.
const HEVC: (u64, u64) = (96 << 20, 340);
/// The same of AV1, with the stacks of its 16 threads: 230 MiB and 170 bytes were measured, 210 with ten bits.
const AV1: (u64, u64) = (256 << 20, 260);
/// Addresses beyond memory: the libraries, and what the allocator reserves for threads without using it (64 MiB each).
const ADDRESSES: u64 = 16 << 30;
/// Memory kept from being swapped: what a library that FFmpeg links locks for keys, and complains of when it cannot.
const LOCKED: u64 = 64 << 10;
/// Open files: the source, three pipes, one library at a time while it is loaded, and the descriptors of the walls.
const FILES: u64 = 64;
/// Threads of one codec: seven rungs, 16 for each of AV1's, and the decoder on a machine with 64 processors.
const THREADS: u64 = 1_024;

/// What one run may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of memory that it may write to.
    pub memory: u64,
    /// Processor time, of all its threads together.
    pub processor: Duration,
    /// How much it leaves processors to others: a nice value, 0 to 19.
    pub nice: i32,
}

impl Bounds {
    /// For a look at a source.
    #[must_use]
    pub const fn probe() -> Self {
        Self { memory: PROBE_MEMORY, processor: PROBE_PROCESSOR, nice: 0 }
    }

    /// For encoding a source within `wall` of the clock.
    ///
    /// A decoder holds up to 16 pictures besides those that its threads work on, filter and scaler two each, and each
    /// encoder looks 40 pictures ahead; the rungs below the source's size add up to about as much as the first. A picture
    /// takes 1.5 bytes a pixel, or 3 with more than 8 bits, which only decoder and filter see. H.264 with four references
    /// was measured to take 200 bytes a pixel in all (624 MiB at 1920 x 1080, of which 419 were resident; 1845 MiB at
    /// 3840 x 2160); the rest is for deeper sources.
    #[must_use]
    pub fn encode(source: &Source, wall: Duration) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
        let pixels = source.video.as_ref().map_or(0, |v| u64::from(v.width) * u64::from(v.height));
        Self {
            memory: ENCODE_BASE.saturating_add(pixels.saturating_mul(BYTES_PER_PIXEL)),
            processor: wall.saturating_mul(u32::try_from(processors).unwrap_or(u32::MAX)),
            nice: 0,
        }
    }

    /// With the encoders of these rungs besides, of which those of H.264 are counted already.
    #[must_use]
    pub fn with<'r>(self, rungs: impl IntoIterator<Item = &'r VideoRung>) -> Self {
        let of = |rung: &VideoRung| {
            let (fixed, pixel) = match rung.codec {
                VideoCodec::H264 => (0, 0),
                VideoCodec::Hevc => HEVC,
                VideoCodec::Av1 => AV1,
            };
            fixed + pixel * u64::from(rung.width) * u64::from(rung.height)
        };
        let more: u64 = rungs.into_iter().map(of).sum();
        Self { memory: self.memory.saturating_add(more), ..self }
    }

    /// Resources with their soft and hard limits. `own_user` says that the codec's user runs nothing but codecs, of which
    /// there are at most `slots`: the kernel counts threads by user.
    pub(super) fn limits(self, own_user: bool, slots: u32) -> Vec<(Resource, rlim_t, rlim_t)> {
        let seconds = self.processor.as_secs().max(1);
        let exactly = |what, most| (what, most, most);
        let mut limits = vec![
            exactly(Resource::RLIMIT_DATA, self.memory),
            exactly(Resource::RLIMIT_AS, self.memory.saturating_add(ADDRESSES)),
            // The soft limit names the cause by its signal; the hard one ends a program that ignores it.
            (Resource::RLIMIT_CPU, seconds, seconds.saturating_add(1)),
            exactly(Resource::RLIMIT_NOFILE, FILES),
            // It has nothing to write but its pipes, which this does not count.
            exactly(Resource::RLIMIT_FSIZE, 0),
            exactly(Resource::RLIMIT_CORE, 0),
            exactly(Resource::RLIMIT_MEMLOCK, LOCKED),
            exactly(Resource::RLIMIT_MSGQUEUE, 0),
        ];
        if own_user {
            limits.push(exactly(Resource::RLIMIT_NPROC, THREADS.saturating_mul(u64::from(slots.max(1)))));
        }
        // A limit of ours above the worker's own cannot be set, and needs not be.
        for (what, soft, hard) in &mut limits {
            let most = getrlimit(*what).map_or(rlim_t::MAX, |(_, hard)| hard);
            (*soft, *hard) = ((*soft).min(most), (*hard).min(most));
        }
        limits
    }
}
