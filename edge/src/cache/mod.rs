//! The cache: what may be kept and for how long, what is kept, and how it gets there.

mod body;
mod fill;
mod freshness;
mod object;
mod store;

pub(crate) use body::Growing;
pub(crate) use fill::{Filled, Fills, Permit};
pub(crate) use freshness::Lifetimes;
pub(crate) use object::{FeedMark, Object, Standing};
pub(crate) use store::{Key, Store};
