//! Tokens and signed URLs: what they say, apart from who signed them.
//!
//! Signatures are checked by who holds keys (the edge) and made by who mints (the command line, an origin); the claims, the
//! text that is signed and the one spelling of a path are here, so that all sides agree.
//!
//! - [`grant`]: what a credential allows, and whether it allows a request; [`refusal`]: every reason why not
//! - [`jwt`]: header and claims of a JSON Web Token (RFC 7519); [`cat`]: claims of a Common Access Token (CTA-5007)
//! - [`revoked`]: whose tokens are refused though they are good
//! - [`mint`]: making them with a private key
//! - [`uri`]: matching parts of a URI; [`signed`]: signed URLs; [`path`]: the spelling that rules and tokens are about

pub mod cat;
pub mod grant;
pub mod jwt;
pub mod mint;
pub mod path;
pub mod refusal;
pub mod revoked;
pub mod signed;
pub mod uri;

pub use grant::{Grant, Question};
pub use refusal::Refusal;
pub use revoked::Revocations;

/// Seconds by which clocks of whoever mints and whoever checks may differ (the leeway of RFC 7519 section 4.1.4).
pub const CLOCK_SLACK_S: u64 = 60;
/// Bytes of a token. A header field of 8 KiB is the usual limit; a token with dozens of claims has 1 to 2 KiB.
pub const MAX_TOKEN: usize = 4_096;
/// Members of any list in a token: paths, methods, countries, audiences.
pub const MAX_LIST: usize = 64;
/// Bytes of a key's id.
pub const MAX_KEY_ID: usize = 128;
