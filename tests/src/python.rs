//! Programs from outside in Python, with packages at fixed versions.

use crate::programs::printed;
use std::fs::File;
use std::path::PathBuf;
use std::process::Command;
use xxhash_rust::xxh3::xxh3_64;

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

/// aioquic, and wsproto for the frames of a WebSocket over it.
pub const AIOQUIC_SOCKETS: &[&str] = &[
    "aioquic==1.7.2",
    "attrs==26.1.0",
    "certifi==2026.10.19.post1",
    "cffi==2.1.1",
    "cryptography==50.0.2",
    "h11==0.16.0",
    "pycparser==3.12",
    "pylsqpack==1.0.0",
    "pyOpenSSL==26.4.0",
    "service-identity==26.1.0",
    "typing_extensions==4.16.0",
    "wsproto==1.3.2",
];

/// schemathesis, which makes requests out of a description (OpenAPI), with what it needs.
pub const SCHEMATHESIS: &[&str] = &[
    "schemathesis==4.32.5",
    "anyio==4.16.0",
    "certifi==2026.10.19.post1",
    "charset-normalizer==3.5.3",
    "click==8.5.1",
    "graphql-core==3.3.2",
    "harfile==0.6.0",
    "hypothesis==6.170.17",
    "hypothesis-graphql==0.13.5",
    "idna==3.20",
    "iniconfig==2.3.1",
    "jsonschema_rs==0.60.3",
    "markdown-it-py==4.3.0",
    "MarkupSafe==3.0.4",
    "mdurl==0.1.2",
    "packaging==26.4",
    "pluggy==1.7.0",
    "Pygments==2.21.0",
    "pyrate-limiter==4.5.1",
    "pytest==9.2.0",
    "PyYAML==6.0.4",
    "requests==2.34.2",
    "rich==15.0.0",
    "sortedcontainers==2.4.0",
    "typing_extensions==4.16.0",
    "urllib3==2.8.0",
    "Werkzeug==3.1.9",
];

/// localstripe, a gateway of others with Stripe's interface, with what it needs.
pub const LOCALSTRIPE: &[&str] = &[
    "localstripe==1.15.10",
    "aiohappyeyeballs==2.7.1",
    "aiohttp==3.14.5",
    "aiosignal==1.4.0",
    "attrs==26.1.0",
    "frozenlist==1.8.0",
    "idna==3.20",
    "multidict==7.2.1",
    "propcache==0.5.4",
    "python-dateutil==4.0.0",
    "typing_extensions==4.16.0",
    "tzdata==2026.6",
    "yarl==1.25.1",
];

/// kosoku, which has Autobahn's own cases of WebSocket, and a runner for them.
pub const KOSOKU: &[&str] = &["kosoku==0.1.0"];

/// The Python of a virtual environment that has these packages (`Pillow==13.0.0`). It is made in the target folder once,
/// and stays there.
#[must_use]
pub fn python(packages: &[&str]) -> PathBuf {
    let target = std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned();
    let all = packages.join("+").replace("==", "-");
    // A folder's name has an end.
    let name =
        if all.len() < 200 { all } else { format!("{}+{:016x}", packages[0], xxh3_64(all.as_bytes())) };
    let folder = target.join("python").join(name);
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
    foreign_with(AIOQUIC, script)
}

/// The same, with a Python that has these packages.
#[must_use]
pub fn foreign_with(packages: &[&str], script: &str) -> Command {
    let mut command = Command::new(python(packages));
    command.arg(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign").join(script));
    command
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    printed(command, &output);
}
