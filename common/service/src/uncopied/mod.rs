//! Bodies that go to a socket without passing through this process: pages of memory, or of the kernel's cache of a file.
//!
//! - [`Arena`]: memory for large bodies; `extents` are its parts
//! - [`InFile`]: a body that is part of a file
//! - `splice`: the way of both through a pipe
//!
//! Both are for connections without TLS; over the others a body's bytes are read as ever.

mod arena;
mod extents;
mod in_file;
mod splice;

pub use arena::Arena;
pub use in_file::{Filed, InFile};
pub(crate) use splice::{Spliced, splice, splice_file};

/// Bodies from this size on are worth it: below, a copy costs no more than the calls that save it (equal at 256 KiB, a third
/// less at 1 MiB).
const LEAST: u64 = 256 << 10;
