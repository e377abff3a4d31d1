//! Readers from outside: Python with packages at fixed versions.

use std::path::PathBuf;
use std::process::Command;

/// The Python of a virtual environment that has these packages (`Pillow==13.0.0`). It is made in the target folder once,
/// and stays there.
#[must_use]
pub fn python(packages: &[&str]) -> PathBuf {
    let target = std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned();
    let folder = target.join("python").join(packages.join("+").replace("==", "-"));
    let (python, ready) = (folder.join("bin/python"), folder.join("ready"));
    if !ready.is_file() {
        drop(std::fs::remove_dir_all(&folder));
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder));
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"];
        run(Command::new(&python).args(pip).args(packages));
        std::fs::write(&ready, "").unwrap();
    }
    python
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {error}");
}
