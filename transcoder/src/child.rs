//! The codec process: the only one that opens a source.
//!
//! It speaks frames on its standard output, has a time for all of its work and a time for each silence, and is killed
//! with its process group when dropped. A worker that is killed itself closes the pipe, and the codec ends at its next
//! frame. What it may touch is [`sandbox`]'s.

use crate::error::{JobError, SandboxError};
use crate::sandbox::{self, Bounds, Options, Sandbox};
use bytes::{Bytes, BytesMut};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use sluice_wire::codec::{self, CodecFailure, CodecMessage, EncodeRequest, Order};
use sluice_wire::ladder::Source;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

/// Time for a look at a source.
const PROBE_LIMIT: Duration = Duration::from_secs(60);
/// Silence after which the codec counts as hung: several segments of the slowest rung on a busy machine.
const SILENCE: Duration = Duration::from_secs(120);
/// Time for encoding: this, and so much for each second of media. Ten times what the slowest rung has needed on one old
/// processor, so that only what hangs is ended.
const ENCODE_BASE: Duration = Duration::from_secs(600);
const ENCODE_FACTOR: u32 = 60;
/// What a source that claims no length counts as.
const UNKNOWN_LENGTH: Duration = Duration::from_secs(3_600);
/// The longest time for one encoding, whatever a source claims.
const ENCODE_LIMIT: Duration = Duration::from_secs(2 * 86_400);
/// Bytes kept of what it said on standard error.
const TAIL: usize = 4 << 10;
/// Time for it to be gone and for its last words.
const FAREWELL: Duration = Duration::from_secs(1);
/// Bytes read from it at a time.
const READ: usize = 256 << 10;

/// The program, found once, behind its walls.
#[derive(Debug, Clone)]
pub(crate) struct Codec(Arc<Sandbox>);

impl Codec {
    /// The configured program, or the one beside this, walled in.
    pub(crate) async fn find(configured: Option<&Path>, options: Options) -> Result<Self, SandboxError> {
        let beside = || std::env::current_exe().ok().map(|exe| exe.with_file_name("sluice-codec"));
        let program = configured.map(Path::to_owned).or_else(beside).unwrap_or_default();
        if program.is_file() {
            Ok(Self(Arc::new(Sandbox::raise(&program, options).await?)))
        } else {
            let missing = format!("{} is missing; name it by the key codec", program.display());
            Err(SandboxError::Program(missing))
        }
    }

    /// The walls that stand around it.
    pub(crate) fn sandbox(&self) -> &Sandbox {
        &self.0
    }

    /// Looks at a source.
    pub(crate) async fn probe(&self, source: &Path) -> Result<Source, JobError> {
        let (source, orders) = whole(source)?;
        let command = self.0.command("probe", &source, Bounds::probe())?;
        let mut run = Run::start(self.spawn(command)?, &orders, PROBE_LIMIT).await?;
        match run.next().await? {
            Some((CodecMessage::Probed { source }, _)) => Ok(source),
            Some((CodecMessage::Failed { reason, detail }, _)) => Err(failure(reason, detail)),
            _ => Err(run.crashed().await),
        }
    }

    /// Begins to encode a source.
    pub(crate) async fn encode(&self, source: &Path, request: &EncodeRequest) -> Result<Run, JobError> {
        let length_ms = request.source.duration_ms;
        let limit = encode_limit(length_ms);
        let bounds = Bounds::encode(&request.source, limit);
        let (source, all) = whole(source)?;
        let mut orders = vec![Order::Encode(Box::new(request.clone()))];
        orders.extend(all);
        let command = self.0.command("encode", &source, bounds)?;
        Run::start(self.spawn(command)?, &orders, limit).await
    }

    fn spawn(&self, mut command: Command) -> Result<Child, JobError> {
        command.spawn().map_err(|error| self.0.refusal(&error).into())
    }
}

/// A running codec.
#[derive(Debug)]
pub(crate) struct Run {
    child: Child,
    /// Closed, it would tell the codec that nobody is there any more.
    _orders: ChildStdin,
    out: ChildStdout,
    buffer: BytesMut,
    /// Reads what it says on standard error and gives the end of it.
    words: JoinSet<Vec<u8>>,
    deadline: Instant,
    limit: Duration,
}

impl Run {
    async fn start(mut child: Child, orders: &[Order], limit: Duration) -> Result<Self, JobError> {
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(mut stdin), Some(out), Some(errors)) = pipes else {
            return Err(JobError::Again("the codec has no pipes".into()));
        };
        let mut words = JoinSet::new();
        words.spawn(tail(errors));
        let deadline = Instant::now() + limit;
        let text = orders.iter().map(codec::encode_order).collect::<Result<Vec<_>, _>>();
        let text = text.map_err(|e| JobError::Again(e.to_string()))?.concat();
        let written = timeout(SILENCE, stdin.write_all(&text)).await;
        let mut run = Self { child, _orders: stdin, out, buffer: BytesMut::new(), words, deadline, limit };
        match written {
            Ok(Ok(())) => Ok(run),
            // It did not even read what it was asked.
            Ok(Err(_)) => Err(run.crashed().await),
            Err(_) => Err(silent()),
        }
    }

    /// The next frame; `None` at the end of its output.
    ///
    /// # Cancel safety
    /// Nothing is lost: what was read stays in the buffer.
    pub(crate) async fn next(&mut self) -> Result<Option<(CodecMessage, Bytes)>, JobError> {
        loop {
            let frame =
                codec::decode(&mut self.buffer).map_err(|e| JobError::Again(format!("the codec: {e}")))?;
            if frame.is_some() {
                return Ok(frame);
            }
            self.buffer.reserve(READ);
            let patience = self.deadline.min(Instant::now() + SILENCE);
            let read = match timeout_at(patience, self.out.read_buf(&mut self.buffer)).await {
                Ok(read) => read?,
                Err(_) if Instant::now() >= self.deadline => return Err(endless(self.limit)),
                Err(_) => return Err(silent()),
            };
            if read == 0 {
                return Ok(None);
            }
        }
    }

    /// What to say of a codec that ended without a last word. What it said on standard error is logged.
    pub(crate) async fn crashed(&mut self) -> JobError {
        let status = timeout(FAREWELL, self.child.wait()).await.ok().and_then(Result::ok);
        if let Some((reason, detail)) = status.and_then(sandbox::verdict) {
            return failure(reason, detail);
        }
        let how = status.map_or_else(String::new, |s| format!(" ({s})"));
        let words = timeout(FAREWELL, self.words.join_next()).await.ok().flatten().and_then(Result::ok);
        let words = String::from_utf8_lossy(&words.unwrap_or_default()).trim().to_owned();
        tracing::error!(how, words, "the codec ended without a last word");
        JobError::Again(format!("the codec ended in the middle{how}"))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // The group too, should the codec have made processes of its own. One that is reaped has no id any more.
        if let Some(group) = self.child.id().and_then(|id| i32::try_from(id).ok()) {
            killpg(Pid::from_raw(group), Signal::SIGKILL).ok();
        }
    }
}

/// A source of which all is there, and the orders that say so.
fn whole(source: &Path) -> Result<(File, Vec<Order>), JobError> {
    let file = File::open(source)?;
    let bytes = file.metadata()?.len();
    Ok((file, Order::whole(bytes).into()))
}

/// Reads to the end and keeps the end.
async fn tail(mut errors: ChildStderr) -> Vec<u8> {
    let (mut kept, mut piece) = (Vec::new(), [0; 1 << 10]);
    while let Ok(read @ 1..) = errors.read(&mut piece).await {
        kept.extend_from_slice(&piece[..read]);
        kept.drain(..kept.len().saturating_sub(TAIL));
    }
    kept
}

/// How long a source of this length may take.
fn encode_limit(length_ms: u64) -> Duration {
    let length = if length_ms == 0 { UNKNOWN_LENGTH } else { Duration::from_millis(length_ms) };
    (ENCODE_BASE + length.saturating_mul(ENCODE_FACTOR)).min(ENCODE_LIMIT)
}

fn endless(limit: Duration) -> JobError {
    JobError::Again(format!("the codec was not done within {} s", limit.as_secs()))
}

fn silent() -> JobError {
    JobError::Again(format!("the codec said nothing for {} s", SILENCE.as_secs()))
}

/// A codec's failure as the job's.
pub(crate) fn failure(reason: CodecFailure, detail: String) -> JobError {
    if reason.is_retryable() { JobError::Again(detail) } else { JobError::Source { reason, detail } }
}
