//! What a record's body is written from.

use super::Corrupt;
use super::body::{Pin, Recorded};
use super::region::Region;
use super::sums::Sums;
use crate::cache::Object;
use bytes::Bytes;
use std::io;
use std::sync::Arc;

/// Where a body comes from.
pub(super) enum Source {
    Memory(Vec<Bytes>),
    Disk(Arc<Recorded>, Pin),
}

impl Source {
    pub(super) fn of(object: &Object) -> io::Result<Self> {
        if let Some(recorded) = object.body.on_disk() {
            let pin = recorded.pin().ok_or_else(Corrupt::error)?;
            return Ok(Self::Disk(Arc::clone(recorded), pin));
        }
        object.body.pieces().map(Self::Memory).ok_or_else(Corrupt::error)
    }

    pub(super) fn length(&self) -> u64 {
        match self {
            Self::Memory(pieces) => pieces.iter().map(|piece| piece.len() as u64).sum(),
            Self::Disk(recorded, _) => recorded.length(),
        }
    }

    pub(super) fn sums(&self) -> Box<[u64]> {
        match self {
            Self::Memory(pieces) => {
                let mut sums = Sums::default();
                pieces.iter().for_each(|piece| sums.push(piece));
                sums.finish()
            }
            Self::Disk(recorded, _) => recorded.sums().into(),
        }
    }

    pub(super) fn write(&self, region: &Region, mut at: u64) -> io::Result<()> {
        let mut next = |piece: &[u8]| {
            region.write(at, piece)?;
            at += piece.len() as u64;
            Ok(())
        };
        match self {
            Self::Memory(pieces) => pieces.iter().try_for_each(|piece| next(piece)),
            Self::Disk(recorded, pin) => recorded.read_all(&pin.0, |piece| next(&piece)),
        }
    }
}
