//! Varnish.

use super::{Addresses, Ground, Server, system};
use crate::machine;
use crate::process::{Process, free_port};
use std::net::SocketAddr;
use tokio::process::Command;

impl Ground<'_> {
    pub(super) async fn varnish(&self) -> anyhow::Result<Server> {
        let http = free_port()?;
        let (folder, vcl) = (self.folder.join("varnish"), self.folder.join("bench.vcl"));
        let config = vcl_text(self.origin);
        std::fs::write(&vcl, &config)?;
        let mut command = Command::new(system("varnishd"));
        command.arg("-F").arg("-n").arg(&folder).arg("-f").arg(&vcl).arg("-a").arg(http.to_string());
        command.args(["-j", "none", "-T", "none", "-s", &format!("malloc,{}", self.room)]);
        // A worker thread serves a connection: one pool with as many as there are connections.
        for parameter in ["thread_pools=1", "thread_pool_min=64", "thread_pool_max=128", "timeout_idle=600"] {
            command.args(["-p", parameter]);
        }
        let names = [(http, "HTTP")];
        let (shown, config) = (self.shown(&command, &names), self.anonymous(&config, &names));
        let mut process = Process::start("varnish", command, self.cpu, self.folder)?;
        process.until_accepts(http).await?;
        let at = Addresses { http: Some(http), ..Addresses::default() };
        let (version, lacks) =
            (machine::version(&system("varnishd"), "-V"), "n/a: no TLS, no HTTP/3 in Varnish");
        Ok(Server { name: "Varnish", process, version, command: shown, config: Some(config), lacks, at })
    }
}

fn vcl_text(origin: SocketAddr) -> String {
    let (host, port) = (origin.ip(), origin.port());
    format!(
        "vcl 4.1;
backend origin {{ .host = \"{host}\"; .port = \"{port}\"; }}
sub vcl_deliver {{
    if (obj.hits > 0) {{ set resp.http.X-Cache = \"HIT\"; }} else {{ set resp.http.X-Cache = \"MISS\"; }}
}}
"
    )
}
