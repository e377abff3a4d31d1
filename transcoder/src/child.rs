//! The codec process: the only one that opens a source.
//!
//! It speaks frames on its standard output, has a time for all of its work and a time for each silence, and is killed
//! with its process group when dropped. A worker that is killed itself closes the pipe, and the codec ends at its next
//! frame. What it may touch is [`sandbox`]'s.

use crate::error::{JobError, SandboxError};
use crate::sandbox::{self, Bounds, Options, Sandbox};
use crate::supply::Supply;
use bytes::{Bytes, BytesMut};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use sluice_wire::codec::{self, CodecFailure, CodecMessage, EncodeRequest, JudgeRequest, Order};
use sluice_wire::ladder::{Point, Source, VideoCodec};
use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

/// Time for a look at a source.
const PROBE_LIMIT: Duration = Duration::from_secs(60);
/// Time for samples of a title: some minutes for the largest on an old processor.
const JUDGE_LIMIT: Duration = Duration::from_secs(300);
/// Time for what is made beside the film: reading all of a large source from a slow disk.
const ASIDE_LIMIT: Duration = Duration::from_secs(1_800);
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

/// How a codec stands to others on the same processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Somebody waits for what it makes.
    Urgent,
    /// It takes what the urgent ones leave: about a tenth where both want all.
    Patient,
}

impl Pace {
    const fn nice(self) -> i32 {
        match self {
            Self::Urgent => 0,
            Self::Patient => 10,
        }
    }
}

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

    /// Makes sure that it can encode pictures with these codecs. It opens nothing for that, and needs no walls.
    pub(crate) async fn can_encode(&self, codecs: &[VideoCodec]) -> Result<(), SandboxError> {
        let asked = Command::new(self.0.path())
            .arg("encoders")
            .env_clear()
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let said = match timeout(FAREWELL * 10, asked).await {
            Ok(Ok(output)) => String::from_utf8_lossy(&output.stdout).into_owned(),
            _ => String::new(),
        };
        match codecs.iter().find(|codec| !said.lines().any(|line| line == codec.as_str())) {
            None => Ok(()),
            Some(codec) => Err(SandboxError::Program(format!(
                "{} has no encoder for {}, which the key codecs asks for",
                self.0.path().display(),
                codec.as_str()
            ))),
        }
    }

    /// Looks at a source.
    pub(crate) async fn probe(&self, supply: &mut Supply) -> Result<Source, JobError> {
        let limit = if supply.is_complete() { PROBE_LIMIT } else { ENCODE_LIMIT };
        let command = self.0.command("probe", &File::open(supply.path())?, Bounds::probe())?;
        let (mut run, mut orders) = Run::start(self.spawn(command)?, supply.is_complete(), limit)?;
        let wanted = run.wanted();
        let said = tokio::select! {
            Err(error) = supply.feed(&mut orders, wanted) => return Err(error),
            said = run.next() => said?,
        };
        match said {
            Some((CodecMessage::Probed { source }, _)) => Ok(source),
            Some((CodecMessage::Failed { reason, detail }, _)) => Err(failure(reason, detail)),
            _ => Err(run.crashed().await),
        }
    }

    /// Measures what rungs of a source need and give.
    pub(crate) async fn judge(
        &self,
        supply: &mut Supply,
        request: &JudgeRequest,
    ) -> Result<Vec<Point>, JobError> {
        let bounds = Bounds { nice: Pace::Patient.nice(), ..Bounds::encode(&request.source, JUDGE_LIMIT) };
        let command = self.0.command("judge", &File::open(supply.path())?, bounds)?;
        // It says nothing while it measures.
        let (mut run, mut orders) = Run::start(self.spawn(command)?, false, JUDGE_LIMIT)?;
        order(&mut orders, &Order::Judge(Box::new(request.clone()))).await?;
        let wanted = run.wanted();
        let said = tokio::select! {
            Err(error) = supply.feed(&mut orders, wanted) => return Err(error),
            said = run.next() => said?,
        };
        match said {
            Some((CodecMessage::Judged { points }, _)) => Ok(points),
            Some((CodecMessage::Failed { reason, detail }, _)) => Err(failure(reason, detail)),
            _ => Err(run.crashed().await),
        }
    }

    /// Begins to encode a source.
    ///
    /// The second is where it takes orders: it is to be [fed](Supply::feed) by it.
    pub(crate) async fn encode(
        &self,
        supply: &Supply,
        request: &EncodeRequest,
        pace: Pace,
    ) -> Result<(Run, ChildStdin), JobError> {
        let limit = encode_limit(request.source.duration_ms);
        let is_made = |name| request.chunks.iter().flat_map(|work| &work.rungs).any(|(made, _)| made == name);
        let beside = request.ladder.beside.iter().filter(|rung| is_made(&rung.name));
        let bounds = Bounds { nice: pace.nice(), ..Bounds::encode(&request.source, limit).with(beside) };
        let command = self.0.command("encode", &File::open(supply.path())?, bounds)?;
        let limit = if supply.is_complete() { limit } else { ENCODE_LIMIT };
        let (mut run, mut orders) = Run::start(self.spawn(command)?, supply.is_complete(), limit)?;
        let text = codec::encode_order(&Order::Encode(Box::new(request.clone())));
        let text = text.map_err(|e| JobError::Again(e.to_string()))?;
        match timeout(SILENCE, orders.write_all(&text)).await {
            Ok(Ok(())) => Ok((run, orders)),
            // It did not even read what it was asked.
            Ok(Err(_)) => Err(run.crashed().await),
            Err(_) => Err(silent(SILENCE)),
        }
    }

    /// Begins something that is made beside the film (`text`, `storyboard`) of a file, after its first order.
    pub(crate) async fn aside(
        &self,
        task: &str,
        source: &Path,
        first: &Order,
    ) -> Result<(Run, ChildStdin), JobError> {
        let bounds = Bounds { processor: ASIDE_LIMIT, ..Bounds::probe() };
        let command = self.0.command(task, &File::open(source)?, bounds)?;
        // It says nothing while it reads.
        let (run, mut orders) = Run::start(self.spawn(command)?, false, ASIDE_LIMIT)?;
        order(&mut orders, first).await?;
        Ok((run, orders))
    }

    fn spawn(&self, mut command: Command) -> Result<Child, JobError> {
        command.spawn().map_err(|error| self.0.refusal(&error).into())
    }
}

/// Says one thing to a codec. That it is gone is seen at its output.
pub(crate) async fn order(orders: &mut ChildStdin, order: &Order) -> Result<(), JobError> {
    let text = codec::encode_order(order).map_err(|e| JobError::Again(e.to_string()))?;
    match timeout(SILENCE, orders.write_all(&text)).await {
        Ok(_) => Ok(()),
        Err(_) => Err(silent(SILENCE)),
    }
}

/// A running codec.
#[derive(Debug)]
pub(crate) struct Run {
    child: Child,
    out: ChildStdout,
    buffer: BytesMut,
    /// Reads what it says on standard error and gives the end of it.
    words: JoinSet<Vec<u8>>,
    /// The first byte of the source that it waits for.
    wanted: watch::Sender<u64>,
    deadline: Instant,
    limit: Duration,
    silence: Duration,
}

impl Run {
    /// Takes over a child. One whose source is still coming may be silent for as long as that takes.
    fn start(mut child: Child, complete: bool, limit: Duration) -> Result<(Self, ChildStdin), JobError> {
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(orders), Some(out), Some(errors)) = pipes else {
            return Err(JobError::Again("the codec has no pipes".into()));
        };
        let mut words = JoinSet::new();
        words.spawn(tail(errors));
        let deadline = Instant::now() + limit;
        let silence = if complete { SILENCE } else { limit };
        let (buffer, wanted) = (BytesMut::new(), watch::Sender::new(0));
        Ok((Self { child, out, buffer, words, wanted, deadline, limit, silence }, orders))
    }

    /// What it waits for.
    pub(crate) fn wanted(&self) -> watch::Receiver<u64> {
        self.wanted.subscribe()
    }

    /// The next frame; `None` at the end of its output.
    ///
    /// # Cancel safety
    /// Nothing is lost: what was read stays in the buffer.
    pub(crate) async fn next(&mut self) -> Result<Option<(CodecMessage, Bytes)>, JobError> {
        loop {
            let frame =
                codec::decode(&mut self.buffer).map_err(|e| JobError::Again(format!("the codec: {e}")))?;
            match frame {
                Some((CodecMessage::Want { from, .. }, _)) => {
                    self.wanted.send_replace(from);
                    continue;
                }
                Some(frame) => return Ok(Some(frame)),
                None => {}
            }
            self.buffer.reserve(READ);
            let patience = self.deadline.min(Instant::now() + self.silence);
            let read = match timeout_at(patience, self.out.read_buf(&mut self.buffer)).await {
                Ok(read) => read?,
                Err(_) if Instant::now() >= self.deadline => return Err(endless(self.limit)),
                Err(_) => return Err(silent(self.silence)),
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

fn silent(silence: Duration) -> JobError {
    JobError::Again(format!("the codec said nothing for {} s", silence.as_secs()))
}

/// A codec's failure as the job's.
pub(crate) fn failure(reason: CodecFailure, detail: String) -> JobError {
    if reason.is_retryable() { JobError::Again(detail) } else { JobError::Source { reason, detail } }
}
