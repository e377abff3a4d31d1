//! Sluice's codec child: it opens untrusted media, and nothing else does.
//!
//! ```text
//! SOURCE -> demux -> decode once -> filter (upright, square, steady rate) -> scale, each rung from the next larger
//!        -> encode (a thread a rung) -> package (CMAF) -> frames on standard output
//! ```
//!
//! - `probe` looks at a source; `encode` makes the rungs; both speak the frames of [`sluice_wire::codec`]
//! - `source`, `picture`, `sound`, `rung`, `poster` are the stages; FFmpeg's types stay inside them; `clock` is the time
//!   line that picture and sound share
//! - `package` writes CMAF boxes: pure, no FFmpeg
//!
//! What it leaves to the transcoder: fetching the source, deadlines, storing, publishing.

mod allowed;
mod clock;
mod emit;
mod encode;
mod error;
mod ffi;
pub mod package;
mod picture;
mod poster;
mod probe;
mod rung;
mod sound;
mod source;

use sluice_wire::codec::{CodecMessage, EncodeRequest};
use std::fs::File;
use std::io::{Read, Write};

pub use error::CodecError;

/// What the command line asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Say what the source is.
    Probe,
    /// Make the rungs that standard input asks for.
    Encode,
}

/// Does a task on a source and writes its frames. A source's fault is a frame, not an error.
///
/// # Errors
/// Only when the frames cannot be written: nobody listens.
pub fn run(
    task: Task,
    source: File,
    mut request: impl Read,
    out: impl Write + Send + 'static,
) -> std::io::Result<()> {
    let emit = emit::Emit::new(out);
    let done = match task {
        Task::Probe => probe::probe(source).map(|source| CodecMessage::Probed { source }),
        Task::Encode => {
            read_request(&mut request).and_then(|request| encode::encode(source, &request, &emit))
        }
    };
    match done {
        Ok(last) => emit.message(&last),
        Err(CodecError::Output(error)) => Err(error),
        Err(error) => {
            emit.message(&CodecMessage::Failed { reason: error.failure(), detail: error.to_string() })
        }
    }
}

/// Bytes of a request: a ladder and its resume points, not a source.
const MAX_REQUEST: u64 = 1 << 20;

fn read_request(request: &mut impl Read) -> Result<EncodeRequest, CodecError> {
    let mut text = Vec::new();
    request.take(MAX_REQUEST).read_to_end(&mut text)?;
    serde_json::from_slice(&text).map_err(|error| CodecError::Internal(format!("the request: {error}")))
}
