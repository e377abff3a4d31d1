//! nginx with proxy_cache.

use super::{Addresses, CONNECTIONS, Ground, Server, system};
use crate::machine;
use crate::process::{Process, free_port};
use std::net::SocketAddr;
use tokio::process::Command;

impl Ground<'_> {
    pub(super) async fn nginx(&self) -> anyhow::Result<Server> {
        let (http, https) = (free_port()?, free_port()?);
        let folder = self.folder.join("nginx");
        std::fs::create_dir(&folder)?;
        let config = nginx_config(self, http, https, nix::unistd::geteuid().is_root());
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
}

/// One worker, everything that makes cached files cheap switched on, nothing logged.
fn nginx_config(ground: &Ground<'_>, http: SocketAddr, https: SocketAddr, root: bool) -> String {
    // A worker of root would change to a user who may not read the folder.
    let user = if root { "user root;\n" } else { "" };
    let Ground { identity, origin, room, .. } = ground;
    let (cert, key) = (identity.cert.display(), identity.key.display());
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("    {kind}_temp_path {kind};\n"))
        .concat();
    format!(
        "{user}daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr warn;
worker_rlimit_nofile {CONNECTIONS};
events {{ worker_connections {CONNECTIONS}; }}
http {{
{temporary}    access_log off;
    sendfile on;
    keepalive_requests 1000000000;
    keepalive_timeout 600;
    open_file_cache max=1000 inactive=1h;
    open_file_cache_valid 1h;
    proxy_cache_path cache levels=1:2 keys_zone=bench:10m max_size={room} inactive=1h use_temp_path=off;
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
