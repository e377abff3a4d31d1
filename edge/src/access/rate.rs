//! Rates: how often a client or a subject may ask. A bucket each, as the generic cell rate algorithm keeps it: one number,
//! the time at which it will be full again.

use lru::LruCache;
use serde::Deserialize;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_128;

/// Buckets in all: some MiB. When there are more, the one that was used longest ago is forgotten, and full again.
const BUCKETS: usize = 65_536;
/// Locks over them: enough that cores seldom meet.
const SHARDS: usize = 16;

/// Whose requests are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum By {
    /// An address; for IPv6 its /64, which is what one client has (RFC 6177).
    #[default]
    Client,
    /// The subject of a token; an address where there is none.
    Subject,
}

/// A rule's rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rate {
    /// Requests at once, and in each window.
    pub(crate) requests: u32,
    /// Seconds of the window.
    pub(crate) seconds: u32,
    #[serde(default)]
    pub(crate) by: By,
}

impl Rate {
    const fn window(self) -> u64 {
        self.seconds as u64 * 1_000_000_000
    }
}

/// What is left of a bucket after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Left {
    /// Requests at once.
    pub(crate) requests: u64,
    /// Until the bucket is full again.
    pub(crate) full_in: Duration,
}

/// Takes a request out of a bucket that will be full at a time (nanoseconds). The new time and what is left, or how long
/// until there is room.
fn take(rate: Rate, full_at: u64, now: u64) -> Result<(u64, Left), Duration> {
    let each = rate.window() / u64::from(rate.requests);
    let next = full_at.max(now).saturating_add(each);
    let debt = next - now;
    // Division leaves less than one request's time over.
    let room = each * u64::from(rate.requests);
    if debt > room {
        return Err(Duration::from_nanos(debt - room));
    }
    let left = Left { requests: (room - debt) / each, full_in: Duration::from_nanos(debt) };
    Ok((next, left))
}

/// All buckets.
#[derive(Debug)]
pub(crate) struct Rates {
    begun: Instant,
    shards: Vec<Mutex<LruCache<u128, u64>>>,
}

impl Rates {
    pub(crate) fn new() -> Self {
        let each = NonZeroUsize::new(BUCKETS / SHARDS).unwrap_or(NonZeroUsize::MIN);
        let shards = (0..SHARDS).map(|_| Mutex::new(LruCache::new(each))).collect();
        Self { begun: Instant::now(), shards }
    }

    /// Takes a request of a rule's bucket for someone; or how long until there is room.
    pub(crate) fn take(&self, rate: Rate, rule: &str, who: &str) -> Result<Left, Duration> {
        self.take_at(rate, rule, who, u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn take_at(&self, rate: Rate, rule: &str, who: &str, now: u64) -> Result<Left, Duration> {
        let key = xxh3_128(format!("{rule}\n{who}").as_bytes());
        let shard = &self.shards[usize::from(key.to_le_bytes()[0]) % SHARDS];
        let mut buckets = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let (full_at, left) = take(rate, buckets.get(&key).copied().unwrap_or(0), now)?;
        buckets.put(key, full_at);
        Ok(left)
    }
}

/// What one client has of addresses: one, or a /64.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

/// A client as its requests are counted.
pub(crate) fn client(address: IpAddr) -> String {
    format!("client {}", network(address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RATE: Rate = Rate { requests: 3, seconds: 9, by: By::Client };
    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_bucket_empties_and_fills() {
        let (at, left) = take(RATE, 0, 100 * SECOND).unwrap();
        assert_eq!(left, Left { requests: 2, full_in: Duration::from_secs(3) });
        let (at, _) = take(RATE, at, 100 * SECOND).unwrap();
        let (at, left) = take(RATE, at, 100 * SECOND).unwrap();
        assert_eq!(left.requests, 0);
        assert_eq!(take(RATE, at, 100 * SECOND), Err(Duration::from_secs(3)));
        assert_eq!(take(RATE, at, 102 * SECOND), Err(Duration::from_secs(1)));
        assert!(take(RATE, at, 103 * SECOND).is_ok());
    }

    #[test]
    fn each_has_a_bucket_and_they_are_bounded() {
        let rates = Rates::new();
        let take = |rule, who: &str, now| rates.take_at(RATE, rule, who, now);
        for _ in 0..3 {
            take("/v/", "a", 1).unwrap();
        }
        assert!(take("/v/", "a", 1).is_err());
        assert!(take("/v/", "b", 1).is_ok() && take("/w/", "a", 1).is_ok());
        assert!(take("/v/", "a", 1 + 3 * SECOND).is_ok());
        for n in 0..2 * BUCKETS {
            take("/v/", &n.to_string(), 1).unwrap();
        }
        let kept: usize = rates.shards.iter().map(|shard| shard.lock().unwrap().len()).sum();
        assert!(kept <= BUCKETS, "{kept}");
    }

    #[test]
    fn neighbours_of_a_network_are_one_client() {
        let of = |text: &str| client(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }

    proptest! {
        #[test]
        fn no_window_lets_in_more_than_twice_its_rate(
            requests in 1u32..20,
            seconds in 1u32..20,
            gaps in prop::collection::vec(0u64..3_000_000_000, 1..200),
        ) {
            let rate = Rate { requests, seconds, by: By::Client };
            let (mut now, mut full_at, mut let_in) = (0u64, 0, vec![]);
            for gap in gaps {
                now += gap;
                if let Ok((next, _)) = take(rate, full_at, now) {
                    full_at = next;
                    let_in.push(now);
                }
            }
            for (at, first) in let_in.iter().enumerate() {
                let within = let_in[at..].iter().filter(|time| **time < first + rate.window()).count();
                prop_assert!(within <= 2 * requests as usize);
            }
        }
    }
}
