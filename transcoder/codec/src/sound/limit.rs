//! Peaks held below a ceiling, by a gain that knows what is to come. Pure: a frame comes out as a function of itself, two
//! frames before and two after it, so that chunks join whatever was heard before.

use super::encode::FRAME;
use std::collections::VecDeque;
use std::f64::consts::PI;

/// The ceiling: 2 dB below full scale, so that what AAC adds stays 1 dB below it (EBU R 128: at most -1 dBTP).
const CEILING: f32 = 0.794_328;
/// Samples on each side whose peaks decide, and over which the gain goes up and down: 21 ms, longer than a period of most
/// tones, so that it bends none of them.
const REACH: usize = 1_000;
/// Points between two samples at which the wave is looked at (ITU-R BS.1770, annex 2: four times the rate).
const PHASES: usize = 3;
/// Samples that such a point is computed from.
const TAPS: usize = 12;
/// Samples by which what is looked at lags behind what came, so that each point has its samples.
const LAG: usize = 24;
/// A gain of one: gains are whole numbers, whose sums do not depend on their order.
const ONE: u32 = 1 << 20;
const LENGTH: usize = FRAME as usize;
/// Frames that a frame waits for.
const AHEAD: usize = 2;

/// A frame: samples by channel.
type Frame = Vec<Vec<f32>>;

/// A rung's gain and limiter.
pub(super) struct Limit {
    channels: usize,
    gain: f32,
    between: [[f32; TAPS]; PHASES],
    /// The last frames, amplified: of the oldest of them the gain is decided next.
    frames: VecDeque<Frame>,
    /// For each of the last frames what gain its samples allow, from [`LAG`] before it on.
    allowed: VecDeque<Vec<u32>>,
}

impl Limit {
    /// For so many channels and a gain in hundredths of a decibel.
    pub(super) fn new(channels: usize, gain: i32) -> Self {
        // Rounded, so that it is the same on every machine.
        let gain = (10f64.powf(f64::from(gain) / 2_000.0) * 65_536.0).round() / 65_536.0;
        let silence = || vec![vec![0.0; LENGTH]; channels];
        Self {
            channels,
            gain: gain as f32,
            between: between(),
            frames: VecDeque::from([silence()]),
            allowed: VecDeque::from([vec![ONE; LENGTH], vec![ONE; LENGTH]]),
        }
    }

    /// Takes a frame. Gives the one that came two before it.
    pub(super) fn push(&mut self, mut frame: Frame) -> Option<Frame> {
        for sample in frame.iter_mut().flatten() {
            *sample *= self.gain;
        }
        let before = self.frames.back().map_or_else(Vec::new, |last| tail(last));
        let allowed = self.allowed_by(&before, &frame);
        self.allowed.push_back(allowed);
        self.frames.push_back(frame);
        if self.allowed.len() <= 2 * AHEAD {
            return None;
        }
        // The frame before is only there for its last samples.
        let at = self.frames.len() - 1 - AHEAD;
        let free = self.allowed.iter().flatten().all(|&gain| gain == ONE);
        let limited = self.frames.get(at).cloned();
        let limited = if free {
            limited
        } else {
            limited.map(|frame| apply(&frame, &gains(self.allowed.make_contiguous())))
        };
        self.allowed.pop_front();
        if self.frames.len() > AHEAD {
            self.frames.pop_front();
        }
        limited
    }

    /// What is held back: the last two frames.
    pub(super) fn finish(&mut self) -> Vec<Frame> {
        let silence = vec![vec![0.0; LENGTH]; self.channels];
        (0..AHEAD).filter_map(|_| self.push(silence.clone())).collect()
    }

    /// The gain that each sample allows, from [`LAG`] before a frame to as much before its end.
    fn allowed_by(&self, before: &[Vec<f32>], frame: &[Vec<f32>]) -> Vec<u32> {
        let mut peaks = vec![0f32; LENGTH];
        for (channel, samples) in frame.iter().enumerate() {
            let line: Vec<f32> = before.get(channel).into_iter().flatten().chain(samples).copied().collect();
            self.peaks(&line, &mut peaks);
        }
        let allowed = |peak: f32| if peak <= CEILING { ONE } else { (CEILING / peak * ONE as f32) as u32 };
        peaks.into_iter().map(allowed).collect()
    }

    /// Raises each of the peaks to this channel's: of the samples and of the points beside them.
    fn peaks(&self, line: &[f32], peaks: &mut [f32]) {
        let quiet = line.iter().all(|sample| sample.abs() < CEILING / 2.0);
        if quiet {
            // The weights of a point add up to less than two.
            return;
        }
        let point = |at: usize| {
            let samples = &line[at + 1 - TAPS / 2..][..TAPS];
            let of =
                |weights: &[f32; TAPS]| weights.iter().zip(samples).map(|(w, s)| w * s).sum::<f32>().abs();
            self.between.iter().map(of).fold(0.0, f32::max)
        };
        let first = TAIL - LAG;
        let mut last = point(first - 1);
        for (at, peak) in (first..).zip(peaks) {
            let next = point(at);
            *peak = peak.max(line[at].abs()).max(last).max(next);
            last = next;
        }
    }
}

/// Samples of the frame before that are looked at again.
const TAIL: usize = 64;

fn tail(frame: &[Vec<f32>]) -> Vec<Vec<f32>> {
    frame.iter().map(|channel| channel[LENGTH - TAIL..].to_vec()).collect()
}

/// The gain of each sample of the frame in the middle: the mean, over its reach, of the least that is allowed within reach of
/// each of these. It is nowhere above what the sample itself allows.
fn gains(allowed: &[Vec<u32>]) -> Vec<f32> {
    let all: Vec<u32> = allowed.iter().flatten().copied().collect();
    let middle = AHEAD * LENGTH + LAG;
    let from = middle - 2 * REACH;
    let least = least(&all[from..middle + LENGTH + 2 * REACH]);
    let width = 2 * REACH + 1;
    let mut sum: u64 = least[..width].iter().map(|&gain| u64::from(gain)).sum();
    let mut gains = Vec::with_capacity(LENGTH);
    for at in 0..LENGTH {
        gains.push((sum / width as u64) as f32 / ONE as f32);
        sum -= u64::from(least[at]);
        sum += least.get(at + width).map_or(0, |&gain| u64::from(gain));
    }
    gains
}

/// The least of each stretch of twice [`REACH`] and one.
fn least(all: &[u32]) -> Vec<u32> {
    let width = 2 * REACH + 1;
    let mut rising: VecDeque<usize> = VecDeque::new();
    let mut out = Vec::with_capacity(all.len());
    for (at, value) in all.iter().enumerate() {
        while rising.back().is_some_and(|&last| all[last] >= *value) {
            rising.pop_back();
        }
        rising.push_back(at);
        if rising.front().is_some_and(|&first| first + width <= at) {
            rising.pop_front();
        }
        if at + 1 >= width {
            out.extend(rising.front().map(|&first| all[first]));
        }
    }
    out
}

fn apply(frame: &[Vec<f32>], gains: &[f32]) -> Frame {
    frame.iter().map(|channel| channel.iter().zip(gains).map(|(s, g)| s * g).collect()).collect()
}

/// Weights of the samples around a point between two: a sinc under a Hann window, rounded so that they are the same on every
/// machine.
fn between() -> [[f32; TAPS]; PHASES] {
    let mut all = [[0.0; TAPS]; PHASES];
    for (phase, weights) in (1u8..).zip(&mut all) {
        for (tap, weight) in (0u8..).zip(weights) {
            let half = TAPS as f64 / 2.0;
            let away = f64::from(tap) - (half - 1.0) - f64::from(phase) / (PHASES as f64 + 1.0);
            let sinc = (PI * away).sin() / (PI * away);
            let window = 0.5 + 0.5 * (PI * away / half).cos();
            *weight = ((sinc * window * 32_768.0).round() / 32_768.0) as f32;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limited(samples: &[f32], gain: i32) -> Vec<f32> {
        let mut limit = Limit::new(1, gain);
        let mut out = vec![];
        for frame in samples.chunks(LENGTH) {
            let mut frame = frame.to_vec();
            frame.resize(LENGTH, 0.0);
            out.extend(limit.push(vec![frame]).into_iter().flatten().flatten());
        }
        out.extend(limit.finish().into_iter().flatten().flatten());
        out
    }

    fn wave(loud: f32, hertz: f64) -> Vec<f32> {
        (0u32..LENGTH as u32 * 8)
            .map(|at| loud * (f64::from(at) * hertz * 2.0 * PI / 48_000.0 + 0.785).sin() as f32)
            .collect()
    }

    #[test]
    fn what_is_below_the_ceiling_is_only_amplified() {
        let quiet = wave(0.3, 440.0);
        assert_eq!(limited(&quiet, 0), quiet);
        let louder = limited(&quiet, 602);
        assert!(louder.iter().zip(&quiet).all(|(a, b)| (a - 2.0 * b).abs() < 1e-3));
    }

    #[test]
    fn peaks_between_samples_are_held_too() {
        // Each sample of this tone is 3 dB below its peaks.
        let loud = wave(1.0, 12_000.0);
        assert!(loud.iter().all(|sample| sample.abs() < 0.71));
        let held = limited(&loud, 0);
        let steady = &held[LENGTH * 3..LENGTH * 4];
        let most = steady.iter().fold(0f32, |most, sample| most.max(sample.abs()));
        assert!((most - CEILING * std::f32::consts::FRAC_1_SQRT_2).abs() < 0.02, "{most}");
        let weights = between();
        assert!(weights.iter().all(|w| w.iter().map(|w| w.abs()).sum::<f32>() < 2.0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn no_sample_is_above_the_ceiling(seeds in prop::collection::vec(-4f32..4.0, 40), gain in -600i32..1200) {
            let rough: Vec<f32> = seeds.iter().flat_map(|&s| (0..150u8).map(move |n| s * (f32::from(n) * s).sin())).collect();
            let held = limited(&rough, gain);
            prop_assert!(held.len() >= rough.len());
            prop_assert!(held.iter().all(|sample| sample.abs() <= CEILING * 1.0001));
        }

        #[test]
        fn what_came_long_before_does_not_matter(seeds in prop::collection::vec(-4f32..4.0, 60)) {
            let rough: Vec<f32> = seeds.iter().flat_map(|&s| (0..150u8).map(move |n| s * (f32::from(n) * s).sin())).collect();
            let (whole, late) = (limited(&rough, 0), limited(&rough[LENGTH * 3..], 0));
            prop_assert_eq!(&whole[LENGTH * 5..rough.len()], &late[LENGTH * 2..rough.len() - LENGTH * 3]);
        }
    }
}
