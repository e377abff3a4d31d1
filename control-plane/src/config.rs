//! The control plane's configuration.

use serde::{Deserialize, Serialize};
use sluice_service::{Faults, ListenConfig, LogConfig, ProcessConfig, TlsConfig};
use sluice_storage::StorageConfig;
use std::time::Duration;

/// The control plane's keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where it listens.
    pub listen: ListenConfig,
    /// Its certificate.
    pub tls: TlsConfig,
    /// What is logged.
    pub log: LogConfig,
    /// Where rows are.
    pub storage: StorageConfig,
    /// Origins that edges fill from, by preference.
    pub origins: Vec<String>,
    /// Milliseconds after which a silent node counts as gone.
    pub lease_ms: u64,
    /// Seconds after which a player asks for steering again.
    pub steering_ttl_s: u32,
    /// Where players reach this; the request's own host when absent.
    pub public_url: Option<String>,
    /// Milliseconds to finish what is under way when told to end.
    pub drain_grace_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: ListenConfig::loopback(),
            tls: TlsConfig::default(),
            log: LogConfig::default(),
            storage: StorageConfig::default(),
            origins: vec![],
            lease_ms: 3_000,
            steering_ttl_s: 10,
            public_url: None,
            drain_grace_ms: 2_000,
        }
    }
}

impl ProcessConfig for Config {
    fn listen(&self) -> &ListenConfig {
        &self.listen
    }

    fn tls(&self) -> &TlsConfig {
        &self.tls
    }

    fn log(&self) -> &LogConfig {
        &self.log
    }

    fn drain_grace(&self) -> Duration {
        Duration::from_millis(self.drain_grace_ms)
    }

    fn validate(&self, faults: &mut Faults) {
        self.storage.faults().iter().for_each(|fault| faults.add("storage", fault));
        for url in self.origins.iter().chain(&self.public_url) {
            if !(url.starts_with("http://") || url.starts_with("https://")) {
                faults.add("origins", format!("{url} is no http:// or https:// address"));
            }
        }
        if self.lease_ms < 200 {
            faults.add("lease_ms", "at least 200, or a busy edge comes and goes");
        }
        if !(1..=3_600).contains(&self.steering_ttl_s) {
            faults.add("steering_ttl_s", "from 1 to 3600");
        }
    }
}
