//! Programs from outside in Python, with packages at fixed versions.

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;

/// aioquic, a QUIC and HTTP/3 implementation of its own, with what it needs.
pub const AIOQUIC: &[&str] = &[
    "aioquic==1.7.2",
    "attrs==26.1.0",
    "certifi==2026.10.19.post1",
    "cffi==2.1.1",
    "cryptography==50.0.2",
    "pycparser==3.12",
    "pylsqpack==1.0.0",
    "pyOpenSSL==26.4.0",
    "service-identity==26.1.0",
    "typing_extensions==4.16.0",
];

/// The Python of a virtual environment that has these packages (`Pillow==13.0.0`). It is made in the target folder once,
/// and stays there.
#[must_use]
pub fn python(packages: &[&str]) -> PathBuf {
    let target = std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned();
    let folder = target.join("python").join(packages.join("+").replace("==", "-"));
    let (python, ready) = (folder.join("bin/python"), folder.join("ready"));
    std::fs::create_dir_all(folder.parent().unwrap()).unwrap();
    // Stories of several processes want it at the same time. The lock goes with the file.
    let lock = File::create(folder.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    if !ready.is_file() {
        drop(std::fs::remove_dir_all(&folder));
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder));
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"];
        run(Command::new(&python).args(pip).args(packages));
        std::fs::write(&ready, "").unwrap();
    }
    python
}

/// A command that runs a script of the folder `foreign` with this Python.
#[must_use]
pub fn foreign(script: &str) -> Command {
    let mut command = Command::new(python(AIOQUIC));
    command.arg(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign").join(script));
    command
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {error}");
}
