//! What the origin and its apps share.
//!
//! - [`ApiError`]: every failure of a handler, as a problem that a client can act on
//! - [`cache`]: the header fields of public answers: tags, versions, lifetimes
//! - [`Page`]: keyset paging
//!
//! The write path is [`sluice_storage::Database::write`] with [`sluice_storage::Tx::emit`]; an answer to a write carries
//! the version it made ([`cache::version`]).

pub mod cache;
mod error;
mod page;

pub use error::ApiError;
pub use page::Page;
