//! A near edge of ours.

use super::{CONNECTIONS, Ground, Server};
use crate::args::Options;
use crate::process::{Process, sibling};
use anyhow::Context;
use tokio::process::Command;

impl Ground<'_> {
    pub(super) async fn sluice(&self, options: &Options) -> anyhow::Result<Server> {
        self.edge(options, "Sluice", &[]).await
    }

    /// One that keeps things on disk, and finds them there when it is started again.
    pub(super) async fn sluice_on_disk(&self, options: &Options) -> anyhow::Result<Server> {
        let bytes = self.room.to_string();
        self.edge(options, "Sluice, from disk", &["--cache.disk.bytes", &bytes]).await
    }

    async fn edge(&self, options: &Options, name: &'static str, more: &[&str]) -> anyhow::Result<Server> {
        let (announce, state) = (self.folder.join("edge.json"), self.folder.join("edge"));
        let mut command = match &options.edge {
            Some(program) => Command::new(program),
            None => {
                let mut command = Command::new(sibling("sluice-demo")?);
                command.args(["role", "edge"]);
                command
            }
        };
        command
            .args(["--node", "bench-near", "--tier", "near"])
            .arg("--origins")
            .arg(format!("http://{}", self.origin));
        command.args([
            "--listen.http",
            "127.0.0.1:0",
            "--listen.https",
            "127.0.0.1:0",
            "--listen.h3",
            "true",
        ]);
        command.args(["--listen.admin", "127.0.0.1:0", "--log.filter", "warn"]);
        command.args(["--cache.memory_bytes", &self.room.to_string()]);
        // The driver is one client.
        command.args(["--listen.limits.connections_per_client", &CONNECTIONS.to_string()]);
        command.arg("--tls.cert").arg(&self.identity.cert).arg("--tls.key").arg(&self.identity.key);
        command.arg("--listen.announce").arg(&announce).arg("--state_dir").arg(state);
        command.args(more);
        let shown = self.shown(&command, &[]);
        // What an edge before this one left is no sign that this one is up.
        drop(std::fs::remove_file(&announce));
        let mut process = Process::start("sluice", command, self.cpu, self.folder)?;
        let text = process.until(|| async { std::fs::read(&announce).ok() }).await?;
        let at = serde_json::from_slice(&text).context("reading the edge's announcement")?;
        let version = format!("Sluice {}", env!("CARGO_PKG_VERSION"));
        Ok(Server { name, process, version, command: shown, config: None, lacks: "not offered", at })
    }
}
