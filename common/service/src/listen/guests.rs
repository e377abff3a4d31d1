//! Who is connected: how many connections a client has, and why connections were cut.

use super::Protocol;
use crate::Metrics;
use prometheus::{IntCounter, IntCounterVec};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Bits of an IPv6 address that one customer has at least (RFC 6177): a client can take any address below them.
const CLIENT_BITS: u32 = 64;

/// The connections of every client, and the counts of those that were not kept.
#[derive(Debug)]
pub(super) struct Guests {
    /// At most one entry for each connection there is.
    by_client: Mutex<HashMap<IpAddr, u32>>,
    most: u32,
    cuts: Option<IntCounterVec>,
    retries: Option<IntCounter>,
}

/// A connection that was let in. Dropped, it has left.
#[derive(Debug)]
pub(super) struct Guest {
    client: IpAddr,
    guests: Arc<Guests>,
}

impl Guests {
    pub(super) fn new(most: u32, metrics: Option<&Metrics>) -> Self {
        let cuts = metrics.map(|metrics| {
            metrics.counters(
                "sluice_connections_cut_total",
                "Connections ended for what their client did, by reason",
                &["protocol", "reason"],
            )
        });
        let retries = metrics.map(|metrics| {
            metrics.counter("sluice_quic_retries_total", "QUIC clients told to show first where they are")
        });
        Self { by_client: Mutex::default(), most, cuts, retries }
    }

    /// Lets a client's connection in, unless it has too many.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Guest> {
        let client = client(address);
        let mut by_client = self.by_client.lock().unwrap_or_else(PoisonError::into_inner);
        let here = by_client.entry(client).or_default();
        if *here >= self.most {
            return None;
        }
        *here += 1;
        Some(Guest { client, guests: Arc::clone(self) })
    }

    /// Counts a connection that was cut.
    pub(super) fn cut(&self, protocol: Protocol, reason: &str) {
        if let Some(cuts) = &self.cuts {
            cuts.with_label_values(&[protocol.as_str(), reason]).inc();
        }
    }

    /// Counts a QUIC client that was told to come again.
    pub(super) fn retried(&self) {
        if let Some(retries) = &self.retries {
            retries.inc();
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut by_client = self.guests.by_client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(here) = by_client.get_mut(&self.client) {
            *here -= 1;
            if *here == 0 {
                by_client.remove(&self.client);
            }
        }
    }
}

/// What counts as one client.
fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6) & (u128::MAX << (128 - CLIENT_BITS))).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_so_many_connections_and_leaves_none_behind() {
        let guests = Arc::new(Guests::new(2, None));
        let at = |text: &str| text.parse().unwrap();
        let first = guests.admit(at("10.0.0.1")).unwrap();
        let second = guests.admit(at("::ffff:10.0.0.1")).unwrap();
        assert!(guests.admit(at("10.0.0.1")).is_none(), "the same client, mapped");
        let other = guests.admit(at("10.0.0.2")).unwrap();
        drop(first);
        let third = guests.admit(at("10.0.0.1")).unwrap();
        let six: Vec<_> = ["2001:db8::1", "2001:db8::2"].map(|a| guests.admit(at(a)).unwrap()).into();
        assert!(guests.admit(at("2001:db8:0:0:ffff::3")).is_none(), "the same /64");
        assert!(guests.admit(at("2001:db8:0:1::3")).is_some());
        drop((second, third, other, six));
        assert!(guests.by_client.lock().unwrap().is_empty());
    }
}
