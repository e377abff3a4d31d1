//! A private PostgreSQL server.

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use sea_orm::{ConnectOptions, ConnectionTrait};
use tempfile::TempDir;

use super::server::{ATTEMPTS, Server, User, find, free_port};

/// The superuser of the private server; it trusts everyone on loopback.
const OWNER: &str = "sluice";

/// A running PostgreSQL server with an empty data folder of its own, without fsync.
#[derive(Debug)]
pub struct Postgres {
    port: u16,
    databases: AtomicU32,
    bin: PathBuf,
    user: Option<User>,
    server: Option<Server>,
    folder: TempDir,
}

impl Postgres {
    /// Starts a server.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not start, with the reason.
    pub async fn start() -> Self {
        match Self::try_start().await {
            Ok(server) => server,
            Err(reason) => panic!("cannot start a private PostgreSQL: {reason}"),
        }
    }

    async fn try_start() -> Result<Self, String> {
        let bin = programs().ok_or("initdb and postgres are missing: apt-get install postgresql")?;
        let folder = tempfile::Builder::new()
            .prefix("sluice-postgres-")
            .tempdir()
            .map_err(|e| format!("no temporary folder: {e}"))?;
        let user = other_user()?;
        if let Some(user) = user {
            chown(folder.path(), Some(user.uid), Some(user.gid)).map_err(|e| format!("chown: {e}"))?;
        }
        init(&bin, folder.path(), user)?;
        let mut reason = String::new();
        for _ in 0..ATTEMPTS {
            let port = free_port().map_err(|e| e.to_string())?;
            match serve(&bin, folder.path(), user, port).await {
                Ok(server) => {
                    let (server, databases) = (Some(server), AtomicU32::new(0));
                    return Ok(Self { port, databases, bin, user, server, folder });
                }
                Err(why) => reason = why,
            }
        }
        Err(reason)
    }

    /// The URL of its first database.
    #[must_use]
    pub fn url(&self) -> String {
        url(self.port, "postgres")
    }

    /// Kills the server, as a crash would; what was committed stays.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Starts it again at the same address.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_again(&mut self) {
        self.stop();
        match serve(&self.bin, self.folder.path(), self.user, self.port).await {
            Ok(server) => self.server = Some(server),
            Err(reason) => panic!("cannot start PostgreSQL again: {reason}"),
        }
    }

    /// Makes an empty database and gives its URL.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn fresh_database(&self) -> String {
        let name = format!("t{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let made = async {
            let admin = sea_orm::Database::connect(self.url()).await?;
            admin.execute_unprepared(&format!("CREATE DATABASE {name}")).await?;
            admin.close().await
        };
        if let Err(error) = made.await {
            panic!("cannot make database {name}: {error}");
        }
        url(self.port, &name)
    }
}

fn url(port: u16, database: &str) -> String {
    format!("postgres://{OWNER}@127.0.0.1:{port}/{database}")
}

/// The folder of the newest installed server's programs.
fn programs() -> Option<PathBuf> {
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
fn other_user() -> Result<Option<User>, String> {
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

fn init(bin: &Path, folder: &Path, user: Option<User>) -> Result<(), String> {
    let mut command = Command::new(bin.join("initdb"));
    command
        .arg("--pgdata")
        .arg(folder.join("data"))
        .args(["--username", OWNER, "--auth=trust", "--encoding=UTF8", "--locale=C"])
        .args(["--no-sync", "--no-instructions"])
        .current_dir(folder);
    if let Some(user) = user {
        use std::os::unix::process::CommandExt;
        command.uid(user.uid).gid(user.gid);
    }
    let output = command.output().map_err(|e| format!("initdb: {e}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("initdb: {}", String::from_utf8_lossy(&output.stderr).trim()))
    }
}

async fn serve(bin: &Path, folder: &Path, user: Option<User>, port: u16) -> Result<Server, String> {
    let mut args = vec!["-D".to_owned(), folder.join("data").display().to_string()];
    let settings = [
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "fsync=off",
        "full_page_writes=off",
        "shared_buffers=32MB",
        "max_connections=200",
    ];
    for setting in settings.map(str::to_owned).into_iter().chain([format!("port={port}")]) {
        args.extend(["-c".to_owned(), setting]);
    }
    let mut server = Server::spawn(&bin.join("postgres"), &args, "QUIT", user, &folder.join("log"))
        .map_err(|e| format!("postgres: {e}"))?;
    server.wait_until(|| answers(port)).await?;
    Ok(server)
}

async fn answers(port: u16) -> bool {
    let mut options = ConnectOptions::new(url(port, "postgres"));
    options.max_connections(1).sqlx_logging(false);
    match sea_orm::Database::connect(options).await {
        Ok(connection) => connection.close().await.is_ok(),
        Err(_) => false,
    }
}
