//! A socket of live channels in few bytes: the subprotocol [`PROTOCOL`]. Messages are binary; each is one record or more.
//!
//! ```text
//! client   1 flags text:channel [varint: after] [text: token]     subscribe; flags 1: after follows, 2: a token does
//!          2 text:channel                                         unsubscribe
//!          3 text:token                                           authorize
//!          4 flags text:name text:method text:path [text: body] [text: key] [text: admission] [text: versions]
//!                                                                 call; flags 1: a body (JSON) follows, 2: a key does,
//!                                                                 4: an admission, 8: versions to be shown at least
//! server   1 number seq text:channel       subscribed: from here on the channel is called by this number
//!          2 number frame                  what happened in a conversation, as frames have it
//!          3 number seq when text:data     what is said in JSON; empty for nothing
//!          4 number from to                a gap
//!          5 text:channel text:problem     refused
//!          6 text:name varint:status text:body
//!                                          the answer to a call (JSON)
//!          7 text:problem                  what was said cannot be understood
//!          8 number text:data              an aside: JSON that is kept nowhere, such as who is here
//!          9 text:name varint:status text:body text:versions
//!                                          the answer to a call, and the versions that it shows
//! number, seq, from, to = varint           when = varint of milliseconds since 2024
//! ```

use super::bytes::{CompactError, Rest, number, text};
use super::frame::{Frame, Words};
use crate::channel::Gap;
use crate::id::EPOCH_MS;
use crate::tag::Tag;

/// The subprotocol's name (RFC 6455 section 1.9).
pub const PROTOCOL: &str = "sluice.live.compact.v1";
/// The name of the one that speaks JSON, which is spoken where none is named.
pub const JSON_PROTOCOL: &str = "sluice.live.json.v1";
/// Bytes of a token, a path, and a channel's name.
pub const MAX_LINE: usize = 8 << 10;
/// Bytes of JSON: an answer of 256 KiB, written otherwise.
pub const MAX_JSON: usize = 1 << 20;

/// What a client says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// It wants a channel, after a number or from now on.
    Subscribe {
        /// The channel.
        channel: Tag,
        /// The last number that it knows.
        after: Option<u64>,
        /// What lets it listen.
        token: Option<String>,
    },
    /// It wants no more of a channel.
    Unsubscribe {
        /// The channel.
        channel: Tag,
    },
    /// Calls are made with this token from now on.
    Authorize {
        /// The token.
        token: String,
    },
    /// It wants a request made.
    Call {
        /// What the answer is to be called.
        name: String,
        /// The method.
        method: String,
        /// The path.
        path: String,
        /// The body, JSON.
        body: Option<String>,
        /// The idempotency key.
        key: Option<String>,
        /// What lets it into where a waiting room is.
        admission: Option<String>,
        /// Versions that the answer is to show at least.
        at_least: Option<String>,
    },
}

/// What a client is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// A subscription begins after a number.
    Subscribed {
        /// What the channel is called from here on.
        number: u64,
        /// The number.
        seq: u64,
        /// The channel.
        channel: Tag,
    },
    /// A change of a conversation.
    Frame {
        /// Of the channel that is called so.
        number: u64,
        /// What happened.
        frame: Frame,
    },
    /// A change of anything else.
    Json {
        /// Of the channel that is called so.
        number: u64,
        /// Its place in the channel.
        seq: u64,
        /// When it was committed, in Unix milliseconds from 2024 on.
        at_ms: u64,
        /// JSON; empty for nothing.
        data: String,
    },
    /// Frames that nobody keeps in reach.
    Gap {
        /// Of the channel that is called so.
        number: u64,
        /// Which.
        gap: Gap,
    },
    /// There is no subscription, or no more.
    Refused {
        /// The channel.
        channel: Tag,
        /// Why: problem+json.
        problem: String,
    },
    /// The answer to a call.
    Answer {
        /// What the call was called.
        name: String,
        /// The status.
        status: u64,
        /// JSON.
        body: String,
        /// The versions that it shows, if it says so.
        versions: Option<String>,
    },
    /// What was said cannot be understood.
    Problem {
        /// Why: problem+json.
        problem: String,
    },
    /// What is said beside the frames, and kept nowhere.
    Aside {
        /// Of the channel that is called so.
        number: u64,
        /// JSON.
        data: String,
    },
}

/// Flags of what a client says.
const FIRST: u8 = 1;
const SECOND: u8 = 2;
const THIRD: u8 = 4;
const FOURTH: u8 = 8;

/// The flags of what follows.
fn flags<const N: usize>(there: [bool; N]) -> u8 {
    there.into_iter().enumerate().map(|(place, there)| u8::from(there) << place).sum()
}

impl Said {
    /// Appends it to bytes.
    ///
    /// # Errors
    /// [`CompactError::Text`] for texts beyond the bounds; what was appended is not whole then.
    pub fn encode(&self, to: &mut Vec<u8>) -> Result<(), CompactError> {
        match self {
            Self::Subscribe { channel, after, token } => {
                to.extend([1, flags([after.is_some(), token.is_some()])]);
                text(to, channel.as_str(), MAX_LINE)?;
                after.iter().for_each(|after| number(to, *after));
                token.iter().try_for_each(|token| text(to, token, MAX_LINE))
            }
            Self::Unsubscribe { channel } => {
                to.push(2);
                text(to, channel.as_str(), MAX_LINE)
            }
            Self::Authorize { token } => {
                to.push(3);
                text(to, token, MAX_LINE)
            }
            Self::Call { name, method, path, body, key, admission, at_least } => {
                let lines = [key, admission, at_least];
                to.extend([
                    4,
                    flags([body.is_some(), key.is_some(), admission.is_some(), at_least.is_some()]),
                ]);
                [name, method, path].iter().try_for_each(|word| text(to, word, MAX_LINE))?;
                body.iter().try_for_each(|body| text(to, body, MAX_JSON))?;
                lines.into_iter().flatten().try_for_each(|line| text(to, line, MAX_LINE))
            }
        }
    }

    /// Reads what bytes begin with, and what follows it.
    ///
    /// # Errors
    /// [`CompactError::Short`] when they end within it; the others when it is none.
    pub fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), CompactError> {
        let mut rest = Rest(bytes);
        let said = match rest.byte()? {
            1 => {
                let flags = rest.flags(FIRST | SECOND)?;
                let channel = rest.channel()?;
                let after = (flags & FIRST != 0).then(|| rest.number()).transpose()?;
                let token = (flags & SECOND != 0).then(|| rest.text(MAX_LINE)).transpose()?;
                Self::Subscribe { channel, after, token }
            }
            2 => Self::Unsubscribe { channel: rest.channel()? },
            3 => Self::Authorize { token: rest.text(MAX_LINE)? },
            4 => {
                let flags = rest.flags(FIRST | SECOND | THIRD | FOURTH)?;
                let mut line = || rest.text(MAX_LINE);
                let (name, method, path) = (line()?, line()?, line()?);
                let body = (flags & FIRST != 0).then(|| rest.text(MAX_JSON)).transpose()?;
                let mut line = |flag| (flags & flag != 0).then(|| rest.text(MAX_LINE)).transpose();
                let (key, admission, at_least) = (line(SECOND)?, line(THIRD)?, line(FOURTH)?);
                Self::Call { name, method, path, body, key, admission, at_least }
            }
            _ => return Err(CompactError::Kind),
        };
        Ok((said, rest.0))
    }
}

/// Appends a change of a conversation, without the words that its reader knows.
///
/// # Errors
/// Those of [`Frame::encode`]; nothing was appended then.
pub fn tell_frame(to: &mut Vec<u8>, channel: u64, frame: &Frame, words: Words) -> Result<(), CompactError> {
    let before = to.len();
    to.push(2);
    number(to, channel);
    frame.encode_with(to, words).inspect_err(|_| to.truncate(before))
}

impl Told {
    /// Appends it to bytes.
    ///
    /// # Errors
    /// [`CompactError::Text`] and [`CompactError::Number`] beyond the bounds; what was appended is not whole then.
    pub fn encode(&self, to: &mut Vec<u8>) -> Result<(), CompactError> {
        match self {
            Self::Subscribed { number: called, seq, channel } => {
                to.push(1);
                number(to, *called);
                number(to, *seq);
                text(to, channel.as_str(), MAX_LINE)
            }
            Self::Frame { number, frame } => tell_frame(to, *number, frame, Words::ALL),
            Self::Json { number: called, seq, at_ms, data } => {
                to.push(3);
                number(to, *called);
                number(to, *seq);
                number(to, at_ms.checked_sub(EPOCH_MS).ok_or(CompactError::Number)?);
                text(to, data, MAX_JSON)
            }
            Self::Gap { number: called, gap } => {
                to.push(4);
                [*called, gap.from, gap.to].into_iter().for_each(|value| number(to, value));
                Ok(())
            }
            Self::Refused { channel, problem } => {
                to.push(5);
                text(to, channel.as_str(), MAX_LINE)?;
                text(to, problem, MAX_JSON)
            }
            Self::Answer { name, status, body, versions } => {
                to.push(if versions.is_some() { 9 } else { 6 });
                text(to, name, MAX_LINE)?;
                number(to, *status);
                text(to, body, MAX_JSON)?;
                versions.iter().try_for_each(|versions| text(to, versions, MAX_JSON))
            }
            Self::Problem { problem } => {
                to.push(7);
                text(to, problem, MAX_JSON)
            }
            Self::Aside { number: called, data } => {
                to.push(8);
                number(to, *called);
                text(to, data, MAX_JSON)
            }
        }
    }

    /// Reads what bytes begin with, and what follows it.
    ///
    /// # Errors
    /// [`CompactError::Short`] when they end within it; the others when it is none.
    pub fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), CompactError> {
        let mut rest = Rest(bytes);
        let kind = rest.byte()?;
        let told = match kind {
            1 => Self::Subscribed { number: rest.number()?, seq: rest.number()?, channel: rest.channel()? },
            2 => Self::Frame { number: rest.number()?, frame: rest.frame()? },
            3 => {
                let (number, seq, when) = (rest.number()?, rest.number()?, rest.number()?);
                let at_ms = when.checked_add(EPOCH_MS).ok_or(CompactError::Number)?;
                Self::Json { number, seq, at_ms, data: rest.text(MAX_JSON)? }
            }
            4 => {
                let (number, from, to) = (rest.number()?, rest.number()?, rest.number()?);
                Self::Gap { number, gap: Gap { from, to } }
            }
            5 => Self::Refused { channel: rest.channel()?, problem: rest.text(MAX_JSON)? },
            6 | 9 => Self::Answer {
                name: rest.text(MAX_LINE)?,
                status: rest.number()?,
                body: rest.text(MAX_JSON)?,
                versions: (kind == 9).then(|| rest.text(MAX_JSON)).transpose()?,
            },
            7 => Self::Problem { problem: rest.text(MAX_JSON)? },
            8 => Self::Aside { number: rest.number()?, data: rest.text(MAX_JSON)? },
            _ => return Err(CompactError::Kind),
        };
        Ok((told, rest.0))
    }
}

impl Rest<'_> {
    /// Flags, of those that there are.
    fn flags(&mut self, known: u8) -> Result<u8, CompactError> {
        self.byte().and_then(|flags| if flags & !known == 0 { Ok(flags) } else { Err(CompactError::Kind) })
    }

    fn channel(&mut self) -> Result<Tag, CompactError> {
        Tag::new(self.text(MAX_LINE)?).map_err(|_| CompactError::Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn said() -> impl Strategy<Value = Said> {
        let word = || ".{0,20}";
        let channel = || "[a-z:]{1,20}".prop_map(|name| Tag::new(name).unwrap());
        prop_oneof![
            (channel(), any::<Option<u64>>(), prop::option::of(word()))
                .prop_map(|(channel, after, token)| Said::Subscribe { channel, after, token }),
            channel().prop_map(|channel| Said::Unsubscribe { channel }),
            word().prop_map(|token| Said::Authorize { token }),
            ([word(), word(), word()], [(); 4].map(|()| prop::option::of(word()))).prop_map(
                |([name, method, path], [body, key, admission, at_least])| Said::Call {
                    name,
                    method,
                    path,
                    body,
                    key,
                    admission,
                    at_least
                }
            ),
        ]
    }

    fn told() -> impl Strategy<Value = Told> {
        let (word, n) = (|| ".{0,20}", any::<u64>);
        let channel = || "[a-z:]{1,20}".prop_map(|name| Tag::new(name).unwrap());
        prop_oneof![
            (n(), n(), channel()).prop_map(|(number, seq, channel)| Told::Subscribed {
                number,
                seq,
                channel
            }),
            (n(), n(), EPOCH_MS..=u64::MAX, word()).prop_map(|(number, seq, at_ms, data)| Told::Json {
                number,
                seq,
                at_ms,
                data
            }),
            (n(), n(), n()).prop_map(|(number, from, to)| Told::Gap { number, gap: Gap { from, to } }),
            (channel(), word()).prop_map(|(channel, problem)| Told::Refused { channel, problem }),
            (word(), n(), word(), prop::option::of(word()))
                .prop_map(|(name, status, body, versions)| Told::Answer { name, status, body, versions }),
            word().prop_map(|problem| Told::Problem { problem }),
            (n(), word()).prop_map(|(number, data)| Told::Aside { number, data }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_said_reads_back_and_is_not_all_there_when_cut(said in said(), told in told()) {
            let (mut one, mut other) = (vec![], vec![]);
            said.encode(&mut one).unwrap();
            told.encode(&mut other).unwrap();
            prop_assert_eq!(Said::decode(&one[..one.len() - 1]), Err(CompactError::Short));
            prop_assert_eq!(Told::decode(&other[..other.len() - 1]), Err(CompactError::Short));
            prop_assert_eq!(Said::decode(&one), Ok((said, &[][..])));
            prop_assert_eq!(Told::decode(&other), Ok((told, &[][..])));
        }
    }
}
