//! A client that asks again and again (`/v1/live/poll?channel=A&after=12&wait=25`), where nothing else gets through.

use super::client::Out;
use super::session::{Session, Wish};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use sluice_service::{Body, Drain, HttpResponse};
use sluice_wire::channel::Gap;
use sluice_wire::{Problem, Tag};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Seconds a client may wait: what most proxies leave an answer.
pub(super) const MAX_WAIT_S: u64 = 55;
/// Frames in one answer.
const MAX_FRAMES: usize = 256;
/// How long an origin may take to say how far the channel is.
const BEGIN: Duration = Duration::from_secs(11);

/// What an answer says.
#[derive(Default)]
struct Found {
    seq: u64,
    gap: Option<Gap>,
    frames: Vec<Out>,
}

/// Answers with what comes after a number, as soon as there is any; without one, with the channel's number now.
pub(super) async fn answer(
    mut session: Session,
    channel: Tag,
    after: Option<u64>,
    token: Option<String>,
    wait: Duration,
    drain: &Drain,
) -> Result<HttpResponse, Problem> {
    session.wish(Wish { channel: channel.clone(), after, token })?;
    let (begun, stop) = (Instant::now(), drain.token());
    let (mut found, mut deadline) = (Found::default(), begun + BEGIN);
    loop {
        let out = tokio::select! {
            out = timeout_at(deadline, session.next()) => out,
            () = stop.cancelled() => break,
        };
        match out {
            Err(_) | Ok(Err(_)) => break,
            Ok(Ok(Out::Refused(_, problem))) => return Err(problem),
            Ok(Ok(Out::Subscribed(_, seq))) => {
                (found.seq, deadline) = (seq, begun + wait);
                if after != Some(seq) {
                    return Ok(json(&channel, &found));
                }
            }
            // A poll is for what is kept.
            Ok(Ok(Out::Aside(..))) => {}
            Ok(Ok(out)) => {
                take(&mut found, out);
                while found.frames.len() < MAX_FRAMES
                    && let Ok(Some(out)) = session.ready()
                {
                    take(&mut found, out);
                }
                return Ok(json(&channel, &found));
            }
        }
    }
    let mut nothing = HttpResponse::new(Body::empty());
    *nothing.status_mut() = StatusCode::NO_CONTENT;
    Ok(nothing)
}

fn take(found: &mut Found, out: Out) {
    match out {
        Out::Frame(_, ref frame) => {
            found.seq = frame.seq;
            found.frames.push(out);
        }
        // Of several, what is told holds them all: a client looks at some frames again, and misses none.
        Out::Gap(_, gap) => {
            let from = found.gap.map_or(gap.from, |first| first.from);
            (found.seq, found.gap) = (gap.to, Some(Gap { from, to: gap.to }));
        }
        Out::Subscribed(..) | Out::Aside(..) | Out::Refused(..) => {}
    }
}

fn json(channel: &Tag, found: &Found) -> HttpResponse {
    let mut text = format!("{{\"channel\":\"{channel}\",\"seq\":{},", found.seq);
    if let Some(gap) = found.gap {
        text += &format!("\"gap\":{{\"from\":{},\"to\":{}}},", gap.from, gap.to);
    }
    let frames = found.frames.iter().filter_map(|out| match out {
        Out::Frame(_, frame) => Some(frame.text.as_str()),
        Out::Subscribed(..) | Out::Gap(..) | Out::Aside(..) | Out::Refused(..) => None,
    });
    let frames = frames.collect::<Vec<_>>().join(",");
    text += &format!("\"frames\":[{frames}]}}");
    let mut answer = HttpResponse::new(Body::from(text));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_gaps_none_is_left_out() {
        let (mut found, channel) = (Found::default(), Tag::new("chat:1").unwrap());
        for (from, to) in [(13, 40), (44, 60)] {
            take(&mut found, Out::Gap(channel.clone(), Gap { from, to }));
        }
        assert_eq!((found.seq, found.gap), (60, Some(Gap { from: 13, to: 60 })));
    }
}
