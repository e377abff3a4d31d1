//! What is there before a PostgreSQL server is: its programs, who runs them, its folder, and data in it.

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::OWNER;
use crate::testing::server::{User, find};

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

/// A folder for a server's data and its log.
pub(super) fn folder(user: Option<User>) -> Result<TempDir, String> {
    let folder = tempfile::Builder::new()
        .prefix("sluice-postgres-")
        .tempdir()
        .map_err(|e| format!("no temporary folder: {e}"))?;
    if let Some(user) = user {
        chown(folder.path(), Some(user.uid), Some(user.gid)).map_err(|e| format!("chown: {e}"))?;
    }
    Ok(folder)
}

pub(super) fn init(bin: &Path, folder: &Path, user: Option<User>) -> Result<(), String> {
    let mut command = Command::new(bin.join("initdb"));
    command
        .arg("--pgdata")
        .arg(folder.join("data"))
        .args(["--username", OWNER, "--auth=trust", "--encoding=UTF8", "--locale=C"])
        .args(["--no-sync", "--no-instructions"])
        .current_dir(folder);
    run(command, user)
}

/// Copies a server that runs, as it is to begin that follows it.
pub(super) fn copy(bin: &Path, folder: &Path, user: Option<User>, port: u16) -> Result<(), String> {
    let mut command = Command::new(bin.join("pg_basebackup"));
    command
        .arg("--pgdata")
        .arg(folder.join("data"))
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
