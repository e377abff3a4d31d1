//! One channel at this edge: who listens, what it last said. Pure but for the clients' queues.

use super::client::{Aside, Client, Out};
use super::ring::{Frame, Ring};
use sluice_wire::channel::Gap;
use sluice_wire::{Problem, Tag};
use std::collections::HashMap;
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
    pub(super) fn new(name: Tag, now: Instant) -> Self {
        Self {
            name,
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
        self.idle_since = None;
        self.leave(applicant.client.id, now);
        match &self.state {
            State::Refused(problem, _) => {
                applicant.client.push(Out::Refused(self.name.clone(), problem.clone()), false);
                false
            }
            State::Asked => {
                self.applicants.push(applicant);
                false
            }
            State::Known { .. } => {
                let Some(later) = self.admit(applicant, false) else { return false };
                self.applicants.push(later);
                self.is_due(now)
            }
        }
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

    /// After what an origin is asked for frames: the last that has come, or what those who wait know last if that is
    /// less. `None` for from now on.
    pub(super) fn ask(&mut self, now: Instant) -> Option<u64> {
        self.asked = now;
        let waited = self.applicants.iter().filter_map(|applicant| applicant.after).min();
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
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const OPEN: bool = true;

    /// A channel, the origin that it is of, and clients who note what they are told.
    struct World {
        channel: Channel,
        now: Instant,
        /// The channel's number at the origin, and how far this edge was told.
        written: u64,
        told: Option<u64>,
        clients: BTreeMap<u64, (Arc<Client>, Option<u64>)>,
    }

    impl World {
        fn new(written: u64) -> Self {
            let now = Instant::now();
            let channel = Channel::new(Tag::new("a:1").unwrap(), now);
            Self { channel, now, written, told: None, clients: BTreeMap::new() }
        }

        fn subscribe(&mut self, after: Option<u64>) {
            let client = Arc::new(Client::new());
            self.clients.insert(client.id, (Arc::clone(&client), after));
            let applicant = Applicant { client, after, listener: None, since: self.now };
            if self.channel.subscribe(applicant, self.now) {
                self.ask();
            }
        }

        /// The origin answers a question: as its own code does.
        fn ask(&mut self) {
            let from = self.channel.ask(self.now).unwrap_or(self.written).min(self.written);
            self.channel.begun(from, self.written, OPEN);
            self.told = Some(from);
            if self.written - from > 100 {
                self.channel.gap(Gap { from: from + 1, to: self.written });
                self.told = Some(self.written);
            }
        }

        fn tell(&mut self, count: u64) {
            let Some(told) = self.told else { return };
            for seq in told + 1..=self.written.min(told + count) {
                self.channel.frame(&Arc::new(Frame::new(seq, "{}".into())));
                self.told = Some(seq);
            }
        }

        /// Everybody reads all there is; what does not follow is a fault.
        fn read(&mut self) {
            for (client, cursor) in self.clients.values_mut() {
                while let Some(out) = client.take().expect("all is read in time") {
                    match out {
                        Out::Subscribed(_, at) => {
                            assert!(cursor.is_none_or(|cursor| cursor == at || cursor > self.written));
                            *cursor = Some(at);
                        }
                        Out::Frame(_, frame) => {
                            assert_eq!(frame.seq, cursor.unwrap() + 1, "in order, once, without gaps");
                            *cursor = Some(frame.seq);
                        }
                        Out::Gap(_, gap) => {
                            assert_eq!(gap.from, cursor.unwrap() + 1, "a gap is told from where one is");
                            *cursor = Some(gap.to);
                        }
                        Out::Refused(_, problem) => panic!("{problem:?}"),
                        Out::Aside(..) => panic!("nothing is said beside"),
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn everybody_is_told_everything_in_order_and_once(
            written in 0..200_u64,
            steps in prop::collection::vec((0..6_u8, 0..150_u64), 1..80),
        ) {
            let mut world = World::new(written);
            for (step, number) in steps {
                match step {
                    0 => world.subscribe(Some(number.min(world.written))),
                    1 => world.subscribe(None),
                    // The connection to the origin is made anew.
                    2 => world.ask(),
                    3 => world.written += number % 30,
                    4 => world.tell(number % 40),
                    _ => {
                        world.now += Duration::from_millis(number * 20);
                        if world.channel.is_due(world.now) {
                            world.ask();
                        }
                    }
                }
                world.read();
            }
            // In the end everybody is where the origin is.
            for _ in 0..3 {
                world.now += ASK_AGAIN;
                world.ask();
                world.tell(u64::MAX / 2);
                world.read();
            }
            for (_, cursor) in world.clients.values() {
                prop_assert_eq!(*cursor, Some(world.written));
            }
        }
    }

    #[test]
    fn an_origin_with_another_past_begins_anew() {
        let mut world = World::new(50);
        world.subscribe(Some(50));
        world.ask();
        world.read();
        world.written = 10;
        world.ask();
        world.written = 12;
        world.tell(9);
        let (client, _) = world.clients.values().next().unwrap();
        let seqs: Vec<u64> = std::iter::from_fn(|| client.take().unwrap())
            .filter_map(|out| if let Out::Frame(_, frame) = out { Some(frame.seq) } else { None })
            .collect();
        assert_eq!(seqs, [11, 12]);
    }

    #[test]
    fn who_waits_too_long_is_refused_and_who_goes_leaves_a_channel_that_lingers() {
        let mut world = World::new(1);
        world.subscribe(None);
        world.channel.give_up(world.now + PATIENCE);
        let (client, _) = world.clients.values().next().unwrap();
        assert!(matches!(client.take(), Ok(Some(Out::Refused(_, problem))) if problem.status == 504));
        let linger = Duration::from_secs(60);
        assert!(!world.channel.is_over(linger, world.now + PATIENCE + linger / 2));
        assert!(world.channel.is_over(linger, world.now + PATIENCE + linger));
    }
}
