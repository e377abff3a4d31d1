//! A reader who listens to `home:ACCOUNT` at an edge, over server-sent events.

use super::readers::Reader;
use super::scene::Scene;
use crate::look::LIMIT;
use anyhow::{Context, bail, ensure};
use reqwest::Response;
use std::time::Duration;
use tokio::time::timeout;

/// Time of a stream: longer than any part lasts.
const OPEN: Duration = Duration::from_secs(3_600);
/// Bytes of one event at most.
const MAX_EVENT: usize = 16 << 10;

/// An open stream.
#[derive(Debug)]
pub(super) struct Ear {
    stream: Response,
    events: Events,
}

/// What was said, in pieces of any size.
#[derive(Debug, Default)]
struct Events {
    text: Vec<u8>,
}

/// An event's name, where it is no frame, and its data.
type Event = (Option<String>, String);

impl Events {
    /// The next whole event; comments are passed over.
    fn next(&mut self) -> Option<Event> {
        loop {
            let end = self.text.windows(2).position(|two| two == b"\n\n")?;
            let block: Vec<u8> = self.text.drain(..end + 2).collect();
            let block = String::from_utf8_lossy(&block).into_owned();
            let field =
                |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            if let Some(data) = field("data: ") {
                return Some((field("event: "), data));
            }
        }
    }
}

impl Ear {
    /// Listens to a reader's own channel, from the moment it is subscribed.
    pub(super) async fn open(scene: &Scene, edge: usize, reader: &Reader) -> anyhow::Result<Self> {
        let channel = format!("home:{}", reader.account);
        let token = scene.fleet.channel_token(&reader.account.to_string(), std::slice::from_ref(&channel))?;
        let path = format!("/v1/live/events?channel={channel}");
        let asked = scene.ask(edge, reqwest::Method::GET, &path, &token)?;
        let stream = asked.timeout(OPEN).send().await?;
        ensure!(stream.status() == 200, "{} of {path}", stream.status());
        let mut ear = Self { stream, events: Events::default() };
        match ear.next().await? {
            (Some(name), _) if name == "subscribed" => Ok(ear),
            (_, data) => bail!("no subscription: {data}"),
        }
    }

    /// Waits until the reader is told of something.
    pub(super) async fn told(&mut self) -> anyhow::Result<()> {
        match self.next().await? {
            (None, _) => Ok(()),
            (Some(name), data) => bail!("{name} instead of a frame: {data}"),
        }
    }

    async fn next(&mut self) -> anyhow::Result<Event> {
        loop {
            if let Some(event) = self.events.next() {
                return Ok(event);
            }
            ensure!(self.events.text.len() < MAX_EVENT, "an event without end");
            let piece =
                timeout(LIMIT, self.stream.chunk()).await.context("a reader is told of nothing")??;
            self.events.text.extend_from_slice(&piece.context("a stream of events has ended")?);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_whatever_pieces_they_come_in() {
        let text = b": alive\n\nevent: subscribed\nid: a=1\ndata: {\"seq\":1}\n\nid: a=2\ndata: {}\n\n";
        for size in [1, 7, text.len()] {
            let (mut events, mut all) = (Events::default(), vec![]);
            for piece in text.chunks(size) {
                events.text.extend_from_slice(piece);
                all.extend(std::iter::from_fn(|| events.next()));
            }
            assert_eq!(all.len(), 2, "in pieces of {size}");
            assert_eq!((all[0].0.as_deref(), all[0].1.as_str()), (Some("subscribed"), "{\"seq\":1}"));
            assert_eq!(all[1], (None, "{}".into()));
        }
    }
}
