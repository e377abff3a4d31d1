//! What a listener bears from its clients.

use super::Faults;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Deadlines and bounds of connections. Deadlines are 10 to 3,600,000 ms, numbers at least 1, unless they say otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Milliseconds for a request's head, and for the first byte of a connection.
    pub head_ms: u64,
    /// Milliseconds for a TLS or QUIC handshake.
    pub handshake_ms: u64,
    /// Milliseconds a connection may wait for its next request: what nginx has as `keepalive_timeout`.
    pub idle_ms: u64,
    /// Milliseconds in which a client must take [`bytes_per_second`](Self::bytes_per_second) of an answer.
    pub write_stall_ms: u64,
    /// Milliseconds before the rate of a request's body counts: 0 to 3,600,000.
    pub body_grace_ms: u64,
    /// Bytes a second that a body must come with, and an answer be taken with. A tenth of the slowest mobile network.
    pub bytes_per_second: u32,
    /// Connections from one IPv4 address or IPv6 /64; more are closed at once. Many clients share an address behind a
    /// carrier's NAT, hence the generous default.
    pub connections_per_client: u32,
    /// QUIC handshakes under way of clients that have not shown that they are where they say; while there are as many, a
    /// further one must show it first (RFC 9000 section 8.1.2), which costs it a round trip. 0: each must.
    pub unproven_quic: u32,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            head_ms: 10_000,
            handshake_ms: 5_000,
            idle_ms: 75_000,
            write_stall_ms: 30_000,
            body_grace_ms: 5_000,
            bytes_per_second: 500,
            connections_per_client: 1_000,
            unproven_quic: 100,
        }
    }
}

impl LimitsConfig {
    /// Time for a head.
    pub(crate) const fn head(&self) -> Duration {
        Duration::from_millis(self.head_ms)
    }

    /// Time for a handshake.
    pub(crate) const fn handshake(&self) -> Duration {
        Duration::from_millis(self.handshake_ms)
    }

    /// Time between requests.
    pub(crate) const fn idle(&self) -> Duration {
        Duration::from_millis(self.idle_ms)
    }

    /// Time in which an answer must get on.
    pub(crate) const fn write_stall(&self) -> Duration {
        Duration::from_millis(self.write_stall_ms)
    }

    /// Bytes of an answer that a client takes within [`write_stall`](Self::write_stall) at least.
    pub(crate) const fn least_progress(&self) -> u64 {
        self.write_stall_ms * self.bytes_per_second as u64 / 1_000
    }

    pub(super) fn validate(&self, faults: &mut Faults) {
        for (key, value) in [
            ("listen.limits.head_ms", self.head_ms),
            ("listen.limits.handshake_ms", self.handshake_ms),
            ("listen.limits.idle_ms", self.idle_ms),
            ("listen.limits.write_stall_ms", self.write_stall_ms),
        ] {
            if !(10..=3_600_000).contains(&value) {
                faults.add(key, "between 10 and 3600000");
            }
        }
        if self.body_grace_ms > 3_600_000 {
            faults.add("listen.limits.body_grace_ms", "at most 3600000");
        }
        if self.bytes_per_second == 0 {
            faults.add("listen.limits.bytes_per_second", "at least 1");
        }
        if self.connections_per_client == 0 {
            faults.add("listen.limits.connections_per_client", "at least 1");
        }
    }
}
