//! How many nodes a popular key is given: so many that each of them gets at most a fifth of a node's fair share of it.
//! Pure.

/// The part of a node's fair share that one key may make on each of its replicas. At Zipf 1.2 over 100 nodes this keeps
/// the busiest node under 1.6 of the mean for three extra copies in a thousand objects; a quarter of it halves what is
/// left, for three times the copies.
pub const PART: f64 = 0.2;
/// Milliseconds for which a number of replicas is kept that is no longer wanted: a copy that is there costs nothing, and
/// popularity comes in waves.
pub const HOLD_MS: u64 = 60_000;

/// Replicas for a key with this share of all that is asked for at a site of so many nodes: from 1 to all of them.
#[must_use]
pub fn wanted(share: f64, nodes: usize) -> usize {
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    // Of a share that is a whole number of parts, a rounding error makes no further replica.
    let wanted = (share * nodes as f64 / PART - 1e-9).ceil();
    (wanted as usize).clamp(1, nodes.max(1))
}

/// A number of replicas, and when it was last wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// How many.
    pub replicas: usize,
    /// When as many were wanted, in milliseconds of any clock.
    pub wanted_ms: u64,
}

/// What is held from now on: more at once, fewer when as many have not been wanted for `hold_ms`.
#[must_use]
pub const fn held(before: Option<Held>, wanted: usize, now_ms: u64, hold_ms: u64) -> Held {
    match before {
        Some(held) if held.replicas > wanted && now_ms.saturating_sub(held.wanted_ms) < hold_ms => held,
        _ => Held { replicas: wanted, wanted_ms: now_ms },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn replicas_follow_the_share() {
        for (share, nodes, replicas) in [
            (0.0, 100, 1),
            (0.002, 100, 1),
            (0.0021, 100, 2),
            (0.19, 100, 95),
            (0.5, 100, 100),
            (f64::NAN, 100, 1),
            (1.0, 1, 1),
            (1.0, 0, 1),
        ] {
            assert_eq!(wanted(share, nodes), replicas, "{share} of {nodes}");
        }
    }

    #[test]
    fn up_at_once_and_down_after_a_while() {
        let at = |before, wanted, now| held(before, wanted, now, HOLD_MS);
        let three = at(None, 3, 1_000);
        let nine = at(Some(three), 9, 1_001);
        assert_eq!(nine, Held { replicas: 9, wanted_ms: 1_001 });
        assert_eq!(at(Some(nine), 2, 61_000), nine, "not yet");
        assert_eq!(at(Some(nine), 9, 30_000).wanted_ms, 30_000, "wanted again");
        assert_eq!(at(Some(nine), 2, 61_001).replicas, 2);
    }

    proptest! {
        #[test]
        fn no_replica_has_more_than_its_part(share in 0.0f64..1.0, nodes in 1usize..1000) {
            let r = wanted(share, nodes);
            prop_assert!((1..=nodes).contains(&r));
            prop_assert!(r == nodes || share / r as f64 <= PART / nodes as f64 + 1e-9);
            prop_assert!(r == 1 || share / (r - 1) as f64 > PART / nodes as f64 - 1e-9);
        }

        #[test]
        fn what_is_held_is_never_below_what_is_wanted(wants in prop::collection::vec(1usize..9, 1..50), step in 1u64..40_000) {
            let mut now = None;
            for (n, wanted) in wants.iter().enumerate() {
                let next = held(now, *wanted, n as u64 * step, HOLD_MS);
                prop_assert!(next.replicas >= *wanted);
                now = Some(next);
            }
        }
    }
}
