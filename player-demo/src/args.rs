//! The demo's own options.

use anyhow::Context;
use clap::Parser;
use std::ffi::OsString;
use std::path::PathBuf;

/// Starts a whole Sluice on loopback and stays until Ctrl-C.
#[derive(Debug, Parser)]
#[command(name = "sluice-demo", version)]
pub(crate) struct Options {
    /// Folder that keeps videos, database and logs from one start to the next.
    #[arg(long, default_value = "var/demo")]
    pub(crate) dir: PathBuf,
    /// A video to upload unless the library already has it.
    #[arg(long)]
    pub(crate) video: Option<PathBuf>,
    /// The built pages.
    #[arg(long, default_value = "player-demo/web/dist")]
    pub(crate) pages: PathBuf,
    /// First port: the near edges listen on it and on the next ones. 0 takes whatever is free.
    #[arg(long, default_value_t = 8080)]
    pub(crate) port: u16,
    /// The codec program; beside this one unless told otherwise.
    #[arg(long)]
    pub(crate) codec: Option<PathBuf>,
    /// Writes the stack's addresses to this file as JSON once everything is up.
    #[arg(long)]
    pub(crate) announce: Option<PathBuf>,
}

/// Reads the command line; `None` after `--help` or `--version`.
pub(crate) fn parse(words: impl Iterator<Item = OsString>) -> anyhow::Result<Option<Options>> {
    let mut options = match Options::try_parse_from(words) {
        Ok(options) => options,
        Err(error) if !error.use_stderr() => {
            error.print().context("writing the help")?;
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(video) = &options.video {
        anyhow::ensure!(video.is_file(), "{} is no file; name a video with VIDEO=file.mp4", video.display());
    }
    std::fs::create_dir_all(&options.dir)
        .with_context(|| format!("cannot make the data folder {}", options.dir.display()))?;
    options.dir = options.dir.canonicalize()?;
    options.pages = options.pages.canonicalize().with_context(|| {
        format!("{} is missing: build the pages with `make web`", options.pages.display())
    })?;
    Ok(Some(options))
}
