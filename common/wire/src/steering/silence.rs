//! Edges of which nothing is heard, before their leases are over.
//!
//! A lease is long, so that an edge is not taken out of the table for a lost packet: whoever asks meanwhile would be sent to,
//! or left on, an edge that may be gone. A session can be moved at little cost, so that it need not wait for that.

/// The share of a lease after which an edge of which nothing was heard is late: 1.75 s of the default, three quarters of a
/// second after a report was due, which holds two retransmissions.
const LATE: (u64, u64) = (7, 12);
/// The health of an edge that is late, at most: below the floor of a policy that does not say otherwise.
pub const LATE_HEALTH: f64 = 0.25;

/// Which edges are late, by the milliseconds since each was heard of (`None` for those that do not report). Where it is more
/// than half of them, it is the listener that was away, and nobody is late.
#[must_use]
pub fn late(silent_ms: impl IntoIterator<Item = Option<u64>>, lease_ms: u64) -> Vec<bool> {
    let most = lease_ms.saturating_mul(LATE.0) / LATE.1;
    let late: Vec<bool> =
        silent_ms.into_iter().map(|silent| silent.is_some_and(|silent| silent > most)).collect();
    let count = late.iter().filter(|late| **late).count();
    if 2 * count > late.len() { vec![false; late.len()] } else { late }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn late3<const N: usize>(silent: [Option<u64>; N]) -> Vec<bool> {
        late(silent, 3_000)
    }

    #[test]
    fn who_is_silent_is_late_unless_most_are() {
        let (soon, never) = (Some(1_000), Some(60_000));
        assert_eq!(late3([soon, Some(1_750), Some(1_751), None]), [false, false, true, false]);
        assert_eq!(late3([soon, never]), [false, true]);
        assert_eq!(late3([soon, never, never]), [false; 3], "the listener was away");
        assert_eq!(late3([]), [false; 0]);
    }
}
