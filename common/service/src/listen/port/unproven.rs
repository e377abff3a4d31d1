//! What may be sent to addresses that have not shown that somebody is there: three bytes for each that came from them
//! (RFC 9000 section 8.1), whoever they may be.
//!
//! The library keeps the rule but for its last datagram, which it sends whole when a byte is left. An address has shown it
//! once it knows an id that it can have from us alone. Handshakes of long ago are forgotten, and the oldest when there are
//! too many: what the library itself grants is the bound for them.

use quinn::udp::Transmit;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;

/// Bytes for each that came.
const FACTOR: u64 = 3;
/// Addresses of a generation: some hundred KiB, and many more than may be unproven before they are told to come twice.
const MOST: usize = 4_096;
/// How long a generation is added to: twice as long as a handshake takes by default.
const AGE: Duration = Duration::from_secs(10);

#[derive(Debug, Default, Clone, Copy)]
struct Account {
    received: u64,
    sent: u64,
}

/// The addresses, in two generations.
#[derive(Debug)]
pub(super) struct Unproven {
    young: HashMap<SocketAddr, Account>,
    old: HashMap<SocketAddr, Account>,
    since: Instant,
}

impl Unproven {
    pub(super) fn new(now: Instant) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), since: now }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Bytes came from somebody who may not be there.
    pub(super) fn received(&mut self, from: SocketAddr, bytes: usize, now: Instant) {
        let known = self.old.remove(&from);
        if self.young.len() >= MOST || now.saturating_duration_since(self.since) > AGE {
            self.old = std::mem::take(&mut self.young);
            self.since = now;
        }
        let account = self.young.entry(from).or_insert_with(|| known.unwrap_or_default());
        account.received += bytes as u64;
    }

    /// Somebody is there.
    pub(super) fn proven(&mut self, address: SocketAddr) {
        self.young.remove(&address);
        self.old.remove(&address);
    }

    /// How much of what is to be sent may be: whole datagrams from its beginning.
    pub(super) fn grants(&self, transmit: &Transmit<'_>) -> usize {
        let whole = transmit.contents.len();
        let to = &transmit.destination;
        let Some(account) = self.young.get(to).or_else(|| self.old.get(to)) else { return whole };
        let left = (account.received * FACTOR).saturating_sub(account.sent);
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        if left >= whole {
            return whole;
        }
        let each = transmit.segment_size.unwrap_or(whole).max(1);
        left / each * each
    }

    /// So much was sent.
    pub(super) fn sent(&mut self, to: SocketAddr, bytes: usize) {
        if let Some(account) = self.young.get_mut(&to).or_else(|| self.old.get_mut(&to)) {
            account.sent += bytes as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(unproven: &mut Unproven, to: SocketAddr, bytes: usize, each: Option<usize>) -> usize {
        let contents = vec![0; bytes];
        let transmit =
            Transmit { destination: to, ecn: None, contents: &contents, segment_size: each, src_ip: None };
        let granted = unproven.grants(&transmit);
        unproven.sent(to, granted);
        granted
    }

    #[test]
    fn three_bytes_go_out_for_each_that_came_until_somebody_is_there() {
        let now = Instant::now();
        let at: SocketAddr = "192.0.2.1:5".parse().unwrap();
        let mut unproven = Unproven::new(now);
        unproven.received(at, 1_200, now);
        assert_eq!(sent(&mut unproven, at, 1_422, None), 1_422);
        assert_eq!(sent(&mut unproven, at, 2_400, Some(1_200)), 1_200, "the second would be too much");
        assert_eq!(sent(&mut unproven, at, 1_200, None), 0);
        unproven.received(at, 100, now);
        assert_eq!(sent(&mut unproven, at, 1_200, None), 1_200, "978 were left, and 300 came");
        assert_eq!(
            sent(&mut unproven, "192.0.2.2:5".parse().unwrap(), 9_000, None),
            9_000,
            "not one of them"
        );
        unproven.proven(at);
        assert_eq!((sent(&mut unproven, at, 9_000, None), unproven.len()), (9_000, 0));
    }

    #[test]
    fn there_are_so_many_and_none_for_long() {
        let now = Instant::now();
        let mut unproven = Unproven::new(now);
        for n in 0..3 * MOST {
            unproven.received(([192, 0, 2, 1], u16::try_from(n).unwrap()).into(), 1_200, now);
        }
        assert!(unproven.len() <= 2 * MOST);
        for turn in 1..3 {
            unproven.received(([192, 0, 2, 2], turn).into(), 1_200, now + 2 * u32::from(turn) * AGE);
        }
        assert_eq!(unproven.len(), 2);
    }
}
