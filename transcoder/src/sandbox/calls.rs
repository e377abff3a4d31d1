//! The system calls that the codec may make: those of a program that is loaded, reads its source, computes with threads,
//! and writes to its pipes. Everything else is answered with "not permitted".
//!
//! No call on the list takes a process's id and does anything to it, makes a process, a socket, a file, a name or a
//! namespace, or changes who may do what.

use nix::libc;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};
use std::collections::BTreeMap;
use std::os::fd::RawFd;

/// Allowed with whatever arguments.
const ALLOWED: &[libc::c_long] = &[
    // Reading and writing what is open. Opening: what may be opened is landlock's.
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_lseek,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_openat,
    libc::SYS_faccessat,
    libc::SYS_readlinkat,
    libc::SYS_ppoll,
    // Memory; mapping is further down.
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_mlock,
    libc::SYS_brk,
    // Threads.
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_rseq,
    libc::SYS_gettid,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_sched_get_priority_max,
    libc::SYS_sched_get_priority_min,
    // Signals of its own.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    // Time and chance.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    // Questions about itself and the machine that libraries ask.
    libc::SYS_getpid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getrusage,
    libc::SYS_getcwd,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    // The end.
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// The older names of calls above, which this platform has as well.
#[cfg(target_arch = "x86_64")]
const ALLOWED_HERE: &[libc::c_long] = &[
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_poll,
    libc::SYS_arch_prctl,
    libc::SYS_time,
    libc::SYS_getrlimit,
];
#[cfg(not(target_arch = "x86_64"))]
const ALLOWED_HERE: &[libc::c_long] = &[];

/// What a thread is started with, by glibc and musl; a process lacks it.
const A_THREAD: u64 = (libc::CLONE_VM | libc::CLONE_SIGHAND | libc::CLONE_THREAD) as u64;
/// What neither is started with here.
const A_NAMESPACE: u64 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u64;

/// The two programs for the kernel, to be installed in this order. `program` is the descriptor that may be executed, once:
/// it is closed by that.
pub(super) fn filters(program: RawFd) -> Result<[BpfProgram; 2], BackendError> {
    let arch = std::env::consts::ARCH.try_into()?;
    // Its flags are in memory, where no filter sees them. Told that there is no such call, libraries use the older one.
    let hidden = BTreeMap::from([(libc::SYS_clone3, vec![])]);
    let missing = SeccompAction::Errno(libc::ENOSYS as u32);
    let first = SeccompFilter::new(hidden, SeccompAction::Allow, missing, arch)?;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        ALLOWED.iter().chain(ALLOWED_HERE).map(|&call| (call, vec![])).collect();
    rules.insert(libc::SYS_clone3, vec![]);
    rules.insert(
        libc::SYS_clone,
        vec![rule(&[(0, SeccompCmpOp::MaskedEq(A_THREAD | A_NAMESPACE), A_THREAD)])?],
    );
    let shared = libc::MAP_SHARED as u64;
    // Memory that is shared is counted by no limit of its own.
    rules.insert(libc::SYS_mmap, vec![rule(&[(3, SeccompCmpOp::MaskedEq(shared), 0)])?]);
    // Its own limits may be asked for and lowered.
    rules.insert(libc::SYS_prlimit64, vec![rule(&[(0, SeccompCmpOp::Eq, 0)])?]);
    let of = |option: i32| rule(&[(0, SeccompCmpOp::Eq, option as u64)]);
    rules.insert(libc::SYS_prctl, vec![of(libc::PR_SET_NAME)?, of(libc::PR_GET_NAME)?, of(PR_SET_VMA)?]);
    let reading = [libc::F_GETFD, libc::F_GETFL];
    let reads = reading.iter().map(|&what| rule(&[(1, SeccompCmpOp::Eq, what as u64)]));
    rules.insert(libc::SYS_fcntl, reads.collect::<Result<_, _>>()?);
    let itself = [
        (0, SeccompCmpOp::Eq, u64::try_from(program).unwrap_or(u64::MAX)),
        (4, SeccompCmpOp::Eq, libc::AT_EMPTY_PATH as u64),
    ];
    rules.insert(libc::SYS_execveat, vec![rule(&itself)?]);
    let refused = SeccompAction::Errno(libc::EPERM as u32);
    let second = SeccompFilter::new(rules, refused, SeccompAction::Allow, arch)?;
    Ok([first.try_into()?, second.try_into()?])
}

/// Naming a mapping, which newer allocators do (linux/prctl.h).
const PR_SET_VMA: i32 = 0x5356_4d41;

/// All of these must hold, of the lower 32 bits of the arguments counted from 0.
fn rule(conditions: &[(u8, SeccompCmpOp, u64)]) -> Result<SeccompRule, BackendError> {
    let condition = |(argument, operator, value): &(u8, SeccompCmpOp, u64)| {
        SeccompCondition::new(*argument, SeccompCmpArgLen::Dword, operator.clone(), *value)
    };
    SeccompRule::new(conditions.iter().map(condition).collect::<Result<_, _>>()?)
}
