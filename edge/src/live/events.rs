//! A client over server-sent events (`/v1/live/events?channel=A&channel=B`): the id of each event is where the client is in
//! all its channels (`A=12 B=3`), so that a browser resumes by itself.

use super::client::Out;
use super::cursors::Cursors;
use super::session::{Session, Wish};
use super::token;
use bytes::Bytes;
use futures::stream::unfold;
use http::header::{CONTENT_TYPE, HeaderValue};
use sluice_service::{Body, Drain, HttpResponse};
use sluice_wire::{Problem, Tag};
use std::collections::VecDeque;
use std::io;
use std::time::Duration;
use tokio::time::{Instant, interval_at, timeout};

/// Channels of one stream: they stand in its target.
pub(super) const MAX_CHANNELS: usize = 32;
/// Time until the first channel has begun, or all have been refused.
const BEGIN: Duration = Duration::from_secs(11);
/// Silence after which a stream says that it lives.
const ALIVE: Duration = Duration::from_secs(15);

/// Answers with a stream of what the channels say. When all are refused, and for good, that is the answer.
pub(super) async fn answer(
    mut session: Session,
    channels: &[Tag],
    mut cursors: Cursors,
    token: Option<&str>,
    drain: &Drain,
) -> Result<HttpResponse, Problem> {
    for channel in channels {
        let after = cursors.of(channel);
        session.wish(Wish { channel: channel.clone(), after, token: token.map(str::to_owned) })?;
    }
    let mut first = VecDeque::from([Bytes::from_static(b": alive\n\n")]);
    let (mut refused, deadline) = (0, Instant::now() + BEGIN);
    while refused < channels.len() {
        let Ok(Ok(out)) = timeout(deadline - Instant::now(), session.next()).await else { break };
        first.push_back(block(&out, &mut cursors));
        match out {
            // A browser takes an error for the end, and comes again by itself after a stream.
            Out::Refused(_, problem) if problem.status < 500 => {
                refused += 1;
                if refused == channels.len() {
                    return Err(problem);
                }
            }
            Out::Refused(..) => refused += 1,
            Out::Subscribed(..) | Out::Frame(..) | Out::Gap(..) | Out::Aside(..) => break,
        }
    }
    let stop = drain.token();
    let alive = interval_at(Instant::now() + ALIVE, ALIVE);
    let state = (session, cursors, first, alive);
    let stream = unfold(state, move |(mut session, mut cursors, mut first, mut alive)| {
        let stop = stop.clone();
        async move {
            if let Some(piece) = first.pop_front() {
                return Some((Ok::<_, io::Error>(piece), (session, cursors, first, alive)));
            }
            if session.is_empty() {
                return None;
            }
            let piece = tokio::select! {
                out = session.next() => match out {
                    Ok(out) => gathered(out, &mut session, &mut cursors),
                    Err(_) => {
                        session.cut("slow");
                        return None;
                    }
                },
                _ = alive.tick() => {
                    let ended = session.expire().into_iter();
                    let over = |channel| Out::Refused(channel, token::expired());
                    let ended = ended.map(|channel| block(&over(channel), &mut cursors));
                    let mut text = b": alive\n\n".to_vec();
                    ended.for_each(|block| text.extend_from_slice(&block));
                    text.into()
                }
                () = stop.cancelled() => {
                    session.cut("drain");
                    return None;
                }
            };
            Some((Ok(piece), (session, cursors, first, alive)))
        }
    });
    let mut answer = HttpResponse::new(Body::from_stream(stream));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    Ok(answer)
}

/// Events gathered in one piece.
const BATCH: usize = 32;

/// What is there, in one piece. A session that turns out to be full ends with the next.
fn gathered(first: Out, session: &mut Session, cursors: &mut Cursors) -> Bytes {
    let mut text = block(&first, cursors).to_vec();
    for _ in 1..BATCH {
        let Ok(Some(out)) = session.ready() else { break };
        text.extend_from_slice(&block(&out, cursors));
    }
    text.into()
}

/// One event. Frames are plain messages; the rest have names.
fn block(out: &Out, cursors: &mut Cursors) -> Bytes {
    cursors.note(out);
    let id = cursors.render();
    let named = |name: &str| format!("event: {name}\nid: {id}\ndata: {}\n\n", super::words(out)).into();
    match out {
        Out::Frame(_, frame) => format!("id: {id}\ndata: {}\n\n", frame.text.as_str()).into(),
        Out::Subscribed(..) => named("subscribed"),
        Out::Gap(..) => named("gap"),
        Out::Aside(..) => named("aside"),
        Out::Refused(..) => named("refused"),
    }
}
