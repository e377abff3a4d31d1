//! What happens in a conversation, in few bytes: a message of 40 characters in at most 70.
//!
//! ```text
//! frame    = head seq when body               each frame says where it ends; frames follow one another
//! head     = 1 byte: kind in the low four bits; 16: client id follows, 32: name follows, 64: there is more to fetch
//! seq      = varint
//! when     = varint of milliseconds since 2024; a message's: zigzag varint of milliseconds after its id was made
//! id       = 8 bytes, the first highest       account = the same
//! text     = varint of bytes, UTF-8
//! message  = id account [text: client id] [text: name] text
//! edit     = id account text                  delete = id account
//! reaction = id account 0|1 [text: name] text: emoji
//! receipt  = account varint: delivered varint: read
//! ```
//!
//! There is one form for each frame: what reads back is, written again, the same bytes.

use super::bytes::{CompactError, Rest, number, text};
use crate::id::{AccountId, ENTROPY_BITS, EPOCH_MS, MAX};

/// Bytes of a text: 4,000 characters of four.
pub const MAX_TEXT: usize = 16_000;
/// Bytes of a client id, a name and an emoji.
pub const MAX_WORD: usize = 256;

const KINDS: u8 = 15;
const CLIENT_ID: u8 = 16;
const NAME: u8 = 32;
const MORE: u8 = 64;

/// A change, under its seq.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its place in the conversation.
    pub seq: u64,
    /// When it happened, in Unix milliseconds from 2024 on.
    pub at_ms: u64,
    /// What it was.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Something was said.
    Message {
        /// The message's number, below 2^63.
        id: u64,
        /// Its author.
        from: AccountId,
        /// The device's own id for it, for devices of its author.
        client_id: Option<String>,
        /// The author's name, for who does not know it; neither it nor the client id has more than 256 bytes.
        name: Option<String>,
        /// What it says; at most 16,000 bytes.
        text: String,
        /// True when there is more than a frame carries, such as attachments: fetch it.
        more: bool,
    },
    /// It says something else now.
    Edit {
        /// The message's number.
        id: u64,
        /// Who did it.
        by: AccountId,
        /// What it says.
        text: String,
    },
    /// It says nothing any more.
    Delete {
        /// The message's number.
        id: u64,
        /// Who did it.
        by: AccountId,
    },
    /// An emoji was put on it, or taken off.
    Reaction {
        /// The message's number.
        id: u64,
        /// Who did it.
        by: AccountId,
        /// True when it was put on.
        on: bool,
        /// The name of who did it, for who does not know it; at most 256 bytes.
        name: Option<String>,
        /// The emoji; at most 256 bytes.
        emoji: String,
    },
    /// An account has come this far.
    Receipt {
        /// Whose devices.
        account: AccountId,
        /// The last seq that one has.
        delivered: u64,
        /// The last that was read.
        read: u64,
    },
}

/// Which of the words that a reader may know already are written: those that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words {
    /// The device's own id of a message.
    pub client_id: bool,
    /// The name of who said or did it.
    pub name: bool,
}

impl Words {
    /// All that there are.
    pub const ALL: Self = Self { client_id: true, name: true };
}

impl Frame {
    /// Appends the frame to bytes.
    ///
    /// # Errors
    /// [`CompactError::Text`] and [`CompactError::Number`] beyond the bounds of the fields; nothing was appended then.
    pub fn encode(&self, to: &mut Vec<u8>) -> Result<(), CompactError> {
        self.encode_with(to, Words::ALL)
    }

    /// The same, without the words that its reader knows.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_with(&self, to: &mut Vec<u8>, words: Words) -> Result<(), CompactError> {
        let mut out = Vec::with_capacity(64);
        let (head, id) = self.what.head(words);
        out.push(head);
        number(&mut out, self.seq);
        if id.is_some_and(|id| id > MAX) {
            return Err(CompactError::Number);
        }
        let after = match &self.what {
            What::Message { id, .. } => zigzag(self.at_ms.wrapping_sub(made_ms(*id)).cast_signed()),
            _ => self.at_ms.checked_sub(EPOCH_MS).ok_or(CompactError::Number)?,
        };
        number(&mut out, after);
        self.what.body(&mut out, words)?;
        to.append(&mut out);
        Ok(())
    }

    /// Reads the frame that bytes begin with; it, and what follows it.
    ///
    /// # Errors
    /// [`CompactError::Short`] when they end within it; the others when there is none.
    pub fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), CompactError> {
        let mut rest = Rest(bytes);
        let frame = rest.frame()?;
        Ok((frame, rest.0))
    }
}

impl What {
    /// Who did it, and the name that is told with it.
    #[must_use]
    pub fn by(&self) -> (AccountId, Option<&str>) {
        match self {
            Self::Message { from, name, .. } => (*from, name.as_deref()),
            Self::Reaction { by, name, .. } => (*by, name.as_deref()),
            Self::Edit { by, .. } | Self::Delete { by, .. } => (*by, None),
            Self::Receipt { account, .. } => (*account, None),
        }
    }

    /// The first byte, and the message's number.
    fn head(&self, words: Words) -> (u8, Option<u64>) {
        let flag = |is: bool, flag: u8| if is { flag } else { 0 };
        match self {
            Self::Message { id, client_id, name, more, .. } => {
                let own = flag(words.client_id && client_id.is_some(), CLIENT_ID);
                let named = flag(words.name && name.is_some(), NAME);
                (1 | own | named | flag(*more, MORE), Some(*id))
            }
            Self::Edit { id, .. } => (2, Some(*id)),
            Self::Delete { id, .. } => (3, Some(*id)),
            Self::Reaction { id, name, .. } => (4 | flag(words.name && name.is_some(), NAME), Some(*id)),
            Self::Receipt { .. } => (5, None),
        }
    }

    fn body(&self, out: &mut Vec<u8>, words: Words) -> Result<(), CompactError> {
        let ids = |out: &mut Vec<u8>, id: u64, who: AccountId| {
            out.extend(id.to_be_bytes());
            out.extend(who.as_u64().to_be_bytes());
        };
        match self {
            Self::Message { id, from, client_id, name, text: said, .. } => {
                ids(out, *id, *from);
                let client_id = client_id.as_ref().filter(|_| words.client_id);
                let name = name.as_ref().filter(|_| words.name);
                for word in [client_id, name].into_iter().flatten() {
                    text(out, word, MAX_WORD)?;
                }
                text(out, said, MAX_TEXT)?;
            }
            Self::Edit { id, by, text: said } => {
                ids(out, *id, *by);
                text(out, said, MAX_TEXT)?;
            }
            Self::Delete { id, by } => ids(out, *id, *by),
            Self::Reaction { id, by, on, name, emoji } => {
                ids(out, *id, *by);
                out.push(u8::from(*on));
                if let Some(name) = name.as_ref().filter(|_| words.name) {
                    text(out, name, MAX_WORD)?;
                }
                text(out, emoji, MAX_WORD)?;
            }
            Self::Receipt { account, delivered, read } => {
                out.extend(account.as_u64().to_be_bytes());
                number(out, *delivered);
                number(out, *read);
            }
        }
        Ok(())
    }
}

const fn made_ms(id: u64) -> u64 {
    (id >> ENTROPY_BITS) + EPOCH_MS
}

const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

const fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

impl Rest<'_> {
    pub(super) fn frame(&mut self) -> Result<Frame, CompactError> {
        let head = self.byte()?;
        let (seq, when) = (self.number()?, self.number()?);
        let what = self.what(head)?;
        let at_ms = match &what {
            What::Message { id, .. } => made_ms(*id).wrapping_add(unzigzag(when).cast_unsigned()),
            _ => when.checked_add(EPOCH_MS).ok_or(CompactError::Number)?,
        };
        Ok(Frame { seq, at_ms, what })
    }

    fn what(&mut self, head: u8) -> Result<What, CompactError> {
        let (kind, flags) = (head & KINDS, head & !KINDS);
        let has = match kind {
            1 => CLIENT_ID | NAME | MORE,
            4 => NAME,
            _ => 0,
        };
        if flags & !has != 0 {
            return Err(CompactError::Kind);
        }
        match kind {
            1 => {
                let (id, from) = (self.id()?, self.account()?);
                let mut word = |flag| (flags & flag != 0).then(|| self.text(MAX_WORD)).transpose();
                let (client_id, name) = (word(CLIENT_ID)?, word(NAME)?);
                let text = self.text(MAX_TEXT)?;
                Ok(What::Message { id, from, client_id, name, text, more: flags & MORE != 0 })
            }
            2 => Ok(What::Edit { id: self.id()?, by: self.account()?, text: self.text(MAX_TEXT)? }),
            3 => Ok(What::Delete { id: self.id()?, by: self.account()? }),
            4 => {
                let (id, by, on) = (self.id()?, self.account()?, self.byte()?);
                let on = if on > 1 { return Err(CompactError::Number) } else { on == 1 };
                let name = (flags & NAME != 0).then(|| self.text(MAX_WORD)).transpose()?;
                Ok(What::Reaction { id, by, on, name, emoji: self.text(MAX_WORD)? })
            }
            5 => {
                let account = self.account()?;
                Ok(What::Receipt { account, delivered: self.number()?, read: self.number()? })
            }
            _ => Err(CompactError::Kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn account() -> impl Strategy<Value = AccountId> {
        (0..=MAX).prop_map(|number| AccountId::from_u64(number).unwrap())
    }

    fn what() -> impl Strategy<Value = What> {
        let word = || prop::option::of(".{0,20}");
        prop_oneof![
            (0..=MAX, account(), word(), word(), ".{0,80}", any::<bool>()).prop_map(
                |(id, from, client_id, name, text, more)| {
                    What::Message { id, from, client_id, name, text, more }
                }
            ),
            (0..=MAX, account(), ".{0,80}").prop_map(|(id, by, text)| What::Edit { id, by, text }),
            (0..=MAX, account()).prop_map(|(id, by)| What::Delete { id, by }),
            (0..=MAX, account(), any::<bool>(), word(), ".{0,8}")
                .prop_map(|(id, by, on, name, emoji)| What::Reaction { id, by, on, name, emoji }),
            (account(), any::<u64>(), any::<u64>()).prop_map(|(account, delivered, read)| What::Receipt {
                account,
                delivered,
                read
            }),
        ]
    }

    proptest! {
        #[test]
        fn frames_read_back_one_after_another(
            frames in prop::collection::vec((any::<u64>(), EPOCH_MS..=u64::MAX, what()), 1..4),
        ) {
            let frames: Vec<Frame> =
                frames.into_iter().map(|(seq, at_ms, what)| Frame { seq, at_ms, what }).collect();
            let mut bytes = vec![];
            frames.iter().for_each(|frame| frame.encode(&mut bytes).unwrap());
            let mut rest = &bytes[..];
            for frame in &frames {
                let (read, more) = Frame::decode(rest).unwrap();
                prop_assert_eq!(&read, frame);
                // Cut anywhere, it is not all there.
                let whole = rest.len() - more.len();
                prop_assert_eq!(Frame::decode(&rest[..whole - 1]), Err(CompactError::Short));
                rest = more;
            }
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn what_reads_is_written_alike(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Ok((frame, rest)) = Frame::decode(&bytes) {
                let mut again = vec![];
                frame.encode(&mut again).unwrap();
                prop_assert_eq!(&again[..], &bytes[..bytes.len() - rest.len()]);
            }
        }
    }

    #[test]
    fn what_a_reader_knows_is_left_out() {
        let id = AccountId::from_parts(EPOCH_MS + 9, 1);
        let said = |client_id: Option<&str>, name: Option<&str>| What::Message {
            id: id.as_u64(),
            from: id,
            client_id: client_id.map(str::to_owned),
            name: name.map(str::to_owned),
            text: "x".into(),
            more: false,
        };
        let frame = |what| Frame { seq: 1, at_ms: EPOCH_MS + 9, what };
        let mut bytes = vec![];
        let words = Words { client_id: false, name: true };
        frame(said(Some("c"), Some("ann"))).encode_with(&mut bytes, words).unwrap();
        assert_eq!(Frame::decode(&bytes), Ok((frame(said(None, Some("ann"))), &[][..])));
    }

    #[test]
    fn a_message_of_forty_characters_has_at_most_seventy_bytes() {
        let made = 1_900_000_000_000;
        let id = AccountId::from_parts(made, 0x1f_ffff);
        let what = What::Message {
            id: id.as_u64(),
            from: id,
            client_id: None,
            name: None,
            text: "x".repeat(40),
            more: false,
        };
        let mut bytes = vec![];
        // The hundred-millionth change, written half a second after its id was made.
        Frame { seq: 100_000_000, at_ms: made + 500, what }.encode(&mut bytes).unwrap();
        assert!(bytes.len() <= 70, "{}", bytes.len());
    }
}
