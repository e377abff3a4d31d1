//! The frames on standard output, from several threads.

use sluice_wire::codec::{self, CodecMessage};
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

/// The one writer. A frame is written whole and flushed, so that the parent can store it at once.
pub(crate) struct Emit(Mutex<Box<dyn Write + Send>>);

impl Emit {
    pub(crate) fn new(out: impl Write + Send + 'static) -> Self {
        Self(Mutex::new(Box::new(out)))
    }

    /// Writes a frame with a payload.
    pub(crate) fn payload(&self, message: &CodecMessage, payload: &[u8]) -> io::Result<()> {
        let frame = codec::encode(message, payload).map_err(io::Error::other)?;
        let mut out = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        out.write_all(&frame)?;
        out.flush()
    }

    /// Writes a frame without one.
    pub(crate) fn message(&self, message: &CodecMessage) -> io::Result<()> {
        self.payload(message, &[])
    }
}
