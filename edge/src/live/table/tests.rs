//! What wakes whom, what is asked of an origin, and what is kept of what it said.

use super::super::client::Out;
use super::*;
use crate::metrics::Metrics;
use futures::{FutureExt, poll};
use serde_json::json;
use std::pin::pin;

fn table() -> Table {
    let metrics = Metrics::new(&sluice_service::Metrics::default());
    Table::new(Arc::default(), metrics.live)
}

fn tag(name: &str) -> Tag {
    Tag::new(name).unwrap()
}

/// What a client at an address may begin.
fn share(address: &str, most: usize) -> Share {
    Share::of(address.parse().unwrap(), most)
}

/// A client comes for a channel.
fn come(table: &Table, channel: &str, after: Option<u64>) -> Arc<Client> {
    let client = Arc::new(Client::new());
    table.subscribe(&client, &tag(channel), after, None, share("192.0.2.1", MAX_CHANNELS)).unwrap();
    client
}

fn hear(table: &Table, line: &Line) {
    let text = serde_json::to_string(line).unwrap();
    table.hear(line, &text.into());
}

/// A channel is given up that nobody has come back to.
fn leave_for_good(table: &Table, client: &Client, channel: &str) {
    table.unsubscribe(client, &tag(channel));
    table.sweep_at(Instant::now() + LINGER);
}

#[test]
fn what_somebody_listens_to_or_waits_for_stays() {
    let table = table();
    let _first = come(&table, "a:1", None);
    let _waits = come(&table, "a:2", None);
    hear(&table, &Line::Begun { channel: tag("a:1"), from: 0, head: 0, open: true });
    let idle = |inner: &mut Inner| inner.channels.values().filter(|one| one.idle_since.is_some()).count();
    assert_eq!(table.locked(idle), 0, "one listens, one waits");
    table.sweep_at(Instant::now() + LINGER);
    let listened = table.locked(|inner| inner.channels.get(&tag("a:1")).is_some_and(|one| !one.is_idle()));
    assert!(listened, "its one listener is there still");
}

#[test]
fn what_nobody_listens_to_any_more_wakes_nobody() {
    let table = table();
    let client = come(&table, "a:1", None);
    assert!(table.wanted().now_or_never().is_some());
    let (connection, asks) = table.connected();
    assert_eq!(asks, [Ask::Subscribe { subscribe: tag("a:1"), after: None }]);

    leave_for_good(&table, &client, "a:1");
    assert!(table.wanted().now_or_never().is_none(), "there is something to be asked, and no channel");
    let gone = Ask::Unsubscribe { unsubscribe: tag("a:1") };
    assert_eq!(table.next_asks(connection).now_or_never(), Some(vec![gone]));
    assert!(table.next_asks(connection).now_or_never().is_none());

    // The connection ends before the last channel is given up.
    let client = come(&table, "a:2", None);
    table.parted(connection);
    leave_for_good(&table, &client, "a:2");
    assert!(table.wanted().now_or_never().is_none());
    assert!(table.next_asks(connection).now_or_never().is_none());
}

#[tokio::test]
async fn who_waits_for_a_channel_is_woken_by_one() {
    let table = table();
    let mut wanted = pin!(table.wanted());
    assert!(poll!(wanted.as_mut()).is_pending());
    table.sweep();
    assert!(poll!(wanted.as_mut()).is_pending());
    let _client = come(&table, "a:1", None);
    assert!(poll!(wanted.as_mut()).is_ready());

    let (connection, _) = table.connected();
    let mut asks = pin!(table.next_asks(connection));
    assert!(poll!(asks.as_mut()).is_pending());
    let _client = come(&table, "a:2", Some(7));
    assert!(poll!(asks.as_mut()).is_ready());
}

#[test]
fn a_channel_that_no_origin_has_is_not_waited_for() {
    let table = table();
    let client = come(&table, "a:1", None);
    table.connected();
    hear(&table, &Line::Refused { channel: tag("a:1"), refused: "there is none".into() });
    assert!(matches!(client.take(), Ok(Some(Out::Refused(_, problem))) if problem.status == 404));
    assert!(table.wanted().now_or_never().is_none());
}

#[test]
fn only_the_newest_connection_asks_and_it_asks_for_all_there_is() {
    let table = table();
    // None is there yet: what comes and goes meanwhile is not kept to be asked.
    for n in 0..100 {
        let channel = format!("a:{n}");
        let client = come(&table, &channel, None);
        leave_for_good(&table, &client, &channel);
    }
    let _client = come(&table, "b:1", None);
    assert!(table.locked(|inner| inner.asks.is_empty()));
    let (first, asks) = table.connected();
    assert_eq!(asks, [Ask::Subscribe { subscribe: tag("b:1"), after: None }]);

    let (second, asks) = table.connected();
    assert_eq!(asks.len(), 1);
    // The end of the one before is not that of this one.
    table.parted(first);
    let _other = come(&table, "b:2", None);
    assert!(table.next_asks(first).now_or_never().is_none());
    let asked = Ask::Subscribe { subscribe: tag("b:2"), after: None };
    assert_eq!(table.next_asks(second).now_or_never(), Some(vec![asked]));
}

#[test]
fn what_was_deleted_is_not_told_to_who_comes_later() {
    let table = table();
    let room = tag("chat:1");
    let early = come(&table, "chat:1", Some(0));
    hear(&table, &Line::Begun { channel: room.clone(), from: 0, head: 0, open: true });
    let said = [
        json!({ "type": "message", "id": "m1", "text": "the first secret" }),
        json!({ "type": "message", "id": "m2", "text": "no secret" }),
        json!({ "type": "edit", "id": "m1", "text": "the second secret" }),
        json!({ "type": "delete", "id": "m1" }),
    ];
    for (seq, data) in (1..).zip(said.clone()) {
        hear(&table, &Line::Frame(Said { channel: room.clone(), seq, at_ms: 1_900_000_000_000 + seq, data }));
    }
    let heard = |client: &Client| -> Vec<Said> {
        let outs = std::iter::from_fn(|| client.take().unwrap());
        let frames = outs.filter_map(|out| if let Out::Frame(_, frame) = out { Some(frame) } else { None });
        frames.map(|frame| serde_json::from_str(&frame.text).unwrap()).collect()
    };
    let data = |frames: &[Said]| frames.iter().map(|frame| frame.data.clone()).collect::<Vec<_>>();
    let (before, after) = (heard(&early), heard(&come(&table, "chat:1", Some(0))));
    assert_eq!(data(&before), said);
    let [_, second, _, last] = said;
    assert_eq!(data(&after), [Value::Null, second, Value::Null, last]);
    let places = |frames: &[Said]| frames.iter().map(|frame| (frame.seq, frame.at_ms)).collect::<Vec<_>>();
    assert_eq!(places(&after), places(&before));
}

#[test]
fn who_has_begun_its_share_of_channels_takes_no_place_of_others() {
    let table = table();
    let (greedy, other) = (Arc::new(Client::new()), Arc::new(Client::new()));
    let ask = |client: &Arc<Client>, from: &str, channel: &str| {
        let told = table.subscribe(client, &tag(channel), None, None, share(from, 2));
        told.map_err(|problem| problem.status)
    };
    assert_eq!(ask(&other, "192.0.2.1", "a:0"), Ok(()));
    for channel in ["a:1", "a:2"] {
        assert_eq!(ask(&greedy, "2001:db8::1", channel), Ok(()));
    }
    assert_eq!(ask(&greedy, "2001:db8::2", "a:3"), Err(429), "its neighbour in the same /64");
    assert_eq!(ask(&greedy, "2001:db8::1", "a:0"), Ok(()), "what another has begun is not counted");
    assert_eq!(ask(&greedy, "2001:db8::1", "a:1"), Ok(()), "nor what it has");
    assert_eq!(ask(&other, "192.0.2.1", "a:4"), Ok(()));

    // What is left makes way for what is next; what others still listen to does not.
    assert_eq!(ask(&Arc::new(Client::new()), "192.0.2.2", "a:1"), Ok(()));
    table.unsubscribe(&greedy, &tag("a:1"));
    assert_eq!(ask(&greedy, "2001:db8::1", "a:3"), Err(429));
    table.unsubscribe(&greedy, &tag("a:2"));
    assert_eq!(ask(&greedy, "2001:db8::1", "a:3"), Ok(()));
    let known = |channel: &str| table.locked(|inner| inner.channels.contains_key(&tag(channel)));
    assert!(known("a:1") && !known("a:2") && known("a:3"));

    // What goes by itself is counted no more.
    leave_for_good(&table, &greedy, "a:3");
    assert_eq!(ask(&greedy, "2001:db8::1", "a:5"), Ok(()));
}
