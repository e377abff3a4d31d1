//! Whom a session that came with an empty buffer is charged to: the edge that it had before. Pure.

use sluice_wire::NodeId;
use sluice_wire::quality::Quality;
use std::collections::{BTreeMap, HashMap};

/// Sessions charged to nodes, by what all of them report: those that were sent on by a node, and those that are told by name
/// of which another node says that they have left it.
pub(super) fn charges<'q>(
    told: impl Iterator<Item = (&'q NodeId, &'q Quality)> + Clone,
) -> BTreeMap<NodeId, u32> {
    let mut charged: BTreeMap<NodeId, u32> = BTreeMap::new();
    let mut left: HashMap<u64, &NodeId> = HashMap::new();
    for (node, quality) in told.clone() {
        left.extend(quality.departed.iter().map(|session| (*session, node)));
    }
    for (node, quality) in told {
        for (of, count) in quality.charged.iter().filter(|(of, _)| *of != node) {
            *charged.entry(of.clone()).or_default() += count;
        }
        let owed = quality.inherited.iter().filter_map(|session| left.get(session)).filter(|of| **of != node);
        for of in owed {
            *charged.entry((*of).clone()).or_default() += 1;
        }
    }
    charged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stall_is_charged_to_the_edge_that_caused_it() {
        let [a, b, c] = ["a", "b", "c"].map(|name| NodeId::new(name).unwrap());
        let left_a = Quality { departed: vec![1, 2, 3], ..Quality::default() };
        let at_b =
            Quality { inherited: vec![1, 2, 9], charged: [(c.clone(), 2)].into(), ..Quality::default() };
        let charged = charges([(&a, &left_a), (&b, &at_b)].into_iter());
        assert_eq!(charged, [(a, 2), (c, 2)].into(), "and nobody for who came from nowhere");
    }
}
