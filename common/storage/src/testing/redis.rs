//! A private Redis server.

use std::path::{Path, PathBuf};
use std::time::Duration;

use redis::{Cmd, FromRedisValue};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::server::{ATTEMPTS, Server, find, free_port};

/// How long one may take to have all that another has.
const COPIED: Duration = Duration::from_secs(30);

/// A running Redis server that keeps nothing unless it is told to.
#[derive(Debug)]
pub struct Redis {
    port: u16,
    program: PathBuf,
    server: Option<Server>,
    folder: TempDir,
}

impl Redis {
    /// Starts a server.
    ///
    /// # Panics
    /// When Redis is not installed or does not start, with the reason.
    pub async fn start() -> Self {
        match Self::try_start().await {
            Ok(server) => server,
            Err(reason) => panic!("cannot start a private Redis: {reason}"),
        }
    }

    async fn try_start() -> Result<Self, String> {
        let program = find("redis-server", []).or_else(|| find("valkey-server", []));
        let program = program.ok_or("redis-server is missing: apt-get install redis-server")?;
        let folder = tempfile::Builder::new()
            .prefix("sluice-redis-")
            .tempdir()
            .map_err(|e| format!("no temporary folder: {e}"))?;
        let mut reason = String::new();
        for _ in 0..ATTEMPTS {
            let port = free_port().map_err(|e| e.to_string())?;
            match serve(&program, folder.path(), port).await {
                Ok(server) => return Ok(Self { port, program, server: Some(server), folder }),
                Err(why) => reason = why,
            }
        }
        Err(reason)
    }

    /// The URL of its first database.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Has it stand still for a time: it answers nobody.
    ///
    /// # Panics
    /// When it cannot be asked to.
    pub async fn pause(&self, time: Duration) {
        let time = time.as_millis().to_string();
        self.ask::<()>(redis::cmd("CLIENT").arg("PAUSE").arg(time).arg("ALL")).await;
    }

    /// Has it write down what it has: started again, it begins with that.
    ///
    /// # Panics
    /// When it cannot be asked to.
    pub async fn save(&self) {
        self.ask::<()>(&redis::cmd("SAVE")).await;
    }

    /// Has it be another's replica until it has what that one has, in place of its own, and then be for itself again.
    ///
    /// # Panics
    /// When one of the two cannot be asked to, or it takes half a minute.
    pub async fn take_over(&self, other: &Self) {
        // It would wait for further replicas.
        other.ask::<()>(redis::cmd("CONFIG").arg("SET").arg("repl-diskless-sync-delay").arg(0)).await;
        self.ask::<()>(redis::cmd("REPLICAOF").arg("127.0.0.1").arg(other.port)).await;
        let begun = Instant::now();
        loop {
            let told: String = self.ask(redis::cmd("INFO").arg("replication")).await;
            if told.contains("master_link_status:up") {
                break;
            }
            assert!(begun.elapsed() < COPIED, "it does not get what the other has: {told}");
            sleep(Duration::from_millis(20)).await;
        }
        self.ask::<()>(redis::cmd("REPLICAOF").arg("NO").arg("ONE")).await;
    }

    async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> T {
        let client = redis::Client::open(self.url()).expect("it is a URL of Redis");
        let mut connection = client.get_multiplexed_async_connection().await.expect("it runs");
        command.query_async(&mut connection).await.expect("it knows the command")
    }

    /// Kills the server.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Starts it again at the same address, with what it has written down, or empty.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_again(&mut self) {
        self.stop();
        match serve(&self.program, self.folder.path(), self.port).await {
            Ok(server) => self.server = Some(server),
            Err(reason) => panic!("cannot start Redis again: {reason}"),
        }
    }
}

async fn serve(program: &Path, folder: &Path, port: u16) -> Result<Server, String> {
    let args = format!("--port {port} --bind 127.0.0.1 --save --appendonly no --daemonize no");
    let mut args: Vec<String> = args.split(' ').map(str::to_owned).collect();
    let save = args.iter().position(|arg| arg == "--save").map_or(args.len(), |at| at + 1);
    args.insert(save, String::new());
    let mut server = Server::spawn(program, &args, "KILL", None, &folder.join("log"))
        .map_err(|e| format!("{}: {e}", program.display()))?;
    server.wait_until(|| answers(port)).await?;
    Ok(server)
}

async fn answers(port: u16) -> bool {
    let Ok(client) = redis::Client::open(format!("redis://127.0.0.1:{port}/0")) else { return false };
    let Ok(mut connection) = client.get_multiplexed_async_connection().await else { return false };
    redis::cmd("PING").query_async::<String>(&mut connection).await.is_ok()
}
