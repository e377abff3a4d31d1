//! Apache Traffic Server.

use super::{Addresses, CONNECTIONS, Ground, Server, system};
use crate::machine;
use crate::process::{Process, free_port};
use std::net::SocketAddr;
use std::path::Path;
use tokio::process::Command;

impl Ground<'_> {
    pub(super) async fn traffic_server(&self) -> anyhow::Result<Server> {
        let (http, https) = (free_port()?, free_port()?);
        let folder = self.folder.join("traffic-server");
        for part in ["etc", "run", "log", "cache"] {
            std::fs::create_dir_all(folder.join(part))?;
        }
        let records = records(self, &folder, http, https);
        let (cert, key) = (self.identity.cert.display(), self.identity.key.display());
        let etc = [
            ("records.config", records.clone()),
            ("remap.config", format!("map / http://{}/\n", self.origin)),
            (
                "storage.config",
                format!("{} {}\n", folder.join("cache").display(), self.room.max(LEAST_STORE)),
            ),
            ("ssl_multicert.config", format!("dest_ip=* ssl_cert_name={cert} ssl_key_name={key}\n")),
            ("ip_allow.yaml", IP_ALLOW.to_owned()),
        ];
        for (name, text) in etc {
            std::fs::write(folder.join("etc").join(name), text)?;
        }
        std::fs::write(folder.join("runroot.yaml"), run_root(&folder))?;
        let mut command = Command::new(program());
        command.arg(format!("--run-root={}", folder.display()));
        let names = [(http, "HTTP"), (https, "HTTPS")];
        let ports = [(http.port(), "HTTP"), (https.port(), "HTTPS")];
        let (shown, config) = (self.shown(&command, &names), self.anonymous(&records, &names));
        let config = ports.iter().fold(config, |text, (port, name)| text.replace(&port.to_string(), name));
        let mut process = Process::start("traffic-server", command, self.cpu, self.folder)?;
        process.until_accepts(https).await?;
        let at = Addresses { http: Some(http), https: Some(https), h3: None };
        let (version, lacks) =
            (machine::version(&program(), "-V"), "n/a: no HTTP/3 in Debian's Traffic Server");
        Ok(Server {
            name: "Traffic Server",
            process,
            version,
            command: shown,
            config: Some(config),
            lacks,
            at,
        })
    }
}

/// Debian has it among the programs of everybody.
fn program() -> String {
    let file = "/usr/bin/traffic_server";
    if Path::new(file).is_file() { file.to_owned() } else { system("traffic_server") }
}

/// Bytes of the smallest store on disk that it takes.
const LEAST_STORE: usize = 128 << 20;

const IP_ALLOW: &str = "ip_allow:
  - apply: in
    ip_addrs: 0/0
    action: allow
    methods: ALL
";

/// One event thread that also accepts, everything in memory, nothing logged.
fn records(ground: &Ground<'_>, folder: &Path, http: SocketAddr, https: SocketAddr) -> String {
    let (room, folder) = (ground.room, folder.display());
    format!(
        "CONFIG proxy.config.admin.user_id STRING #-1
CONFIG proxy.config.exec_thread.autoconfig INT 0
CONFIG proxy.config.exec_thread.limit INT 1
CONFIG proxy.config.accept_threads INT 0
CONFIG proxy.config.task_threads INT 1
CONFIG proxy.config.cache.threads_per_disk INT 1
CONFIG proxy.config.net.connections_throttle INT {CONNECTIONS}
CONFIG proxy.config.net.max_connections_in INT {CONNECTIONS}
CONFIG proxy.config.http.server_ports STRING {}:ip-in=127.0.0.1 {}:ip-in=127.0.0.1:ssl
CONFIG proxy.config.cache.ram_cache.size INT {room}
CONFIG proxy.config.cache.ram_cache_cutoff INT 4194304
CONFIG proxy.config.http.cache.required_headers INT 0
CONFIG proxy.config.http.insert_response_via_str INT 2
CONFIG proxy.config.http.keep_alive_no_activity_timeout_in INT 600
CONFIG proxy.config.log.logging_enabled INT 0
CONFIG proxy.config.crash_log_helper STRING NULL
CONFIG proxy.config.ssl.server.cert.path STRING {folder}
CONFIG proxy.config.ssl.server.private_key.path STRING {folder}
",
        http.port(),
        https.port()
    )
}

/// Where it looks for its files: all its own below one folder, the rest where the system has it.
fn run_root(folder: &Path) -> String {
    let own = [
        ("sysconfdir", "etc"),
        ("runtimedir", "run"),
        ("logdir", "log"),
        ("cachedir", "cache"),
        ("datadir", "cache"),
        ("localstatedir", "run"),
    ];
    let own = own.map(|(name, part)| format!("{name}: {}\n", folder.join(part).display())).concat();
    format!(
        "prefix: /usr
exec_prefix: /usr
bindir: /usr/bin
sbindir: /usr/sbin
includedir: /usr/include
libdir: /usr/lib
libexecdir: /usr/lib/trafficserver/modules
{own}"
    )
}
