//! Where a client of a stream is in its channels, so that it goes on there when it comes back: pure.

use super::client::Out;
use http::header::HeaderMap;
use sluice_wire::tag::{parse_versions, render_versions};
use sluice_wire::{Tag, Version};
use std::collections::BTreeMap;

/// The last number of each channel that a request names; none while neither the client nor an event has said one. A channel
/// that still waits has its own here, and so has one that was refused: the client may be let in when it comes back.
#[derive(Debug)]
pub(super) struct Cursors(BTreeMap<Tag, Option<u64>>);

impl Cursors {
    /// Of a request: in each channel where the last event said (`Last-Event-ID`); where that says nothing, as `after` does.
    pub(super) fn of_request(channels: &[Tag], headers: &HeaderMap, after: Option<&str>) -> Self {
        let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
        let mut said = parse_versions(last.unwrap_or_default());
        said.extend(parse_versions(after.unwrap_or_default()));
        let at = |channel: &Tag| said.iter().find(|(name, _)| name == channel).map(|(_, at)| at.0);
        Self(channels.iter().map(|channel| (channel.clone(), at(channel))).collect())
    }

    /// The number in a channel.
    pub(super) fn of(&self, channel: &Tag) -> Option<u64> {
        self.0.get(channel).copied().flatten()
    }

    /// Takes note of what the client is about to be told.
    pub(super) fn note(&mut self, out: &Out) {
        let (channel, at) = match out {
            Out::Subscribed(channel, at) => (channel, *at),
            Out::Frame(channel, frame) => (channel, frame.seq),
            Out::Gap(channel, gap) => (channel, gap.to),
            Out::Aside(..) | Out::Refused(..) => return,
        };
        if let Some(cursor) = self.0.get_mut(channel) {
            *cursor = Some(at);
        }
    }

    /// All of them, as an event's id has them: `A=12 B=3`.
    pub(super) fn render(&self) -> String {
        let known = self.0.iter().filter_map(|(channel, at)| Some((channel.clone(), Version((*at)?))));
        render_versions(&known.collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::super::ring::Frame;
    use super::*;
    use sluice_wire::Problem;
    use sluice_wire::channel::Gap;
    use std::sync::Arc;

    fn tag(name: &str) -> Tag {
        Tag::new(name).unwrap()
    }

    fn of(last: Option<&str>, after: Option<&str>) -> Cursors {
        let mut headers = HeaderMap::new();
        last.into_iter().for_each(|id| _ = headers.insert("last-event-id", id.parse().unwrap()));
        Cursors::of_request(&[tag("a"), tag("b"), tag("c")], &headers, after)
    }

    #[test]
    fn what_the_last_event_does_not_say_the_request_does() {
        assert_eq!(of(Some("a=9"), Some("a=1 b=2 x=7")).render(), "a=9 b=2");
        assert_eq!(of(None, Some("b=2 a=1")).render(), "a=1 b=2");
        assert_eq!(of(Some("c=3"), None).render(), "c=3");
        assert_eq!(of(Some("nonsense"), None).render(), "");
        assert_eq!((of(Some("a=9"), None).of(&tag("a")), of(None, None).of(&tag("a"))), (Some(9), None));
    }

    #[test]
    fn an_event_says_where_one_is_also_in_channels_that_wait_or_are_refused() {
        let mut cursors = of(None, Some("a=1 b=2"));
        let frame = |seq| Arc::new(Frame::new(seq, "{}".into()));
        cursors.note(&Out::Subscribed(tag("a"), 1));
        cursors.note(&Out::Frame(tag("a"), frame(2)));
        assert_eq!(cursors.render(), "a=2 b=2", "b waits");
        cursors.note(&Out::Subscribed(tag("b"), 2));
        cursors.note(&Out::Gap(tag("b"), Gap { from: 3, to: 7 }));
        cursors.note(&Out::Refused(tag("b"), Problem::new(504, "channel-late", "No origin answers")));
        cursors.note(&Out::Frame(tag("a"), frame(3)));
        assert_eq!(cursors.render(), "a=3 b=7", "b is refused");
        // Of another past.
        cursors.note(&Out::Subscribed(tag("a"), 1));
        // What was not asked for is not kept.
        cursors.note(&Out::Subscribed(tag("x"), 5));
        assert_eq!(cursors.render(), "a=1 b=7");
    }
}
