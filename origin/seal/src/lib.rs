//! Seals what is delivered: pure functions of clear bytes and a content key. No store, no clock, no socket.
//!
//! ```text
//! secret, video, scope, period -> content key and its id
//! segment, key, number         -> AES-128 over the whole segment (RFC 8216bis)
//! header, key id               -> the header that says what is encrypted (ISO/IEC 23001-7)
//! header, segment, key         -> the segment with parts of its samples encrypted
//! ```
//!
//! - [`keys`]: content keys derived from master secrets
//! - [`whole`]: AES-128; [`cbcs`]: common encryption by patterns
//!
//! What it leaves to others: who may have a key, which segment is of which period, fetching and keeping (the origin).

pub mod cbcs;
pub mod keys;
pub mod whole;

pub use keys::{ContentKey, Scope, Secrets, SecretsError};
