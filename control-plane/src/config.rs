//! The control plane's configuration.

use crate::dns::DnsConfig;
use crate::operators::{self, OperatorConfig};
use crate::page::PAGE;
use crate::reports::{self, ReportKeyConfig};
use serde::{Deserialize, Serialize};
use sluice_service::{Faults, PeerTlsConfig, ProcessConfig, ServerConfig};
use sluice_storage::StorageConfig;
use sluice_wire::placement::replicas::HOLD_MS;
use std::path::PathBuf;

/// The control plane's keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Its listeners, certificate, log and drain.
    #[serde(flatten)]
    pub server: ServerConfig,
    /// Where rows are.
    pub storage: StorageConfig,
    /// Who may drain, purge and configure. Without any, whoever is on this machine may.
    pub operators: Vec<OperatorConfig>,
    /// The built pages: the operations page is at `/`. Nothing is there without.
    pub pages_dir: Option<PathBuf>,
    /// Origins that edges fill from, by preference.
    pub origins: Vec<String>,
    /// How nodes are looked after.
    pub health: HealthConfig,
    /// How edges are asked where their URLs begin with `https://`.
    pub peer_tls: PeerTlsConfig,
    /// Public keys that edges sign their reports with. Without any, whoever reaches this may report.
    pub report_keys: Vec<ReportKeyConfig>,
    /// The private key (PEM, Ed25519) that signs the route table. Without, the control planes of one database share one that
    /// the first of them made.
    pub table_key_file: Option<PathBuf>,
    /// Milliseconds after which a silent node counts as gone.
    pub lease_ms: u64,
    /// How media groups are placed on edges.
    pub placement: PlacementConfig,
    /// A database of cities in MaxMind's format (GeoLite2-City): where clients are.
    pub places_file: Option<PathBuf>,
    /// A database of networks in MaxMind's format (GeoLite2-ASN): whose addresses they are.
    pub networks_file: Option<PathBuf>,
    /// Names that lead to edges.
    pub dns: DnsConfig,
    /// Milliseconds between two notes of what sites have sent, for their contracts.
    pub traffic_look_ms: u64,
    /// Where players reach this; the request's own host when absent.
    pub public_url: Option<String>,
}

/// How media groups are placed on edges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlacementConfig {
    /// Milliseconds over which the weight of a node that joins rises; 0 for all of it at once.
    pub ramp_ms: u64,
    /// Milliseconds for which a popular group keeps replicas that it no longer needs.
    pub hold_ms: u64,
    /// Requests at a site in some ten seconds below which a group has one replica, whatever its share: a node bears that.
    pub least_requests: u64,
}

impl Default for PlacementConfig {
    fn default() -> Self {
        Self { ramp_ms: 40_000, hold_ms: HOLD_MS, least_requests: 200 }
    }
}

/// How nodes are looked after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HealthConfig {
    /// Milliseconds between two looks at each node; 0 looks at none.
    pub look_ms: u64,
    /// True to ask near edges by their public addresses.
    pub probe: bool,
    /// Milliseconds that an edge may take to answer.
    pub probe_timeout_ms: u64,
    /// Bad looks in a row before a node is given less.
    pub bad_looks: u32,
    /// Milliseconds of nothing but good looks before it is given more again.
    pub good_ms: u64,
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self { look_ms: 1_000, probe: true, probe_timeout_ms: 1_000, bad_looks: 3, good_ms: 30_000 }
    }
}

impl HealthConfig {
    fn validate(&self, faults: &mut Faults) {
        if (1..100).contains(&self.look_ms) {
            faults.add("health.look_ms", "0, or at least 100");
        }
        if self.probe_timeout_ms < 10 {
            faults.add("health.probe_timeout_ms", "at least 10");
        }
        if self.bad_looks == 0 {
            faults.add("health.bad_looks", "at least 1");
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server: ServerConfig { drain_grace_ms: 2_000, ..ServerConfig::default() },
            storage: StorageConfig::default(),
            operators: vec![],
            pages_dir: None,
            origins: vec![],
            health: HealthConfig::default(),
            peer_tls: PeerTlsConfig::default(),
            report_keys: vec![],
            table_key_file: None,
            lease_ms: 3_000,
            placement: PlacementConfig::default(),
            places_file: None,
            networks_file: None,
            dns: DnsConfig::default(),
            traffic_look_ms: 10_000,
            public_url: None,
        }
    }
}

impl ProcessConfig for Config {
    fn server(&self) -> &ServerConfig {
        &self.server
    }

    fn validate(&self, faults: &mut Faults) {
        self.storage.faults().iter().for_each(|fault| faults.add("storage", fault));
        operators::faults(&self.operators, faults);
        if let Some(dir) = self.pages_dir.as_ref().filter(|dir| !dir.join(PAGE).is_file()) {
            faults.add(
                "pages_dir",
                format!("{} holds no {PAGE}; build the pages with `make web`", dir.display()),
            );
        }
        self.health.validate(faults);
        self.peer_tls.validate(faults);
        reports::faults(&self.report_keys, faults);
        for url in self.origins.iter().chain(&self.public_url) {
            if !(url.starts_with("http://") || url.starts_with("https://")) {
                faults.add("origins", format!("{url} is no http:// or https:// address"));
            }
        }
        self.dns.validate(faults);
        if self.traffic_look_ms < 50 {
            faults.add("traffic_look_ms", "at least 50");
        }
        if self.lease_ms < 200 {
            faults.add("lease_ms", "at least 200, or a busy edge comes and goes");
        }
    }
}
