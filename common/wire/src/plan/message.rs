//! What edges and control planes say to one another of plans: what an edge was asked for, and what it is to fetch. Both signed.

use serde::{Deserialize, Serialize};

use super::MAX_STEPS;
use crate::group::MediaGroup;
use crate::id::NodeId;

/// Groups of one message: of a minute, what is asked for most. 40 KB.
pub const MAX_ASKED: usize = 512;
/// Requests for one group in one message, and bytes of an answer: more than a machine answers in a minute, more than a segment
/// has.
const MAX_REQUESTS: u64 = 100_000_000;
const MAX_ANSWER: u64 = 1 << 30;

/// What an edge's clients asked it for since its last message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// When this was written, in Unix milliseconds: rises from message to message.
    pub at_ms: u64,
    /// Media groups, what was asked for most first: at most [`MAX_ASKED`].
    pub groups: Vec<AskedGroup>,
}

/// What was asked for of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskedGroup {
    /// The group.
    pub group: MediaGroup,
    /// Requests for its segments.
    pub requests: u64,
    /// Bytes of the answers.
    pub bytes: u64,
}

impl Asked {
    /// What cannot be; nothing of such a message is taken.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        if self.groups.len() > MAX_ASKED {
            return Some(format!("{} groups; at most {MAX_ASKED}", self.groups.len()));
        }
        let absurd = |one: &&AskedGroup| {
            one.requests > MAX_REQUESTS || one.bytes > one.requests.saturating_mul(MAX_ANSWER)
        };
        let first = self.groups.iter().find(absurd)?;
        Some(format!("{}: {} requests of {} bytes cannot be", first.group, first.requests, first.bytes))
    }
}

/// What an edge is to fetch ahead of demand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FillPlan {
    /// For whom.
    pub node: NodeId,
    /// When it was made, in Unix milliseconds; of two the later counts.
    pub version: u64,
    /// The opening of the window that it is for.
    pub opened_ms: u64,
    /// When the window closes: nothing is begun after.
    pub until_ms: u64,
    /// Bytes that the node fetches in this opening at the most, those of plans before this one too.
    pub bytes: u64,
    /// The site's rate in kbit/s: no edge fetches faster.
    pub kbps: u64,
    /// What, in order: at most [`MAX_STEPS`].
    pub steps: Vec<FillStep>,
}

/// A group to fetch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FillStep {
    /// The group.
    pub group: MediaGroup,
    /// Not before, in Unix milliseconds.
    pub at_ms: u64,
    /// Bytes that it is expected to be.
    pub bytes: u64,
    /// How often a cache takes it for asked for: at most [`MOST_EXPECTED`](super::MOST_EXPECTED) counts.
    pub expected: u8,
}

impl FillPlan {
    /// What is wrong with it for a node at a time; it is not followed then.
    #[must_use]
    pub fn fault(&self, node: &NodeId, now_ms: u64) -> Option<&'static str> {
        if self.node != *node {
            return Some("it is another node's");
        }
        if self.until_ms <= now_ms {
            return Some("its window is closed");
        }
        if self.steps.len() > MAX_STEPS {
            return Some("too many steps");
        }
        (self.kbps == 0).then_some("it has no rate")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_told() {
        let group: MediaGroup = "05b05hcr0yd00/v720/3".parse().unwrap();
        let one = |requests, bytes| AskedGroup { group: group.clone(), requests, bytes };
        let said = |groups: Vec<AskedGroup>| Asked { at_ms: 1, groups }.fault();
        assert_eq!(said(vec![one(2, 1 << 20)]), None);
        assert!(said(vec![one(0, 1)]).is_some() && said(vec![one(u64::MAX, 0)]).is_some());
        assert!(said(vec![one(1, 1); MAX_ASKED + 1]).is_some());
        let text = serde_json::to_string(&Asked { at_ms: 1, groups: vec![one(2, 3)] }).unwrap();
        assert!(text.contains("05b05hcr0yd00/v720/3"), "{text}");
    }

    #[test]
    fn a_plan_is_for_one_node_and_one_time() {
        let node = NodeId::new("near-a").unwrap();
        let plan = FillPlan {
            node: node.clone(),
            version: 1,
            opened_ms: 0,
            until_ms: 10,
            bytes: 5,
            kbps: 1,
            steps: vec![],
        };
        assert_eq!(plan.fault(&node, 9), None);
        assert!(plan.fault(&node, 10).is_some() && plan.fault(&NodeId::new("near-b").unwrap(), 9).is_some());
        assert!(FillPlan { kbps: 0, ..plan }.fault(&node, 9).is_some());
    }
}
