//! The servers under test: private, on free ports of loopback, one worker and one processor each.

use super::client::Protocol;
use super::tls::Identity;
use crate::args::Options;
use crate::cpu::Plan;
use crate::machine;
use crate::process::{Process, free_port, sibling};
use crate::report::without_folders;
use anyhow::Context;
use http::HeaderMap;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::Path;
use tokio::process::Command;

/// Memory for each cache: all objects fit many times over.
const CACHE_BYTES: usize = 256 << 20;

/// A running server.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) name: &'static str,
    pub(super) process: Process,
    /// What it says of itself.
    pub(super) version: String,
    /// How it was started, without this machine's paths and ports.
    pub(super) command: String,
    /// Its file of configuration, likewise.
    pub(super) config: Option<String>,
    /// Why it lacks the protocols it has no address for.
    pub(super) lacks: &'static str,
    at: Addresses,
}

/// Where a server listens; the edge announces it in this form.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct Addresses {
    http: Option<SocketAddr>,
    https: Option<SocketAddr>,
    h3: Option<SocketAddr>,
}

impl Server {
    /// Where it speaks a protocol, if it does.
    pub(super) const fn address(&self, protocol: Protocol) -> Option<SocketAddr> {
        match protocol {
            Protocol::Http1 => self.at.http,
            Protocol::Http2 => self.at.https,
            Protocol::Http3 => self.at.h3,
        }
    }
}

/// What a start needs to know.
struct Ground<'g> {
    identity: &'g Identity,
    origin: SocketAddr,
    folder: &'g Path,
    cpu: Option<usize>,
}

/// Starts all of them; they idle until it is their turn.
pub(super) async fn start_all(
    options: &Options,
    plan: &Plan,
    identity: &Identity,
    origin: SocketAddr,
    folder: &Path,
) -> anyhow::Result<Vec<Server>> {
    let ground = Ground { identity, origin, folder, cpu: plan.server };
    Ok(vec![ground.sluice(options).await?, ground.nginx().await?, ground.varnish().await?])
}

/// Whether an answer calls itself a hit: `Cache-Status` (RFC 9211; the member nearest to the client counts) or
/// `X-Cache`, which nginx and Varnish are configured to send.
pub(super) fn is_hit(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get_all(name).iter().next_back().and_then(|value| value.to_str().ok());
    if let Some(status) = text("cache-status") {
        let nearest = status.rsplit(',').next().unwrap_or_default();
        return nearest.split(';').skip(1).any(|parameter| parameter.trim() == "hit");
    }
    text("x-cache").is_some_and(|word| word.eq_ignore_ascii_case("hit"))
}

impl Ground<'_> {
    async fn sluice(&self, options: &Options) -> anyhow::Result<Server> {
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
        command.args(["--cache.memory_bytes", &CACHE_BYTES.to_string()]);
        command.arg("--tls.cert").arg(&self.identity.cert).arg("--tls.key").arg(&self.identity.key);
        command.arg("--listen.announce").arg(&announce).arg("--state_dir").arg(state);
        let shown = self.shown(&command, &[]);
        let mut process = Process::start("sluice", command, self.cpu, self.folder)?;
        let text = process.until(|| async { std::fs::read(&announce).ok() }).await?;
        let at = serde_json::from_slice(&text).context("reading the edge's announcement")?;
        let version = format!("Sluice {}", env!("CARGO_PKG_VERSION"));
        Ok(Server {
            name: "Sluice",
            process,
            version,
            command: shown,
            config: None,
            lacks: "not offered",
            at,
        })
    }

    async fn nginx(&self) -> anyhow::Result<Server> {
        let (http, https) = (free_port()?, free_port()?);
        let folder = self.folder.join("nginx");
        std::fs::create_dir(&folder)?;
        let config = nginx_config(self.identity, http, https, self.origin, nix::unistd::geteuid().is_root());
        std::fs::write(folder.join("nginx.conf"), &config)?;
        let mut command = Command::new(system("nginx"));
        command.arg("-p").arg(&folder).args(["-e", "stderr", "-c", "nginx.conf"]);
        let names = [(http, "HTTP"), (https, "HTTPS")];
        let (shown, config) = (self.shown(&command, &names), self.anonymous(&config, &names));
        let mut process = Process::start("nginx", command, self.cpu, self.folder)?;
        process.until_accepts(https).await?;
        let at = Addresses { http: Some(http), https: Some(https), h3: None };
        let (version, lacks) = (machine::version(&system("nginx"), "-v"), "n/a: HTTP/3 came with nginx 1.25");
        Ok(Server { name: "nginx", process, version, command: shown, config: Some(config), lacks, at })
    }

    async fn varnish(&self) -> anyhow::Result<Server> {
        let http = free_port()?;
        let (folder, vcl) = (self.folder.join("varnish"), self.folder.join("bench.vcl"));
        let config = vcl_text(self.origin);
        std::fs::write(&vcl, &config)?;
        let mut command = Command::new(system("varnishd"));
        command.arg("-F").arg("-n").arg(&folder).arg("-f").arg(&vcl).arg("-a").arg(http.to_string());
        command.args(["-j", "none", "-T", "none", "-s", &format!("malloc,{CACHE_BYTES}")]);
        // A worker thread serves a connection: one pool with as many as there are connections.
        for parameter in ["thread_pools=1", "thread_pool_min=64", "thread_pool_max=128"] {
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

    fn shown(&self, command: &Command, names: &[(SocketAddr, &str)]) -> String {
        let command = command.as_std();
        let program = without_folders(&command.get_program().to_string_lossy());
        let words = command.get_args().map(|word| word.to_string_lossy().into_owned());
        let line = std::iter::once(program).chain(words).collect::<Vec<_>>().join(" ");
        self.anonymous(&line, names)
    }

    fn anonymous(&self, text: &str, names: &[(SocketAddr, &str)]) -> String {
        let text = text.replace(&*self.folder.to_string_lossy(), "DIR");
        let all = names.iter().copied().chain([(self.origin, "ORIGIN")]);
        all.fold(text, |text, (address, name)| text.replace(&address.to_string(), name))
    }
}

/// A system's program; servers often lie where an ordinary user's path does not lead.
fn system(name: &str) -> String {
    let file = format!("/usr/sbin/{name}");
    if Path::new(&file).is_file() { file } else { name.to_owned() }
}

/// One worker, everything that makes cached files cheap switched on, nothing logged.
fn nginx_config(
    identity: &Identity,
    http: SocketAddr,
    https: SocketAddr,
    origin: SocketAddr,
    root: bool,
) -> String {
    // A worker of root would change to a user who may not read the folder.
    let user = if root { "user root;\n" } else { "" };
    let (cert, key) = (identity.cert.display(), identity.key.display());
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("    {kind}_temp_path {kind};\n"))
        .concat();
    format!(
        "{user}daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
{temporary}    access_log off;
    sendfile on;
    keepalive_requests 1000000000;
    open_file_cache max=1000 inactive=1h;
    open_file_cache_valid 1h;
    proxy_cache_path cache levels=1:2 keys_zone=bench:10m max_size={CACHE_BYTES} inactive=1h use_temp_path=off;
    ssl_certificate {cert};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.3;
    server {{
        listen {http};
        listen {https} ssl http2;
        location / {{
            proxy_pass http://{origin};
            proxy_cache bench;
            add_header X-Cache $upstream_cache_status;
        }}
    }}
}}
"
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(lines: &[(&'static str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        is_hit(&headers)
    }

    #[test]
    fn the_nearest_cache_says_whether_it_was_a_hit() {
        assert!(hit(&[("cache-status", "shield; fwd=miss; stored, near; hit; ttl=9")]));
        assert!(hit(&[("cache-status", "shield; fwd=miss"), ("cache-status", "near;hit")]));
        assert!(!hit(&[("cache-status", "shield; hit, near; fwd=miss")]));
        assert!(!hit(&[("cache-status", "hit; fwd=stale")]));
        assert!(hit(&[("x-cache", "HIT")]) && !hit(&[("x-cache", "MISS")]) && !hit(&[]));
    }
}
