//! Revocations, as the log tells of them: whose tokens are refused though they are signed and have not expired.
//!
//! They are kept for an hour, and so many; an edge that starts asks an origin for those.  A token that was minted before one that is no longer known may be meant by it, and
//! is refused: tokens are to be minted for less than an hour.

use sluice_wire::Tag;
use sluice_wire::channel::{MAX_REVOKED, REVOKED_MS, Revocation};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// What is revoked. Every way in asks it, whatever a token is for.
#[derive(Debug, Default)]
pub(crate) struct Revocations {
    inner: Mutex<Inner>,
    /// What was said before this process began is known too.
    complete: AtomicBool,
}

#[derive(Debug, Default)]
struct Inner {
    /// By subject: what is closed to it, and when that was said.
    by: HashMap<String, Vec<(Option<Tag>, u64)>>,
    /// In the order they were heard.
    order: VecDeque<(u64, String)>,
    /// When the last was said of those that are forgotten.
    forgotten_ms: u64,
}

impl Revocations {
    /// Takes note of one that was said at a time, in Unix milliseconds as both times are.
    pub(crate) fn hear(&self, said: &Revocation, at_ms: u64, now_ms: u64) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.by.entry(said.subject.clone()).or_default().push((said.channel.clone(), at_ms));
        inner.order.push_back((at_ms, said.subject.clone()));
        while let Some((at_ms, _)) = inner.order.front()
            && (inner.order.len() > MAX_REVOKED || at_ms.saturating_add(REVOKED_MS) < now_ms)
        {
            inner.forget();
        }
    }

    /// Takes note of what an origin knows of the time before this process began.
    pub(crate) fn complete(&self) {
        self.complete.store(true, Ordering::Release);
    }

    /// True when all is known that counts. Before, nobody can say that a token was not revoked.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }

    /// True when a token of a subject, minted at a time, is refused: for one channel, or for all that it is good for.
    pub(crate) fn is_revoked(&self, subject: &str, channel: Option<&Tag>, minted_ms: u64) -> bool {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let meant = |(of, at_ms): &(Option<Tag>, u64)| {
            *at_ms >= minted_ms && (of.is_none() || of.as_ref() == channel)
        };
        (inner.forgotten_ms > 0 && minted_ms <= inner.forgotten_ms)
            || inner.by.get(subject).is_some_and(|all| all.iter().any(meant))
    }
}

impl Inner {
    /// Forgets the oldest.
    fn forget(&mut self) {
        let Some((at_ms, subject)) = self.order.pop_front() else { return };
        self.forgotten_ms = self.forgotten_ms.max(at_ms);
        if let Some(all) = self.by.get_mut(&subject) {
            // A subject's are in the order they were heard, too.
            all.remove(0);
            if all.is_empty() {
                self.by.remove(&subject);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(subject: &str, channel: Option<&str>) -> Revocation {
        Revocation { subject: subject.into(), channel: channel.map(|name| Tag::new(name).unwrap()) }
    }

    #[test]
    fn what_was_minted_before_is_refused_and_what_comes_after_is_not() {
        let (revoked, room) = (Revocations::default(), Tag::new("chat:1").unwrap());
        revoked.hear(&of("u1", None), 100, 100);
        revoked.hear(&of("u2", Some("chat:1")), 100, 100);
        assert!(revoked.is_revoked("u1", Some(&room), 100) && revoked.is_revoked("u1", None, 99));
        assert!(!revoked.is_revoked("u1", Some(&room), 101) && !revoked.is_revoked("u3", None, 1));
        assert!(revoked.is_revoked("u2", Some(&room), 100));
        assert!(!revoked.is_revoked("u2", None, 100), "closed to one channel alone");
        assert!(!revoked.is_revoked("u2", Some(&Tag::new("chat:2").unwrap()), 100));
    }

    #[test]
    fn what_is_forgotten_is_refused_to_all_who_may_be_meant() {
        let revoked = Revocations::default();
        revoked.hear(&of("old", None), 1_000, 1_000);
        revoked.hear(&of("new", None), 5_000_000, 5_000_000);
        assert!(revoked.is_revoked("anybody", None, 1_000) && !revoked.is_revoked("anybody", None, 1_001));
        for n in 0..=MAX_REVOKED as u64 {
            revoked.hear(&of("u", None), 5_000_001 + n, 5_000_001);
        }
        assert!(
            revoked.is_revoked("anybody", None, 5_000_001) && !revoked.is_revoked("anybody", None, 5_000_002)
        );
    }
}
