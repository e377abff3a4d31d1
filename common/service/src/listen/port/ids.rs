//! Connection ids that tell which process made them.
//!
//! An id is four random bytes and a keyed sum of them; each process has a key of its own, which the next one learns. To
//! anybody else ids are noise: nothing in one tells of another. A stranger's random id passes for one of a process once in
//! four thousand million.

use quinn::{ConnectionId, ConnectionIdGenerator};
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Bytes of an id, half of which are the sum.
const LENGTH: usize = 8;
const NONCE: usize = 4;

/// The ids of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ids {
    key: u64,
}

impl Ids {
    /// Those made with a key.
    pub(crate) const fn with_key(key: u64) -> Self {
        Self { key }
    }

    /// Those of a new process.
    pub(crate) fn random() -> Self {
        Self { key: rand::random() }
    }

    /// What tells them from others'.
    pub(crate) const fn key(self) -> u64 {
        self.key
    }

    /// True when a packet is for a connection of this process. What a client has chosen itself is for nobody yet.
    pub(super) fn has(self, packet: &[u8]) -> bool {
        destination(packet).is_some_and(|(nonce, sum)| self.sum(nonce) == sum)
    }

    fn sum(self, nonce: &[u8]) -> [u8; LENGTH - NONCE] {
        let sum = xxh3_64_with_seed(nonce, self.key).to_le_bytes();
        [sum[0], sum[1], sum[2], sum[3]]
    }
}

impl ConnectionIdGenerator for Ids {
    fn generate_cid(&mut self) -> ConnectionId {
        let nonce: [u8; NONCE] = rand::random();
        let mut id = [0; LENGTH];
        id[..NONCE].copy_from_slice(&nonce);
        id[NONCE..].copy_from_slice(&self.sum(&nonce));
        ConnectionId::new(&id)
    }

    fn cid_len(&self) -> usize {
        LENGTH
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

/// The id of a packet's receiver, if it has the length of ours: right after the first byte where the head is short, with
/// its length after the version where it is long (RFC 8999 section 5).
fn destination(packet: &[u8]) -> Option<(&[u8], &[u8])> {
    let is_long = packet.first()? & 0x80 != 0;
    let start = if is_long { 6 } else { 1 };
    if is_long && usize::from(*packet.get(5)?) != LENGTH {
        return None;
    }
    packet.get(start..start + LENGTH)?.split_at_checked(NONCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(id: &[u8]) -> Vec<u8> {
        [&[0x43], id, &[0; 20]].concat()
    }

    fn long(id: &[u8]) -> Vec<u8> {
        [&[0xc3, 0, 0, 0, 1, u8::try_from(id.len()).unwrap()], id, &[0; 20]].concat()
    }

    #[test]
    fn a_process_knows_its_own_among_others() {
        let (mut one, other) = (Ids::random(), Ids::random());
        for _ in 0..1_000 {
            let id = one.generate_cid();
            for packet in [short(&id), long(&id)] {
                assert!(Ids::with_key(one.key()).has(&packet));
                assert!(!other.has(&packet));
            }
        }
    }

    #[test]
    fn what_is_cut_or_of_another_length_is_nobodys() {
        let mut ids = Ids::random();
        let id = ids.generate_cid();
        for whole in [short(&id), long(&id)] {
            let end = whole.len() - 20;
            for length in 0..end {
                assert!(!ids.has(&whole[..length]), "{length}");
            }
            assert!(ids.has(&whole[..end]));
        }
        assert!(!ids.has(&long(&[&*id, &[0]].concat())));
        assert!(!ids.has(&long(&[])));
    }
}
