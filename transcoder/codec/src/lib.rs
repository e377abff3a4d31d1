//! Sluice's codec child: it opens untrusted media, and nothing else does.
//!
//! ```text
//! descriptor 3 -> demux -> decode once -> whole -> a steady rate -> scale, each rung from the next larger
//!        -> encode (a thread a rung, an encoder a segment) -> package (CMAF) -> frames on standard output
//! ```
//!
//! - `probe` looks at a source, and `loudness` listens to it; `encode` makes chunks of the rungs; `judge` measures which are of use; `text` reads its text;
//!   `storyboard` makes sheets of small pictures; all speak the words of [`sluice_wire::codec`]
//! - `allowed` is what is opened at all; `source` reads a file that may still be coming; `packets` lays one track's packets on the time line (`clock`), chunk
//!   by chunk
//! - `picture` and `sound` are the two ways through, side by side, each with its own reader; FFmpeg's types stay inside
//! - `chain` is what names a segment; `work` what a request asks of a track
//! - `package` writes CMAF boxes: pure, no FFmpeg
//!
//! What it leaves to the transcoder: fetching the source, deadlines, storing, publishing.

mod allowed;
mod chain;
mod clock;
mod emit;
mod encode;
mod error;
mod ffi;
mod loudness;
pub mod package;
mod packets;
mod picture;
mod probe;
mod sound;
mod source;
mod storyboard;
mod text;
mod work;

use emit::Emit;
use sluice_wire::codec::{CodecMessage, Order, read_order};
use sluice_wire::ladder::VideoCodec;
use source::Supply;
use std::fs::File;
use std::io::{Read, Write};
use std::sync::Arc;

pub use error::CodecError;

/// What the command line asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Say what the source is.
    Probe,
    /// Make what the first order asks for.
    Encode,
    /// Measure what rungs of it need.
    Judge,
    /// Read what text there is in it.
    Text,
    /// Make sheets of its keyframes.
    Storyboard,
}

/// The codecs that pictures can be encoded with here: FFmpeg is built with or without each encoder.
pub fn encoders() -> impl Iterator<Item = VideoCodec> {
    let is_there =
        |codec: &VideoCodec| ffmpeg_next::encoder::find_by_name(picture::encoder::name(*codec)).is_some();
    VideoCodec::ALL.into_iter().filter(is_there)
}

/// Does a task on a source and writes its frames. A source's fault is a frame, not an error.
///
/// # Errors
/// Only when the frames cannot be written: nobody listens.
pub fn run(
    task: Task,
    source: File,
    mut orders: impl Read + Send + 'static,
    out: impl Write + Send + 'static,
) -> std::io::Result<()> {
    let emit = Arc::new(Emit::new(out));
    let supply = Supply::new(source, Arc::clone(&emit));
    let request = match task {
        Task::Probe => Ok(None),
        Task::Encode | Task::Judge | Task::Text | Task::Storyboard => read_request(&mut orders).map(Some),
    };
    let follower = Arc::clone(&supply);
    // It ends with the process: orders may come until then.
    std::thread::spawn(move || follower.follow(orders));
    let done = match request {
        Ok(None) => probe::probe(&supply).map(|source| CodecMessage::Probed { source }),
        Ok(Some(Order::Encode(request))) => encode::encode(&supply, &request, &emit),
        Ok(Some(Order::Judge(request))) => {
            picture::judge(&supply, &request).map(|points| CodecMessage::Judged { points })
        }
        Ok(Some(Order::Text { zero_us })) => text::text(&supply, zero_us, &emit),
        Ok(Some(Order::Sheets(work))) => storyboard::storyboard(&supply, &work, &emit),
        Ok(Some(other)) => Err(CodecError::Internal(format!("the first order is no request: {other:?}"))),
        Err(error) => Err(error),
    };
    match done {
        Ok(last) => emit.message(&last),
        Err(CodecError::Output(error)) => Err(error),
        Err(error) => {
            emit.message(&CodecMessage::Failed { reason: error.failure(), detail: error.to_string() })
        }
    }
}

fn read_request(orders: &mut impl Read) -> Result<Order, CodecError> {
    match read_order(orders) {
        Ok(Some(order)) => Ok(order),
        other => Err(CodecError::Internal(format!("the first order is no request: {other:?}"))),
    }
}
