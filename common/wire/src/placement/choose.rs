//! Which replica is asked: of two at random the one with less under way (Mitzenmacher 2001), and a bound on any node's
//! load as the net beneath (Mirrokni, Thorup and Zadimoghaddam 2018). Pure.

/// The load over the mean from which a node is passed over.
pub const BOUND: f64 = 1.25;
/// Bytes under way below which no node counts as loaded: what a few segments make says nothing.
pub const LEAST_BYTES: u64 = 32 << 20;

/// What is under way, as the asker sees it.
#[derive(Debug, Clone, Copy)]
pub struct Loads<L> {
    /// By node.
    pub of: L,
    /// Over all nodes.
    pub total: u64,
    /// A load that is always borne.
    pub least: u64,
}

/// The place in an order of the node to ask, given how many of its first are replicas and 64 random bits. `None` of an
/// empty order. A replica above the bound is passed over for the first node of the order below it, replica or not.
#[must_use]
pub fn choose(
    order: &[u16],
    replicas: usize,
    loads: &Loads<impl Fn(u16) -> u64>,
    random: u64,
) -> Option<usize> {
    let pick = two_choices(order, replicas, loads, random)?;
    let mean = loads.total as f64 / order.len() as f64;
    let bound = ((mean * BOUND).ceil() as u64).max(loads.least);
    let bears = |at: &usize| order.get(*at).is_some_and(|node| (loads.of)(*node) <= bound);
    if bears(&pick) { Some(pick) } else { (0..order.len()).find(bears).or(Some(pick)) }
}

fn two_choices(
    order: &[u16],
    replicas: usize,
    loads: &Loads<impl Fn(u16) -> u64>,
    random: u64,
) -> Option<usize> {
    let count = replicas.clamp(1, order.len().max(1));
    let first = below(random & 0xffff_ffff, count);
    let (node, Some(other)) = (*order.get(first)?, count.checked_sub(1).filter(|others| *others > 0)) else {
        return Some(first);
    };
    // Another one than the first: what is drawn is how far behind it.
    let second = (first + 1 + below(random >> 32, other)) % count;
    let (one, two) = ((loads.of)(node), (loads.of)(*order.get(second)?));
    Some(if two < one { second } else { first })
}

/// A number below `count`, of 32 random bits.
const fn below(random: u64, count: usize) -> usize {
    ((random * count as u64) >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(loads: &[u64], replicas: usize, random: u64, least: u64) -> Option<usize> {
        let order: Vec<u16> = (0..loads.len() as u16).collect();
        let loads = Loads { of: |node: u16| loads[usize::from(node)], total: loads.iter().sum(), least };
        choose(&order, replicas, &loads, random)
    }

    #[test]
    fn one_replica_is_asked_until_it_is_above_the_bound() {
        assert_eq!(at(&[], 1, 0, 0), None);
        for random in [0, 7, u64::MAX] {
            assert_eq!(at(&[10, 0, 0], 1, random, 10), Some(0), "little is always borne");
            assert_eq!(at(&[10, 10, 0], 1, random, 9), Some(2), "the first of the order below the bound");
            assert_eq!(at(&[10, 10, 10], 1, random, 0), Some(0), "all alike");
        }
    }

    proptest! {
        #[test]
        fn only_replicas_below_the_bound_and_the_lesser_of_two(
            loads in prop::collection::vec(0u64..100, 2..20), replicas in 1usize..20, random: u64,
        ) {
            let (pick, r) = (at(&loads, replicas, random, u64::MAX).unwrap(), replicas.min(loads.len()));
            prop_assert!(pick < r, "a replica");
            // Never the heaviest of them, unless others are as heavy.
            let lighter = loads[..r].iter().filter(|load| **load < loads[pick]).count();
            prop_assert!(r == 1 || lighter < r - 1 || loads[..r].iter().filter(|load| **load == loads[pick]).count() > 1);
        }

        #[test]
        fn nobody_above_the_bound_is_asked(loads in prop::collection::vec(0u64..100, 1..20), replicas in 1usize..20, random: u64) {
            let pick = at(&loads, replicas, random, 0).unwrap();
            let mean = loads.iter().sum::<u64>() as f64 / loads.len() as f64;
            prop_assert!(loads[pick] <= (mean * BOUND).ceil() as u64);
        }

        #[test]
        fn both_choices_are_different_replicas(replicas in 2usize..20, random: u64) {
            // With one node free of load, it is found exactly when it is drawn; two draws of one node would hide it.
            let found = (0..replicas).filter(|free| {
                let loads: Vec<u64> = (0..replicas).map(|node| u64::from(node != *free)).collect();
                at(&loads, replicas, random, u64::MAX) == Some(*free)
            });
            prop_assert_eq!(found.count(), 2);
        }
    }
}
