//! What is there before a PostgreSQL server is: its programs, who runs them, its folder, and its data.

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::OWNER;
use crate::testing::server::{User, find};

/// Where a server's data are.
#[derive(Debug)]
pub(super) struct Data {
    /// A folder that is the user's alone.
    pub(super) at: PathBuf,
    /// Whether the server waits until they are on the disk.
    pub(super) flushed: bool,
}

impl Data {
    /// In the server's own folder, which is gone with it: not flushed.
    pub(super) fn within(folder: &TempDir) -> Self {
        Self { at: folder.path().join("data"), flushed: false }
    }

    /// Flushed to a folder, which is made.
    pub(super) fn flushed(at: &Path, user: Option<User>) -> Result<Self, String> {
        std::fs::create_dir(at).map_err(|e| format!("{}: {e}", at.display()))?;
        give(at, user)?;
        Ok(Self { at: at.to_path_buf(), flushed: true })
    }
}

/// The folder of the newest installed server's programs.
pub(super) fn programs() -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .collect();
    folders.sort();
    let initdb = find("initdb", folders.into_iter().rev())?;
    let bin = initdb.parent()?.to_path_buf();
    bin.join("postgres").is_file().then_some(bin)
}

/// PostgreSQL refuses to run as root, so root lends it to `postgres`, or else to `nobody`.
pub(super) fn other_user() -> Result<Option<User>, String> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(None);
    }
    for name in ["postgres", "nobody"] {
        if let Ok(Some(user)) = nix::unistd::User::from_name(name) {
            return Ok(Some(User { uid: user.uid.as_raw(), gid: user.gid.as_raw() }));
        }
    }
    Err("running as root, and there is no user postgres or nobody to run it as".into())
}

/// A folder for a server's log, and for its data if they are nowhere else.
pub(super) fn folder(user: Option<User>) -> Result<TempDir, String> {
    let folder = tempfile::Builder::new()
        .prefix("sluice-postgres-")
        .tempdir()
        .map_err(|e| format!("no temporary folder: {e}"))?;
    give(folder.path(), user)?;
    Ok(folder)
}

fn give(folder: &Path, user: Option<User>) -> Result<(), String> {
    let Some(user) = user else { return Ok(()) };
    chown(folder, Some(user.uid), Some(user.gid)).map_err(|e| format!("chown: {e}"))
}

/// Makes the data of a new server. A folder that is there becomes the user's alone.
pub(super) fn init(bin: &Path, folder: &Path, data: &Data, user: Option<User>) -> Result<(), String> {
    let mut command = Command::new(bin.join("initdb"));
    command
        .arg("--pgdata")
        .arg(&data.at)
        .args(["--username", OWNER, "--auth=trust", "--encoding=UTF8", "--locale=C"])
        .arg("--no-instructions")
        .current_dir(folder);
    if !data.flushed {
        command.arg("--no-sync");
    }
    run(command, user)
}

/// Copies a server that runs, as it is to begin that follows it.
pub(super) fn copy(
    bin: &Path,
    folder: &Path,
    data: &Data,
    user: Option<User>,
    port: u16,
) -> Result<(), String> {
    let mut command = Command::new(bin.join("pg_basebackup"));
    command
        .arg("--pgdata")
        .arg(&data.at)
        .args(["--host=127.0.0.1", "--username", OWNER, "--no-password"])
        .arg(format!("--port={port}"))
        .args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync"])
        .current_dir(folder);
    run(command, user)
}

/// Runs one of the server's programs to its end.
pub(super) fn run(mut command: Command, user: Option<User>) -> Result<(), String> {
    if let Some(user) = user {
        use std::os::unix::process::CommandExt;
        command.uid(user.uid).gid(user.gid);
    }
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|e| format!("{name}: {e}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim()))
    }
}
