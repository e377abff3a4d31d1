//! Revocations, as the log tells of them: whose tokens are refused though they are signed and have not expired.
//!
//! They are kept for an hour, and so many; an edge that starts asks an origin for those, and an origin its log. A token that was minted
//! before one that is no longer known may be meant by it, and is refused: tokens are to be minted for less than an hour.
//!
//! Times are compared, but for sessions, which never come again, and for channels whose tokens say with which number they were looked
//! up ([`Revoked::ends`]): a revocation's time is that at which its transaction began, and whoever asks for a token before it ends
//! may have one that is minted later.

use crate::Tag;
use crate::channel::{MAX_REVOKED, REVOKED_MS, Revoked};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// What is revoked. Every way in asks it, whatever a token is for.
#[derive(Debug, Default)]
pub struct Revocations {
    inner: Mutex<Inner>,
    /// What was said before this process began is known too.
    complete: AtomicBool,
}

#[derive(Debug, Default)]
struct Inner {
    /// By subject: what is closed to it, and when that was said.
    by: HashMap<String, Vec<Revoked>>,
    /// In the order they were heard.
    order: VecDeque<(u64, String)>,
    /// When the last was said of those that are forgotten.
    forgotten_ms: u64,
}

impl Revocations {
    /// Takes note of one; heard again it is the same one. `now_ms` is in Unix milliseconds, as its time is.
    pub fn hear(&self, said: &Revoked, now_ms: u64) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let subject = said.revoke.subject.clone();
        let of_subject = inner.by.entry(subject.clone()).or_default();
        // They come in the order of their times, but for those that come again.
        if of_subject.iter().rev().take_while(|other| other.at_ms >= said.at_ms).any(|other| other == said) {
            return;
        }
        of_subject.push(said.clone());
        inner.order.push_back((said.at_ms, subject));
        while let Some((at_ms, _)) = inner.order.front()
            && (inner.order.len() > MAX_REVOKED || at_ms.saturating_add(REVOKED_MS) < now_ms)
        {
            inner.forget();
        }
    }

    /// Takes note that of what was said until a time, in Unix milliseconds, something is not known.
    pub fn unknown_until(&self, at_ms: u64) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.forgotten_ms = inner.forgotten_ms.max(at_ms);
    }

    /// Takes note of what an origin knows of the time before this process began.
    pub fn complete(&self) {
        self.complete.store(true, Ordering::Release);
    }

    /// True when all is known that counts. Before, nobody can say that a token was not revoked.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }

    /// True when a token of a subject, minted at a time, is refused: for one channel, with the number that it was looked up with, or
    /// for all that it is good for.
    #[must_use]
    pub fn is_revoked(&self, subject: &str, channel: Option<(&Tag, Option<u64>)>, minted_ms: u64) -> bool {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let (named, seen) = (channel.map(|(tag, _)| tag), channel.and_then(|(_, seen)| seen));
        let meant = |said: &Revoked| {
            let of = said.revoke.channel.as_ref();
            (of.is_none() || of == named) && said.ends(minted_ms, seen)
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
    use crate::channel::Revocation;

    fn of(subject: &str, channel: Option<&str>, at_ms: u64) -> Revoked {
        let channel = channel.map(|name| Tag::new(name).unwrap());
        let revoke = Revocation { subject: subject.into(), channel, for_good: false };
        Revoked { revoke, at_ms, version: None }
    }

    #[test]
    fn what_is_not_known_may_have_meant_whatever_was_minted_before() {
        let revoked = Revocations::default();
        revoked.unknown_until(100);
        assert!(revoked.is_revoked("u1", None, 100) && !revoked.is_revoked("u1", None, 101));
    }

    #[test]
    fn what_was_minted_before_is_refused_and_what_comes_after_is_not() {
        let (revoked, [one, two]) =
            (Revocations::default(), ["chat:1", "chat:2"].map(|name| Tag::new(name).unwrap()));
        let room = Some((&one, None));
        revoked.hear(&of("u1", None, 100), 100);
        revoked.hear(&of("u2", Some("chat:1"), 100), 100);
        assert!(revoked.is_revoked("u1", room, 100) && revoked.is_revoked("u1", None, 99));
        assert!(!revoked.is_revoked("u1", room, 101) && !revoked.is_revoked("u3", None, 1));
        assert!(revoked.is_revoked("u2", room, 100));
        assert!(!revoked.is_revoked("u2", None, 100), "closed to one channel alone");
        assert!(!revoked.is_revoked("u2", Some((&two, None)), 100));
    }

    #[test]
    fn who_asked_for_a_token_while_they_were_taken_out_cannot_listen_with_it() {
        let (revoked, room) = (Revocations::default(), Tag::new("chat:1").unwrap());
        // Begun at 100, committed a while after; meanwhile a token was minted, by a clock that may be ahead, too.
        revoked.hear(&Revoked { version: Some(7), ..of("u1", Some("chat:1"), 100) }, 5_000);
        assert!(revoked.is_revoked("u1", Some((&room, Some(6))), 4_000));
        // Taken in again with 8, by an origin whose clock is behind.
        assert!(!revoked.is_revoked("u1", Some((&room, Some(8))), 50));
        // An account's end is told by times, whatever number the token has.
        revoked.hear(&of("u2", None, 6_000), 6_000);
        assert!(revoked.is_revoked("u2", Some((&room, Some(8))), 6_000));
        assert!(!revoked.is_revoked("u2", Some((&room, Some(8))), 6_001));
    }

    #[test]
    fn a_session_that_has_ended_lets_nobody_in_with_a_token_that_was_minted_after_it_either() {
        let revoked = Revocations::default();
        let ended = Revoked { revoke: Revocation::of_session("s1"), at_ms: 100, version: None };
        // As the log has it, and as it is told to edges.
        let told: Revoked = serde_json::from_str(&serde_json::to_string(&ended).unwrap()).unwrap();
        revoked.hear(&told, 100);
        let room = Tag::new("chat:1").unwrap();
        for minted_ms in [0, 100, 101, 100_000] {
            assert!(revoked.is_revoked("s1", None, minted_ms));
            assert!(revoked.is_revoked("s1", Some((&room, Some(8))), minted_ms));
        }
        assert!(!revoked.is_revoked("s2", None, 101));
    }

    #[test]
    fn what_is_heard_again_takes_no_room() {
        let revoked = Revocations::default();
        revoked.hear(&of("first", None, 1_000), 1_000);
        for _ in 0..=MAX_REVOKED {
            revoked.hear(&of("u", None, 2_000), 2_000);
        }
        assert!(revoked.is_revoked("first", None, 1_000) && revoked.is_revoked("u", None, 2_000));
        assert!(!revoked.is_revoked("anybody", None, 1_000), "nothing was forgotten");
    }

    #[test]
    fn what_is_forgotten_is_refused_to_all_who_may_be_meant() {
        let revoked = Revocations::default();
        revoked.hear(&of("old", None, 1_000), 1_000);
        revoked.hear(&of("new", None, 5_000_000), 5_000_000);
        assert!(revoked.is_revoked("anybody", None, 1_000) && !revoked.is_revoked("anybody", None, 1_001));
        for n in 0..=MAX_REVOKED as u64 {
            revoked.hear(&of("u", None, 5_000_001 + n), 5_000_001);
        }
        assert!(
            revoked.is_revoked("anybody", None, 5_000_001) && !revoked.is_revoked("anybody", None, 5_000_002)
        );
    }
}
