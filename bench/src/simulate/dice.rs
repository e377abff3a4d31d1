//! Draws that depend on nothing but what they are for: every policy meets the same viewers, and two runs are the same.

/// A number drawn for something, the `nth` of a purpose, by a seed.
pub(super) const fn roll(seed: u64, purpose: u64, nth: u64) -> u64 {
    mix(mix(seed ^ purpose.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_add(nth))
}

/// The same in [0, 1).
pub(super) fn share(seed: u64, purpose: u64, nth: u64) -> f64 {
    as_share(roll(seed, purpose, nth))
}

/// 53 bits of a number as a share.
pub(super) fn as_share(number: u64) -> f64 {
    (number >> 11) as f64 / (1u64 << 53) as f64
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014), with its increment.
pub(super) const fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_even_and_the_same_each_time() {
        let mean = (0..10_000).map(|nth| share(7, 1, nth)).sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
        assert_eq!(roll(7, 1, 3), roll(7, 1, 3));
        assert_ne!(roll(7, 1, 3), roll(7, 2, 3));
    }
}
