//! A body that is part of a file.

use super::LEAST;
use nix::libc;
use std::fmt::Debug;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;

/// Whoever has the file, and wants to know what becomes of it.
pub trait Filed: Debug + Send + Sync {
    /// The file, open for reading.
    fn file(&self) -> BorrowedFd<'_>;
    /// So many bytes of it went out.
    fn sent(&self, bytes: u64);
    /// It cannot be read.
    fn failed(&self, error: &io::Error);
}

/// An extension of answers whose body is just this part of a file: where nobody must see the bytes, they go from the
/// kernel's cache to the socket. Elsewhere the body is read.
#[derive(Debug, Clone)]
pub struct InFile {
    pub(super) file: Arc<dyn Filed>,
    pub(super) from: u64,
    pub(super) to: u64,
}

impl InFile {
    /// The bytes from `from` to before `to`. `None` when there are too few to be worth it, or when the kernel has not all of
    /// them in its cache: nobody waits for a disk here.
    #[must_use]
    pub fn cached(file: Arc<dyn Filed>, from: u64, to: u64) -> Option<Self> {
        let worth = to.saturating_sub(from) >= LEAST;
        (worth && is_cached(file.file(), from, to)).then_some(Self { file, from, to })
    }

    pub(crate) const fn length(&self) -> u64 {
        self.to - self.from
    }

    /// So many bytes went out: what is left.
    pub(crate) fn advance(&mut self, sent: usize) {
        self.from += sent as u64;
        self.file.sent(sent as u64);
    }
}

/// `cachestat` (Linux 6.5), on every architecture.
const CACHESTAT: libc::c_long = 451;
/// The smallest page there is: with larger ones the check is stricter than it must be, and such bodies are read.
const PAGE: u64 = 4 << 10;

#[repr(C)]
struct CacheRange {
    offset: u64,
    length: u64,
}

#[repr(C)]
#[derive(Default)]
struct CacheStat {
    cached: u64,
    dirty: u64,
    writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

/// True when all of a range is in the kernel's cache; false also where the kernel cannot tell.
fn is_cached(file: BorrowedFd<'_>, from: u64, to: u64) -> bool {
    let range = CacheRange { offset: from, length: to - from };
    let stat = cachestat(file, &range).unwrap_or_default();
    stat.cached >= to.div_ceil(PAGE) - from / PAGE
}

#[expect(unsafe_code, reason = "no library has this call yet")]
fn cachestat(file: BorrowedFd<'_>, range: &CacheRange) -> Option<CacheStat> {
    let mut stat = CacheStat::default();
    // SAFETY: both structures are laid out as cachestat(2) says, and outlive the call; it writes the second alone.
    let done = unsafe {
        let (range, stat) = (std::ptr::from_ref(range), std::ptr::from_mut(&mut stat));
        libc::syscall(CACHESTAT, file.as_fd().as_raw_fd(), range, stat, 0)
    };
    (done == 0).then_some(stat)
}
