//! A body that is part of a file.

use super::LEAST;
use crate::Body;
use nix::libc;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use std::fmt::Debug;
use std::io;
use std::num::NonZeroUsize;
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
    /// A part of it as a body that is read, without holding up anybody else.
    fn read(self: Arc<Self>, from: u64, to: u64) -> Body;
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
    /// The bytes from `from` to before `to`. `None` below 256 KiB, where it is not worth it, or when the kernel has not all
    /// of them in its cache: nobody waits for a disk here.
    #[must_use]
    pub fn cached(file: Arc<dyn Filed>, from: u64, to: u64) -> Option<Self> {
        let worth = to.saturating_sub(from) >= LEAST;
        (worth && is_cached(file.file(), from, to)).then_some(Self { file, from, to })
    }

    pub(crate) const fn length(&self) -> u64 {
        self.to - self.from
    }

    /// True when the next so many bytes can go out at once. What was in the cache once may have left it since, and what is in
    /// it may still be on its way from the disk: whoever sent it then would wait, and with him all that his thread serves.
    pub(super) fn is_ready(&self, length: usize) -> bool {
        is_read(self.file.file(), self.from, self.to.min(self.from + length as u64))
    }

    /// What is left, as a body that is read.
    pub(crate) fn rest(&self) -> Body {
        Arc::clone(&self.file).read(self.from, self.to)
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

/// True when every page of a range is in the kernel's cache, and whole. The mapping is asked about, and never looked into.
#[expect(unsafe_code, reason = "mappings are made by hand")]
fn is_read(file: BorrowedFd<'_>, from: u64, to: u64) -> bool {
    // SAFETY: it only tells a number.
    let page = u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(PAGE).max(PAGE);
    let first = from / page * page;
    let length = usize::try_from(to.saturating_sub(first)).ok().and_then(NonZeroUsize::new);
    let (Some(length), Ok(offset)) = (length, i64::try_from(first)) else { return false };
    let mut pages = vec![0u8; length.get().div_ceil(page as usize)];
    // SAFETY: a new mapping at an address of the kernel's choosing touches nothing that exists.
    let mapped = unsafe { mmap(None, length, ProtFlags::PROT_READ, MapFlags::MAP_SHARED, file, offset) };
    let Ok(base) = mapped else { return false };
    // SAFETY: the range is the mapping just made, and there is a byte for each of its pages.
    let told = unsafe { libc::mincore(base.as_ptr(), length.get(), pages.as_mut_ptr()) };
    // SAFETY: nobody else knows of the mapping.
    unsafe { munmap(base, length.get()) }.ok();
    told == 0 && pages.iter().all(|page| page & 1 == 1)
}
