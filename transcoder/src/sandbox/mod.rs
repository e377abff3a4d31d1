//! The walls around the codec: the one place where its process is made.
//!
//! ```text
//! raise:   open the program -> list its libraries -> a trial: the codec looks at nothing behind all walls
//! command: landlock's rules, limits, descriptors, all prepared -> fork -> `enter`: wall after wall -> the codec
//! ```
//!
//! - [`Wall`] names them and says which must stand; `limits` is what a run may use; `files` and `calls` are what it may
//!   open and ask of the kernel; `enter` is the way in, between fork and exec; `trial` is the codec's first run
//! - the parent puts the walls up, so that they hold whatever program stands in the codec's place
//!
//! The codec gets three pipes and its source as an open descriptor, no environment, and no name of any file. What it leaves
//! to others: the wall-clock deadline and the end of the process group (`child`), refusing what is no media (the codec).

mod calls;
mod enter;
mod files;
mod limits;
mod trial;
mod wall;

pub use limits::Bounds;
pub use wall::{Mode, Wall};

use crate::error::SandboxError;
use enter::{Entry, Namespaces, Step};
use nix::fcntl::{OFlag, open};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode as FileMode;
use seccompiler::BpfProgram;
use sluice_wire::codec::CodecFailure;
use std::collections::BTreeSet;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use tokio::process::Command;

/// What the end of a codec without a last word says of its source: one that used up the processor time of its
/// [`Bounds`] is refused, since another try would use it up as well. `None` for any other end.
#[must_use]
pub fn verdict(status: ExitStatus) -> Option<(CodecFailure, String)> {
    let spent = status.signal() == Some(Signal::SIGXCPU as i32);
    let detail = "the file is beyond what is accepted: it takes more processor time than is given to it";
    spent.then(|| (CodecFailure::TooLarge, detail.to_owned()))
}

/// How the walls are to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// What to do where one cannot be put up.
    pub mode: Mode,
    /// The codec's user and group, where the worker is root.
    pub user: u32,
    /// Codecs at a time.
    pub slots: u32,
}

/// The codec's program behind walls that have been tried.
pub struct Sandbox {
    path: PathBuf,
    name: CString,
    /// Opened once: what is examined is what runs, and the filters know it by its number.
    program: Arc<OwnedFd>,
    libraries: Vec<PathBuf>,
    filters: Vec<BpfProgram>,
    walls: BTreeSet<Wall>,
    options: Options,
}

impl Sandbox {
    /// Puts up all walls that can be, and tries them: the program, told to `probe` an empty source, must answer with a frame.
    ///
    /// # Errors
    /// [`SandboxError`]: a required wall cannot be put up, or the program does not answer behind them.
    pub async fn raise(program: &Path, options: Options) -> Result<Self, SandboxError> {
        let mut sandbox = Self::open(program, options)?;
        while let Err(error) = trial::run(&sandbox).await {
            let SandboxError::Missing { wall, why } = error else { return Err(error) };
            if wall.is_required(options.mode) || !sandbox.walls.remove(&wall) {
                return Err(SandboxError::Missing { wall, why });
            }
            let (name, needs) = (wall.as_str(), wall.needs());
            tracing::warn!(wall = name, %why, needs, "this wall around the codec does not stand");
        }
        let standing: Vec<_> = sandbox.walls().map(Wall::as_str).collect();
        tracing::info!(walls = standing.join(" "), "the codec is walled in");
        Ok(sandbox)
    }

    fn open(path: &Path, options: Options) -> Result<Self, SandboxError> {
        let io = |error: io::Error| SandboxError::Program(format!("{}: {error}", path.display()));
        let name = CString::new(path.as_os_str().as_bytes()).map_err(|e| io(e.into()))?;
        let opened = open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, FileMode::empty());
        let program = Arc::new(enter::apart(&opened.map_err(|e| io(e.into()))?).map_err(io)?);
        let libraries = files::libraries(path).map_err(io)?;
        // Neither root nor, in the kernel's words, "no change".
        if matches!(options.user, 0 | u32::MAX) {
            return Err(SandboxError::Missing { wall: Wall::User, why: io::ErrorKind::InvalidInput.into() });
        }
        let mut walls: BTreeSet<_> = Wall::ALL.into_iter().collect();
        if !nix::unistd::geteuid().is_root() {
            walls.remove(&Wall::User);
        }
        let filters = match calls::filters(program.as_raw_fd()) {
            Ok(filters) => filters.into(),
            Err(error) => {
                let why = io::Error::other(error);
                let wall = Wall::Seccomp;
                if wall.is_required(options.mode) {
                    return Err(SandboxError::Missing { wall, why });
                }
                tracing::warn!(wall = wall.as_str(), %why, "this wall around the codec does not stand");
                walls.remove(&wall);
                vec![]
            }
        };
        Ok(Self { path: path.to_owned(), name, program, libraries, filters, walls, options })
    }

    /// The program's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The walls that stand.
    pub fn walls(&self) -> impl Iterator<Item = Wall> {
        self.walls.iter().copied()
    }

    /// The codec's command: to do `task` on a source, an open file that it reads from its beginning.
    ///
    /// The source's place in the file is shared with the caller: it opens the file for each command.
    ///
    /// # Errors
    /// [`SandboxError`]: a wall of those that stood cannot be prepared any more, or descriptors have run out.
    pub fn command(&self, task: &str, source: &impl AsFd, bounds: Bounds) -> Result<Command, SandboxError> {
        let io = |error: io::Error| SandboxError::Program(error.to_string());
        let task = CString::new(task).map_err(|e| io(e.into()))?;
        let has = |wall| self.walls.contains(&wall);
        let rules = if has(Wall::Landlock) { Some(self.rules()?) } else { None };
        let entry = Entry {
            program: Arc::clone(&self.program),
            arguments: [self.name.clone(), task],
            source: enter::apart(source).map_err(io)?,
            namespaces: has(Wall::Namespaces).then(|| Namespaces::new(nix::unistd::geteuid().is_root())),
            user: has(Wall::User).then_some(self.options.user),
            limits: bounds.limits(has(Wall::User), self.options.slots),
            nice: bounds.nice,
            rules,
            filters: if has(Wall::Seccomp) { self.filters.clone() } else { vec![] },
        };
        let mut command = Command::new(&self.path);
        command
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        entry.on_start_of(&mut command);
        Ok(command)
    }

    fn rules(&self) -> Result<OwnedFd, SandboxError> {
        let missing = |why| SandboxError::Missing { wall: Wall::Landlock, why };
        let rules = files::rules(&self.program, &self.libraries).map_err(|e| missing(io::Error::other(e)))?;
        let rules = rules.ok_or_else(|| missing(io::ErrorKind::Unsupported.into()))?;
        enter::apart(&rules).map_err(missing)
    }

    /// What an error from starting a [command](Self::command) means.
    #[must_use]
    pub fn refusal(&self, error: &io::Error) -> SandboxError {
        match Step::of(error) {
            Some((Step::Wall(wall), why)) => SandboxError::Missing { wall, why },
            Some((Step::Descriptors, why)) => {
                SandboxError::Program(format!("its descriptors (Linux 5.11 or later is needed): {why}"))
            }
            Some((Step::Program, why)) => {
                let (path, user) = (self.path.display(), self.options.user);
                SandboxError::Program(format!(
                    "{path} cannot be executed (by user {user}, where root is the worker): {why}"
                ))
            }
            None => SandboxError::Program(error.to_string()),
        }
    }
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox")
            .field("path", &self.path)
            .field("walls", &self.walls)
            .finish_non_exhaustive()
    }
}
