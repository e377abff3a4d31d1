//! What one client may have of what an edge holds for all: channels that it began, places in line. A client is an address; for
//! IPv6 its /64.

use crate::access::network;
use serde::{Deserialize, Serialize};
use sluice_service::Faults;
use std::collections::HashMap;
use std::net::IpAddr;

/// The largest shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SharesConfig {
    /// Live channels of an edge that one client has begun. Those that others have begun are not counted.
    pub channels: usize,
    /// Tickets of one client that wait at an edge, in all rooms. Behind one address there may be a whole house.
    pub tickets: usize,
}

impl Default for SharesConfig {
    fn default() -> Self {
        Self { channels: 1_024, tickets: 256 }
    }
}

impl SharesConfig {
    pub(crate) fn validate(&self, faults: &mut Faults) {
        for (key, most) in [("shares.channels", self.channels), ("shares.tickets", self.tickets)] {
            if most == 0 {
                faults.add(key, "at least 1");
            }
        }
    }
}

/// A client, and the most it may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) client: IpAddr,
    pub(crate) most: usize,
}

impl Share {
    pub(crate) fn of(address: IpAddr, most: usize) -> Self {
        Self { client: network(address), most }
    }
}

/// What each client has: one entry for each that has something.
#[derive(Debug, Default)]
pub(crate) struct Shares(HashMap<IpAddr, usize>);

impl Shares {
    /// How many a client has.
    pub(crate) fn has(&self, client: IpAddr) -> usize {
        self.0.get(&client).copied().unwrap_or(0)
    }

    /// It has one more.
    pub(crate) fn add(&mut self, client: IpAddr) {
        *self.0.entry(client).or_default() += 1;
    }

    /// It has one less.
    pub(crate) fn remove(&mut self, client: IpAddr) {
        if let Some(many) = self.0.get_mut(&client) {
            *many -= 1;
            if *many == 0 {
                self.0.remove(&client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_an_address_or_a_network_and_leaves_nothing_behind() {
        let client = |text: &str| Share::of(text.parse().unwrap(), 1).client;
        let mut shares = Shares::default();
        shares.add(client("2001:db8:1:2::1"));
        shares.add(client("2001:db8:1:2:ffff::9"));
        shares.add(client("::ffff:192.0.2.1"));
        assert_eq!(shares.has(client("2001:db8:1:2::7")), 2);
        assert_eq!((shares.has(client("2001:db8:1:3::1")), shares.has(client("192.0.2.1"))), (0, 1));
        shares.remove(client("2001:db8:1:2::1"));
        shares.remove(client("192.0.2.1"));
        shares.remove(client("192.0.2.2"));
        assert_eq!(shares.0.into_iter().collect::<Vec<_>>(), [(client("2001:db8:1:2::1"), 1)]);
    }
}
