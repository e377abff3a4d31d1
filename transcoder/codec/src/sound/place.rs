//! Where decoded sound lies: from stamps to samples. Pure.

/// How far a stamp may be from a whole number of frames to be taken for it, in microseconds: containers that count in
/// milliseconds are off by half of one.
const ROUNDING: i64 = 600;

/// Where sound of a stamp lies, in samples of its own rate.
///
/// Frames of `frame` samples follow each other from `base` microseconds on, and their stamps are rounded: the nearest whole
/// number of frames is the place, if it is near enough, so that sound decoded from any point lies where it would lie if it
/// had been decoded from the beginning.
pub(super) fn sample_of(at: i64, base: i64, rate: u32, frame: u32) -> i64 {
    let (rate, frame) = (i64::from(rate.max(1)), i64::from(frame.max(1)));
    let samples = |micros: i64| rounded(i128::from(micros) * i128::from(rate), 1_000_000);
    let (said, first) = (samples(at), samples(base));
    let whole = first + rounded(i128::from(said - first), frame) * frame;
    if (whole - said).saturating_mul(1_000_000) / rate <= ROUNDING
        && (said - whole).saturating_mul(1_000_000) / rate <= ROUNDING
    {
        whole
    } else {
        said
    }
}

/// Where a resampler may begin at or after a sample, so that its output falls on whole samples of the new rate: samples to
/// leave out before, and the place in the new rate.
pub(super) fn aligned(sample: i64, from: u32, to: u32) -> (u64, i64) {
    let common = gcd(from.max(1), to.max(1));
    let (step, out) = (i64::from(from.max(1) / common), i64::from(to.max(1) / common));
    let skip = (-sample).rem_euclid(step);
    ((skip.unsigned_abs()), (sample + skip) / step * out)
}

fn rounded(value: i128, by: i64) -> i64 {
    let by = i128::from(by);
    i64::try_from((value + by / 2).div_euclid(by)).unwrap_or(0)
}

const fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_resampler_begins_where_both_rates_have_a_sample() {
        assert_eq!(aligned(0, 44_100, 48_000), (0, 0));
        assert_eq!(aligned(1, 44_100, 48_000), (146, 160));
        assert_eq!(aligned(-1, 44_100, 48_000), (1, 0));
        assert_eq!(aligned(777, 48_000, 48_000), (0, 777));
        assert_eq!(aligned(4, 8_000, 48_000), (0, 24));
    }

    proptest! {
        #[test]
        fn rounded_stamps_find_their_frame(number in 0i64..1_000_000, base in -2_000i64..2_000, unit in 0usize..3) {
            let (rate, frame) = (44_100u32, 1_024u32);
            let exact = i128::from(number) * i128::from(frame) * 1_000_000;
            let unit = [1i64, 11, 1_000][unit];
            let at = base * 1_000 + rounded(exact, i64::from(rate));
            let stamped = rounded(i128::from(at), unit) * unit;
            let place = sample_of(stamped, base * 1_000, rate, frame);
            prop_assert_eq!(place - sample_of(base * 1_000, base * 1_000, rate, frame), number * i64::from(frame));
        }

        #[test]
        fn a_stamp_between_frames_is_believed(at in 0i64..1_000_000_000) {
            let place = sample_of(at, 0, 48_000, 4_800);
            prop_assert!((place * 1_000_000 / 48_000 - at).abs() <= ROUNDING + 21);
        }
    }
}
