//! How names are resolved.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use sluice_service::Faults;
use std::net::SocketAddr;

/// Servers asked at most, in the order given: more would not be reached in the time a question has.
const MAX_SERVERS: usize = 8;

/// Who is asked about names, and where they may lead.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DnsConfig {
    /// Servers that are asked, address and port each; those of the system when there are none.
    pub servers: Vec<SocketAddr>,
    /// Networks to which any name may lead. No other name of the DNS leads to this machine or its link, nor to a private
    /// network once it had public addresses.
    pub internal: Vec<IpNet>,
}

impl DnsConfig {
    pub(crate) fn validate(&self, faults: &mut Faults) {
        if self.servers.len() > MAX_SERVERS {
            faults.add("dns.servers", format!("at most {MAX_SERVERS}"));
        }
        if self.servers.iter().any(|server| server.port() == 0) {
            faults.add("dns.servers", "a server has a port, mostly 53");
        }
    }
}
