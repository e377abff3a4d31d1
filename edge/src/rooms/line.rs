//! One room's line: who waits, in the order of tickets, and who was let in. Pure.

use crate::shares::Shares;
use lru::LruCache;
use sluice_wire::room::{Admission, Ticket};
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long one who asked counts as present: three times as long as anybody is told to wait before asking again.
pub(super) const PRESENT: Duration = Duration::from_secs(15);
/// How long one who is not present is remembered. His ticket keeps his place all the same: it says where that is.
const REMEMBERED: Duration = Duration::from_secs(60);
/// How long an admission is remembered after its end, in milliseconds.
const ADMITTED_MS: u64 = 60_000;
/// Tickets that were used, of which so many are remembered: origins know the others.
const MAX_USED: NonZeroUsize = NonZeroUsize::new(10_000).expect("not nothing");
/// How old places in line may be: counting a crowd anew for each who asks takes too long.
const RANKED: Duration = Duration::from_secs(1);

/// Where a ticket is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// In line, with so many before it.
    Waiting(usize),
    /// Let in.
    Admitted(Admission),
    /// Let in before, and that was used.
    Used,
}

/// A place in line.
#[derive(Debug)]
struct Place {
    /// Until when its holder counts as present.
    present: Instant,
    /// In whose share it is.
    client: Option<IpAddr>,
    /// Wakes him when he waits for an answer.
    wake: Option<Arc<Notify>>,
}

/// A line.
#[derive(Debug)]
pub(super) struct Line {
    places: BTreeMap<Ticket, Place>,
    /// Who has how many of them.
    shares: Shares,
    admitted: HashMap<Ticket, Admission>,
    used: LruCache<Ticket, ()>,
    /// The tickets in line as they were a moment ago.
    ranks: Vec<Ticket>,
    ranked: Option<Instant>,
}

impl Default for Line {
    fn default() -> Self {
        let used = LruCache::new(MAX_USED);
        let (places, shares) = (BTreeMap::new(), Shares::default());
        Self { places, shares, admitted: HashMap::new(), used, ranks: vec![], ranked: None }
    }
}

impl Line {
    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// How many of a client's wait.
    pub(super) fn of(&self, client: IpAddr) -> usize {
        self.shares.has(client)
    }

    /// Counts a ticket that is in line for a client, unless it is counted for one.
    pub(super) fn count(&mut self, ticket: Ticket, client: IpAddr) {
        if let Some(place) = self.places.get_mut(&ticket).filter(|place| place.client.is_none()) {
            place.client = Some(client);
            self.shares.add(client);
        }
    }

    /// True for a ticket that is in line or was let in.
    pub(super) fn has(&self, ticket: Ticket) -> bool {
        self.places.contains_key(&ticket) || self.admitted.contains_key(&ticket)
    }

    /// Where a ticket is; in line if it was nowhere. Its holder is present, and for a wait from now on.
    pub(super) fn ask(&mut self, ticket: Ticket, wait: Duration, now: Instant, now_ms: u64) -> Standing {
        if self.used.get(&ticket).is_some() {
            return Standing::Used;
        }
        if let Some(admission) = self.admitted.get(&ticket).filter(|one| one.until_ms > now_ms) {
            return Standing::Admitted(admission.clone());
        }
        let place = self.places.entry(ticket).or_insert(Place { present: now, client: None, wake: None });
        place.present = place.present.max(now + wait + PRESENT);
        Standing::Waiting(self.rank(ticket, now))
    }

    fn rank(&mut self, ticket: Ticket, now: Instant) -> usize {
        if self.places.last_key_value().is_some_and(|(last, _)| *last == ticket) {
            return self.places.len() - 1;
        }
        if self.ranked.is_none_or(|at| now.duration_since(at) >= RANKED) {
            self.ranks = self.places.keys().copied().collect();
            self.ranked = Some(now);
        }
        self.ranks.partition_point(|other| *other < ticket)
    }

    /// What wakes a ticket's holder when something becomes of it.
    pub(super) fn wake(&mut self, ticket: Ticket) -> Option<Arc<Notify>> {
        let place = self.places.get_mut(&ticket)?;
        Some(Arc::clone(place.wake.get_or_insert_with(Arc::default)))
    }

    /// The first in line who are present, at most so many.
    pub(super) fn first(&self, most: usize, now: Instant) -> Vec<Ticket> {
        let present = self.places.iter().filter(|(_, place)| place.present > now);
        present.map(|(ticket, _)| *ticket).take(most).collect()
    }

    /// Lets a ticket in.
    pub(super) fn admit(&mut self, admission: Admission) {
        self.leave(admission.ticket);
        self.admitted.insert(admission.ticket, admission);
    }

    /// Takes note of a ticket that has been used.
    pub(super) fn used(&mut self, ticket: Ticket) {
        self.leave(ticket);
        self.admitted.remove(&ticket);
        self.used.put(ticket, ());
    }

    fn leave(&mut self, ticket: Ticket) {
        let Some(place) = self.places.remove(&ticket) else { return };
        if let Some(client) = place.client {
            self.shares.remove(client);
        }
        if let Some(wake) = place.wake {
            wake.notify_waiters();
        }
    }

    /// Wakes all who wait for an answer: something has changed for everybody.
    pub(super) fn wake_all(&mut self) {
        self.places.values_mut().filter_map(|place| place.wake.take()).for_each(|wake| wake.notify_waiters());
    }

    /// Forgets who has been away for long.
    pub(super) fn sweep(&mut self, now: Instant, now_ms: u64) {
        let Self { places, shares, .. } = self;
        places.retain(|_, place| {
            let stays = place.present + REMEMBERED > now;
            if let Some(client) = place.client.filter(|_| !stays) {
                shares.remove(client);
            }
            stays
        });
        self.admitted.retain(|_, admission| admission.until_ms.saturating_add(ADMITTED_MS) > now_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ticket(n: u32) -> Ticket {
        Ticket { at_ms: u64::from(n / 3), n, giver: 1 }
    }

    fn admission(ticket: Ticket, until_ms: u64) -> Admission {
        Admission { ticket, token: "t".into(), until_ms }
    }

    #[test]
    fn who_is_away_is_passed_over_and_keeps_his_place() {
        let (mut line, now) = (Line::default(), Instant::now());
        line.ask(ticket(1), Duration::ZERO, now, 0);
        let later = now + PRESENT;
        line.ask(ticket(2), Duration::ZERO, later, 0);
        assert_eq!(line.first(9, later), [ticket(2)]);
        line.ask(ticket(1), Duration::ZERO, later, 0);
        assert_eq!(line.first(9, later), [ticket(1), ticket(2)]);
        line.sweep(later + PRESENT + REMEMBERED, 0);
        assert_eq!(line.len(), 0);
        assert_eq!(line.ask(ticket(1), Duration::ZERO, later, 0), Standing::Waiting(0), "the ticket says so");
    }

    #[test]
    fn an_admission_is_told_until_it_ends_or_was_used() {
        let (mut line, now) = (Line::default(), Instant::now());
        line.ask(ticket(1), Duration::ZERO, now, 0);
        line.admit(admission(ticket(1), 10));
        let told = |line: &mut Line, now_ms| line.ask(ticket(1), Duration::ZERO, now, now_ms);
        assert_eq!(told(&mut line, 9), Standing::Admitted(admission(ticket(1), 10)));
        assert_eq!(told(&mut line, 9), Standing::Admitted(admission(ticket(1), 10)), "however often he asks");
        assert_eq!(told(&mut line, 10), Standing::Waiting(0), "in line again");
        line.used(ticket(1));
        assert_eq!((told(&mut line, 9), line.len()), (Standing::Used, 0));
    }

    #[test]
    fn a_place_is_in_a_share_until_its_holder_has_it_no_more() {
        let (mut line, now, client) = (Line::default(), Instant::now(), IpAddr::from([192, 0, 2, 1]));
        for n in 1..=4 {
            line.ask(ticket(n), Duration::ZERO, now, 0);
            line.count(ticket(n), client);
            line.count(ticket(n), IpAddr::from([192, 0, 2, 2]));
        }
        assert_eq!((line.of(client), line.of([192, 0, 2, 2].into())), (4, 0), "whoever asks for it after");
        line.admit(admission(ticket(1), 10));
        line.used(ticket(2));
        line.count(ticket(2), client);
        assert_eq!(line.of(client), 2, "who is let in does not wait");
        line.sweep(now + PRESENT + REMEMBERED, 0);
        assert_eq!(line.of(client), 0);
    }

    proptest! {
        #[test]
        fn tickets_are_let_in_in_their_order(
            steps in prop::collection::vec((0..40_u32, any::<bool>()), 1..200), most in 1..6_usize,
        ) {
            let (mut line, now) = (Line::default(), Instant::now());
            let mut waiting = std::collections::BTreeSet::new();
            for (n, arrives) in steps {
                if arrives {
                    if !line.admitted.contains_key(&ticket(n)) {
                        waiting.insert(ticket(n));
                    }
                    line.ask(ticket(n), Duration::ZERO, now, 0);
                } else {
                    let first = line.first(most, now);
                    let expected: Vec<Ticket> = waiting.iter().copied().take(most).collect();
                    prop_assert_eq!(&first, &expected);
                    first.into_iter().for_each(|ticket| {
                        waiting.remove(&ticket);
                        line.admit(admission(ticket, 1));
                    });
                }
                prop_assert_eq!(line.len(), waiting.len());
            }
        }
    }
}
