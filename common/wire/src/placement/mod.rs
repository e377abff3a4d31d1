//! Placement: the whole preference order of a key over weighted nodes.
//!
//! - here: keys, scores, and the order over a handful of nodes; [`two_level`]: the order over any number of them
//! - [`cached`]: orders once they are made; [`fleet`]: a route table's, by tier and site
//! - [`replicas`]: how many nodes of an order a popular key is given; [`choose`]: which of them is asked
//!
//! Weighted rendezvous hashing (Thaler and Ravishankar 1998; the logarithmic weights of Schindelhauer and Schomaker
//! 2005): each node scores `-weight / ln(u)` with `u` a uniform hash of (seed, key, node); the order is by falling
//! score. Adding or removing a node never changes the order of the others, weights are exact, and the same order gives
//! owner, replicas, failover and the target of a redirect.

pub mod cached;
pub mod choose;
pub mod fleet;
pub mod replicas;
pub mod two_level;

#[cfg(test)]
mod fleet_tests;

pub use fleet::Placement;

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::id::NodeId;

/// Seeds keep the orders of the tiers independent of one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seed {
    /// Near edges of a site.
    Near,
    /// Shields.
    Shield,
}

impl Seed {
    const fn value(self) -> u64 {
        match self {
            Self::Near => 0x736c_7569_6365_0001,
            Self::Shield => 0x736c_7569_6365_0002,
        }
    }
}

/// What is placed: the hash of a media group or of any other canonical path. Written as 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PlacementKey(u64);

/// Why a text is no placement key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a placement key has 16 digits of 0-9 and a-f")]
pub struct PlacementKeyError;

impl PlacementKey {
    /// Hashes a canonical text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(xxh3_64_with_seed(text.as_bytes(), 0))
    }

    /// The key of a request's path: the media group when it is published media, else the path itself.
    #[must_use]
    pub fn of_path(path: &str) -> Self {
        crate::media::MediaPath::parse(path).map_or_else(|| Self::of(path), |media| media.placement())
    }

    /// A key by its value, which is spread over all 64 bits.
    #[must_use]
    pub const fn from_u64(value: u64) -> Self {
        Self(value)
    }

    /// Its value.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for PlacementKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for PlacementKey {
    type Err = PlacementKeyError;
    fn from_str(text: &str) -> Result<Self, PlacementKeyError> {
        let plain =
            text.len() == 16 && text.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c));
        u64::from_str_radix(text, 16).ok().filter(|_| plain).map(Self).ok_or(PlacementKeyError)
    }
}

impl TryFrom<String> for PlacementKey {
    type Error = PlacementKeyError;
    fn try_from(text: String) -> Result<Self, PlacementKeyError> {
        text.parse()
    }
}

impl From<PlacementKey> for String {
    fn from(key: PlacementKey) -> Self {
        key.to_string()
    }
}

/// A node's score for a key; the higher, the more preferred. 0 for a weight of 0 or less.
#[must_use]
pub fn score(seed: Seed, key: PlacementKey, node: &NodeId, weight: f64) -> f64 {
    score_of(mix(key.0 ^ seed.value()), node.as_str(), weight)
}

/// As [`score`], under a seed that has been mixed with the key.
fn score_of(seed: u64, name: &str, weight: f64) -> f64 {
    if weight <= 0.0 {
        return 0.0;
    }
    -weight / unit_of(name.as_bytes(), seed).ln()
}

/// A number in (0, 1), evenly spread and the same each time, of bytes and a seed.
#[must_use]
pub fn unit(bytes: &[u8], seed: u64) -> f64 {
    unit_of(bytes, mix(seed))
}

/// As [`unit`], under a seed whose bits are spread already.
fn unit_of(bytes: &[u8], seed: u64) -> f64 {
    // 53 bits make a double: never 0, so its logarithm is finite, and never 1, so that is not 0.
    ((xxh3_64_with_seed(bytes, seed) >> 11) as f64 + 0.5) / (1u64 << 53) as f64
}

/// Nodes by preference for a key: the owner first. Nodes of weight 0 or less are left out; equal scores fall back to the
/// name, so that every process computes the same order.
#[must_use]
pub fn order<'n, N>(seed: Seed, key: PlacementKey, nodes: impl IntoIterator<Item = &'n N>) -> Vec<&'n N>
where
    N: Placed,
{
    let mut scored: Vec<(f64, &N)> = nodes
        .into_iter()
        .map(|node| (score(seed, key, node.id(), node.weight()), node))
        .filter(|(score, _)| *score > 0.0)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.id().cmp(b.1.id())));
    scored.into_iter().map(|(_, node)| node).collect()
}

/// Something that keys can be placed on.
pub trait Placed {
    /// Its name.
    fn id(&self) -> &NodeId;
    /// Its share relative to its peers; 0 or less takes no keys.
    fn weight(&self) -> f64;
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014): spreads near keys over all seed bits.
const fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Node(NodeId, f64);

    impl Placed for Node {
        fn id(&self) -> &NodeId {
            &self.0
        }
        fn weight(&self) -> f64 {
            self.1
        }
    }

    fn nodes(count: usize) -> Vec<Node> {
        (0..count).map(|i| Node(NodeId::new(format!("n{i}")).unwrap(), 1.0)).collect()
    }

    fn names(key: u64, nodes: &[Node]) -> Vec<NodeId> {
        order(Seed::Near, PlacementKey(key), nodes).into_iter().map(|n| n.0.clone()).collect()
    }

    proptest! {
        #[test]
        fn losing_a_node_moves_only_its_own_keys(key: u64, count in 2usize..20, gone in 0usize..20) {
            let mut all = nodes(count);
            let before = names(key, &all);
            let lost = all.remove(gone % count).0;
            let after = names(key, &all);
            prop_assert_eq!(before.into_iter().filter(|n| *n != lost).collect::<Vec<_>>(), after);
        }

        #[test]
        fn the_order_holds_every_node_of_weight_once(key: u64, weights in prop::collection::vec(-1.0f64..4.0, 1..20)) {
            let all: Vec<Node> = weights.iter().enumerate()
                .map(|(i, w)| Node(NodeId::new(format!("n{i}")).unwrap(), *w)).collect();
            let mut got = names(key, &all);
            let mut want: Vec<_> = all.iter().filter(|n| n.1 > 0.0).map(|n| n.0.clone()).collect();
            got.sort();
            want.sort();
            prop_assert_eq!(got, want);
        }
    }

    #[test]
    fn a_key_has_one_spelling() {
        let key = PlacementKey::of("x");
        assert_eq!(key.to_string().parse(), Ok(key));
        for bad in ["", "0", "+123456789abcdef", "0123456789ABCDEF", "0123456789abcdef0"] {
            assert_eq!(bad.parse::<PlacementKey>(), Err(PlacementKeyError), "{bad}");
        }
    }

    #[test]
    fn shares_follow_weights() {
        let mut all = nodes(4);
        all[0].1 = 3.0;
        let mut owned = 0u32;
        for key in 0..30_000u64 {
            owned += u32::from(names(key, &all)[0].as_str() == "n0");
        }
        let share = f64::from(owned) / 30_000.0;
        assert!((share - 0.5).abs() < 0.02, "weight 3 of 6 owned {share}");
    }

    #[test]
    fn tiers_are_placed_independently() {
        let all = nodes(8);
        let same = (0..1_000u64)
            .filter(|k| {
                order(Seed::Near, PlacementKey(*k), &all)[0].0
                    == order(Seed::Shield, PlacementKey(*k), &all)[0].0
            })
            .count();
        assert!((60..200).contains(&same), "1/8 of 1000 expected, got {same}");
    }
}
