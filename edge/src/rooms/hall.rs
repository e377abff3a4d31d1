//! One room at this edge: what origins say of it, and the line in front of it.

use super::line::{Line, Standing};
use sluice_wire::Version;
use sluice_wire::room::{Given, MAX_ASK, Room, Said, Ticket};
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// Tickets in one line: the crowd of a large sale, shared by the edges that hold it. Some 20 MB.
pub(super) const MAX_WAITING: usize = 200_000;
/// Between two questions to an origin while it lets somebody in, and while it lets in nobody.
const ASK: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(250));
/// How long an edge that starts waits for those who have tickets already, before it lets in others.
const GRACE: Duration = Duration::from_secs(2);
/// Tries of one admission that are passed on at once: an order, and asking again when no answer came. More wait for one
/// another.
const MAX_TRIES: u32 = 8;
/// Between two tries beyond that.
const TRY: Duration = Duration::from_secs(1);
/// Tries of admissions whose time is over that are passed on in a second, of all together: who asks again has lost an answer,
/// which few do, and a crowd that does nothing else costs the origin no more than this.
const MAX_LATE: u32 = 50;

/// How often an admission was shown.
#[derive(Debug, Clone, Copy)]
struct Tries {
    many: u32,
    last: Instant,
}

/// A room.
#[derive(Debug)]
pub(super) struct Hall {
    pub(super) said: Said,
    version: Version,
    /// When something was heard of it last.
    pub(super) heard: Instant,
    /// What its tickets are signed with; not known yet where the log told of it first.
    pub(super) secret: Option<String>,
    pub(super) line: Line,
    tries: HashMap<Ticket, Tries>,
    /// Tries of admissions whose time is over, since a second began.
    late: Tries,
    /// When an origin may be asked to let somebody in.
    pub(super) due: Instant,
}

impl Hall {
    /// As the log tells of it.
    pub(super) fn of_event(said: Said, version: Version, now: Instant) -> Self {
        let (line, tries) = (Line::default(), HashMap::new());
        let late = Tries { many: 0, last: now };
        Self { said, version, heard: now, secret: None, line, tries, late, due: now }
    }

    /// As an origin lists it to an edge that has not heard of it: one that has just started, and may have given tickets before.
    pub(super) fn of_list(room: Room, now: Instant) -> Self {
        let mut hall = Self::of_event(room.said, room.version, now);
        (hall.secret, hall.due) = (Some(room.secret), now + GRACE);
        hall
    }

    /// True when people wait in front of it.
    pub(super) fn is_open(&self) -> bool {
        self.said.open
    }

    /// True when its tickets can be made and read.
    pub(super) fn is_known(&self) -> bool {
        !self.said.open || self.secret.is_some()
    }

    pub(super) fn is_sold_out(&self) -> bool {
        self.said.left == 0
    }

    /// Hears what an event says. What is older than what is known is passed over.
    pub(super) fn hear(&mut self, said: Said, version: Version, now: Instant) {
        self.heard = now;
        if version <= self.version {
            return;
        }
        self.version = version;
        self.turn_into(said, now);
    }

    /// Hears what an origin lists.
    pub(super) fn list(&mut self, room: Room, now: Instant) {
        let newer = room.version > self.version;
        if newer {
            self.version = room.version;
            self.turn_into(room.said.clone(), now);
        }
        if room.said.opened_ms == self.said.opened_ms && self.said.open {
            (self.secret, self.heard) = (Some(room.secret), now);
        }
    }

    /// No origin knows of it any more.
    pub(super) fn close(&mut self) {
        self.said.open = false;
        self.end();
    }

    fn turn_into(&mut self, said: Said, now: Instant) {
        let changed = said.left == 0 || self.said.left == 0;
        let another = said.opened_ms != self.said.opened_ms || !said.open;
        self.said = said;
        if another {
            self.end();
            self.due = now;
        } else if changed {
            self.line.wake_all();
        }
    }

    fn end(&mut self) {
        self.line.wake_all();
        (self.line, self.secret) = (Line::default(), None);
        self.tries.clear();
    }

    /// The log has another past: whatever is said next is newer than what is known.
    pub(super) fn begin_anew(&mut self) {
        self.version = Version(0);
    }

    /// Who is to be let in next, if origins are to be asked now; their answer is waited for so long.
    pub(super) fn wants(&mut self, now: Instant, patience: Duration) -> Option<Vec<Ticket>> {
        let may = self.said.open && !self.is_sold_out() && self.secret.is_some() && self.due <= now;
        let first = if may { self.line.first(MAX_ASK, now) } else { vec![] };
        if first.is_empty() {
            return None;
        }
        // Until the answer is there, or its time is over.
        self.due = now + patience;
        Some(first)
    }

    /// Takes what an origin answered; how many were let in. What is left is passed over where the log has said something newer of
    /// it: what was sold out then may be had again, and is not told twice.
    pub(super) fn take(&mut self, given: Given, now: Instant) -> usize {
        let many = given.admissions.len();
        self.due = now + if many > 0 { ASK.0 } else { ASK.1 };
        given.used.into_iter().for_each(|ticket| self.line.used(ticket));
        given.admissions.into_iter().for_each(|admission| self.line.admit(admission));
        let is_newer = given.version >= self.version || given.version == Version(0);
        if is_newer && self.said.left != given.left {
            let woken = given.left == 0;
            self.said.left = given.left;
            if woken {
                self.line.wake_all();
            }
        }
        many
    }

    /// Where a ticket is.
    pub(super) fn ask(&mut self, ticket: Ticket, wait: Duration, now: Instant, now_ms: u64) -> Standing {
        self.line.ask(ticket, wait, now, now_ms)
    }

    /// Whether a try of an admission may be passed on now.
    pub(super) fn may_try(&mut self, ticket: Ticket, now: Instant) -> bool {
        let tries = self.tries.entry(ticket).or_insert(Tries { many: 0, last: now });
        if tries.many >= MAX_TRIES && now.duration_since(tries.last) < TRY {
            return false;
        }
        *tries = Tries { many: tries.many + 1, last: now };
        true
    }

    /// Whether a try of an admission whose time is over may be passed on now.
    pub(super) fn may_try_late(&mut self, ticket: Ticket, now: Instant) -> bool {
        if now.duration_since(self.late.last) >= TRY {
            self.late = Tries { many: 0, last: now };
        }
        let may = self.late.many < MAX_LATE && self.may_try(ticket, now);
        self.late.many += u32::from(may);
        may
    }

    /// Forgets who has been away for long.
    pub(super) fn sweep(&mut self, now: Instant, now_ms: u64) {
        self.line.sweep(now, now_ms);
        self.tries.retain(|_, tries| now.duration_since(tries.last) < TRY * 60);
    }
}

#[cfg(test)]
mod tests {
    use super::super::follow::ANSWER;
    use super::*;
    use sluice_wire::room::{Admission, Guard};

    fn said(open: bool, opened_ms: u64, left: u64) -> Said {
        Said { open, opened_ms, left, guard: Guard { path: "/p".into(), word: "w".into() } }
    }

    fn listed(version: u64, opened_ms: u64, left: u64) -> Room {
        let said = said(true, opened_ms, left);
        Room { name: "a".into(), version: Version(version), said, secret: format!("s{opened_ms}") }
    }

    #[test]
    fn a_room_is_what_was_said_last_whoever_said_it() {
        let now = Instant::now();
        let mut hall = Hall::of_event(said(true, 1, 5), Version(3), now);
        assert!(!hall.is_known());
        hall.list(listed(2, 1, 9), now);
        assert!(hall.is_known() && hall.said.left == 5, "a list that is older brings the secret alone");
        hall.hear(said(false, 1, 5), Version(4), now);
        hall.list(listed(3, 1, 9), now);
        assert!(!hall.is_open(), "what is closed stays closed");
        hall.hear(said(true, 7, 2), Version(5), now);
        hall.list(listed(3, 1, 9), now);
        assert!(hall.is_open() && !hall.is_known(), "the secret of another opening is of no use");
        hall.list(listed(5, 7, 2), now);
        assert!(hall.is_known());
    }

    #[test]
    fn an_answer_that_comes_late_takes_nothing_back() {
        let (now, ticket) = (Instant::now() + GRACE, Ticket { at_ms: 1, n: 1, giver: 1 });
        let mut hall = Hall::of_event(said(true, 1, 1), Version(3), now);
        hall.list(listed(3, 1, 1), now);
        hall.ask(ticket, Duration::ZERO, now, 0);
        assert_eq!(hall.wants(now, ANSWER), Some(vec![ticket]));
        // Read while nothing was left; a unit came back, and the log was faster.
        let late = |version| Given { version: Version(version), ..Given::default() };
        hall.hear(said(true, 1, 0), Version(4), now);
        hall.hear(said(true, 1, 1), Version(5), now);
        hall.take(late(4), now);
        assert!(!hall.is_sold_out());
        assert_eq!(hall.wants(now + ASK.1, ANSWER), Some(vec![ticket]), "the last unit is somebody's");

        hall.take(late(5), now);
        assert!(hall.is_sold_out(), "what is as new counts");
        hall.hear(said(true, 1, 1), Version(6), now);
        hall.take(late(0), now);
        assert!(hall.is_sold_out(), "and so does what an older origin says");
        hall.hear(said(true, 1, 1), Version(7), now);
        hall.begin_anew();
        hall.take(late(2), now);
        assert!(hall.is_sold_out(), "in another past versions are others");
    }

    #[test]
    fn origins_are_asked_while_there_is_something_and_somebody() {
        let (now, ticket) = (Instant::now(), Ticket { at_ms: 1, n: 1, giver: 1 });
        let mut hall = Hall::of_list(listed(1, 1, 1), now);
        hall.ask(ticket, Duration::ZERO, now, 0);
        assert_eq!(hall.wants(now, ANSWER), None, "those who had tickets before are waited for");
        let now = now + GRACE;
        assert_eq!(hall.wants(now, ANSWER), Some(vec![ticket]));
        assert_eq!(hall.wants(now, ANSWER), None, "one question at a time");
        let admission = Admission { ticket, token: "t".into(), until_ms: 9 };
        assert_eq!(hall.take(Given { admissions: vec![admission], ..Given::default() }, now), 1);
        assert!(
            hall.is_sold_out() && matches!(hall.ask(ticket, Duration::ZERO, now, 0), Standing::Admitted(_))
        );
        hall.ask(Ticket { n: 2, ..ticket }, Duration::ZERO, now, 0);
        assert_eq!(hall.wants(now + ASK.1, ANSWER), None, "nothing is left");
    }

    #[test]
    fn an_admission_is_not_tried_without_end() {
        let (now, ticket) = (Instant::now(), Ticket { at_ms: 1, n: 1, giver: 1 });
        let mut hall = Hall::of_list(listed(1, 1, 1), now);
        assert!((0..MAX_TRIES).all(|_| hall.may_try(ticket, now)));
        assert!(
            !hall.may_try(ticket, now) && hall.may_try(ticket, now + TRY) && !hall.may_try(ticket, now + TRY)
        );
    }

    #[test]
    fn admissions_whose_time_is_over_are_tried_seldom_by_all_together() {
        let now = Instant::now();
        let mut hall = Hall::of_event(said(true, 1, 1), Version::default(), now);
        let ticket = |n| Ticket { at_ms: 1, n, giver: 1 };
        assert!((0..MAX_TRIES).all(|_| hall.may_try_late(ticket(0), now)), "an answer may be lost again");
        assert!(!hall.may_try_late(ticket(0), now));
        let passed = (1..1_000).filter(|n| hall.may_try_late(ticket(*n), now)).count();
        assert_eq!(passed, (MAX_LATE - MAX_TRIES) as usize, "however many come");
        assert!(hall.tries.len() <= MAX_LATE as usize, "and nothing is kept of the others");
        assert!(hall.may_try(ticket(2_000), now), "who is in time is let in beside them");
        assert!(hall.may_try_late(ticket(999), now + TRY));
    }
}
