//! The codec's first run: it looks at an empty source behind the walls. What cannot be put up, and a library that cannot
//! be read from within, are found here and not by the first job.

use super::{Bounds, Sandbox};
use crate::error::SandboxError;
use bytes::BytesMut;
use sluice_wire::codec;
use std::fs::File;
use std::time::Duration;
use tokio::time::timeout;

/// Time for the answer: loading two hundred libraries on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts the program and waits for one frame, whatever it says of a source that is empty.
pub(super) async fn run(sandbox: &Sandbox) -> Result<(), SandboxError> {
    let failed = |why: String| SandboxError::Program(format!("{}: {why}", sandbox.path.display()));
    let nothing = File::open("/dev/null").map_err(|e| failed(e.to_string()))?;
    let mut command = sandbox.command("probe", &nothing, Bounds::probe())?;
    let mut child = command.spawn().map_err(|error| sandbox.refusal(&error))?;
    drop(child.stdin.take());
    let output = timeout(PATIENCE, child.wait_with_output()).await;
    let output = output.map_err(|_| failed(format!("no answer within {} s", PATIENCE.as_secs())))?;
    let output = output.map_err(|e| failed(e.to_string()))?;
    match codec::decode(&mut BytesMut::from(&output.stdout[..])) {
        Ok(Some(_)) => Ok(()),
        _ => {
            let words = String::from_utf8_lossy(&output.stderr);
            Err(failed(format!("no answer from within ({}): {}", output.status, words.trim())))
        }
    }
}
