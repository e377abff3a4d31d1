//! The keys of the DNS server.

use serde::{Deserialize, Serialize};
use sluice_service::Faults;
use std::net::SocketAddr;

/// Names that lead to edges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DnsConfig {
    /// Where questions are taken, over UDP and TCP. Absent: nowhere.
    pub listen: Option<SocketAddr>,
    /// The zone that is delegated to this server.
    pub zone: String,
    /// Names of the zone's servers, this one among them.
    pub servers: Vec<String>,
    /// Seconds for which an answer may be kept, at most; less around a suspect edge.
    pub ttl_s: u32,
}

impl Default for DnsConfig {
    fn default() -> Self {
        Self { listen: None, zone: String::new(), servers: vec![], ttl_s: 20 }
    }
}

impl DnsConfig {
    pub(crate) fn validate(&self, faults: &mut Faults) {
        if self.listen.is_none() {
            return;
        }
        if super::answer::name(&self.zone).is_none() {
            faults.add("dns.zone", "the name that is delegated to this server, like cdn.example.com");
        }
        if self.servers.is_empty() || self.servers.iter().any(|server| super::answer::name(server).is_none())
        {
            faults.add("dns.servers", "names of the zone's servers, like ns1.example.com");
        }
        if !(1..=3_600).contains(&self.ttl_s) {
            faults.add("dns.ttl_s", "from 1 to 3600");
        }
    }
}
