//! A private PostgreSQL server, another that follows it, and one whose power can be cut.

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
use setup::{Data, copy, folder, init, other_user, programs, run};

/// The superuser of the private server; it trusts everyone on loopback.
const OWNER: &str = "sluice";

/// A running PostgreSQL server with data of its own: without fsync, unless it was said where they are.
#[derive(Debug)]
pub struct Postgres {
    port: u16,
    databases: AtomicU32,
    bin: PathBuf,
    user: Option<User>,
    server: Option<Server>,
    data: Data,
    folder: TempDir,
}

impl Postgres {
    /// Starts a server.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not start, with the reason.
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    /// Starts a server whose data are in this folder, which is made. They are flushed, so that what was committed outlasts the machine.
    /// Its user must be let through to the folder.
    ///
    /// # Panics
    /// When the folder is there already or cannot be made, and as `start` does.
    pub async fn start_in(folder: &Path) -> Self {
        Self::start_with(Some(folder)).await
    }

    async fn start_with(data: Option<&Path>) -> Self {
        match Self::try_start(data).await {
            Ok(server) => server,
            Err(reason) => panic!("cannot start a private PostgreSQL: {reason}"),
        }
    }

    async fn try_start(data: Option<&Path>) -> Result<Self, String> {
        let bin = programs().ok_or("initdb and postgres are missing: apt-get install postgresql")?;
        let user = other_user()?;
        let folder = folder(user)?;
        let data = data.map_or_else(|| Ok(Data::within(&folder)), |at| Data::flushed(at, user))?;
        init(&bin, folder.path(), &data, user)?;
        Self::on(bin, folder, data, user).await
    }

    /// Starts a server on data that are there, at some free port.
    async fn on(bin: PathBuf, folder: TempDir, data: Data, user: Option<User>) -> Result<Self, String> {
        let mut reason = String::new();
        for _ in 0..ATTEMPTS {
            let port = free_port().map_err(|e| e.to_string())?;
            match serve(&bin, folder.path(), &data, user, port).await {
                Ok(server) => {
                    let (server, databases) = (Some(server), AtomicU32::new(0));
                    return Ok(Self { port, databases, bin, user, server, data, folder });
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
            let data = Data::within(&folder);
            copy(&self.bin, folder.path(), &data, self.user, self.port)?;
            let standby = Self::on(self.bin.clone(), folder, data, self.user).await?;
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
        let (bin, data, user) = (self.bin.clone(), self.data.at.clone(), self.user);
        let folder = self.folder.path().to_path_buf();
        let promoted = tokio::task::spawn_blocking(move || {
            let mut command = Command::new(bin.join("pg_ctl"));
            command.args(["promote", "--wait", "--timeout=60", "--pgdata"]).arg(data);
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
        kill(self.first_process(), Signal::SIGKILL).expect("it runs");
        self.stop();
    }

    /// Kills all of the server's processes, as the end of its machine's power would, which `cut` is. They stand still before it: a flush
    /// that is under way may return as if it were done, which no machine without power hears, let alone tells.
    ///
    /// # Panics
    /// When it does not run.
    pub fn lose_power(&mut self, cut: impl FnOnce()) {
        let first = self.first_process();
        kill(first, Signal::SIGSTOP).expect("it runs");
        // One that has just ended is there until the first process asks for it, which stands still. While one ends, the kernel may leave
        // others out of the list: it is whole once all that it names were there before.
        let mut others: Vec<Pid> = vec![];
        loop {
            let more: Vec<Pid> =
                children(first).into_iter().filter(|process| !others.contains(process)).collect();
            if more.is_empty() {
                break;
            }
            for process in &more {
                kill(*process, Signal::SIGSTOP).ok();
            }
            others.extend(more);
        }
        cut();
        for process in others.into_iter().chain([first]) {
            kill(process, Signal::SIGKILL).ok();
        }
        self.stop();
    }

    /// The process that starts all others.
    fn first_process(&self) -> Pid {
        let file = self.data.at.join("postmaster.pid");
        let text = std::fs::read_to_string(file).expect("a server that runs has written its number");
        let number = text.lines().next().and_then(|line| line.parse().ok()).expect("it is in the first line");
        Pid::from_raw(number)
    }

    /// Starts it again at the same address.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_again(&mut self) {
        self.stop();
        match serve(&self.bin, self.folder.path(), &self.data, self.user, self.port).await {
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

/// The processes that one has started, and that it has not heard the end of.
fn children(process: Pid) -> Vec<Pid> {
    let file = format!("/proc/{process}/task/{process}/children");
    let text = std::fs::read_to_string(file).expect("the kernel tells who started whom");
    text.split_ascii_whitespace().filter_map(|number| number.parse().ok()).map(Pid::from_raw).collect()
}

async fn connect(port: u16) -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(url(port, "postgres"));
    options.max_connections(1).sqlx_logging(false);
    sea_orm::Database::connect(options).await
}

async fn serve(
    bin: &Path,
    folder: &Path,
    data: &Data,
    user: Option<User>,
    port: u16,
) -> Result<Server, String> {
    let mut args = vec!["-D".to_owned(), data.at.display().to_string()];
    let flushed = if data.flushed { "on" } else { "off" };
    let settings = [
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "shared_buffers=32MB",
        "max_connections=200",
    ];
    let more = [format!("port={port}"), format!("fsync={flushed}"), format!("full_page_writes={flushed}")];
    for setting in settings.map(str::to_owned).into_iter().chain(more) {
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
