//! The cache: what may be kept and for how long, what is kept, and how it gets there.
//!
//! - `directives`, `date`, `freshness`, `vary`, `search`: pure functions of fields
//! - `body`: bodies that are read while they grow; `object`: a kept answer
//! - `slicing`: what is kept in slices
//! - [`policy`]: what gives way to what; `key` and `store`: what is kept, by key; `fill`: one fetch for a missing key

mod body;
mod date;
mod directives;
mod fill;
mod freshness;
mod key;
mod object;
pub mod policy;
pub(crate) mod search;
pub(crate) mod slicing;
mod store;
mod vary;

pub(crate) use body::Growing;
pub(crate) use date::parse as parse_date;
pub(crate) use directives::{Directives, Scope};
pub(crate) use fill::{Fill, Filled, Fills, Permit};
#[cfg(test)]
pub(crate) use freshness::tests::POLICY;
pub(crate) use freshness::{Lifetimes, Policy, Window};
pub(crate) use key::Key;
pub(crate) use object::{FeedMark, Head, Object, Rendered, Source, Standing};
pub(crate) use store::{Found, Gone, Store};
pub(crate) use vary::{fields as vary_fields, selection, varies_by};
