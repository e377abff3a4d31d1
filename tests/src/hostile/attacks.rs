//! The attempts, each by the name under which a story asks for it.

use nix::errno::Errno;
use nix::libc;
use serde_json::{Map, Value, json};
use std::ffi::CString;
use std::io;
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::ptr::null_mut;

/// Tries everything. `what` names a `secret` file, a `folder` to write to, its `parent` and a `victim` process, a listening `tcp` address and
/// a listening `unix` socket. An attempt's answer is `done`, or the error that it met.
pub(crate) fn all(what: &Value) -> Value {
    let text = |key: &str| what[key].as_str().unwrap().to_owned();
    let (secret, folder, victim) =
        (text("secret"), text("folder"), i32::try_from(what["victim"].as_i64().unwrap()).unwrap());
    let mut report = Map::new();
    let mut note = |name: &str, result: io::Result<()>| {
        let error = |error: io::Error| match error.raw_os_error() {
            Some(number) => format!("{:?}", Errno::from_raw(number)),
            None => error.to_string(),
        };
        let said = result.map_or_else(error, |()| "done".to_owned());
        report.insert(name.to_owned(), said.into());
    };
    for (name, result) in files(&secret, &folder, &what["parent"]) {
        note(name, result);
    }
    for (name, result) in network(&text("tcp"), &text("unix")) {
        note(name, result);
    }
    for (name, result) in processes(victim) {
        note(name, result);
    }
    for (name, result) in kernel() {
        note(name, result);
    }
    let environment: Vec<String> =
        std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()).collect();
    json!({ "attempts": report, "environment": environment, "descriptors": descriptors() })
}

const SHARED: &str = "/dev/shm/sluice-hostile";

type Attempt = (&'static str, io::Result<()>);

fn files(secret: &str, folder: &str, parent: &Value) -> Vec<Attempt> {
    let read = |path: &str| std::fs::read(path).map(drop);
    let new = Path::new(folder).join("new");
    vec![
        ("read a host file", read(secret)),
        ("read /etc/passwd", read("/etc/passwd")),
        ("list a folder", std::fs::read_dir("/").map(drop)),
        ("read the parent's environment", read(&format!("/proc/{parent}/environ"))),
        ("read its own /proc", read("/proc/self/status")),
        ("read /sys", read("/sys/kernel/mm/transparent_hugepage/enabled")),
        ("fill the disk", std::fs::write(&new, vec![0; 1 << 20])),
        ("fill shared memory", std::fs::write(SHARED, b"x").and_then(|()| std::fs::remove_file(SHARED))),
        ("fill memory by a file without a name", memfd()),
        ("write over a host file", std::fs::OpenOptions::new().append(true).open(secret).map(drop)),
        ("change a host file's mode", chmod(secret)),
        ("change the source", call(libc::SYS_ftruncate, [3, 0, 0, 0, 0, 0])),
        ("remove a host file", std::fs::rename(secret, format!("{secret}.gone"))),
    ]
}

fn network(tcp: &str, unix: &str) -> Vec<Attempt> {
    let socket = |family: i32, kind: i32, protocol: i32| {
        call(libc::SYS_socket, [family.into(), kind.into(), protocol.into(), 0, 0, 0])
    };
    vec![
        ("connect by IPv4", TcpStream::connect(tcp).map(drop)),
        ("make an IPv6 socket", socket(libc::AF_INET6, libc::SOCK_STREAM, 0)),
        ("send by UDP", UdpSocket::bind("127.0.0.1:0").and_then(|s| s.send_to(b"x", tcp)).map(drop)),
        ("connect by a unix socket", UnixStream::connect(unix).map(drop)),
        ("make a pair of unix sockets", UnixDatagram::pair().map(drop)),
        ("make a netlink socket", socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE)),
        ("make a packet socket", socket(libc::AF_PACKET, libc::SOCK_RAW, 0)),
    ]
}

fn processes(victim: i32) -> Vec<Attempt> {
    const PTRACE_SEIZE: i64 = 0x4206;
    let victim = i64::from(victim);
    vec![
        ("trace a process", call(libc::SYS_ptrace, [PTRACE_SEIZE, victim, 0, 0, 0, 0])),
        ("read a process's memory", vm_read(victim)),
        ("signal a process", call(libc::SYS_kill, [victim, 0, 0, 0, 0, 0])),
        ("signal a thread", call(libc::SYS_tgkill, [victim, victim, 0, 0, 0, 0])),
        ("open a process", call(libc::SYS_pidfd_open, [victim, 0, 0, 0, 0, 0])),
        ("bomb by fork", fork_bomb()),
        ("bomb by clone3", clone3()),
        ("run another program", std::process::Command::new("/bin/true").status().map(drop)),
        ("become another program", become_shell()),
        ("become root", call(libc::SYS_setresuid, [0, 0, 0, 0, 0, 0])),
        ("raise its limits", raise_limits()),
    ]
}

fn kernel() -> Vec<Attempt> {
    const NEW_USER: i64 = libc::CLONE_NEWUSER as i64;
    const NEW_NET: i64 = libc::CLONE_NEWNET as i64;
    let parameters = [0u64; 64];
    let at = parameters.as_ptr() as i64;
    vec![
        ("use io_uring", call(libc::SYS_io_uring_setup, [4, at, 0, 0, 0, 0])),
        ("mount", mount()),
        ("load a BPF program", bpf()),
        ("use the keyring", call(libc::SYS_keyctl, [0, -4, 1, 0, 0, 0])),
        ("make a user namespace", call(libc::SYS_unshare, [NEW_USER, 0, 0, 0, 0, 0])),
        ("make a network namespace", call(libc::SYS_unshare, [NEW_NET, 0, 0, 0, 0, 0])),
        ("count events of the processor", call(libc::SYS_perf_event_open, [at, 0, -1, -1, 0, 0])),
        ("catch page faults", call(libc::SYS_userfaultfd, [1, 0, 0, 0, 0, 0])),
        ("share System V memory", call(libc::SYS_shmget, [0, 4096, 0o1600, 0, 0, 0])),
        ("share memory", shared_memory()),
        ("load a module", call(libc::SYS_init_module, [at, 0, at, 0, 0, 0])),
        ("change the clock", call(libc::SYS_clock_settime, [0, at, 0, 0, 0, 0])),
        ("type into a terminal", call(libc::SYS_ioctl, [0, libc::TIOCSTI as i64, at, 0, 0, 0])),
    ]
}

/// A system call with numbers that are nobody's addresses, or those of what outlives the call.
fn call(number: i64, a: [i64; 6]) -> io::Result<()> {
    // SAFETY: the callers pass addresses of live values of the size that the call reads and writes, or none.
    let answer = unsafe { libc::syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]) };
    Ok(Errno::result(answer).map(drop)?)
}

fn memfd() -> io::Result<()> {
    call(libc::SYS_memfd_create, [c"hostile".as_ptr() as i64, 0, 0, 0, 0, 0])
}

fn chmod(path: &str) -> io::Result<()> {
    let path = CString::new(path)?;
    call(libc::SYS_fchmodat, [libc::AT_FDCWD.into(), path.as_ptr() as i64, 0o777, 0, 0, 0])
}

fn vm_read(victim: i64) -> io::Result<()> {
    let mut byte = 0u8;
    let local = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let remote = libc::iovec { iov_base: null_mut(), iov_len: 1 };
    let (local, remote) = (&raw const local, &raw const remote);
    call(libc::SYS_process_vm_readv, [victim, local as i64, 1, remote as i64, 1, 0])
}

/// The children end at once and are waited for; a hundred are enough to show that they could be thousands.
fn fork_bomb() -> io::Result<()> {
    for _ in 0..100 {
        // SAFETY: this program has one thread here; the child does nothing but end.
        match unsafe { libc::fork() } {
            -1 => return Err(io::Error::last_os_error()),
            // SAFETY: ends the child without running anything of the parent's.
            0 => unsafe { libc::_exit(0) },
            child => {
                // SAFETY: waits for a child of its own.
                unsafe { libc::waitpid(child, null_mut(), 0) };
            }
        }
    }
    Ok(())
}

fn clone3() -> io::Result<()> {
    // struct clone_args: all zero but the signal at the end, which makes it a fork.
    let mut arguments = [0u64; 11];
    arguments[4] = libc::SIGCHLD as u64;
    // SAFETY: the structure is as long as the call is told; the child does nothing but end.
    match unsafe { libc::syscall(libc::SYS_clone3, arguments.as_ptr(), size_of_val(&arguments)) } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: as above.
        0 => unsafe { libc::_exit(0) },
        child => {
            // SAFETY: waits for a child of its own.
            unsafe { libc::waitpid(i32::try_from(child).unwrap_or(-1), null_mut(), 0) };
            Ok(())
        }
    }
}

/// Comes back only when it is refused.
fn become_shell() -> io::Result<()> {
    // Outside the sandbox this would end the report, so the program is one that cannot be executed for another reason:
    // its name is that of a folder.
    let arguments = [c"/".as_ptr(), std::ptr::null()];
    // SAFETY: C strings and a list that ends with null.
    unsafe { libc::execve(c"/".as_ptr(), arguments.as_ptr(), arguments[1..].as_ptr()) };
    Err(io::Error::last_os_error())
}

fn raise_limits() -> io::Result<()> {
    use nix::sys::resource::{Resource, rlim_t, setrlimit};
    Ok(setrlimit(Resource::RLIMIT_FSIZE, rlim_t::MAX, rlim_t::MAX)?)
}

fn mount() -> io::Result<()> {
    let tmpfs = c"tmpfs".as_ptr() as i64;
    // Over nothing: a folder that is not there, so that outside the sandbox nothing is covered up.
    call(libc::SYS_mount, [tmpfs, c"/nowhere".as_ptr() as i64, tmpfs, 0, 0, 0])
}

fn bpf() -> io::Result<()> {
    // BPF_MAP_CREATE of an array with one entry: type, key size, value size, entries.
    let mut attributes = [0u32; 32];
    attributes[..4].copy_from_slice(&[2, 4, 4, 1]);
    let (at, size) = (attributes.as_ptr() as i64, size_of_val(&attributes) as i64);
    call(libc::SYS_bpf, [0, at, size, 0, 0, 0])
}

fn shared_memory() -> io::Result<()> {
    let flags = i64::from(libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    call(libc::SYS_mmap, [0, 4096, libc::PROT_READ.into(), flags, -1, 0])
}

/// The open descriptors beyond the source.
fn descriptors() -> Vec<i32> {
    // SAFETY: asks for a number's flags.
    (4..1_024).filter(|&fd| unsafe { libc::fcntl(fd, libc::F_GETFD) } != -1).collect()
}
