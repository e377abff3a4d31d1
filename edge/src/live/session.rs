//! A client's subscriptions, whatever carries them.

use super::client::{Client, Full, Out};
use super::token;
use crate::edge::Shared;
use crate::metrics::Transport;
use crate::shares::Share;
use sluice_wire::token::CLOCK_SLACK_S;
use sluice_wire::{AccountId, Problem, Tag};
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Channels of one client: what a person has in a side bar.
pub(super) const MAX_CHANNELS: usize = 256;
/// Clients at a time: far more than one machine has sockets for, so that streams of few connections are bounded too.
const MAX_CLIENTS: i64 = 100_000;

/// A client's subscriptions. They end when it is dropped.
#[derive(Debug)]
pub(super) struct Session {
    edge: Arc<Shared>,
    client: Arc<Client>,
    transport: Transport,
    from: IpAddr,
    channels: HashMap<Tag, Mine>,
    /// Asked for, and put off until what waits is less.
    put_off: VecDeque<Wish>,
}

/// What a client has of a channel.
#[derive(Debug, Clone, Copy, Default)]
struct Mine {
    /// When its token ends, in Unix seconds.
    until_s: Option<u64>,
    /// Whose token it is, where it is an account's.
    who: Option<AccountId>,
}

/// A subscription that is wished for.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) channel: Tag,
    pub(super) after: Option<u64>,
    pub(super) token: Option<String>,
}

impl Session {
    /// A client that comes.
    ///
    /// # Errors
    /// 503 when there are too many.
    pub(super) fn new(edge: &Arc<Shared>, transport: Transport, from: IpAddr) -> Result<Self, Problem> {
        let counts = &edge.metrics.live;
        if counts.all_clients() >= MAX_CLIENTS {
            return Err(Problem::new(503, "too-many-clients", "Too many clients").detail("try another edge"));
        }
        counts.came(transport);
        let (client, channels, put_off) = (Arc::new(Client::new()), HashMap::new(), VecDeque::new());
        Ok(Self { edge: Arc::clone(edge), client, transport, from, channels, put_off })
    }

    /// Has a channel subscribed to. Its outcome comes as [`Out`].
    ///
    /// # Errors
    /// 400 when there are too many.
    pub(super) fn wish(&mut self, wish: Wish) -> Result<(), Problem> {
        self.put_off.retain(|other| other.channel != wish.channel);
        let again = self.channels.contains_key(&wish.channel);
        if !again && self.channels.len() + self.put_off.len() >= MAX_CHANNELS {
            return Err(Problem::new(400, "too-many-channels", "Too many channels")
                .detail(format!("at most {MAX_CHANNELS} for each client")));
        }
        self.put_off.push_back(wish);
        Ok(())
    }

    /// Ends a subscription.
    pub(super) fn unwish(&mut self, channel: &Tag) {
        self.put_off.retain(|wish| wish.channel != *channel);
        self.channels.remove(channel);
        self.edge.channels.unsubscribe(&self.client, channel);
    }

    /// What the client is told next.
    ///
    /// # Errors
    /// [`Full`] once it did not take what waited.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(super) async fn next(&mut self) -> Result<Out, Full> {
        loop {
            if let Some(out) = self.ready()? {
                return Ok(out);
            }
            self.client.woken().await;
        }
    }

    /// What the client can be told now.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub(super) fn ready(&mut self) -> Result<Option<Out>, Full> {
        while self.client.has_room()
            && let Some(wish) = self.put_off.pop_front()
        {
            if let Err(problem) = self.subscribe(&wish) {
                self.unwish(&wish.channel);
                return Ok(Some(Out::Refused(wish.channel, problem)));
            }
        }
        while let Some(out) = self.client.take()? {
            if self.note(&out) {
                return Ok(Some(out));
            }
        }
        Ok(None)
    }

    fn subscribe(&mut self, wish: &Wish) -> Result<(), Problem> {
        let check = |text: &String| token::check(&self.edge, text, &wish.channel, self.from);
        // A token that does not let in to this channel is no fault where none is needed: the origin says.
        let checked = wish.token.as_ref().map(check);
        let (listener, why) = match checked {
            Some(Ok(listener)) => (Some(listener), None),
            Some(Err(problem)) => (None, Some(problem)),
            None => (None, None),
        };
        if let Some(problem) = why.filter(|problem| problem.status != 403) {
            return Err(problem);
        }
        let until_s = listener.as_ref().map(|listener| listener.until_s);
        let who = listener.as_ref().and_then(|listener| listener.subject.parse().ok());
        self.channels.insert(wish.channel.clone(), Mine { until_s, who });
        let share = Share::of(self.from, self.edge.live().shares.channels);
        self.edge.channels.subscribe(&self.client, &wish.channel, wish.after, listener, share)
    }

    /// Takes note of what the client is about to be told; false for what it did not ask for any more.
    fn note(&mut self, out: &Out) -> bool {
        match out {
            Out::Refused(channel, _) => self.channels.remove(channel).is_some(),
            Out::Subscribed(channel, _) | Out::Gap(channel, _) | Out::Aside(channel, _) => {
                self.channels.contains_key(channel)
            }
            Out::Frame(channel, _) => {
                self.edge.metrics.live.frames.inc();
                self.channels.contains_key(channel)
            }
        }
    }

    /// Ends the subscriptions whose tokens have expired; the client is told of each.
    pub(super) fn expire(&mut self) -> Vec<Tag> {
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let over =
            |mine: &Mine| mine.until_s.is_some_and(|until| until.saturating_add(CLOCK_SLACK_S) <= now_s);
        let ended: Vec<Tag> =
            self.channels.iter().filter(|(_, mine)| over(mine)).map(|(name, _)| name.clone()).collect();
        ended.iter().for_each(|channel| self.unwish(channel));
        ended
    }

    /// The account as which a client listens to a channel.
    pub(super) fn listens_as(&self, channel: &Tag) -> Option<AccountId> {
        self.channels.get(channel)?.who
    }

    /// The client's end, for who waits until it is full.
    pub(super) fn client(&self) -> Arc<Client> {
        Arc::clone(&self.client)
    }

    /// True when it listens to nothing, and waits for nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.channels.is_empty() && self.put_off.is_empty()
    }

    /// Counts why it is cut.
    pub(super) fn cut(&self, why: &str) {
        self.edge.metrics.live.ended(why, 1);
    }

    /// True while more may be asked for.
    pub(super) fn has_room(&self) -> bool {
        self.client.has_room() && self.put_off.is_empty()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for channel in self.channels.keys() {
            self.edge.channels.unsubscribe(&self.client, channel);
        }
        self.edge.metrics.live.went(self.transport);
    }
}
