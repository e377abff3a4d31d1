//! A private PostgreSQL server, and another that follows it.

mod setup;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sea_orm::{ConnectOptions, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement};
use tempfile::TempDir;
use tokio::time::Instant;

use super::server::{ATTEMPTS, PAUSE, START_DEADLINE, Server, User, free_port};
use setup::{copy, folder, init, other_user, programs, run};

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
        let user = other_user()?;
        let folder = folder(user)?;
        init(&bin, folder.path(), user)?;
        Self::on(bin, folder, user).await
    }

    /// Starts a server on what is in a folder, at some free port.
    async fn on(bin: PathBuf, folder: TempDir, user: Option<User>) -> Result<Self, String> {
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

    /// Starts a standby, which follows this server as it is and becomes. From then on nothing is committed here before both have it.
    ///
    /// # Panics
    /// When it cannot be made, or does not follow within a minute, with the reason.
    pub async fn standby(&self) -> Self {
        let standby = async {
            let folder = folder(self.user)?;
            copy(&self.bin, folder.path(), self.user, self.port)?;
            let standby = Self::on(self.bin.clone(), folder, self.user).await?;
            self.waits_for_standbys().await?;
            Ok::<_, String>(standby)
        };
        match standby.await {
            Ok(standby) => standby,
            Err(reason) => panic!("cannot start a standby of PostgreSQL: {reason}"),
        }
    }

    /// Has commits wait for whoever follows, once somebody does.
    async fn waits_for_standbys(&self) -> Result<(), String> {
        let failed = |e: DbErr| e.to_string();
        let admin = connect(self.port).await.map_err(failed)?;
        for sql in ["ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"] {
            admin.execute_unprepared(sql).await.map_err(failed)?;
        }
        let deadline = Instant::now() + START_DEADLINE;
        let asked = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
        loop {
            let row = admin.query_one_raw(Statement::from_string(DbBackend::Postgres, asked)).await;
            let row = row.map_err(failed)?.ok_or("a count has a row")?;
            if row.try_get_by_index::<i64>(0).map_err(failed)? == 1 {
                return admin.close().await.map_err(failed);
            }
            if Instant::now() >= deadline {
                return Err("nobody follows".into());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Makes a standby the primary, and waits until it is.
    ///
    /// # Panics
    /// When it is none, or does not become it within a minute, with the reason.
    pub async fn promote(&self) {
        let (bin, folder, user) = (self.bin.clone(), self.folder.path().to_path_buf(), self.user);
        let promoted = tokio::task::spawn_blocking(move || {
            let mut command = Command::new(bin.join("pg_ctl"));
            command.args(["promote", "--wait", "--timeout=60", "--pgdata"]).arg(folder.join("data"));
            command.current_dir(folder);
            run(command, user)
        });
        match promoted.await {
            Ok(Ok(())) => {}
            Ok(Err(reason)) => panic!("cannot promote a standby of PostgreSQL: {reason}"),
            Err(error) => panic!("cannot promote a standby of PostgreSQL: {error}"),
        }
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

    /// Kills the server's first process, as the kernel would, which ends the others as soon as they notice.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill9(&mut self) {
        let file = self.folder.path().join("data/postmaster.pid");
        let text = std::fs::read_to_string(file).expect("a server that runs has written its number");
        let number = text.lines().next().and_then(|line| line.parse().ok()).expect("it is in the first line");
        kill(Pid::from_raw(number), Signal::SIGKILL).expect("it runs");
        self.stop();
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
            let admin = connect(self.port).await?;
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

async fn connect(port: u16) -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(url(port, "postgres"));
    options.max_connections(1).sqlx_logging(false);
    sea_orm::Database::connect(options).await
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
    match connect(port).await {
        Ok(connection) => connection.close().await.is_ok(),
        Err(_) => false,
    }
}
