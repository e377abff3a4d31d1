//! The codec process: the only one that opens a source.
//!
//! It gets no environment, no standard input but its request, a process group of its own, and is killed when dropped.
//! The walls (own namespaces, landlock, seccomp, rlimits) go into [`command`], the one place where it is made.

use crate::error::JobError;
use bytes::{Bytes, BytesMut};
use sluice_wire::codec::{self, CodecFailure, CodecMessage, EncodeRequest};
use sluice_wire::ladder::Source;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// Time for a look at a source.
const PROBE_LIMIT: Duration = Duration::from_secs(60);
/// Silence after which the codec counts as hung: several segments of the slowest rung on a busy machine.
const SILENCE: Duration = Duration::from_secs(120);
/// Bytes read from it at a time.
const READ: usize = 256 << 10;

/// The program, found once.
#[derive(Debug, Clone)]
pub(crate) struct Codec(PathBuf);

impl Codec {
    /// The configured program, or the one beside this.
    pub(crate) fn find(configured: Option<&Path>) -> Result<Self, String> {
        let beside = || std::env::current_exe().ok().map(|exe| exe.with_file_name("sluice-codec"));
        let program = configured.map(Path::to_owned).or_else(beside).unwrap_or_default();
        if program.is_file() {
            Ok(Self(program))
        } else {
            Err(format!("codec: {} is missing; name it by the key codec", program.display()))
        }
    }

    /// Looks at a source.
    pub(crate) async fn probe(&self, source: &Path) -> Result<Source, JobError> {
        let mut run = Run::start(command(&self.0, "probe", source), &[]).await?;
        let first = timeout(PROBE_LIMIT, run.next()).await.map_err(|_| silent())??;
        match first {
            Some((CodecMessage::Probed { source }, _)) => Ok(source),
            Some((CodecMessage::Failed { reason, detail }, _)) => Err(failure(reason, detail)),
            _ => Err(run.crashed().await),
        }
    }

    /// Begins to encode a source.
    pub(crate) async fn encode(&self, source: &Path, request: &EncodeRequest) -> Result<Run, JobError> {
        let request = serde_json::to_vec(request).map_err(|e| JobError::Again(e.to_string()))?;
        Run::start(command(&self.0, "encode", source), &request).await
    }
}

fn command(program: &Path, task: &str, source: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .arg(task)
        .arg(source)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true);
    command
}

/// A running codec.
#[derive(Debug)]
pub(crate) struct Run {
    child: Child,
    out: ChildStdout,
    buffer: BytesMut,
}

impl Run {
    async fn start(mut command: Command, request: &[u8]) -> Result<Self, JobError> {
        let mut child = command.spawn().map_err(|e| JobError::Again(format!("starting the codec: {e}")))?;
        let (stdin, out) = (child.stdin.take(), child.stdout.take());
        let (Some(mut stdin), Some(out)) = (stdin, out) else {
            return Err(JobError::Again("the codec has no pipes".into()));
        };
        stdin.write_all(request).await?;
        drop(stdin);
        Ok(Self { child, out, buffer: BytesMut::new() })
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
            let read =
                timeout(SILENCE, self.out.read_buf(&mut self.buffer)).await.map_err(|_| silent())??;
            if read == 0 {
                return Ok(None);
            }
        }
    }

    /// What to say of a codec that ended without a last word.
    pub(crate) async fn crashed(&mut self) -> JobError {
        let status = timeout(Duration::from_secs(1), self.child.wait()).await;
        let how = status.ok().and_then(Result::ok).map_or_else(String::new, |s| format!(" ({s})"));
        JobError::Again(format!("the codec ended in the middle{how}"))
    }
}

fn silent() -> JobError {
    JobError::Again(format!("the codec said nothing for {} s", SILENCE.as_secs()))
}

/// A codec's failure as the job's.
pub(crate) fn failure(reason: CodecFailure, detail: String) -> JobError {
    if reason.is_retryable() { JobError::Again(detail) } else { JobError::Source { reason, detail } }
}
