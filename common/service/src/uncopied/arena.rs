//! Memory for large bodies, from which they go to a socket without being copied.
//!
//! A page that a socket still sends must not change. So an extent is written once, before anybody reads it, and when its
//! last reader is gone its pages are handed back to the kernel, which keeps those that are on their way until they have
//! arrived; whoever gets the extent next gets other pages.

use super::LEAST;
use super::extents::Extents;
use bytes::Bytes;
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous, munmap};
use std::ffi::c_void;
use std::io;
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Extents are whole multiples of this, and begin at one: what the kernel likes to hold together.
const UNIT: usize = 64 << 10;
/// Address space per byte that is meant to be kept: extents in flight and holes between others need some. It costs nothing
/// until it is written to.
const SPARE: u64 = 4;

/// Memory for large bodies. Clones are the same memory.
#[derive(Debug, Clone)]
pub struct Arena(Arc<Area>);

#[derive(Debug)]
struct Area {
    base: NonNull<c_void>,
    length: NonZeroUsize,
    free: Mutex<Extents>,
}

#[expect(unsafe_code, reason = "a mapping is a pointer, which the compiler takes for a thread's own")]
// SAFETY: the mapping is the process's and lives as long as the area. Its bytes are reached through extents alone, of which
// each belongs to one `Extent`: written by the thread that takes it, and only read once others can see it.
unsafe impl Send for Area {}
#[expect(unsafe_code, reason = "as above")]
// SAFETY: as above; the list of free extents has a lock.
unsafe impl Sync for Area {}

impl Arena {
    /// Room for so many bytes of bodies. Takes address space, and memory only as bodies come.
    ///
    /// # Errors
    /// When the kernel does not give four times as much address space, and for no bytes at all.
    pub fn reserve(bytes: u64) -> io::Result<Self> {
        let length = usize::try_from(bytes.saturating_mul(SPARE)).map_err(io::Error::other)?;
        let length = NonZeroUsize::new(length.next_multiple_of(UNIT)).ok_or(io::ErrorKind::InvalidInput)?;
        let free = Mutex::new(Extents::new(length.get() / UNIT));
        Ok(Self(Arc::new(Area { base: map(length)?, length, free })))
    }

    /// Copies a body that came in pieces into one. `None` below 256 KiB, where it is not worth it, or when there is no
    /// room.
    #[must_use]
    pub fn join(&self, pieces: &[Bytes]) -> Option<Bytes> {
        let length: usize = pieces.iter().map(Bytes::len).sum();
        if (length as u64) < LEAST {
            return None;
        }
        let mut extent = Extent::take(&self.0, length)?;
        let mut room = extent.bytes_mut();
        for piece in pieces {
            let (here, rest) = room.split_at_mut(piece.len());
            here.copy_from_slice(piece);
            room = rest;
        }
        Some(Bytes::from_owner(extent))
    }

    /// True when these bytes are kept here: they stay as they are until the kernel has sent them.
    pub(crate) fn holds(&self, bytes: &[u8]) -> bool {
        let (base, at) = (self.0.base.as_ptr() as usize, bytes.as_ptr() as usize);
        at >= base && at - base < self.0.length.get() && bytes.len() >= UNIT
    }
}

impl Area {
    fn lock(&self) -> MutexGuard<'_, Extents> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        unmap(self.base, self.length);
    }
}

/// A part of the area that is one owner's.
#[derive(Debug)]
struct Extent {
    area: Arc<Area>,
    at: usize,
    length: usize,
}

impl Extent {
    fn take(area: &Arc<Area>, length: usize) -> Option<Self> {
        let at = area.lock().take(length.div_ceil(UNIT))? * UNIT;
        Some(Self { area: Arc::clone(area), at, length })
    }

    #[expect(unsafe_code, reason = "an extent is a part of a mapping")]
    fn start(&self) -> NonNull<c_void> {
        // SAFETY: extents lie within the area's mapping.
        unsafe { self.area.base.byte_add(self.at) }
    }

    #[expect(unsafe_code, reason = "an extent is a part of a mapping")]
    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: the extent lies within the mapping, is readable and writable, zeroed by the kernel, and this owner's alone
        // until it is given back, which the exclusive borrow makes impossible.
        unsafe { std::slice::from_raw_parts_mut(self.start().as_ptr().cast(), self.length) }
    }
}

impl AsRef<[u8]> for Extent {
    #[expect(unsafe_code, reason = "an extent is a part of a mapping")]
    fn as_ref(&self) -> &[u8] {
        // SAFETY: as in `bytes_mut`; nobody writes while it is borrowed.
        unsafe { std::slice::from_raw_parts(self.start().as_ptr().cast(), self.length) }
    }
}

impl Drop for Extent {
    fn drop(&mut self) {
        let units = self.length.div_ceil(UNIT);
        if discard(self.start(), units * UNIT) {
            self.area.lock().give(self.at / UNIT, units);
        }
    }
}

#[expect(unsafe_code, reason = "mappings are made by hand")]
fn map(length: NonZeroUsize) -> io::Result<NonNull<c_void>> {
    let (access, kind) = (ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_PRIVATE);
    // SAFETY: a new mapping at an address of the kernel's choosing touches nothing that exists.
    let base = unsafe { mmap_anonymous(None, length, access, kind | MapFlags::MAP_NORESERVE)? };
    // SAFETY: the range is the mapping just made, and the advice changes none of its bytes. A kernel without huge pages
    // refuses it, and all goes well without them.
    unsafe { madvise(base, length.get(), MmapAdvise::MADV_HUGEPAGE) }.ok();
    Ok(base)
}

#[expect(unsafe_code, reason = "mappings are made by hand")]
fn unmap(base: NonNull<c_void>, length: NonZeroUsize) {
    // SAFETY: the area is gone, and with it everybody who could reach the mapping: extents hold the area.
    unsafe { munmap(base, length.get()) }.ok();
}

/// Hands pages back to the kernel. False when it does not take them: they must not be used again then.
#[expect(unsafe_code, reason = "mappings are made by hand")]
fn discard(at: NonNull<c_void>, length: usize) -> bool {
    // SAFETY: the range is an extent whose only owner is being dropped: nobody reads what is lost.
    unsafe { madvise(at, length, MmapAdvise::MADV_DONTNEED) }.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uncopied::{Spliced, splice};
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};

    const BODY: usize = LEAST as usize;

    fn body(seed: u8) -> Bytes {
        (0..BODY).map(|i| (i as u8).wrapping_mul(31) ^ seed).collect::<Vec<_>>().into()
    }

    #[test]
    fn bodies_are_joined_while_there_is_room_and_their_room_comes_back() {
        let arena = Arena::reserve(LEAST).unwrap();
        assert_eq!(arena.join(&[body(1).slice(1..)]), None, "too small to be worth it");
        let halves = [body(7).slice(..1_000), body(7).slice(1_000..)];
        let mut kept: Vec<Bytes> = (0..SPARE).map(|_| arena.join(&halves).unwrap()).collect();
        assert!(kept.iter().all(|one| *one == body(7) && arena.holds(one)));
        assert!(!arena.holds(&body(7)), "a copy elsewhere");
        assert_eq!(arena.join(&halves), None, "full");
        let part = kept.pop().unwrap().slice(5..70_000);
        assert_eq!(arena.join(&halves), None, "a part of it is held");
        drop(part);
        let next = arena.join(&[body(8)]).unwrap();
        assert!(next == body(8) && kept.iter().all(|one| *one == body(7)));
    }

    #[test]
    fn what_is_on_its_way_stays_as_it_was_though_its_room_has_another_owner() {
        let arena = Arena::reserve(LEAST).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        server.set_nonblocking(true).unwrap();
        let sent = (0..3).map(|seed| {
            let bytes = arena.join(&[body(seed)]).unwrap();
            let Ok(Spliced::Sent(sent)) = splice(&server, &bytes) else { return 0 };
            drop(bytes);
            let others: Vec<Bytes> = (0..SPARE).map(|_| arena.join(&[body(99)]).unwrap()).collect();
            assert!(others.iter().all(|other| *other == body(99)));
            sent
        });
        let sent: Vec<usize> = sent.collect();
        assert!(sent[0] > 60_000, "{sent:?}");
        for (seed, sent) in (0..).zip(sent) {
            let mut came = vec![0; sent];
            client.read_exact(&mut came).unwrap();
            assert!(came == body(seed)[..sent], "of body {seed}");
        }
    }
}
