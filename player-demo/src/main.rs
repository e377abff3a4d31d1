//! The Sluice demo: a whole stack on this machine's loopback, a first video in it, and the lines to try.
//!
//! `sluice-demo` starts every server as a process of its own (this same program in the role of that server), waits until
//! each has announced its addresses, uploads a video through an edge, and stays until Ctrl-C, which drains and ends
//! every process it started. What was uploaded stays in the data folder for the next start.

mod args;
mod child;
mod operators;
mod report;
mod stack;
mod upload;

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let program = words.next().unwrap_or_else(|| OsString::from("sluice-demo"));
    let mut rest = words.peekable();
    if rest.peek().is_some_and(|word| word == "role") {
        return child::play_role(rest.skip(1));
    }
    match demo(std::iter::once(program).chain(rest)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::failure(&error);
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn demo(words: impl Iterator<Item = OsString>) -> anyhow::Result<()> {
    let Some(options) = args::parse(words)? else { return Ok(()) };
    let mut stop = child::Stop::listen()?;
    let mut stack = stack::Stack::start(&options, &mut stop).await?;
    let outcome = async {
        report::addresses(&stack);
        let video = match &options.video {
            Some(file) => upload::ensure(&stack.near(), file, &mut stop).await?,
            None => None,
        };
        report::try_these(&stack, video.as_deref());
        stack.supervise(&mut stop).await
    }
    .await;
    stack.stop().await;
    outcome
}
