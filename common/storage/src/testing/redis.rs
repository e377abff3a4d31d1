//! A private Redis server.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::server::{ATTEMPTS, Server, find, free_port};

/// A running Redis server that keeps nothing.
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
        let client = redis::Client::open(self.url()).expect("it is a URL of Redis");
        let mut connection = client.get_multiplexed_async_connection().await.expect("it runs");
        let mut pause = redis::cmd("CLIENT");
        pause.arg("PAUSE").arg(time.as_millis().to_string()).arg("ALL");
        pause.query_async::<()>(&mut connection).await.expect("it knows how to pause");
    }

    /// Kills the server.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Starts it again, empty, at the same address.
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
