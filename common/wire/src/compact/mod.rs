//! What happens in a conversation, in few bytes, and a socket that speaks so.
//!
//! - `frame`: a change of a conversation; `bytes`: what it is made of
//! - `json`: the same change as the live channel's JSON says it
//! - [`talk`]: what a client and an edge say to each other over a socket with the subprotocol [`talk::PROTOCOL`]
//!
//! What is read is bounded, and there is one form for everything: what reads back is, written again, the same bytes.

mod bytes;
mod frame;
mod json;
pub mod talk;

pub use bytes::CompactError;
pub use frame::{Frame, MAX_TEXT, MAX_WORD, What, Words};
