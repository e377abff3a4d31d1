//! What reports are believed: whose they are, when they were made, and whether their figures can be. Pure.

use http::HeaderMap;
use serde::{Deserialize, Serialize};
use sluice_service::Faults;
use sluice_storage::NodeRecord;
use sluice_wire::node::NodeCounters;
use sluice_wire::published::public_key;
use sluice_wire::reports::{self, Signed};
use sluice_wire::{NodeId, NodeReport};

/// Keys of one fleet: one for each node, and another while it is replaced.
const MAX_KEYS: usize = 2_048;
/// The largest count: what a double holds exactly, so that every reader reads the same.
const MAX_COUNT: u64 = 1 << 53;
/// The largest weight: a thousand times an ordinary node.
const MAX_WEIGHT: f64 = 1_000.0;
/// Requests under way at most: more than a machine has ports and streams for.
const MAX_ACTIVE: u64 = 10_000_000;
/// Bytes a second that a node sends or fetches at most: 8 Tbit/s, ten times the fastest machines.
const MAX_RATE: u64 = 1_000_000_000_000;

/// A public key that may sign reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportKeyConfig {
    /// The key: Ed25519, base64url, `x` of a JWK.
    pub key: String,
    /// The nodes it may report for; all where none is named.
    #[serde(default)]
    pub nodes: Vec<NodeId>,
}

/// Adds what is wrong with a list of keys.
pub(crate) fn faults(keys: &[ReportKeyConfig], faults: &mut Faults) {
    if keys.len() > MAX_KEYS {
        faults.add("report_keys", format!("at most {MAX_KEYS}"));
    }
    for key in keys.iter().filter(|key| public_key(&key.key).is_none()) {
        faults.add("report_keys", format!("{:.60} is no public key: 43 characters of base64url", key.key));
    }
}

/// Why a report is refused. Nothing of it is kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// No signature, or one of an unknown key, or of another body.
    #[error("a report is signed by a key of report_keys: {0}")]
    Forged(&'static str),
    /// Signed by another node's key.
    #[error("the key may not report for {0}")]
    Node(NodeId),
    /// Older than what is known of the node.
    #[error("a newer report of {0} is known")]
    Replayed(NodeId),
    /// Made at another time than now.
    #[error("the report's clock is {0} ms away from this one's; set both by NTP")]
    Clock(u64),
    /// A count that fell.
    #[error("{0} runs backwards: {1} after {2}")]
    Backwards(&'static str, u64, u64),
    /// A figure that cannot be.
    #[error("{0} cannot be: {1}")]
    Absurd(&'static str, String),
    /// Not of the form of a report, or of no use in a table.
    #[error("{0}")]
    Malformed(String),
}

impl Refused {
    /// The metric's label.
    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            Self::Forged(_) => "forged",
            Self::Node(_) => "other-node",
            Self::Replayed(_) => "replayed",
            Self::Clock(_) => "clock",
            Self::Backwards(..) => "backwards",
            Self::Absurd(..) => "absurd",
            Self::Malformed(_) => "malformed",
        }
    }

    /// The HTTP status.
    pub(crate) const fn status(&self) -> u16 {
        match self {
            Self::Forged(_) => 401,
            Self::Node(_) => 403,
            Self::Replayed(_) => 409,
            _ => 422,
        }
    }
}

/// Whether a body was signed, as what it is, by a key that may report for this node. Without keys everybody may.
pub(crate) fn is_of(
    keys: &[ReportKeyConfig],
    what: Signed,
    headers: &HeaderMap,
    body: &[u8],
    node: &NodeId,
) -> Result<(), Refused> {
    if keys.is_empty() {
        return Ok(());
    }
    let field = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(key), Some(signature)) = (field(reports::KEY), field(reports::SIGNATURE)) else {
        return Err(Refused::Forged("it has no signature"));
    };
    let known = keys.iter().find(|known| known.key == key).ok_or(Refused::Forged("its key is not known"))?;
    if !reports::has_signed(what, key, signature, body) {
        return Err(Refused::Forged("the signature is not of this report"));
    }
    let may = known.nodes.is_empty() || known.nodes.contains(node);
    if may { Ok(()) } else { Err(Refused::Node(node.clone())) }
}

/// Whether a report can be true now, after what is known of its node. `timed` where it must say when it was made.
pub(crate) fn judge(
    report: &NodeReport,
    known: Option<&NodeRecord>,
    now_ms: u64,
    lease_ms: u64,
    timed: bool,
) -> Result<(), Refused> {
    let tells = timed || report.at_ms > 0;
    if tells && report.at_ms.abs_diff(now_ms) > lease_ms {
        return Err(Refused::Clock(report.at_ms.abs_diff(now_ms)));
    }
    if report.started_ms > now_ms.saturating_add(lease_ms) {
        return Err(Refused::Clock(report.started_ms - now_ms));
    }
    possible(report)?;
    // What is known of a node that is gone may be of a clock that was set since.
    match known.filter(|known| known.lease_until_ms > now_ms) {
        Some(known) => follows(report, &known.report),
        None => Ok(()),
    }
}

/// Whether each figure by itself can be.
fn possible(report: &NodeReport) -> Result<(), Refused> {
    if !(report.weight > 0.0 && report.weight <= MAX_WEIGHT) {
        return Err(Refused::Absurd("weight", format!("{}; above 0, at most {MAX_WEIGHT}", report.weight)));
    }
    let c = &report.counters;
    let gauges = [("cache_bytes", c.cache_bytes), ("cache_objects", c.cache_objects)];
    let others =
        [("log_seq", report.log_seq), ("table_version", report.table_version), ("at_ms", report.at_ms)];
    for (name, count) in counts(c).into_iter().chain(gauges).chain(others) {
        if count > MAX_COUNT {
            return Err(Refused::Absurd(name, format!("{count}; at most {MAX_COUNT}")));
        }
    }
    if c.active > MAX_ACTIVE {
        return Err(Refused::Absurd("active", format!("{}; at most {MAX_ACTIVE}", c.active)));
    }
    Ok(())
}

/// Whether a report can come after another of the same node.
fn follows(report: &NodeReport, before: &NodeReport) -> Result<(), Refused> {
    let (this, that) = ((report.started_ms, report.at_ms), (before.started_ms, before.at_ms));
    if report.started_ms < before.started_ms || (report.started_ms == before.started_ms && this < that) {
        return Err(Refused::Replayed(report.node.clone()));
    }
    if report.started_ms != before.started_ms {
        return Ok(());
    }
    for ((name, is), (_, was)) in counts(&report.counters).into_iter().zip(counts(&before.counters)) {
        if is < was {
            return Err(Refused::Backwards(name, is, was));
        }
    }
    // A second at least: reports that come close together are rounded apart.
    let took_ms = report.at_ms.saturating_sub(before.at_ms).max(1_000);
    let bytes = [
        ("bytes_out", report.counters.bytes_out - before.counters.bytes_out),
        ("bytes_in", report.counters.bytes_in - before.counters.bytes_in),
    ];
    for (name, more) in bytes {
        if more / took_ms > MAX_RATE / 1_000 {
            return Err(Refused::Absurd(name, format!("{more} more in {took_ms} ms")));
        }
    }
    Ok(())
}

/// Counts that only rise while a node runs.
const fn counts(c: &NodeCounters) -> [(&'static str, u64); 6] {
    [
        ("requests", c.requests),
        ("hits", c.hits),
        ("misses", c.misses),
        ("errors", c.errors),
        ("bytes_out", c.bytes_out),
        ("bytes_in", c.bytes_in),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership;
    use proptest::prelude::*;
    use sluice_wire::token::mint::SigningKey;

    const NOW: u64 = 1_000_000;
    const LEASE: u64 = 3_000;

    fn report(at_ms: u64, requests: u64) -> NodeReport {
        let counters = NodeCounters { requests, ..NodeCounters::default() };
        NodeReport { counters, started_ms: 5, at_ms, ..membership::tests::report("near-a") }
    }

    fn record(report: NodeReport) -> NodeRecord {
        let lease_until_ms = NOW + LEASE;
        NodeRecord { report, draining: false, lease_until_ms, first_ms: 0, updated_ms: NOW }
    }

    fn judged(report: &NodeReport, known: Option<&NodeRecord>) -> Result<(), &'static str> {
        judge(report, known, NOW, LEASE, false).map_err(|refused| refused.as_str())
    }

    #[test]
    fn what_cannot_be_is_refused_by_what_it_is() {
        let known = record(report(NOW, 10));
        assert_eq!(judged(&report(NOW, 10), Some(&known)), Ok(()), "the same again, by another way");
        assert_eq!(judged(&report(NOW + 100, 11), Some(&known)), Ok(()));
        assert_eq!(judged(&report(NOW + 100, 9), Some(&known)), Err("backwards"));
        assert_eq!(judged(&report(NOW - 1, 10), Some(&known)), Err("replayed"));
        let restarted = NodeReport { started_ms: 6, ..report(NOW + 1, 0) };
        assert_eq!(judged(&restarted, Some(&known)), Ok(()), "it counts from 0 again");
        assert_eq!(
            judged(&report(NOW + 2, 99), Some(&record(restarted))),
            Err("replayed"),
            "of its life before"
        );
        let gone = NodeRecord { lease_until_ms: NOW, ..known.clone() };
        assert_eq!(judged(&NodeReport { started_ms: 4, ..report(NOW, 0) }, Some(&gone)), Ok(()));
        for at in [NOW - LEASE - 1, NOW + LEASE + 1] {
            assert_eq!(judged(&report(at, 10), None), Err("clock"));
        }
        assert_eq!(judged(&NodeReport { started_ms: NOW * 2, ..report(NOW, 1) }, None), Err("clock"));
        assert_eq!(judged(&report(0, 1), None), Ok(()), "one that tells no time");
        assert_eq!(judge(&report(0, 1), None, NOW, LEASE, true).unwrap_err().as_str(), "clock");
        assert_eq!(judged(&report(NOW, u64::MAX), None), Err("absurd"));
        for weight in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e9] {
            assert_eq!(judged(&NodeReport { weight, ..report(NOW, 1) }, None), Err("absurd"));
        }
        let mut fast = report(NOW + 1_000, 10);
        fast.counters.bytes_out = 2 * MAX_RATE;
        assert_eq!(judged(&fast, Some(&known)), Err("absurd"));
    }

    #[test]
    fn a_key_reports_for_its_nodes_alone() {
        let made = || SigningKey::from_pem(SigningKey::generate().unwrap().as_bytes(), "k").unwrap();
        let (shared, own, unknown) = (made(), made(), made());
        let (a, b) = (NodeId::new("near-a").unwrap(), NodeId::new("near-b").unwrap());
        let keys = [
            ReportKeyConfig { key: shared.public(), nodes: vec![] },
            ReportKeyConfig { key: own.public(), nodes: vec![a.clone()] },
        ];
        let by = |key: &SigningKey, signed: &[u8], body: &[u8], node| {
            let (key, signature) = reports::sign(Signed::Report, key, signed);
            let fields = [(reports::KEY, key), (reports::SIGNATURE, signature)];
            let fields: HeaderMap =
                fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
            is_of(&keys, Signed::Report, &fields, body, node).map_err(|refused| refused.as_str())
        };
        assert_eq!(by(&shared, b"{}", b"{}", &b), Ok(()));
        assert_eq!(by(&own, b"{}", b"{}", &a), Ok(()));
        assert_eq!(by(&own, b"{}", b"{}", &b), Err("other-node"));
        assert_eq!(by(&own, b"{}", b"{ }", &a), Err("forged"));
        assert_eq!(by(&unknown, b"{}", b"{}", &a), Err("forged"));
        assert_eq!(is_of(&keys, Signed::Report, &HeaderMap::new(), b"{}", &a).unwrap_err().status(), 401);
        assert_eq!(
            is_of(&[], Signed::Report, &HeaderMap::new(), b"{}", &a),
            Ok(()),
            "without keys as before"
        );
    }

    proptest! {
        #[test]
        fn nothing_that_is_said_breaks_the_judge(
            at: u64, started: u64, requests: u64, out: u64, weight: f64, known_out: u64, known_at: u64,
        ) {
            let mut this = NodeReport { started_ms: started, weight, ..report(at, requests) };
            this.counters.bytes_out = out;
            let mut that = report(known_at, 0);
            that.counters.bytes_out = known_out;
            if judge(&this, Some(&record(that)), NOW, LEASE, true).is_ok() {
                prop_assert!(this.at_ms.abs_diff(NOW) <= LEASE && this.weight > 0.0 && out <= MAX_COUNT);
            }
        }
    }
}
