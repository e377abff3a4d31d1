//! Disks that fail when a story wants it. They need root; all of it is undone when dropped.

use crate::process::Process;
use nix::sys::signal::Signal;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::Instant;

/// Bytes of a disk that stay readable whatever happens: more than the file system's own beginning.
const HEAD: u64 = 1 << 20;
/// Within which processes that were killed have closed what they had open, on a busy machine.
const CLOSED: Duration = Duration::from_secs(10);
/// Where groups of processes get a share of a disk's speed.
const GROUPS: &str = "/sys/fs/cgroup/blkio";

/// Whether disks can be made here.
///
/// # Errors
/// What is missing.
pub fn is_possible() -> Result<(), String> {
    if !nix::unistd::geteuid().is_root() {
        return Err("disks of a story's own need root".into());
    }
    if !Path::new("/dev/loop-control").exists() {
        return Err("/dev/loop-control is missing".into());
    }
    let missing = |program: &&&str| Command::new(**program).arg("--version").output().is_err();
    match ["mkfs.ext4", "losetup", "mount", "umount", "fsfreeze", "dd", "sync"].iter().find(missing) {
        Some(program) => Err(format!("the program {program} is missing")),
        None => Ok(()),
    }
}

fn skipped(why: &str) {
    drop(io::stderr().lock().write_fmt(format_args!("skipped: {why}\n")));
}

fn run(program: &str, args: &[&str]) -> Result<String, String> {
    let done = Command::new(program).args(args).output().map_err(|error| format!("{program}: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if done.status.success() {
        Ok(text(&done.stdout))
    } else {
        Err(format!("{program} {args:?}: {}", text(&done.stderr)))
    }
}

fn name(path: &Path) -> &str {
    path.to_str().expect("paths of stories are text")
}

/// A file system in memory with few inodes.
#[derive(Debug)]
pub struct Inodes(TempDir);

impl Inodes {
    /// Mounts one with so many; `None`, said, where that is impossible.
    #[must_use]
    pub fn mount(inodes: usize) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let options = format!("size=64m,nr_inodes={inodes}");
        match run("mount", &["-t", "tmpfs", "-o", &options, "tmpfs", name(dir.path())]) {
            Ok(_) => Some(Self(dir)),
            Err(why) => {
                skipped(&why);
                None
            }
        }
    }

    /// Where it is mounted.
    #[must_use]
    pub fn at(&self) -> &Path {
        self.0.path()
    }

    /// Takes all inodes that are left.
    pub fn use_up(&self) {
        let taken = (0..).map(|i| File::create_new(self.at().join(format!("taken{i}"))));
        let full = taken.filter_map(Result::err).next().expect("there is an end to them");
        assert_eq!(full.kind(), io::ErrorKind::StorageFull, "{full}");
    }

    /// Gives back what was taken.
    pub fn free(&self) {
        for entry in std::fs::read_dir(self.at()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                std::fs::remove_file(path).unwrap();
            }
        }
    }
}

impl Drop for Inodes {
    fn drop(&mut self) {
        run("umount", &["-l", name(self.0.path())]).ok();
    }
}

/// A disk that is a file: ext4 on a loop device.
#[derive(Debug)]
pub struct LoopDisk {
    dir: TempDir,
    device: Option<String>,
    at: PathBuf,
}

impl LoopDisk {
    /// Makes and mounts one of so many MiB; `None`, said, where that is impossible.
    #[must_use]
    pub fn mount(mib: u64) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("disk");
        let mut disk = Self { dir, device: None, at };
        match is_possible().and_then(|()| disk.make(mib)) {
            Ok(()) => Some(disk),
            Err(why) => {
                skipped(&why);
                None
            }
        }
    }

    fn make(&mut self, mib: u64) -> Result<(), String> {
        let image = self.image();
        File::create_new(&image).unwrap().set_len(mib << 20).unwrap();
        std::fs::create_dir(&self.at).unwrap();
        // Without a journal a failed write does not end the file system.
        let options = ["-q", "-F", "-b", "4096", "-O", "^has_journal", "-E", "lazy_itable_init=0"];
        run("mkfs.ext4", &[&options[..], &[name(&image)]].concat())?;
        let device = run("losetup", &["-f", "--show", name(&image)])?;
        self.device = Some(device.clone());
        run("mount", &[&device, name(&self.at)])?;
        Ok(())
    }

    fn image(&self) -> PathBuf {
        self.dir.path().join("image")
    }

    fn device(&self) -> &str {
        self.device.as_deref().expect("it is mounted")
    }

    /// Where it is mounted.
    #[must_use]
    pub fn at(&self) -> &Path {
        &self.at
    }

    /// Has all that was written go to the disk, and the kernel forget what it has of files: they are read from the disk next.
    pub fn forget_pages(&self) {
        run("sync", &["-f", name(&self.at)]).unwrap();
        let files = std::fs::read_dir(self.at.join("cache")).unwrap();
        for file in files {
            let file = format!("if={}", name(&file.unwrap().path()));
            run("dd", &[&file, "iflag=nocache", "count=0"]).unwrap();
        }
    }

    /// All but the disk's beginning fails with EIO, until dropped.
    #[must_use]
    pub fn errors(&self) -> Errors<'_> {
        run("sync", &["-f", name(&self.at)]).unwrap();
        let image = OpenOptions::new().read(true).write(true).open(self.image()).unwrap();
        let mut beyond = vec![0; usize::try_from(image.metadata().unwrap().len() - HEAD).unwrap()];
        image.read_exact_at(&mut beyond, HEAD).unwrap();
        image.set_len(HEAD).unwrap();
        let errors = Errors { disk: self, image, beyond };
        run("losetup", &["-c", self.device()]).unwrap();
        errors
    }

    /// Nothing is written, and whoever tries waits, until dropped.
    #[must_use]
    pub fn freeze(&self) -> Frozen<'_> {
        run("fsfreeze", &["-f", name(&self.at)]).unwrap();
        Frozen(self)
    }

    /// Whether a disk can be made to hang here.
    ///
    /// # Errors
    /// What is missing.
    pub fn can_hang(&self) -> Result<(), String> {
        let knob = Path::new(GROUPS).join("blkio.throttle.read_bps_device");
        if knob.exists() { Ok(()) } else { Err(format!("{} is missing", knob.display())) }
    }

    /// Whatever a process reads of the disk does not come, until dropped.
    #[must_use]
    pub fn hang(&self, process: u32) -> Hanging {
        let number = Path::new("/sys/block").join(self.device().trim_start_matches("/dev/")).join("dev");
        let number = std::fs::read_to_string(number).unwrap().trim().to_owned();
        let group = PathBuf::from(GROUPS).join(format!("sluice-{process}"));
        std::fs::create_dir(&group).unwrap();
        let hanging = Hanging { group, number, process };
        hanging.set(1).unwrap();
        std::fs::write(hanging.group.join("cgroup.procs"), process.to_string()).unwrap();
        hanging
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        if let Some(device) = &self.device {
            run("umount", &["-l", name(&self.at)]).ok();
            run("losetup", &["-d", device]).ok();
        }
    }
}

/// A disk that fails with EIO.
#[derive(Debug)]
pub struct Errors<'a> {
    disk: &'a LoopDisk,
    image: File,
    beyond: Vec<u8>,
}

impl Drop for Errors<'_> {
    fn drop(&mut self) {
        self.image.write_all_at(&self.beyond, HEAD).ok();
        run("losetup", &["-c", self.disk.device()]).ok();
    }
}

/// A disk that takes no writes.
#[derive(Debug)]
pub struct Frozen<'a>(&'a LoopDisk);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        run("fsfreeze", &["-u", name(&self.0.at)]).ok();
    }
}

/// A disk that gives a process nothing.
#[derive(Debug)]
pub struct Hanging {
    group: PathBuf,
    number: String,
    process: u32,
}

impl Hanging {
    /// Bytes a second; 0 for all it can.
    fn set(&self, speed: u64) -> io::Result<()> {
        let knob = self.group.join("blkio.throttle.read_bps_device");
        std::fs::write(knob, format!("{} {speed}", self.number))
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        self.set(0).ok();
        std::fs::write(Path::new(GROUPS).join("cgroup.procs"), self.process.to_string()).ok();
        std::fs::remove_dir(&self.group).ok();
    }
}

/// A disk whose power a story cuts: ext4 with its journal on a loop device. What was not flushed is lost, as it is with the
/// caches of a machine (the ioctl `EXT4_IOC_SHUTDOWN`, without a flush of the journal).
#[derive(Debug)]
pub struct PowerDisk {
    dir: TempDir,
    device: Option<String>,
    at: PathBuf,
    cutter: Option<Cutter>,
}

/// Cuts the power of the file system that holds a folder, for each line that it reads, and says so: _IOR('X', 125, __u32) with
/// `EXT4_GOING_FLAGS_NOLOGFLUSH`, so that nothing more reaches the disk, not even the journal.
const CUT: &str = "import fcntl, os, struct, sys
for line in sys.stdin:
    folder = os.open(sys.argv[1], os.O_RDONLY)
    fcntl.ioctl(folder, 0x8004587d, struct.pack('I', 2))
    os.close(folder)
    print('cut', flush=True)";

/// The process that cuts: to start one takes longer than all else about a cut.
#[derive(Debug)]
struct Cutter {
    child: Child,
    told: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
}

impl Cutter {
    fn start(at: &Path) -> Result<Self, String> {
        let mut command = Command::new("python3");
        command.args(["-c", CUT, name(at)]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("python3: {error}"))?;
        let (to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Ok(Self { child, told: Mutex::new((to, BufReader::new(from))) })
    }

    fn cut(&self) {
        let mut told = self.told.lock().unwrap();
        told.0.write_all(b"\n").unwrap();
        let mut line = String::new();
        told.1.read_line(&mut line).unwrap();
        assert_eq!(line, "cut\n", "the power is not cut");
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        drop((self.child.kill(), self.child.wait()));
    }
}

impl PowerDisk {
    /// Makes and mounts one of so many MiB; `None`, said, where that is impossible. Other users are let through to it.
    #[must_use]
    pub fn mount(mib: u64) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("disk");
        let mut disk = Self { dir, device: None, at, cutter: None };
        match is_possible().and_then(|()| disk.make(mib)) {
            Ok(()) => Some(disk),
            Err(why) => {
                skipped(&why);
                None
            }
        }
    }

    fn make(&mut self, mib: u64) -> Result<(), String> {
        std::fs::set_permissions(self.dir.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
        let image = self.dir.path().join("image");
        File::create_new(&image).unwrap().set_len(mib << 20).unwrap();
        std::fs::create_dir(&self.at).unwrap();
        run("mkfs.ext4", &["-q", "-F", "-b", "4096", "-E", "lazy_itable_init=0", name(&image)])?;
        let device = run("losetup", &["-f", "--show", name(&image)])?;
        self.device = Some(device.clone());
        run("mount", &[&device, name(&self.at)])?;
        self.cutter = Some(Cutter::start(&self.at)?);
        Ok(())
    }

    /// Where it is mounted.
    #[must_use]
    pub fn at(&self) -> &Path {
        &self.at
    }

    /// Cuts the power of a process and its disk. It is stopped first: a flush that is under way may return as if it were done, which
    /// no machine without power hears, let alone tells.
    pub fn cut_under(&self, process: &mut Process) {
        process.signal(Signal::SIGSTOP);
        self.cut();
        process.kill9();
    }

    /// Cuts the power: every write and flush fails from now on. One that is under way may return as if it were done: what is told of it
    /// after this was called does not count.
    pub fn cut(&self) {
        self.cutter.as_ref().expect("it is mounted").cut();
    }

    /// Brings the disk back with what had reached it. Whoever had files open on it has ended, or is about to close them.
    pub fn restore(&self) {
        let begun = Instant::now();
        while let Err(why) = run("umount", &[name(&self.at)]) {
            assert!(begun.elapsed() < CLOSED, "{why}");
        }
        run("mount", &[self.device.as_deref().expect("it was mounted"), name(&self.at)]).unwrap();
    }
}

impl Drop for PowerDisk {
    fn drop(&mut self) {
        if let Some(device) = &self.device {
            run("umount", &["-l", name(&self.at)]).ok();
            run("losetup", &["-d", device]).ok();
        }
    }
}
