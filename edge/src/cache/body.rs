//! Bodies that are read while they grow: one writer, any number of readers, each at its own pace.

use crate::disk::{Pin, Recorded};
use crate::transform::Forms;
use bytes::{Bytes, BytesMut};
use futures::Stream;
use futures::stream::unfold;
use sluice_service::Arena;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::sync::Notify;

/// Bodies up to this size are joined into one piece when whole: one write a hit.
const JOIN: u64 = 4 << 20;
/// Bytes of one piece given to a slow reader at a time.
const PIECE: usize = 256 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    Whole,
    Cut,
}

#[derive(Debug)]
struct Inner {
    pieces: Vec<Piece>,
    bytes: u64,
    end: End,
}

#[derive(Debug)]
struct Piece {
    bytes: Bytes,
    /// Where it ends in the body.
    until: u64,
}

impl Inner {
    fn all(&self) -> Vec<Bytes> {
        self.pieces.iter().map(|piece| piece.bytes.clone()).collect()
    }
}

/// A body that grows to a known length, or to wherever it ends.
#[derive(Debug)]
pub(crate) struct Growing {
    inner: Mutex<Inner>,
    grown: Notify,
    length: Option<u64>,
    limit: u64,
    /// Its coded forms, when anybody asked for one.
    forms: OnceLock<Box<Forms>>,
    /// Where it is when it is not here: whole, and read from there.
    disk: Option<Arc<Recorded>>,
    /// Where it is kept in one piece once it is whole, when it is large.
    arena: Option<Arena>,
}

impl Growing {
    /// An empty body that will have this many bytes.
    pub(crate) fn new(length: u64) -> Self {
        let end = if length == 0 { End::Whole } else { End::Open };
        Self::with(end, Some(length), length)
    }

    /// An empty body of an unknown length, at most `limit` bytes.
    pub(crate) fn unmeasured(limit: u64) -> Self {
        Self::with(End::Open, None, limit)
    }

    fn with(end: End, length: Option<u64>, limit: u64) -> Self {
        let inner = Mutex::new(Inner { pieces: vec![], bytes: 0, end });
        let (grown, forms) = (Notify::new(), OnceLock::new());
        Self { inner, grown, length, limit, forms, disk: None, arena: None }
    }

    /// A whole body.
    pub(crate) fn whole(bytes: Bytes) -> Self {
        let body = Self::new(bytes.len() as u64);
        if !bytes.is_empty() {
            body.push(bytes);
        }
        body.end(true);
        body
    }

    /// The same, kept in an arena when it is whole.
    pub(crate) fn kept_in(self, arena: Option<Arena>) -> Self {
        Self { arena, ..self }
    }

    /// A whole body on disk.
    pub(crate) fn recorded(disk: Arc<Recorded>) -> Self {
        let length = disk.length();
        Self { disk: Some(disk), ..Self::with(End::Whole, Some(length), length) }
    }

    /// Where it is when it is not in memory.
    pub(crate) const fn on_disk(&self) -> Option<&Arc<Recorded>> {
        self.disk.as_ref()
    }

    /// True when it was on disk and is not there any more, or cannot be read now.
    pub(crate) fn is_gone(&self) -> bool {
        self.disk.as_ref().is_some_and(|disk| disk.pin().is_none())
    }

    /// All of it as it came, if it is whole and in memory.
    pub(crate) fn pieces(&self) -> Option<Vec<Bytes>> {
        let inner = self.lock();
        (inner.end == End::Whole && self.disk.is_none()).then(|| inner.all())
    }

    /// Its length when whole, if that is known already.
    pub(crate) fn length(&self) -> Option<u64> {
        self.length.or_else(|| {
            let inner = self.lock();
            (inner.end == End::Whole).then_some(inner.bytes)
        })
    }

    /// Bytes that are here.
    pub(crate) fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    /// Bytes it holds: its own, and its coded forms'.
    pub(crate) fn weight(&self) -> u64 {
        self.bytes() + self.forms.get().map_or(0, |forms| forms.bytes())
    }

    /// Its coded forms.
    pub(crate) fn forms(&self) -> &Forms {
        self.forms.get_or_init(Box::default)
    }

    /// Waits until it grows no more: whole or cut. Cancel safe.
    pub(crate) async fn settled(&self) {
        loop {
            let mut grown = std::pin::pin!(self.grown.notified());
            grown.as_mut().enable();
            if self.lock().end != End::Open {
                return;
            }
            grown.await;
        }
    }

    /// True when all of it is here.
    pub(crate) fn is_whole(&self) -> bool {
        self.lock().end == End::Whole
    }

    /// Adds a piece. False when it goes past the length or the limit.
    pub(crate) fn push(&self, piece: Bytes) -> bool {
        let fits = {
            let mut inner = self.lock();
            let fits = inner.bytes + piece.len() as u64 <= self.limit;
            if fits && !piece.is_empty() {
                inner.bytes += piece.len() as u64;
                let until = inner.bytes;
                inner.pieces.push(Piece { bytes: piece, until });
            }
            fits
        };
        self.grown.notify_waiters();
        fits
    }

    /// Ends it, as its sender did or by a fault: whole if it was ended well and nothing is missing, else cut. True when
    /// whole.
    pub(crate) fn end(&self, well: bool) -> bool {
        let whole = {
            let mut inner = self.lock();
            let whole = self.length.map_or(well, |length| inner.bytes == length);
            inner.end = if whole { End::Whole } else { End::Cut };
            if whole && let Some(bytes) = self.joined_of(&inner) {
                inner.pieces = vec![Piece { bytes, until: inner.bytes }];
            }
            inner.pieces.shrink_to_fit();
            whole
        };
        self.grown.notify_waiters();
        whole
    }

    /// A whole body's bytes in one piece, where that is better than what there is.
    fn joined_of(&self, inner: &Inner) -> Option<Bytes> {
        if inner.bytes > JOIN {
            return None;
        }
        let in_arena = self.arena.as_ref().and_then(|arena| arena.join(&inner.all()));
        in_arena.or_else(|| {
            (inner.pieces.len() > 1).then(|| {
                let mut joined = BytesMut::with_capacity(usize::try_from(inner.bytes).unwrap_or(0));
                inner.pieces.iter().for_each(|piece| joined.extend_from_slice(&piece.bytes));
                joined.freeze()
            })
        })
    }

    /// All of it in one piece, if it is whole and joined.
    pub(crate) fn joined(&self) -> Option<Bytes> {
        let inner = self.lock();
        match (inner.end, inner.pieces.as_slice()) {
            _ if self.disk.is_some() => None,
            (End::Whole, []) => Some(Bytes::new()),
            (End::Whole, [one]) => Some(one.bytes.clone()),
            _ => None,
        }
    }

    /// The bytes from `from` to before `to` or the end, as they come. Ends in an error when the body is cut.
    pub(crate) fn read(
        self: &Arc<Self>,
        from: u64,
        to: u64,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
        self.read_held(self.disk.as_ref().and_then(|disk| disk.pin()), from, to)
    }

    /// The same, of a body on disk whose region is held already.
    pub(crate) fn read_held(
        self: &Arc<Self>,
        pin: Option<Pin>,
        from: u64,
        to: u64,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
        let body = Arc::clone(self);
        unfold((body, pin, from), move |(body, pin, at)| async move {
            if at >= to {
                return None;
            }
            match body.next(pin.as_ref(), at, to).await {
                Ok(None) => None,
                Ok(Some(piece)) => {
                    let after = at + piece.len() as u64;
                    Some((Ok(piece), (body, pin, after)))
                }
                Err(error) => Some((Err(error), (body, pin, to))),
            }
        })
    }

    async fn next(&self, pin: Option<&Pin>, at: u64, to: u64) -> io::Result<Option<Bytes>> {
        if let Some(disk) = &self.disk {
            let pin = pin.ok_or_else(|| io::Error::other("its region gave way to others"))?;
            return disk.piece(pin, at, to).await.map(|piece| Some(piece).filter(|piece| !piece.is_empty()));
        }
        loop {
            let mut grown = std::pin::pin!(self.grown.notified());
            // Registered before the look, so that growth between the two is not missed.
            grown.as_mut().enable();
            if let Some(piece) = self.piece(at, to) {
                return Ok(Some(piece));
            }
            match self.lock().end {
                End::Open => {}
                End::Whole => return Ok(None),
                End::Cut => {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the parent's body was cut"));
                }
            }
            grown.await;
        }
    }

    fn piece(&self, at: u64, to: u64) -> Option<Bytes> {
        let inner = self.lock();
        let index = inner.pieces.partition_point(|piece| piece.until <= at);
        let Piece { bytes, until } = inner.pieces.get(index)?;
        let (length, start) = (bytes.len() as u64, until - bytes.len() as u64);
        let from = usize::try_from(at - start).ok()?;
        let until = usize::try_from((to - start).min(length)).ok()?.min(from + PIECE);
        Some(bytes.slice(from..until))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;
    use proptest::prelude::*;

    #[tokio::test]
    async fn readers_follow_the_writer_each_at_its_own_pace() {
        let body = Arc::new(Growing::new(10));
        let mut early = Box::pin(body.read(0, 10));
        assert!(body.push(Bytes::from_static(b"01234")));
        assert_eq!(early.next().await.unwrap().unwrap(), "01234");
        let late = body.read(3, 8);
        assert!(body.push(Bytes::from_static(b"56789")));
        assert!(body.end(true));
        assert_eq!(early.next().await.unwrap().unwrap(), "56789");
        assert!(early.next().await.is_none());
        let late: Vec<Bytes> = late.map(Result::unwrap).collect().await;
        assert_eq!(late.concat(), b"34567");
    }

    #[tokio::test]
    async fn a_cut_body_is_an_error_and_never_an_end() {
        let body = Arc::new(Growing::new(10));
        body.push(Bytes::from_static(b"012"));
        assert!(!body.end(true));
        let read: Vec<_> = body.read(0, 10).collect().await;
        assert_eq!(read.len(), 2);
        assert!(read[1].is_err());
        assert!(!Growing::new(2).push(Bytes::from_static(b"123")), "more than was announced");
        let unmeasured = Arc::new(Growing::unmeasured(10));
        assert!(unmeasured.push(Bytes::from_static(b"012")) && !unmeasured.end(false), "broken off");
    }

    #[tokio::test]
    async fn a_body_of_unknown_length_is_whole_where_its_sender_ends_it() {
        let body = Arc::new(Growing::unmeasured(5));
        let read = body.read(0, u64::MAX);
        assert!(body.push(Bytes::from_static(b"0123")) && body.length().is_none());
        assert!(!body.push(Bytes::from_static(b"45")), "past its limit");
        assert!(body.end(true));
        let read: Vec<Bytes> = read.map(Result::unwrap).collect().await;
        assert_eq!((read.concat().as_slice(), body.length()), (b"0123".as_slice(), Some(4)));
    }

    proptest! {
        #[test]
        fn any_range_of_any_pieces_is_right(pieces in prop::collection::vec(1usize..50, 1..8), a in 0u64..400, b in 0u64..400) {
            let total: usize = pieces.iter().sum();
            let bytes: Vec<u8> = (0..total).map(|i| i as u8).collect();
            let body = Arc::new(Growing::new(total as u64));
            let mut at = 0;
            for piece in pieces {
                body.push(Bytes::copy_from_slice(&bytes[at..at + piece]));
                at += piece;
            }
            let (from, to) = (a.min(b).min(total as u64), a.max(b).min(total as u64));
            let read: Vec<Bytes> = futures::executor::block_on(body.read(from, to).map(Result::unwrap).collect());
            prop_assert_eq!(read.concat(), &bytes[from as usize..to as usize]);
        }
    }
}
