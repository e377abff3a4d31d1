//! One channel at this edge: who listens, what it last said. Pure but for the clients' queues.

use super::client::{Aside, Client, Out};
use super::ring::{Frame, Ring};
use sluice_wire::channel::{Gap, SPARE_REPLAY};
use sluice_wire::{Problem, Tag};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Time between two questions to an origin about one channel: those who come back with old cursors wait for one another.
pub(super) const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How long a subscription may wait for an origin.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How long a channel that an origin does not know is remembered as such.
const REMEMBERED: Duration = Duration::from_secs(5);

/// Who a token let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listener {
    pub(crate) subject: String,
    /// The session of an account.
    pub(crate) session: Option<String>,
    /// When its token was minted, in Unix milliseconds.
    pub(crate) minted_ms: u64,
    /// The channel's number when it was looked up whether it may listen.
    pub(crate) seen: Option<u64>,
    /// The token's end, in Unix seconds.
    pub(crate) until_s: u64,
}

/// What an origin has said of a channel.
#[derive(Debug)]
enum State {
    /// Nothing yet.
    Asked,
    Known {
        open: bool,
    },
    Refused(Problem, Instant),
}

/// A subscription.
#[derive(Debug)]
struct Subscriber {
    client: Arc<Client>,
    /// The last number it was sent.
    cursor: u64,
    /// What was there when it began.
    old: u64,
    listener: Option<Arc<Listener>>,
}

/// A subscription that cannot begin yet.
#[derive(Debug)]
pub(super) struct Applicant {
    pub(super) client: Arc<Client>,
    pub(super) after: Option<u64>,
    pub(super) listener: Option<Arc<Listener>>,
    pub(super) since: Instant,
}

/// A channel.
#[derive(Debug)]
pub(super) struct Channel {
    name: Tag,
    /// The client in whose share it is.
    pub(super) begun_by: IpAddr,
    pub(super) ring: Ring,
    /// The highest number that was heard of.
    head: u64,
    state: State,
    subscribers: HashMap<u64, Subscriber>,
    applicants: Vec<Applicant>,
    asked: Instant,
    /// Since when nobody listens.
    pub(super) idle_since: Option<Instant>,
}

impl Channel {
    /// A channel that an origin is about to be asked for.
    pub(super) fn new(name: Tag, begun_by: IpAddr, now: Instant) -> Self {
        Self {
            name,
            begun_by,
            ring: Ring::new(0),
            head: 0,
            state: State::Asked,
            subscribers: HashMap::new(),
            applicants: vec![],
            asked: now,
            idle_since: None,
        }
    }

    /// Takes a subscription, at once or once an origin has answered. True when one must be asked now.
    pub(super) fn subscribe(&mut self, applicant: Applicant, now: Instant) -> bool {
        self.leave(applicant.client.id, now);
        // What waits of the subscription before comes again with this one.
        applicant.client.forget(&self.name);
        let later = match &self.state {
            State::Refused(problem, _) => {
                applicant.client.push(Out::Refused(self.name.clone(), problem.clone()), false);
                None
            }
            State::Asked => Some(applicant),
            State::Known { .. } => self.admit(applicant, false),
        };
        let is_asked = later.is_some() && matches!(self.state, State::Known { .. });
        self.applicants.extend(later);
        if !self.is_idle() {
            self.idle_since = None;
        }
        is_asked && self.is_due(now)
    }

    /// Admits or refuses, if that can be said now. `fresh` when an origin has just told the channel's number.
    fn admit(&mut self, applicant: Applicant, fresh: bool) -> Option<Applicant> {
        let State::Known { open } = self.state else { return Some(applicant) };
        let Applicant { client, after, listener, since } = applicant;
        if !open && listener.is_none() {
            let problem = Problem::new(401, "channel-token", "Not authorised")
                .detail("this channel needs a token that names it");
            client.push(Out::Refused(self.name.clone(), problem), false);
            return None;
        }
        // Who is further than this edge has heard waits for the origin's word; if it is no further, the channel has
        // another past than that client knows.
        let from = match after {
            Some(after) if after > self.head && !fresh => {
                return Some(Applicant { client, after: Some(after), listener, since });
            }
            after => after.unwrap_or(self.head).min(self.head),
        };
        let Some(missed) = self.ring.after(from) else {
            return Some(Applicant { client, after, listener, since });
        };
        client.push(Out::Subscribed(self.name.clone(), from), false);
        let mut cursor = from;
        for frame in missed {
            client.push(Out::Frame(self.name.clone(), Arc::clone(frame)), true);
            cursor = frame.seq;
        }
        self.subscribers.insert(client.id, Subscriber { client, cursor, old: self.head, listener });
        None
    }

    /// Ends a client's subscription. True when there was one.
    pub(super) fn leave(&mut self, client: u64, now: Instant) -> bool {
        let before = self.applicants.len();
        self.applicants.retain(|applicant| applicant.client.id != client);
        let gone = self.subscribers.remove(&client).is_some() || self.applicants.len() < before;
        self.note_idle(now);
        gone
    }

    fn note_idle(&mut self, now: Instant) {
        if self.is_idle() {
            self.idle_since.get_or_insert(now);
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.subscribers.is_empty() && self.applicants.is_empty()
    }

    /// True when somebody waits for an answer and the last question is long enough ago.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let known = matches!(self.state, State::Known { .. });
        known && !self.applicants.is_empty() && now.duration_since(self.asked) >= ASK_AGAIN
    }

    /// After what an origin is asked for frames: the last that has come, or, if that is less, what those who wait know
    /// last and some before: others who come back with them are not as far. `None` for from now on.
    pub(super) fn ask(&mut self, now: Instant) -> Option<u64> {
        self.asked = now;
        let waited = self.applicants.iter().filter_map(|applicant| applicant.after).min();
        let waited = waited.map(|after| after.saturating_sub(SPARE_REPLAY));
        match self.state {
            State::Known { .. } => {
                Some(waited.map_or_else(|| self.ring.last(), |after| after.min(self.ring.last())))
            }
            State::Asked | State::Refused(..) => waited,
        }
    }

    /// An origin begins after a number; it is at another.
    pub(super) fn begun(&mut self, from: u64, head: u64, open: bool) {
        if from != self.ring.last() || !matches!(self.state, State::Known { .. }) {
            self.ring = Ring::new(from);
        }
        if head < self.head {
            // Another past: what was sent of the one before does not count.
            self.subscribers.values_mut().for_each(|one| one.cursor = one.cursor.min(head));
        }
        self.head = head;
        self.state = State::Known { open };
        for applicant in std::mem::take(&mut self.applicants) {
            let later = self.admit(applicant, true);
            self.applicants.extend(later);
        }
    }

    /// A frame has come; how often it is passed on.
    pub(super) fn frame(&mut self, frame: &Arc<Frame>) -> usize {
        if !self.ring.push(Arc::clone(frame)) {
            return 0;
        }
        self.head = self.head.max(frame.seq);
        let mut sent = 0;
        for one in self.subscribers.values_mut().filter(|one| one.cursor < frame.seq) {
            if one.cursor + 1 < frame.seq {
                let gap = Gap { from: one.cursor + 1, to: frame.seq - 1 };
                one.client.push(Out::Gap(self.name.clone(), gap), false);
            }
            one.client.push(Out::Frame(self.name.clone(), Arc::clone(frame)), frame.seq <= one.old);
            one.cursor = frame.seq;
            sent += 1;
        }
        sent
    }

    /// Something is said beside the frames, to those who listen now.
    pub(super) fn aside(&self, aside: &Arc<Aside>) {
        for one in self.subscribers.values() {
            one.client.mention(Out::Aside(self.name.clone(), Arc::clone(aside)));
        }
    }

    /// An origin does not replay what is up to this number.
    pub(super) fn gap(&mut self, gap: Gap) {
        self.ring = Ring::new(gap.to);
        self.head = self.head.max(gap.to);
        for one in self.subscribers.values_mut().filter(|one| one.cursor < gap.to) {
            let gap = Gap { from: one.cursor + 1, to: gap.to };
            one.client.push(Out::Gap(self.name.clone(), gap), false);
            one.cursor = gap.to;
        }
    }

    /// There is no such channel.
    pub(super) fn refused(&mut self, problem: &Problem, now: Instant) {
        self.state = State::Refused(problem.clone(), now);
        self.end(|_| true, problem, now);
    }

    /// Ends the subscriptions of those whom a token let in that is not good any more; how many.
    pub(super) fn end_of(
        &mut self,
        gone: impl Fn(&Listener) -> bool,
        problem: &Problem,
        now: Instant,
    ) -> usize {
        self.end(|listener| listener.is_some_and(&gone), problem, now)
    }

    fn end(&mut self, gone: impl Fn(Option<&Listener>) -> bool, problem: &Problem, now: Instant) -> usize {
        let mut ended: Vec<Arc<Client>> = vec![];
        self.subscribers.retain(|_, one| {
            let goes = gone(one.listener.as_deref());
            ended.extend(goes.then(|| Arc::clone(&one.client)));
            !goes
        });
        self.applicants.retain(|one| {
            let goes = gone(one.listener.as_deref());
            ended.extend(goes.then(|| Arc::clone(&one.client)));
            !goes
        });
        for client in &ended {
            client.forget(&self.name);
            client.push(Out::Refused(self.name.clone(), problem.clone()), false);
        }
        self.note_idle(now);
        ended.len()
    }

    /// Refuses those who have waited too long.
    pub(super) fn give_up(&mut self, now: Instant) {
        let late = Problem::new(504, "channel-late", "No origin answers")
            .detail("no origin has said how far the channel is; try again");
        let name = self.name.clone();
        self.applicants.retain(|one| {
            let waits = now.duration_since(one.since) < PATIENCE;
            if !waits {
                one.client.push(Out::Refused(name.clone(), late.clone()), false);
            }
            waits
        });
        self.note_idle(now);
    }

    /// True when it is of no more use: nobody has come for so long, or it is not there.
    pub(super) fn is_over(&self, linger: Duration, now: Instant) -> bool {
        match &self.state {
            State::Refused(_, since) => now.duration_since(*since) >= REMEMBERED,
            _ => self.idle_since.is_some_and(|since| now.duration_since(since) >= linger),
        }
    }

    /// True when no origin has it.
    pub(super) const fn is_refused(&self) -> bool {
        matches!(self.state, State::Refused(..))
    }
}

#[cfg(test)]
mod tests;
