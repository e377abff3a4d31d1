//! Which hosts are one tenant.

use crate::gate;
use serde::{Deserialize, Serialize};
use sluice_service::Faults;
use std::collections::HashSet;

/// Tenants of one configuration.
const MAX_TENANTS: usize = 10_000;
/// Hosts of one tenant.
const MAX_HOSTS: usize = 256;

/// Hosts whose answers are the same. A host that no tenant names is a tenant of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantConfig {
    /// Its name: 1 to 63 characters of `a-z`, `0-9` and `-`. The same in every tier.
    pub name: String,
    /// Its hosts, each with its port unless that is the scheme's own. Parents are asked under the first.
    pub hosts: Vec<String>,
}

/// Adds what is wrong with a list of tenants.
pub(crate) fn faults(tenants: &[TenantConfig], faults: &mut Faults) {
    let mut add = |what: String| faults.add("tenants", what);
    if tenants.len() > MAX_TENANTS {
        add(format!("at most {MAX_TENANTS}"));
    }
    let (mut names, mut hosts) = (HashSet::new(), HashSet::new());
    for TenantConfig { name, hosts: of_it } in tenants {
        let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        if !(1..=63).contains(&name.len()) || !name.bytes().all(plain) {
            add(format!("{name:?} is no name: 1 to 63 characters of a-z, 0-9 and -"));
        }
        if !names.insert(name) {
            add(format!("{name} is there twice"));
        }
        if of_it.is_empty() || of_it.len() > MAX_HOSTS {
            add(format!("{name} has 1 to {MAX_HOSTS} hosts"));
        }
        for host in of_it {
            if !gate::is_host(host) {
                add(format!("{host:?} of {name} is no host"));
            }
            if !hosts.insert(host.to_ascii_lowercase()) {
                add(format!("{host} can belong to one tenant only"));
            }
        }
    }
}
