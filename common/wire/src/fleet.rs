//! The fleet's configuration: what operators say of sites, nodes and outside CDNs. A versioned document; the control plane
//! keeps every version.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use crate::id::NodeId;
use crate::limits::MAX_NODES;
use crate::plan::FillWindow;
use crate::steering::{Contract, Policy};

/// Bytes of a configuration: a fleet of [`MAX_NODES`] with everything said of each fits.
pub const MAX_CONFIG_BYTES: usize = 256 << 10;
/// Sites of a fleet: every city with an exchange, and more.
const MAX_SITES: usize = 1_024;
/// Outside CDNs: each is a pathway in every steering manifest.
const MAX_PATHWAYS: usize = 32;
/// Bytes of the name of a site or a region.
pub const MAX_SITE: usize = 64;
/// The largest weight: a thousand times an ordinary node.
const MAX_WEIGHT: f64 = 1_000.0;
/// Addresses of a node: two of each kind, and some to spare.
const MAX_ADDRESSES: usize = 8;
/// The largest capacity, in Mbit/s: ten ports of 400 Gbit/s.
const MAX_CAPACITY: f64 = 4_000_000.0;

/// What operators say of the fleet. What is not said is as nodes report it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FleetConfig {
    /// Rises by one with each change; the control plane counts it. 0 before the first.
    pub version: u64,
    /// Sites by name, as nodes report it: at most 1,024, of [`MAX_SITE`] bytes each.
    pub sites: BTreeMap<String, SiteConfig>,
    /// Nodes by name: at most [`MAX_NODES`].
    pub nodes: BTreeMap<NodeId, NodeConfig>,
    /// CDNs outside the fleet that players may be sent to, by the name of the pathway: at most
    /// 32, whose shares are 1 together at most.
    pub pathways: BTreeMap<NodeId, PathwayConfig>,
    /// How players are steered.
    pub steering: Policy,
}

/// A site.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SiteConfig {
    /// Its region: 1 to [`MAX_SITE`] bytes.
    pub region: Option<String>,
    /// Degrees north, from -90 to 90.
    pub latitude: Option<f64>,
    /// Degrees east, from -180 to 180.
    pub longitude: Option<f64>,
    /// What its gigabytes cost.
    pub contract: Contract,
    /// When it may be filled ahead of demand, and how much; never where this is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fill: Option<FillWindow>,
}

/// A node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NodeConfig {
    /// Its share of keys relative to its peers, instead of what it reports: 0, which gives it none, to 1,000.
    pub weight: Option<f64>,
    /// What it can send, in Mbit/s: 1 to 4,000,000.
    pub capacity_mbps: Option<f64>,
    /// Its addresses, as names lead to it, at most 8; those of its URL where none is said.
    pub addresses: Vec<IpAddr>,
}

/// A CDN outside the fleet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathwayConfig {
    /// Where players reach it: scheme, host and port, without a path.
    pub host: String,
    /// What its gigabytes cost.
    #[serde(default)]
    pub contract: Contract,
    /// The share of all sessions that it is to have, from 0 to 1. Absent: as its cost makes it.
    #[serde(default)]
    pub share: Option<f64>,
}

/// What is wrong with one key, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFault {
    /// The key, with dots.
    pub key: String,
    /// What it must be.
    pub fix: String,
}

impl fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.fix)
    }
}

impl FleetConfig {
    /// Everything that is wrong with values of the right types.
    #[must_use]
    pub fn faults(&self) -> Vec<ConfigFault> {
        let mut faults = Faults::default();
        faults.count("sites", self.sites.len(), MAX_SITES);
        faults.count("nodes", self.nodes.len(), MAX_NODES);
        faults.count("pathways", self.pathways.len(), MAX_PATHWAYS);
        for (name, site) in &self.sites {
            site.check(name, &mut faults);
        }
        for (name, node) in &self.nodes {
            let key = |field| format!("nodes.{name}.{field}");
            faults.range(&key("weight"), node.weight, 0.0, MAX_WEIGHT);
            faults.range(&key("capacity_mbps"), node.capacity_mbps, 1.0, MAX_CAPACITY);
            faults.count(&key("addresses"), node.addresses.len(), MAX_ADDRESSES);
        }
        for (name, pathway) in &self.pathways {
            let key = |field| format!("pathways.{name}.{field}");
            faults.range(&key("share"), pathway.share, 0.0, 1.0);
            pathway.contract.check(&key("contract"), &mut faults);
            if !is_base(&pathway.host) {
                faults.add(&key("host"), "scheme, host and port without a path: https://cdn.example.com");
            }
            if self.nodes.contains_key(name) {
                faults.add(&format!("pathways.{name}"), "a node has this name; choose another");
            }
        }
        if self.pathways.values().filter_map(|pathway| pathway.share).sum::<f64>() > 1.0 {
            faults.add("pathways", "shares are 1 together at most");
        }
        self.steering.check("steering", &mut faults);
        faults.all()
    }

    /// What differs between two configurations: each key with dots, as it was and as it is. What is not there is `null`.
    #[must_use]
    pub fn changes(&self, to: &Self) -> (Map<String, Value>, Map<String, Value>) {
        let leaves = |config: &Self| {
            let mut leaves = BTreeMap::new();
            flatten("", &serde_json::to_value(config).unwrap_or_default(), &mut leaves);
            leaves
        };
        let (was, is) = (leaves(self), leaves(to));
        let keys: BTreeSet<&String> = was.keys().chain(is.keys()).collect();
        let differ = |key: &&String| was.get(*key) != is.get(*key);
        let side = |of: &BTreeMap<String, Value>| {
            let told = |key: &String| (key.clone(), of.get(key).cloned().unwrap_or_default());
            keys.iter().copied().filter(differ).map(told).collect()
        };
        (side(&was), side(&is))
    }
}

impl SiteConfig {
    fn check(&self, name: &str, faults: &mut Faults) {
        let key = |field| format!("sites.{name:.64}.{field}");
        let plain = |text: &str| (1..=MAX_SITE).contains(&text.len()) && !text.chars().any(char::is_control);
        if !plain(name) {
            faults.add(&format!("sites.{name:.64}"), &format!("1 to {MAX_SITE} bytes of plain characters"));
        }
        if self.region.as_deref().is_some_and(|region| !plain(region)) {
            faults.add(&key("region"), &format!("1 to {MAX_SITE} bytes of plain characters"));
        }
        faults.range(&key("latitude"), self.latitude, -90.0, 90.0);
        faults.range(&key("longitude"), self.longitude, -180.0, 180.0);
        self.contract.check(&key("contract"), faults);
        self.fill.iter().for_each(|fill| fill.check(&key("fill"), faults));
        if self.latitude.is_some() != self.longitude.is_some() {
            faults.add(&key("latitude"), "give latitude and longitude, or neither");
        }
    }
}

/// What is wrong so far.
#[derive(Default)]
pub(crate) struct Faults(Vec<ConfigFault>);

impl Faults {
    pub(crate) fn all(self) -> Vec<ConfigFault> {
        self.0
    }

    pub(crate) fn add(&mut self, key: &str, fix: &str) {
        self.0.push(ConfigFault { key: key.to_owned(), fix: fix.to_owned() });
    }

    pub(crate) fn count(&mut self, key: &str, count: usize, most: usize) {
        if count > most {
            self.add(key, &format!("at most {most}, not {count}"));
        }
    }

    pub(crate) fn range(&mut self, key: &str, value: Option<f64>, least: f64, most: f64) {
        if let Some(value) = value.filter(|value| !(least..=most).contains(value)) {
            self.add(key, &format!("from {least} to {most}, not {value}"));
        }
    }
}

/// True for scheme, host and port, and nothing behind them.
fn is_base(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or_default();
    let plain = |c: u8| c.is_ascii_alphanumeric() || b".-:[]".contains(&c);
    (1..=255).contains(&rest.len()) && rest.bytes().all(plain)
}

fn flatten(prefix: &str, value: &Value, leaves: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                flatten(&key, value, leaves);
            }
        }
        Value::Null => {}
        leaf => drop(leaves.insert(prefix.to_owned(), leaf.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config(value: Value) -> FleetConfig {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_good_configuration_has_no_faults_and_reads_back() {
        let good = config(json!({
            "sites": { "fra": { "region": "eu", "latitude": 50.1, "longitude": 8.7 } },
            "nodes": { "near-a": { "weight": 0.5, "capacity_mbps": 10_000 } },
            "pathways": { "outside": { "host": "https://cdn.example.com", "contract": { "price_per_gb": 0.02 } } },
        }));
        assert_eq!(good.faults(), []);
        assert_eq!(config(serde_json::to_value(&good).unwrap()), good);
    }

    #[test]
    fn every_fault_is_told_with_its_key() {
        let bad = config(json!({
            "sites": { "fra": { "latitude": 91 } },
            "nodes": { "near-a": { "weight": -1, "capacity_mbps": 0 }, "both": {} },
            "pathways": { "both": { "host": "https://cdn.example.com/path" } },
        }));
        let faults = bad.faults();
        let keys: Vec<&str> = faults.iter().map(|fault| fault.key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "sites.fra.latitude",
                "sites.fra.latitude",
                "nodes.near-a.weight",
                "nodes.near-a.capacity_mbps",
                "pathways.both.host",
                "pathways.both"
            ]
        );
        assert_eq!(faults[2].to_string(), "nodes.near-a.weight: from 0 to 1000, not -1");
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let wrong = serde_json::from_value::<FleetConfig>(json!({ "nodes": { "a": { "wieght": 1 } } }));
        assert!(wrong.unwrap_err().to_string().contains("wieght"));
        assert!(serde_json::from_value::<FleetConfig>(json!({ "nodes": { "No Name": {} } })).is_err());
    }

    #[test]
    fn changes_name_what_differs_alone() {
        let before = config(json!({ "version": 1, "nodes": { "a": { "weight": 1 }, "b": { "weight": 2 } } }));
        let after = config(json!({ "version": 2, "nodes": { "a": { "weight": 3 }, "b": { "weight": 2 } } }));
        let (was, is) = before.changes(&after);
        assert_eq!(Value::Object(was), json!({ "nodes.a.weight": 1.0, "version": 1 }));
        assert_eq!(Value::Object(is), json!({ "nodes.a.weight": 3.0, "version": 2 }));
        let (was, is) = before.changes(&FleetConfig::default());
        assert_eq!(is["nodes.b.weight"], Value::Null);
        assert_eq!(was["nodes.b.weight"], 2.0);
    }
}
