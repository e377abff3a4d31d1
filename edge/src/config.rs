//! The edge's configuration.

use crate::access::AccessConfig;
use crate::cache::Policy;
use crate::disk::DiskConfig;
use crate::names::DnsConfig;
use crate::overload::OverloadConfig;
use crate::shares::SharesConfig;
use crate::streams::StreamsConfig;
use crate::tenant::{self, TenantConfig};
use crate::transform::TransformConfig;
use crate::upstreams::{self, UpstreamConfig};
use serde::{Deserialize, Serialize};
use sluice_service::{Faults, PeerTlsConfig, ProcessConfig, ServerConfig};
use sluice_wire::published::public_key;
use sluice_wire::{NodeId, Tier};
use std::path::PathBuf;
use std::time::Duration;

/// Bytes of the smallest slice: a fetch for less costs more than its bytes.
pub(crate) const LEAST_SLICE: u64 = 4 << 10;

/// The edge's keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Its listeners, certificate, log and drain.
    #[serde(flatten)]
    pub server: ServerConfig,
    /// Its name in the fleet.
    pub node: NodeId,
    /// `near` or `shield`.
    pub tier: Tier,
    /// The site it stands in.
    pub site: String,
    /// Its share of keys relative to its peers.
    pub weight: f64,
    /// Where clients reach it; its own plain listener when absent.
    pub public_url: Option<String>,
    /// Where other nodes reach it; its own plain listener when absent.
    pub peer_url: Option<String>,
    /// The rack it stands in, where a site has so many edges that keys are placed on racks first; chosen by its name when empty.
    pub rack: String,
    /// Fills media from the near edges of its site that own it, before the tier above is asked.
    pub siblings: bool,
    /// Control planes, by preference. Without any, the origins below are all it knows.
    pub control: Vec<String>,
    /// Public keys of control planes (Ed25519, base64url: `x` of a JWK). Route tables of others are refused. Without any, the
    /// key of the first table is remembered in `state_dir`.
    pub control_keys: Vec<String>,
    /// The private key (PEM, Ed25519) that its reports are signed with.
    pub report_key_file: Option<PathBuf>,
    /// How parents, control planes and origins are asked where their URLs begin with `https://`.
    pub peer_tls: PeerTlsConfig,
    /// How names of parents, control planes and origins are resolved.
    pub dns: DnsConfig,
    /// Origins, by preference, until a route table names them.
    pub origins: Vec<String>,
    /// Paths that have origins of their own, whatever the table names.
    pub upstreams: Vec<UpstreamConfig>,
    /// The cache.
    pub cache: CacheConfig,
    /// Hosts that are one tenant. Any other host is one by itself, but for the fleet's own names.
    pub tenants: Vec<TenantConfig>,
    /// Other forms of what is kept.
    pub transform: TransformConfig,
    /// What is carried live.
    pub streams: StreamsConfig,
    /// Who may have what.
    pub access: AccessConfig,
    /// What it can send, and so what it gives up when more is asked.
    pub overload: OverloadConfig,
    /// What one client may have of what is there for all.
    pub shares: SharesConfig,
    /// Methods let in beside GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS. They are passed on, and count as unsafe.
    pub methods: Vec<String>,
    /// Folder for the last route table.
    pub state_dir: PathBuf,
    /// Milliseconds between two reports to the control plane.
    pub report_ms: u64,
    /// Milliseconds between two messages of what clients asked for, from which the control plane makes forecasts.
    pub asked_ms: u64,
    /// Milliseconds of silence after which a body that a parent sends is cut.
    pub watchdog_ms: u64,
}

/// The cache's bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheConfig {
    /// Bytes of bodies kept in memory.
    pub memory_bytes: u64,
    /// Bytes of the largest body kept; larger ones pass through.
    pub max_object_bytes: u64,
    /// Bytes of the slices in which parts of a large body are fetched and kept, and never more than may be kept; 0
    /// fetches it whole.
    pub slice_bytes: u64,
    /// Milliseconds for which an answer that says nothing on it may be served stale while no parent can be reached.
    pub stale_when_disconnected_ms: u64,
    /// Milliseconds for which a 404 or 410 without freshness is kept; 0 keeps none.
    pub negative_ms: u64,
    /// Keeps answers with `Set-Cookie` too, and replays it to everybody.
    pub keep_cookies: bool,
    /// Heeds `Cache-Control` of clients. Off, a client can only ask for `only-if-cached`.
    pub heed_clients: bool,
    /// The part on disk.
    pub disk: DiskConfig,
}

impl CacheConfig {
    pub(crate) const fn policy(&self) -> Policy {
        Policy {
            keep_cookies: self.keep_cookies,
            when_disconnected: Duration::from_millis(self.stale_when_disconnected_ms),
            negative: Duration::from_millis(self.negative_ms),
        }
    }
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            memory_bytes: 256 << 20,
            max_object_bytes: 64 << 20,
            slice_bytes: 1 << 20,
            stale_when_disconnected_ms: 600_000,
            negative_ms: 0,
            keep_cookies: false,
            heed_clients: false,
            disk: DiskConfig::default(),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server: ServerConfig::default(),
            node: NodeId::new("edge").expect("a DNS label"),
            tier: Tier::Near,
            site: "local".into(),
            weight: 1.0,
            public_url: None,
            peer_url: None,
            rack: String::new(),
            siblings: true,
            control: vec![],
            control_keys: vec![],
            report_key_file: None,
            peer_tls: PeerTlsConfig::default(),
            dns: DnsConfig::default(),
            origins: vec![],
            upstreams: vec![],
            cache: CacheConfig::default(),
            tenants: vec![],
            transform: TransformConfig::default(),
            streams: StreamsConfig::default(),
            access: AccessConfig::default(),
            overload: OverloadConfig::default(),
            shares: SharesConfig::default(),
            methods: vec![],
            state_dir: "var/edge".into(),
            report_ms: 1_000,
            asked_ms: 60_000,
            watchdog_ms: 1_000,
        }
    }
}

/// What may change while an edge serves: everything that is looked up anew for each request.
const LIVE_KEYS: [&str; 26] = [
    "access.audience",
    "access.cookie",
    "access.issuer",
    "access.keys_url_ms",
    "access.param",
    "access.peers",
    "access.poll_ms",
    "asked_ms",
    "cache.heed_clients",
    "cache.keep_cookies",
    "cache.max_object_bytes",
    "cache.memory_bytes",
    "cache.negative_ms",
    "cache.slice_bytes",
    "cache.stale_when_disconnected_ms",
    "methods",
    "origins",
    "overload.",
    "report_ms",
    "shares.",
    "siblings",
    "streams.",
    "tenants",
    "transform.",
    "upstreams",
    "watchdog_ms",
];

impl ProcessConfig for Config {
    fn server(&self) -> &ServerConfig {
        &self.server
    }

    fn live_keys() -> &'static [&'static str] {
        &LIVE_KEYS
    }

    fn validate(&self, faults: &mut Faults) {
        if self.origins.is_empty() && self.control.is_empty() {
            faults.add("origins", "name at least one origin, or a control plane that does");
        }
        let urls = [("origins", &self.origins), ("control", &self.control)];
        for (key, url) in urls.iter().flat_map(|(key, urls)| urls.iter().map(move |url| (key, url))) {
            if !url.starts_with("http://") && !url.starts_with("https://") {
                faults.add(key, format!("{url} is no http:// or https:// address"));
            }
        }
        for key in self.control_keys.iter().filter(|key| public_key(key).is_none()) {
            faults.add("control_keys", format!("{key:.60} is no public key: 43 characters of base64url"));
        }
        self.transform.validate(faults);
        self.peer_tls.validate(faults);
        self.dns.validate(faults);
        tenant::faults(&self.tenants, faults);
        upstreams::faults(&self.upstreams, faults);
        for method in &self.methods {
            let plain = !method.is_empty() && method.bytes().all(|c| c.is_ascii_uppercase() || c == b'-');
            if !plain || matches!(method.as_str(), "CONNECT" | "TRACE") {
                faults.add("methods", format!("{method} cannot be let in; name methods in capital letters"));
            }
        }
        self.streams.validate(faults);
        self.access.validate(faults);
        self.overload.validate(faults);
        self.shares.validate(faults);
        if !self.weight.is_finite() || self.weight <= 0.0 {
            faults.add("weight", "must be above 0");
        }
        if self.cache.max_object_bytes > self.cache.memory_bytes {
            faults.add("cache.max_object_bytes", "cannot be above cache.memory_bytes");
        }
        if (1..LEAST_SLICE).contains(&self.cache.slice_bytes) {
            faults.add("cache.slice_bytes", "0, or at least 4096");
        }
        self.cache.disk.validate(faults);
        if self.server.listen.http.is_none() {
            faults.add("listen.http", "other nodes reach an edge on its plain listener");
        }
        let waits =
            [("report_ms", self.report_ms), ("asked_ms", self.asked_ms), ("watchdog_ms", self.watchdog_ms)];
        for (key, ms) in waits {
            if ms < 10 {
                faults.add(key, "at least 10");
            }
        }
    }
}
