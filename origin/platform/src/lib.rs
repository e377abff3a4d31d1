//! What the origin and its apps share.
//!
//! - [`Ground`]: what an app stands on; [`Caller`]: the account that asks; [`once`]: requests that are answered once
//! - [`ApiError`]: every failure of a handler, as a problem that a client can act on
//! - [`description`]: an app's description, with what all routes share
//! - [`cache`]: the header fields of public answers: tags, versions, lifetimes
//! - [`given`]: a representation to who asks for it, for a part of it, or whether it is still what they have
//! - [`Page`]: keyset paging
//! - [`is_local_path`]: paths of this host that clients name
//! - [`while_due`]: what is kept until a time goes then; [`remove`]: with its objects
//! - [`rooms`]: waiting rooms in front of what is scarce
//! - `testing` (a feature): an app alone in a process
//! - [`Hub`]: the log as a process sees it; [`Channels`]: what edges are told of it as it happens
//!
//! The write path is [`sluice_storage::Database::write`] with [`sluice_storage::Tx::emit`]; an answer to a write carries
//! the version it made ([`cache::version`]).

mod accounts;
pub mod cache;
mod channels;
mod describe;
mod due;
mod error;
mod given;
mod ground;
mod hub;
mod local;
pub mod once;
mod page;
pub mod rooms;
mod schema;
#[cfg(feature = "testing")]
pub mod testing;

pub use accounts::{Accounts, AccountsConfig, Caller, Known, SessionId};
pub use channels::Channels;
pub use describe::description;
pub use due::{remove, while_due};
pub use error::ApiError;
pub use given::given;
pub use ground::Ground;
pub use hub::Hub;
pub use local::is_local_path;
pub use page::Page;
pub use schema::SCHEMA;
