//! Fuzz targets: what reads bytes from outside, and what must hold whatever the bytes are.
//!
//! A target is a function of bytes that panics when something does not hold; readers that are private to a crate are held
//! to their word in that crate's `fuzzing`. libFuzzer runs each target without end (`make fuzz`, `targets/`), and
//! `tests/bounded.rs` runs each on its seeds and on mutations of them that are the same every time. An input that once
//! showed a fault becomes a seed (`seeds/TARGET/`).

mod boxes;
mod compact;
mod fields;
mod frames;
pub mod mutate;
mod names;
mod players;
mod routes;
mod sealing;
mod texts;
mod tokens;

pub use boxes::boxes;
pub use compact::compact;
pub use fields::fields;
pub use frames::frames;
pub use names::names;
pub use players::{records, steering};
pub use routes::routes;
pub use sealing::sealing;
pub use sluice_edge::fuzzing::{
    cache_control, cache_status, credentials, hops, no_vary_search, ranges, target, vary,
};
pub use sluice_origin::fuzzing::{outbound, tus};
pub use sluice_service::fuzzing::{chunks, gate, head, proxied};
pub use texts::text;
pub use tokens::tokens;

use std::borrow::Cow;

/// A text, and what follows its first line's end.
fn lines(bytes: &[u8]) -> (Cow<'_, str>, Cow<'_, str>) {
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let mut next = || String::from_utf8_lossy(parts.next().unwrap_or_default());
    (next(), next())
}
