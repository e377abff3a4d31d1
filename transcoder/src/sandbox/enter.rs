//! The way into the sandbox: what the forked child does to itself before it becomes the codec.
//!
//! Everything is prepared by the parent, so that the child neither allocates nor locks. It does not return from here once
//! it has become the codec: the walls let one program through, by a descriptor, and not by the name that
//! [`Command`](std::process::Command) would use.
#![expect(unsafe_code, reason = "system calls between fork and exec that no safe binding has")]

use super::wall::Wall;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::libc;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_no_new_privs;
use nix::sys::resource::{Resource, rlim_t, setrlimit};
use nix::sys::stat::Mode as FileMode;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid, write};
use seccompiler::{BpfProgram, apply_filter};
use sluice_wire::codec::SOURCE_FD;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use tokio::process::Command;

/// Descriptors of ours are numbered from here, so that none is where the source goes.
const FIRST: RawFd = 10;

/// What is needed on the way in.
#[derive(Debug)]
pub(super) struct Entry {
    /// The program, open under the number that the filters know.
    pub(super) program: Arc<OwnedFd>,
    /// What it is told: its name and its task.
    pub(super) arguments: [CString; 2],
    /// The source, open for reading.
    pub(super) source: OwnedFd,
    /// `None` leaves the worker's namespaces.
    pub(super) namespaces: Option<Namespaces>,
    /// `None` leaves the worker's user. Users and groups have the same number.
    pub(super) user: Option<u32>,
    pub(super) limits: Vec<(Resource, rlim_t, rlim_t)>,
    /// How much it leaves processors to others.
    pub(super) nice: i32,
    /// Landlock's rules; `None` without landlock.
    pub(super) rules: Option<OwnedFd>,
    /// Seccomp's programs, in the order in which they are installed; empty without seccomp.
    pub(super) filters: Vec<BpfProgram>,
}

/// Where the way in has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A wall could not be put up.
    Wall(Wall),
    /// The source or the other descriptors could not be put in their places.
    Descriptors,
    /// All walls stand; the program cannot be executed.
    Program,
}

/// A descriptor of the same file that is out of the source's way, and that the codec does not inherit.
pub(super) fn apart(file: &impl AsFd) -> io::Result<OwnedFd> {
    let fd = fcntl(file, FcntlArg::F_DUPFD_CLOEXEC(FIRST))?;
    // SAFETY: the descriptor was made by the call above and is nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

impl Entry {
    /// Has a command go in when it is started.
    pub(super) fn on_start_of(self, command: &mut Command) {
        let enter = move || Err(self.enter());
        // SAFETY: the hook runs in the forked child. It makes system calls on what was prepared before the fork, and
        // neither allocates nor locks; when anything fails, the program is not started.
        unsafe { command.pre_exec(enter) };
    }

    /// Goes in. Comes back only when it fails; the error tells where, to [`Step::of`].
    ///
    /// For a forked child alone: it changes the process that calls it for good.
    fn enter(&self) -> io::Error {
        match self.walls() {
            Err((step, errno)) => step.failed(errno),
            Ok(()) => Step::Program.failed(self.become_program()),
        }
    }

    fn walls(&self) -> Result<(), (Step, Errno)> {
        let at = |step: Step| move |errno: Errno| (step, errno);
        // SAFETY: the numbers are valid, and nothing in this process uses the one that is taken: it is only the codec's.
        let placed = unsafe { libc::dup2(self.source.as_raw_fd(), SOURCE_FD) };
        Errno::result(placed).map_err(at(Step::Descriptors))?;
        if let Some(namespaces) = &self.namespaces {
            namespaces.enter().map_err(at(Step::Wall(Wall::Namespaces)))?;
        }
        if self.nice > 0 {
            // SAFETY: the call takes three numbers. That it is refused harms nobody but this process's neighbours.
            unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, self.nice) };
        }
        self.become_user().map_err(at(Step::Wall(Wall::User)))?;
        for &(what, soft, hard) in &self.limits {
            setrlimit(what, soft, hard).map_err(at(Step::Wall(Wall::Limits)))?;
        }
        close_others().map_err(at(Step::Descriptors))?;
        set_no_new_privs().map_err(at(Step::Wall(Wall::NoNewPrivileges)))?;
        if let Some(rules) = &self.rules {
            // SAFETY: the call takes two numbers.
            let restricted = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, rules.as_raw_fd(), 0) };
            Errno::result(restricted).map_err(at(Step::Wall(Wall::Landlock)))?;
        }
        for filter in &self.filters {
            apply_filter(filter).map_err(|_| (Step::Wall(Wall::Seccomp), Errno::last()))?;
        }
        Ok(())
    }

    fn become_user(&self) -> Result<(), Errno> {
        let Some(id) = self.user else { return Ok(()) };
        let (user, group) = (Uid::from_raw(id), Gid::from_raw(id));
        setgroups(&[])?;
        setresgid(group, group, group)?;
        setresuid(user, user, user)
    }

    /// Gives the reason why it has not become the program.
    fn become_program(&self) -> Errno {
        let arguments = [self.arguments[0].as_ptr(), self.arguments[1].as_ptr(), std::ptr::null()];
        let environment = [std::ptr::null::<libc::c_char>()];
        // SAFETY: the path is an empty C string; both lists end with null, and what they point to outlives the call. When
        // it succeeds, nothing of this process is left that could be used wrongly.
        unsafe {
            libc::syscall(
                libc::SYS_execveat,
                self.program.as_raw_fd(),
                c"".as_ptr(),
                arguments.as_ptr(),
                environment.as_ptr(),
                libc::AT_EMPTY_PATH,
            )
        };
        Errno::last()
    }
}

/// All but standard input, output and error and the source end with the worker's image.
fn close_others() -> Result<(), Errno> {
    let (first, last) = (SOURCE_FD.unsigned_abs() + 1, u32::MAX);
    // SAFETY: the call takes three numbers. It closes nothing at once, so that what this process still uses stays open.
    let marked = unsafe { libc::syscall(libc::SYS_close_range, first, last, libc::CLOSE_RANGE_CLOEXEC) };
    Errno::result(marked).map(drop)
}

/// Which namespaces to make, and who the codec is in them.
#[derive(Debug)]
pub(super) struct Namespaces {
    flags: CloneFlags,
    /// The lines for `/proc/self/uid_map` and `gid_map`; `None` without a user namespace.
    maps: Option<[String; 2]>,
}

impl Namespaces {
    /// An empty network and System V memory of its own. A worker that is not root needs a user namespace for them, in
    /// which the codec has its own ids and no other.
    pub(super) fn new(root: bool) -> Self {
        let flags = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS;
        if root {
            return Self { flags, maps: None };
        }
        let (user, group) = (nix::unistd::geteuid(), nix::unistd::getegid());
        let maps = [format!("{user} {user} 1"), format!("{group} {group} 1")];
        Self { flags: flags | CloneFlags::CLONE_NEWUSER, maps: Some(maps) }
    }

    fn enter(&self) -> Result<(), Errno> {
        unshare(self.flags)?;
        let Some([users, groups]) = &self.maps else { return Ok(()) };
        // A group may be mapped only by one that has given up changing groups.
        tell(c"/proc/self/setgroups", "deny")?;
        tell(c"/proc/self/uid_map", users)?;
        tell(c"/proc/self/gid_map", groups)
    }
}

fn tell(file: &CStr, words: &str) -> Result<(), Errno> {
    let file = open(file, OFlag::O_WRONLY | OFlag::O_CLOEXEC, FileMode::empty())?;
    write(&file, words.as_bytes()).map(drop)
}

impl Step {
    /// Bits of an error number that are the kernel's: its numbers are below 4096.
    const ERRNO_BITS: u32 = 12;

    const ALL: [Self; 8] = [
        Self::Wall(Wall::Namespaces),
        Self::Wall(Wall::User),
        Self::Wall(Wall::Limits),
        Self::Wall(Wall::NoNewPrivileges),
        Self::Wall(Wall::Landlock),
        Self::Wall(Wall::Seccomp),
        Self::Descriptors,
        Self::Program,
    ];

    /// An error number is all that comes through from a child that has not become its program: the step is put above it.
    fn failed(self, errno: Errno) -> io::Error {
        let step = Self::ALL.iter().position(|&s| s == self).map_or(0, |at| at + 1);
        let step = i32::try_from(step).unwrap_or(0);
        io::Error::from_raw_os_error((step << Self::ERRNO_BITS) | errno as i32)
    }

    /// The step at which starting the codec has failed, and why; `None` for an error from before the way in.
    pub(super) fn of(error: &io::Error) -> Option<(Self, io::Error)> {
        let number = error.raw_os_error()?;
        let step = usize::try_from(number >> Self::ERRNO_BITS).ok()?.checked_sub(1)?;
        let errno = number & ((1 << Self::ERRNO_BITS) - 1);
        Some((*Self::ALL.get(step)?, io::Error::from_raw_os_error(errno)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_way_in_ended_comes_through_an_error_number() {
        for step in Step::ALL {
            let (at, why) = Step::of(&step.failed(Errno::EPERM)).unwrap();
            assert_eq!((at, why.raw_os_error()), (step, Some(libc::EPERM)));
        }
        assert!(Step::of(&io::Error::from_raw_os_error(libc::ENOMEM)).is_none());
    }
}
