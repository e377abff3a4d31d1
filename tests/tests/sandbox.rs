//! The codec's sandbox, tried by a hostile program in the codec's place.
#![allow(clippy::unwrap_used, reason = "helpers of tests: what fails here fails the story")]

use bytes::BytesMut;
use nix::unistd::geteuid;
use serde_json::{Value, json};
use sluice_tests::process::binary;
use sluice_transcoder::SandboxError;
use sluice_transcoder::sandbox::{Bounds, Mode, Options, Sandbox, Wall};
use sluice_wire::codec::{CodecMessage, decode};
use std::fs::File;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// As the worker's default.
const USER: u32 = 65_533;
/// Some user that is not root.
const ORDINARY: u32 = 12_345;

const OPTIONS: Options = Options { mode: Mode::Required, user: USER, slots: 1 };

/// Row R40 of the reliability gates, and what else came to mind. What the program must not have done.
const ATTEMPTS: [&str; 44] = [
    "become another program",
    "become root",
    "bomb by clone3",
    "bomb by fork",
    "catch page faults",
    "change a host file's mode",
    "change the clock",
    "change the source",
    "connect by IPv4",
    "connect by a unix socket",
    "count events of the processor",
    "fill memory by a file without a name",
    "fill shared memory",
    "fill the disk",
    "list a folder",
    "load a BPF program",
    "load a module",
    "make a netlink socket",
    "make a network namespace",
    "make a packet socket",
    "make a pair of unix sockets",
    "make a user namespace",
    "make an IPv6 socket",
    "mount",
    "open a process",
    "raise its limits",
    "read /etc/passwd",
    "read /sys",
    "read a host file",
    "read a process's memory",
    "read its own /proc",
    "read the parent's environment",
    "remove a host file",
    "run another program",
    "send by UDP",
    "share System V memory",
    "share memory",
    "signal a process",
    "signal a thread",
    "trace a process",
    "type into a terminal",
    "use io_uring",
    "use the keyring",
    "write over a host file",
];

/// Those that any program may do on any machine.
const HARMFUL: [&str; 20] = [
    "bomb by clone3",
    "bomb by fork",
    "change a host file's mode",
    "connect by IPv4",
    "connect by a unix socket",
    "fill memory by a file without a name",
    "fill shared memory",
    "fill the disk",
    "list a folder",
    "make a netlink socket",
    "make a pair of unix sockets",
    "read /etc/passwd",
    "read a host file",
    "read its own /proc",
    "read the parent's environment",
    "remove a host file",
    "run another program",
    "send by UDP",
    "share memory",
    "write over a host file",
];

/// What an attack finds around it, for as long as it lasts: all of it is open to any user.
struct Surroundings {
    dir: tempfile::TempDir,
    tcp: TcpListener,
    _unix: UnixListener,
    victim: std::process::Child,
}

impl Surroundings {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let everyone = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        everyone(dir.path(), 0o777);
        let (secret, unix) = (dir.path().join("secret"), dir.path().join("socket"));
        std::fs::write(&secret, "secret").unwrap();
        everyone(&secret, 0o666);
        let listener = UnixListener::bind(&unix).unwrap();
        everyone(&unix, 0o777);
        let victim = Command::new("sleep").arg("600").spawn().unwrap();
        Self { dir, tcp: TcpListener::bind("127.0.0.1:0").unwrap(), _unix: listener, victim }
    }

    fn source(&self) -> Value {
        json!({
            "do": "attack",
            "secret": self.dir.path().join("secret"),
            "folder": self.dir.path(),
            "unix": self.dir.path().join("socket"),
            "tcp": self.tcp.local_addr().unwrap().to_string(),
            "victim": self.victim.id(),
            "parent": std::process::id(),
        })
    }
}

impl Drop for Surroundings {
    fn drop(&mut self) {
        drop((self.victim.kill(), self.victim.wait()));
    }
}

fn open_source(what: &Value) -> File {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(what.to_string().as_bytes()).unwrap();
    File::open(file.path()).unwrap()
}

/// The detail of the only frame that the hostile program sends.
fn report(output: &Output) -> Value {
    let frame = decode(&mut BytesMut::from(&output.stdout[..])).unwrap();
    let Some((CodecMessage::Failed { detail, .. }, _)) = frame else {
        panic!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    };
    serde_json::from_str(&detail).unwrap_or(Value::String(detail))
}

async fn hostile(sandbox: &Sandbox, what: &Value, bounds: Bounds) -> Output {
    let mut command = sandbox.command("probe", &open_source(what), bounds).unwrap();
    let mut child = command.spawn().map_err(|error| sandbox.refusal(&error)).unwrap();
    drop(child.stdin.take());
    child.wait_with_output().await.unwrap()
}

fn assert_denied(report: &Value) {
    let attempts = report["attempts"].as_object().unwrap();
    assert_eq!(attempts.keys().map(String::as_str).collect::<Vec<_>>(), ATTEMPTS);
    for (name, answer) in attempts {
        assert!(matches!(answer.as_str(), Some("EPERM" | "EACCES" | "ENOSYS")), "{name}: {answer}");
    }
    assert_eq!(report["environment"], json!([]));
    assert_eq!(report["descriptors"], json!([]));
}

/// Attacks from within, as whoever runs this.
async fn attacked() -> Sandbox {
    let around = Surroundings::new();
    let sandbox = Sandbox::raise(&binary("sluice-hostile"), OPTIONS).await.unwrap();
    assert_denied(&report(&hostile(&sandbox, &around.source(), Bounds::probe()).await));
    assert_eq!(std::fs::read_to_string(around.dir.path().join("secret")).unwrap(), "secret");
    assert_eq!(std::fs::metadata(around.dir.path().join("secret")).unwrap().mode() & 0o777, 0o666);
    assert!(!around.dir.path().join("new").exists());
    sandbox
}

fn standing(sandbox: &Sandbox) -> Vec<Wall> {
    sandbox.walls().collect()
}

#[test]
fn the_attempts_succeed_where_there_is_no_sandbox() {
    let around = Surroundings::new();
    // The source as descriptor 3, by way of a shell that has no sandbox to put up.
    let output = Command::new("sh")
        .args(["-c", "exec 3<&0; exec \"$0\" probe", binary("sluice-hostile").to_str().unwrap()])
        .stdin(Stdio::from(open_source(&around.source())))
        .output()
        .unwrap();
    let report = report(&output);
    // The rest needs root, or the kernel's leave, or is made so that it does no harm where it is not refused.
    for name in HARMFUL {
        assert_eq!(report["attempts"][name], "done", "{name}");
    }
}

#[tokio::test]
async fn a_hostile_program_is_denied_everything() {
    let sandbox = attacked().await;
    let expected: Vec<Wall> =
        Wall::ALL.into_iter().filter(|w| geteuid().is_root() || *w != Wall::User).collect();
    let mut standing = standing(&sandbox);
    standing.sort_by_key(|wall| Wall::ALL.iter().position(|w| w == wall));
    assert_eq!(standing, expected);
}

/// Runs a story of this file that is left out otherwise, by a command that becomes somebody else.
fn again(story: &str, by: &[&str]) {
    // What an ordinary user may read: this program and the hostile one, side by side.
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let here = dir.path().join("story");
    std::fs::copy(std::env::current_exe().unwrap(), &here).unwrap();
    std::fs::copy(binary("sluice-hostile"), dir.path().join("sluice-hostile")).unwrap();
    let output = Command::new(by[0])
        .args(&by[1..])
        .arg(here)
        .args(["--ignored", "--exact", story, "--nocapture"])
        .current_dir("/")
        .output()
        .unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{}: {said}", output.status);
}

#[tokio::test]
#[ignore = "run by the stories below, as an ordinary user"]
async fn as_an_ordinary_user() {
    assert!(!geteuid().is_root());
    let walls = standing(&attacked().await);
    assert!(!walls.contains(&Wall::User) && walls.contains(&Wall::Namespaces), "{walls:?}");
}

#[tokio::test]
#[ignore = "run by the stories below, where no namespace can be made"]
async fn where_namespaces_are_off() {
    let walls = standing(&attacked().await);
    assert!(!walls.contains(&Wall::Namespaces) && walls.contains(&Wall::Landlock), "{walls:?}");
}

#[tokio::test]
#[ignore = "run by the stories below, by a root that can become nobody else"]
async fn where_the_user_cannot_be_changed() {
    let program = binary("sluice-hostile");
    let said = Sandbox::raise(&program, OPTIONS).await.unwrap_err().to_string();
    assert!(said.contains("without the wall `user`") && said.contains("CAP_SETUID"), "{said}");
    let options = Options { mode: Mode::BestEffort, ..OPTIONS };
    let sandbox = Sandbox::raise(&program, options).await.unwrap();
    let walls = standing(&sandbox);
    assert!(!walls.contains(&Wall::User) && walls.len() == Wall::ALL.len() - 1, "{walls:?}");
    let around = Surroundings::new();
    assert_denied(&report(&hostile(&sandbox, &around.source(), Bounds::probe()).await));
}

#[test]
fn a_wall_that_cannot_be_put_up_is_a_refusal_or_gone_without() {
    // Root in a user namespace that knows no other user.
    again("where_the_user_cannot_be_changed", &["unshare", "--user", "--map-root-user"]);
}

#[test]
fn an_ordinary_users_worker_denies_everything() {
    if !geteuid().is_root() {
        return println!("skipped: whoever runs this is an ordinary user already");
    }
    let id = ORDINARY.to_string();
    again("as_an_ordinary_user", &["setpriv", "--reuid", &id, "--regid", &id, "--clear-groups"]);
}

#[test]
fn a_machine_without_namespaces_denies_everything() {
    let id = ORDINARY.to_string();
    // In a user namespace whose limit for more of them is none, without the privileges that one has in it.
    let off = "echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --ambient-caps=-all --inh-caps=-all \
               --bounding-set=-all \"$0\" \"$@\"";
    let mut by = vec!["setpriv", "--reuid", &id, "--regid", &id, "--clear-groups"];
    if !geteuid().is_root() {
        by.clear();
    }
    by.extend(["unshare", "--user", "--map-current-user", "--keep-caps", "sh", "-c", off]);
    again("where_namespaces_are_off", &by);
}

#[tokio::test]
async fn memory_threads_and_processor_time_have_an_end() {
    let sandbox = Sandbox::raise(&binary("sluice-hostile"), OPTIONS).await.unwrap();
    let bounds = Bounds { memory: 256 << 20, processor: Duration::from_secs(1), nice: 0 };
    let had = report(&hostile(&sandbox, &json!({ "do": "hoard" }), bounds).await);
    assert!((64..=256).contains(&(had["bytes"].as_u64().unwrap() >> 20)), "{had}");
    let had = report(&hostile(&sandbox, &json!({ "do": "crowd" }), Bounds::probe()).await);
    assert!((100..=1_024).contains(&had["threads"].as_u64().unwrap()), "{had}");
    let spun = hostile(&sandbox, &json!({ "do": "spin" }), bounds).await;
    assert_eq!(spun.status.signal(), Some(nix::libc::SIGXCPU));
}

#[cfg(target_arch = "x86_64")]
#[tokio::test]
async fn system_calls_of_another_architecture_end_the_program() {
    let sandbox = Sandbox::raise(&binary("sluice-hostile"), OPTIONS).await.unwrap();
    let ended = hostile(&sandbox, &json!({ "do": "foreign" }), Bounds::probe()).await;
    assert_eq!(ended.status.signal(), Some(nix::libc::SIGSYS), "{ended:?}");
}

#[tokio::test]
async fn the_kernel_says_the_same_of_a_program_within() {
    let sandbox = Sandbox::raise(&binary("sluice-hostile"), OPTIONS).await.unwrap();
    let source = open_source(&json!({ "do": "sleep" }));
    let child = sandbox.command("probe", &source, Bounds::probe()).unwrap().spawn().unwrap();
    // Starting has ended when the program has begun.
    let id = child.id().unwrap();
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    };
    let user = if geteuid().is_root() { USER } else { geteuid().as_raw() };
    assert_eq!(line("Uid:"), format!("{user} {user} {user} {user}"));
    assert_eq!((line("NoNewPrivs:").as_str(), line("Seccomp:").as_str()), ("1", "2"));
    assert_eq!(line("CapEff:"), "0000000000000000");
    assert_eq!(line("CapPrm:"), "0000000000000000");
    for name in ["net", "ipc"] {
        let of = |id: &str| std::fs::read_link(format!("/proc/{id}/ns/{name}")).unwrap();
        assert_ne!(of(&id.to_string()), of("self"), "{name}");
    }
}

#[tokio::test]
async fn what_cannot_be_walled_in_is_refused_with_the_reason() {
    let refused = |error: SandboxError| error.to_string();
    // A user that is not to be had.
    if geteuid().is_root() {
        let options = Options { user: u32::MAX, ..OPTIONS };
        let said = refused(Sandbox::raise(&binary("sluice-hostile"), options).await.unwrap_err());
        assert!(said.contains("`user`") && said.contains("sandbox_user"), "{said}");
    }
    // A program that does not answer.
    let said = refused(Sandbox::raise(Path::new("/bin/true"), OPTIONS).await.unwrap_err());
    assert!(said.contains("/bin/true: no answer"), "{said}");
    // A script would need its interpreter.
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("codec");
    std::fs::write(&script, "#!/bin/sh\nexit 0\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let said = refused(Sandbox::raise(&script, OPTIONS).await.unwrap_err());
    assert!(said.contains("cannot be executed"), "{said}");
}
