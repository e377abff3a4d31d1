//! How a client and this edge speak over a socket: in JSON, or in few bytes (`sluice_wire::compact::talk`). What is said is the
//! same, under the same numbers.

use super::call::{Answered, Call};
use super::client::Out;
use super::framing::End;
use super::ring::Spoken;
use super::session::Session;
use http::header::{HeaderMap, SEC_WEBSOCKET_PROTOCOL};
use serde::Deserialize;
use serde_json::json;
use sluice_wire::AccountId;
use sluice_wire::compact::Words;
use sluice_wire::compact::talk::{self, JSON_PROTOCOL, PROTOCOL, Told};
use sluice_wire::{Problem, Tag};
use std::collections::HashMap;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// Records of one message of a client: what a device asks for when it comes back.
const MAX_RECORDS: usize = 256;
/// Names that a socket remembers it has told. Of more people, names are told each time.
const MAX_NAMES: usize = 1_024;

/// What a client says.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Said {
    Subscribe { subscribe: Tag, after: Option<u64>, token: Option<String> },
    Unsubscribe { unsubscribe: Tag },
    Call(Call),
    Authorize { authorize: String },
}

/// How it is spoken, and what the other side knows by now.
#[derive(Debug)]
pub(super) enum Tongue {
    Json,
    Compact(Speech),
}

/// What was told over a compact socket.
#[derive(Debug, Default)]
pub(super) struct Speech {
    next: u64,
    /// What channels are called, and as whom the client listens.
    channels: HashMap<Tag, (u64, Option<AccountId>)>,
    names: HashMap<AccountId, Box<str>>,
}

impl Tongue {
    /// The first of those that a client offers and that is spoken here, and its name for the answer; JSON where it offers none.
    pub(super) fn offered(headers: &HeaderMap) -> (Self, Option<&'static str>) {
        let lines = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|line| line.to_str().ok());
        let spoken = lines.flat_map(|line| line.split(',')).find_map(|name| match name.trim() {
            PROTOCOL => Some((Self::Compact(Speech::default()), Some(PROTOCOL))),
            JSON_PROTOCOL => Some((Self::Json, Some(JSON_PROTOCOL))),
            _ => None,
        });
        spoken.unwrap_or((Self::Json, None))
    }

    /// What a message says: each thing, or why it cannot be understood.
    ///
    /// # Errors
    /// For a message of the other kind.
    pub(super) fn understand(&self, said: Message) -> Result<Vec<Result<Said, Problem>>, End> {
        match (self, said) {
            (Self::Json, Message::Text(text)) => Ok(vec![
                serde_json::from_str(&text)
                    .map_err(|_| nonsense("subscribe, unsubscribe, authorize or call")),
            ]),
            (Self::Compact(_), Message::Binary(bytes)) => Ok(records(&bytes)),
            (Self::Json, Message::Binary(_)) | (Self::Compact(_), Message::Text(_)) => {
                Err(End::Fault(CloseCode::Unsupported))
            }
            (_, Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_)) => Ok(vec![]),
        }
    }

    /// The messages that tell a client something.
    pub(super) fn tell(&mut self, outs: &[Out], session: &Session) -> Vec<Message> {
        match self {
            Self::Json => outs.iter().map(json).collect(),
            Self::Compact(speech) => {
                let mut bytes = vec![];
                outs.iter().for_each(|out| speech.tell(&mut bytes, out, session));
                if bytes.is_empty() { vec![] } else { vec![Message::binary(bytes)] }
            }
        }
    }

    /// The message that answers a call.
    pub(super) fn answer(&self, answered: Answered) -> Message {
        let Answered { name, status, body, versions } = answered;
        match self {
            Self::Json => {
                let mut told = json!({ "answer": name, "status": status, "body": body });
                versions.into_iter().for_each(|versions| told["versions"] = versions.into());
                Message::text(told.to_string())
            }
            Self::Compact(_) => {
                let body = if body.is_null() { String::new() } else { body.to_string() };
                let told = Told::Answer { name: name.clone(), status: status.into(), body, versions };
                let mut bytes = vec![];
                if !put(&mut bytes, &told) {
                    let body = json!(Problem::new(502, "bad-answer", "No whole answer")).to_string();
                    put(&mut bytes, &Told::Answer { name, status: 502, body, versions: None });
                }
                Message::binary(bytes)
            }
        }
    }

    /// The message that says what cannot be understood.
    pub(super) fn complain(&self, problem: &Problem) -> Message {
        match self {
            Self::Json => Message::text(json!({ "problem": problem }).to_string()),
            Self::Compact(_) => {
                let mut bytes = vec![];
                put(&mut bytes, &Told::Problem { problem: json!(problem).to_string() });
                Message::binary(bytes)
            }
        }
    }

    /// Nothing more is told of a channel.
    pub(super) fn forget(&mut self, channel: &Tag) {
        if let Self::Compact(speech) = self {
            speech.channels.remove(channel);
        }
    }
}

impl Speech {
    fn tell(&mut self, bytes: &mut Vec<u8>, out: &Out, session: &Session) {
        match out {
            Out::Subscribed(channel, seq) => {
                let who = session.listens_as(channel);
                let next = &mut self.next;
                let known = self.channels.entry(channel.clone()).or_insert_with(|| {
                    *next += 1;
                    (*next - 1, who)
                });
                known.1 = who;
                put(bytes, &Told::Subscribed { number: known.0, seq: *seq, channel: channel.clone() });
            }
            Out::Frame(channel, frame) => {
                let Some((number, who)) = self.channels.get(channel).copied() else { return };
                match frame.spoken() {
                    Spoken::Frame(said) => {
                        let (by, name) = said.what.by();
                        let words = Words { client_id: who == Some(by), name: self.is_news(by, name) };
                        if let Err(error) = talk::tell_frame(bytes, number, said, words) {
                            // It was written once before: see `Frame::spoken`.
                            tracing::debug!(%error, %channel, "a frame is not told");
                        }
                    }
                    Spoken::Json { at_ms, data } => {
                        let told = Told::Json { number, seq: frame.seq, at_ms: *at_ms, data: data.clone() };
                        put(bytes, &told);
                    }
                }
            }
            Out::Gap(channel, gap) => {
                let Some((number, _)) = self.channels.get(channel).copied() else { return };
                put(bytes, &Told::Gap { number, gap: *gap });
            }
            Out::Aside(channel, aside) => {
                let Some((number, _)) = self.channels.get(channel).copied() else { return };
                put(bytes, &Told::Aside { number, data: aside.data.clone() });
            }
            Out::Refused(channel, problem) => {
                self.channels.remove(channel);
                let problem = json!(problem).to_string();
                put(bytes, &Told::Refused { channel: channel.clone(), problem });
            }
        }
    }

    /// True when a name is to be told: it is remembered from then on, while there is room.
    fn is_news(&mut self, who: AccountId, name: Option<&str>) -> bool {
        let Some(name) = name else { return false };
        if self.names.get(&who).is_some_and(|known| **known == *name) {
            return false;
        }
        if self.names.len() < MAX_NAMES || self.names.contains_key(&who) {
            self.names.insert(who, name.into());
        }
        true
    }
}

/// Appends what fits its bounds; false, and nothing, otherwise.
fn put(bytes: &mut Vec<u8>, told: &Told) -> bool {
    let before = bytes.len();
    let whole = told.encode(bytes).is_ok();
    if !whole {
        bytes.truncate(before);
    }
    whole
}

/// What a client is told, in JSON.
fn json(out: &Out) -> Message {
    Message::Text(match out {
        Out::Frame(_, frame) => frame.text.clone(),
        Out::Aside(_, aside) => aside.text.clone(),
        other => super::words(other).into(),
    })
}

fn nonsense(detail: &str) -> Problem {
    Problem::new(400, "bad-message", "Bad message").detail(detail)
}

/// The records of a message, up to the first that is none.
fn records(bytes: &[u8]) -> Vec<Result<Said, Problem>> {
    let (mut all, mut rest) = (vec![], bytes);
    while !rest.is_empty() {
        match talk::Said::decode(rest) {
            Ok((said, more)) if all.len() < MAX_RECORDS => {
                all.push(Said::of(said));
                rest = more;
            }
            Ok(_) => {
                all.push(Err(nonsense(&format!("at most {MAX_RECORDS} records in a message"))));
                break;
            }
            Err(error) => {
                all.push(Err(nonsense(&error.to_string())));
                break;
            }
        }
    }
    all
}

impl Said {
    fn of(said: talk::Said) -> Result<Self, Problem> {
        Ok(match said {
            talk::Said::Subscribe { channel, after, token } => {
                Self::Subscribe { subscribe: channel, after, token }
            }
            talk::Said::Unsubscribe { channel } => Self::Unsubscribe { unsubscribe: channel },
            talk::Said::Authorize { token } => Self::Authorize { authorize: token },
            talk::Said::Call { name, method, path, body, key, admission, at_least } => {
                let body = body.map(|body| serde_json::from_str(&body)).transpose();
                let body = body.map_err(|_| nonsense("a call's body is JSON"))?;
                Self::Call(Call { call: name, method, path, body, key, admission, at_least })
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_tongue_that_is_offered_and_known_is_spoken() {
        let of = |offers: &[&str]| {
            let mut headers = HeaderMap::new();
            offers
                .iter()
                .for_each(|offer| _ = headers.append(SEC_WEBSOCKET_PROTOCOL, offer.parse().unwrap()));
            let (tongue, name) = Tongue::offered(&headers);
            (matches!(tongue, Tongue::Compact(_)), name)
        };
        assert_eq!(of(&[]), (false, None));
        assert_eq!(of(&["chat, x"]), (false, None));
        assert_eq!(
            of(&["sluice.live.compact.v9,sluice.live.compact.v1, sluice.live.json.v1"]),
            (true, Some(PROTOCOL))
        );
        assert_eq!(of(&["x", "sluice.live.json.v1"]), (false, Some(JSON_PROTOCOL)));
    }

    #[test]
    fn records_are_understood_up_to_the_first_that_is_none() {
        let mut bytes = vec![];
        let channel = Tag::new("chat:1").unwrap();
        talk::Said::Unsubscribe { channel }.encode(&mut bytes).unwrap();
        let whole = bytes.clone();
        bytes.extend([9, 9]);
        assert!(matches!(records(&bytes)[..], [Ok(Said::Unsubscribe { .. }), Err(_)]));
        let many = whole.repeat(MAX_RECORDS + 5);
        let all = records(&many);
        assert_eq!((all.len(), all.last().unwrap().is_err()), (MAX_RECORDS + 1, true));
    }
}
