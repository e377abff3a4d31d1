//! Waiting rooms, between origin and edge: what a room guards, who has a place in it, and who is let in.
//!
//! An origin opens a room in front of something scarce and says so in the log (an event's data, under `room`). Edges hold the
//! crowd: each gives out *tickets* of its own, signed with the room's secret, and asks an origin for *admissions*, a handful
//! of tickets at a time. An admission is a token of the origin (EdDSA) that names its room and its ticket; it is good once.
//!
//! ```text
//! edge -> origin   GET /v1/rooms                          a Room a line
//!                  POST /v1/rooms/NAME/admissions         Ask -> Given
//! client -> edge   POST /v1/rooms/NAME/tickets            GET /v1/rooms/NAME/tickets/TICKET
//!                  Sluice-Admission: TOKEN                on what the room guards
//! ```

use crate::event::Event;
use crate::tag::{Tag, Version};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::fmt;

/// Where an origin is asked for the rooms that are open: newline-delimited JSON, a [`Room`] each. What is asked of a room is
/// below it.
pub const PATH: &str = "/v1/rooms";
/// Where an event's data has what is said of a room.
pub const ROOM: &str = "room";
/// Rooms that are open at a time: each is a sale.
pub const MAX_ROOMS: usize = 64;
/// Tickets in one [`Ask`], and so admissions in one answer.
pub const MAX_ASK: usize = 128;
/// Admissions that one request may bring: an order is of few rooms.
const MAX_BROUGHT: usize = 8;
/// Bytes of a room's name.
pub const MAX_NAME: usize = 64;
/// Bytes of a signed ticket's beginning: the ticket itself.
const TICKET: usize = 16;
/// Bytes of its signature: an HMAC-SHA-256, cut in half (RFC 2104 section 5).
const SIGNATURE: usize = 16;

/// The admissions that a request brings, out of its [`SLUICE_ADMISSION`](crate::headers::SLUICE_ADMISSION) fields: eight at the
/// most, what comes after them is not looked at.
pub fn brought<'a>(fields: impl Iterator<Item = &'a str>) -> impl Iterator<Item = &'a str> {
    let tokens = fields.flat_map(|field| field.split(',')).map(str::trim);
    tokens.filter(|token| !token.is_empty()).take(MAX_BROUGHT)
}

/// The tag that tells of a room; also the name in its admissions.
#[must_use]
pub fn tag(name: &str) -> Option<Tag> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let good = (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(plain);
    Tag::new(format!("room:{name}")).ok().filter(|_| good)
}

/// Where an origin is asked for admissions to a room.
#[must_use]
pub fn admissions(name: &str) -> String {
    format!("{PATH}/{name}/admissions")
}

/// What a room guards: a POST to this path whose JSON document has this text among its strings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guard {
    /// The path, in its one spelling.
    pub path: String,
    /// The text.
    pub word: String,
}

/// What an origin says of a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// False when it is closed, and what it guarded is not guarded any more.
    pub open: bool,
    /// When it was opened, in Unix milliseconds: another time is another room, whose tickets begin anew.
    pub opened_ms: u64,
    /// Units that can be had. It is told when there are none, when there are some again, and on the way down each time they
    /// are half of what they were.
    pub left: u64,
    /// What it guards.
    pub guard: Guard,
}

impl Said {
    /// What an event says of a room, if it does: the room's name, and what is said of it.
    #[must_use]
    pub fn of_event(event: &Event) -> Option<(String, Self)> {
        let said = serde_json::from_value(event.data.get(ROOM)?.clone()).ok()?;
        let name = event.tag.as_str().strip_prefix("room:")?;
        Some((name.to_owned(), said))
    }
}

/// A room that is open, as an origin lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// Its name.
    pub name: String,
    /// The version of its tag, which this reflects at least.
    pub version: Version,
    /// What is said of it.
    #[serde(flatten)]
    pub said: Said,
    /// What its tickets are signed with. Edges alone are told.
    pub secret: String,
}

/// Asks for admissions for tickets, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Of the opening that is meant.
    pub opened_ms: u64,
    /// At most [`MAX_ASK`].
    pub tickets: Vec<Ticket>,
}

/// Who is let in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// The version of the room's tag, which this reflects at least; 0 where an origin does not say.
    #[serde(default)]
    pub version: Version,
    /// Units that can be had now.
    pub left: u64,
    /// For a beginning of the tickets that were asked for; the others wait.
    pub admissions: Vec<Admission>,
    /// Tickets that were let in before, and have used it.
    pub used: Vec<Ticket>,
}

/// A ticket that is let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    /// The ticket.
    pub ticket: Ticket,
    /// What its holder brings, in [`SLUICE_ADMISSION`](crate::headers::SLUICE_ADMISSION).
    pub token: String,
    /// Until when it is good, in Unix milliseconds.
    pub until_ms: u64,
}

/// A place in a line. Tickets of one edge are ordered as they were given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Ticket {
    /// When it was given, in Unix milliseconds; never before the one before it.
    pub at_ms: u64,
    /// Which it is of those that a process gives.
    pub n: u32,
    /// Which process gave it: chance.
    pub giver: u32,
}

/// Why a text is no ticket of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no ticket of this room")]
pub struct TicketError;

impl Ticket {
    fn bytes(self) -> [u8; TICKET] {
        let mut bytes = [0; TICKET];
        bytes[..8].copy_from_slice(&self.at_ms.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.n.to_be_bytes());
        bytes[12..].copy_from_slice(&self.giver.to_be_bytes());
        bytes
    }

    fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let (at_ms, rest) = bytes.split_first_chunk()?;
        let (n, rest) = rest.split_first_chunk()?;
        let giver = u32::from_be_bytes(rest.try_into().ok()?);
        Some(Self { at_ms: u64::from_be_bytes(*at_ms), n: u32::from_be_bytes(*n), giver })
    }

    /// The ticket as its holder keeps it, signed with a room's secret: 32 bytes in base64url, of which half are an HMAC-SHA-256 that
    /// is cut in half (RFC 2104 section 5).
    #[must_use]
    pub fn sign(self, secret: &str, room: &str) -> String {
        let mac = self.mac(secret, room).finalize().into_bytes();
        BASE64_URL_SAFE_NO_PAD.encode([&self.bytes()[..], &mac[..SIGNATURE]].concat())
    }

    /// The ticket of a room that its holder shows.
    ///
    /// # Errors
    /// [`TicketError`] for anything else, and for one of another opening, whose secret is another.
    pub fn verify(text: &str, secret: &str, room: &str) -> Result<Self, TicketError> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| TicketError)?;
        if bytes.len() != TICKET + SIGNATURE {
            return Err(TicketError);
        }
        let (ticket, signature) = bytes.split_at(TICKET);
        let ticket = Self::of_bytes(ticket).ok_or(TicketError)?;
        let good = ticket.mac(secret, room).verify_truncated_left(signature);
        good.map(|()| ticket).map_err(|_| TicketError)
    }

    fn mac(self, secret: &str, room: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length");
        mac.update(&self.bytes());
        mac.update(room.as_bytes());
        mac
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(self.bytes()))
    }
}

impl From<Ticket> for String {
    fn from(ticket: Ticket) -> Self {
        ticket.to_string()
    }
}

impl TryFrom<String> for Ticket {
    type Error = TicketError;

    fn try_from(text: String) -> Result<Self, TicketError> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| TicketError)?;
        Self::of_bytes(&bytes).filter(|_| bytes.len() == TICKET).ok_or(TicketError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn an_event_says_what_becomes_of_a_room() {
        let guard = Guard { path: "/v1/x".into(), word: "w".into() };
        let said = Said { open: true, opened_ms: 7, left: 3, guard };
        let data = json!({ "room": said });
        let (tag, kind) = (tag("shop.1").unwrap(), crate::EventKind::Changed);
        let mut event = Event { seq: 1, tag, version: Version(2), kind, at_ms: 9, data };
        assert_eq!(Said::of_event(&event), Some(("shop.1".into(), said)));
        event.data = json!({ "room": { "open": true } });
        assert_eq!(Said::of_event(&event), None);
    }

    #[test]
    fn an_answer_without_a_version_is_read_too() {
        let given: Given =
            serde_json::from_value(json!({ "left": 3, "admissions": [], "used": [] })).unwrap();
        assert_eq!(given, Given { left: 3, ..Given::default() });
    }

    #[test]
    fn a_request_brings_few_admissions_in_one_field_or_several() {
        assert!(brought(["a, b", "", " c ,,"].into_iter()).eq(["a", "b", "c"]));
        assert_eq!(brought(["x,".repeat(100).as_str()].into_iter()).count(), MAX_BROUGHT);
    }

    #[test]
    fn names_are_short_and_plain() {
        assert_eq!(tag("shop.A-1_b").unwrap().as_str(), "room:shop.A-1_b");
        for bad in ["", "a:b", "a/b", "a b", &"x".repeat(MAX_NAME + 1)] {
            assert_eq!(tag(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_ticket_is_its_rooms_and_nobody_elses(at_ms: u64, n: u32, giver: u32, at in 0..43_usize) {
            let ticket = Ticket { at_ms, n, giver };
            let shown = ticket.sign("secret", "a");
            prop_assert_eq!(Ticket::verify(&shown, "secret", "a"), Ok(ticket));
            prop_assert_eq!(Ticket::verify(&shown, "other", "a"), Err(TicketError));
            prop_assert_eq!(Ticket::verify(&shown, "secret", "b"), Err(TicketError));
            prop_assert_eq!(Ticket::try_from(ticket.to_string()), Ok(ticket));
            let mut bytes = shown.into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(bytes).unwrap();
            prop_assert_eq!(Ticket::verify(&forged, "secret", "a"), Err(TicketError));
        }

        #[test]
        fn any_text_is_judged(text in ".{0,60}") {
            prop_assert!(Ticket::verify(&text, "secret", "a").is_err());
        }
    }
}
