//! Private servers for tests, of this crate and of the end-to-end stories: each on a free loopback port, in a temporary
//! folder, gone with the value that started it (and with the test's process, should it be killed).
//!
//! A missing program is a failure that names its Debian package; nothing is skipped.
//! Beside them is what tests look at folders with.

mod folder;
mod postgres;
mod redis;
mod s3;
mod server;

pub use folder::names;
pub use postgres::Postgres;
pub use redis::Redis;
pub use s3::S3;
