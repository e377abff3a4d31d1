//! The stack: which processes there are, how each is configured, and who watches over them.

use crate::args::Options;
use crate::child::{Member, Stop};
use crate::operators::Operators;
use crate::report;
use anyhow::{Context, bail};
use sluice_wire::token::mint::SigningKey;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::sleep;
use toml::{Table, Value};

/// How often the members are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Pause before a member that ended is started anew.
const RESTART_AFTER: Duration = Duration::from_secs(2);
/// Restarts of one member before the demo gives up on it.
const MAX_RESTARTS: u32 = 5;
/// Memory for each edge's cache.
const CACHE_BYTES: i64 = 512 << 20;

/// A running stack, in the order of its start.
pub(crate) struct Stack {
    members: Vec<Member>,
    operators: Operators,
}

impl Stack {
    /// Starts everything: control plane, origin, transcoder, shield, two near edges.
    pub(crate) async fn start(options: &Options, stop: &mut Stop) -> anyhow::Result<Self> {
        for folder in ["run", "logs", "objects", "scratch"] {
            std::fs::create_dir_all(options.dir.join(folder))?;
        }
        let operators = Operators::open(&options.dir)?;
        let mut stack = Self { members: Vec::new(), operators };
        let raised = tokio::select! {
            raised = stack.raise(options) => raised,
            () = stop.asked() => Err(anyhow::anyhow!("stopped while starting")),
        };
        if let Err(error) = raised {
            stack.stop().await;
            return Err(error);
        }
        if let Some(file) = &options.announce {
            let all: serde_json::Map<_, _> = stack
                .members
                .iter()
                .map(|m| Ok((m.name.clone(), serde_json::to_value(&m.at)?)))
                .collect::<serde_json::Result<_>>()?;
            std::fs::write(file, serde_json::to_vec_pretty(&all)?)?;
        }
        Ok(stack)
    }

    async fn raise(&mut self, options: &Options) -> anyhow::Result<()> {
        // The control plane and the origin name each other, so one of the two addresses must be known beforehand.
        let port = |offset: u16| if options.port == 0 { 0 } else { options.port + offset };
        let origin_at = free_or(port(20))?;
        let fleet_key = key(&options.dir, "fleet.pem")?;
        let report_key = key(&options.dir, "reports.pem")?;
        let public = |file: &Path| anyhow::Ok(SigningKey::from_pem(&std::fs::read(file)?, "fleet")?.public());
        let (fleet_public, report_public) = (public(&fleet_key)?, public(&report_key)?);
        let control = self.add(options, "control", "control-plane", {
            let mut config = base(port(10), None, port(110));
            config.insert("storage".into(), storage(options));
            config.insert("origins".into(), list([format!("http://{origin_at}")]));
            config.insert("table_key_file".into(), path(&fleet_key));
            config.insert("pages_dir".into(), path(&options.pages));
            config.insert("operators".into(), self.operators.configured());
            let known = Table::from_iter([("key".to_owned(), Value::from(report_public))]);
            config.insert("report_keys".into(), Value::Array(vec![known.into()]));
            config
        });
        let control = control.await?;
        let origin = self.add(options, "origin", "origin", {
            let mut config = base(0, None, port(120));
            put(&mut config, "listen", "http", origin_at.clone().into());
            config.insert("storage".into(), storage(options));
            put(&mut config, "pages", "dir", path(&options.pages));
            put(&mut config, "playback", "key_file", path(&key(&options.dir, "playback.pem")?));
            config.insert("steering_url".into(), control.clone().into());
            // Whoever signs up as `admin` keeps the shop.
            put(&mut config, "accounts", "admins", list(["admin".to_owned()]));
            config
        });
        let origin = origin.await?;
        let worker = self.add(options, "transcoder", "transcoder", {
            let mut config = base(0, None, port(140));
            put_none(&mut config, "listen", "http");
            config.insert("storage".into(), storage(options));
            config.insert("worker".into(), "demo-worker".into());
            config.insert("scratch_dir".into(), path(&options.dir.join("scratch")));
            if let Some(codec) = &options.codec {
                config.insert("codec".into(), path(codec));
            }
            config
        });
        worker.await?;
        let mut first = None;
        for (name, tier, offset) in [("shield-a", "shield", 30), ("near-a", "near", 0), ("near-b", "near", 1)]
        {
            let https = (tier == "near").then(|| if options.port == 0 { 0 } else { port(offset) + 363 });
            let mut config = base(port(offset), https, port(offset + 100));
            config.insert("node".into(), name.into());
            config.insert("tier".into(), tier.into());
            config.insert("site".into(), "local".into());
            config.insert("control".into(), list([control.clone()]));
            config.insert("control_keys".into(), list([fleet_public.clone()]));
            config.insert("report_key_file".into(), path(&report_key));
            config.insert("origins".into(), list([origin.clone()]));
            config.insert("state_dir".into(), path(&options.dir.join("run").join(name)));
            // Steering names another host and never another port: near edges have one port, at addresses of their own.
            if let Some(at) = first.as_deref().and_then(beside) {
                put(&mut config, "listen", "http", at.into());
            }
            put(&mut config, "cache", "memory_bytes", CACHE_BYTES.into());
            // The sizes in which the feed's page shows photos.
            let presets = ["w=480&fmt=auto", "w=960&fmt=auto"].map(str::to_owned);
            let images = Table::from_iter([("presets".to_owned(), list(presets))]);
            put(&mut config, "transform", "images", images.into());
            put(&mut config, "access", "keys_url", format!("{origin}/v1/keys").into());
            let url = self.add(options, name, "edge", config).await?;
            first = (tier == "near").then_some(url);
        }
        Ok(())
    }

    /// Starts one member; gives its base URL.
    async fn add(
        &mut self,
        options: &Options,
        name: &str,
        role: &'static str,
        config: Table,
    ) -> anyhow::Result<String> {
        let mut member = Member::new(name, role, &options.dir, config);
        let started = member.start().await;
        let at = member.at.http.clone().map(|at| format!("http://{at}")).unwrap_or_default();
        self.members.push(member);
        started.map(|()| at)
    }

    /// The members, in the order of their start.
    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    /// Base URL of a member's public listener.
    pub(crate) fn url(&self, name: &str) -> String {
        let at = self.members.iter().find(|m| m.name == name).and_then(|m| m.at.http.clone());
        format!("http://{}", at.unwrap_or_default())
    }

    /// The operations page, with the administrator's token in its fragment, which no server is sent.
    pub(crate) fn operations(&self) -> String {
        format!("{}/#token={}", self.url("control"), self.operators.admin())
    }

    /// Base URL of the first near edge.
    pub(crate) fn near(&self) -> String {
        self.url("near-a")
    }

    /// Watches until somebody asks to stop. A member that ends is started anew where it was.
    pub(crate) async fn supervise(&mut self, stop: &mut Stop) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                () = stop.asked() => return Ok(()),
                () = sleep(LOOK_EVERY) => {}
            }
            for member in &mut self.members {
                let Some(status) = member.ended()? else { continue };
                member.restarts += 1;
                if member.restarts > MAX_RESTARTS {
                    bail!("{} keeps ending ({status}):\n{}", member.name, member.last_words());
                }
                report::restarting(&member.name, status);
                tokio::select! {
                    () = stop.asked() => return Ok(()),
                    () = sleep(RESTART_AFTER) => {}
                }
                member.pin_addresses();
                member.start().await.with_context(|| format!("restarting {}", member.name))?;
            }
        }
    }

    /// Ends every member: edges first, so that nothing they still need is gone before them.
    pub(crate) async fn stop(&mut self) {
        report::stopping();
        for member in self.members.iter_mut().rev() {
            let clean = member.stop().await;
            report::stopped(&member.name, clean);
        }
    }
}

/// A key of the stack's own, for tokens, the route table or reports; made at the first start, and kept.
fn key(dir: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let file = dir.join(name);
    if !file.exists() {
        let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file)?;
        out.write_all(SigningKey::generate()?.as_bytes()).with_context(|| format!("writing {name}"))?;
    }
    Ok(file)
}

/// What every server needs.
fn base(http: u16, https: Option<u16>, admin: u16) -> Table {
    let mut listen = Table::new();
    listen.insert("http".into(), format!("127.0.0.1:{http}").into());
    if let Some(https) = https {
        listen.insert("https".into(), format!("127.0.0.1:{https}").into());
        listen.insert("h3".into(), true.into());
    }
    listen.insert("admin".into(), format!("127.0.0.1:{admin}").into());
    let mut config = Table::new();
    config.insert("listen".into(), listen.into());
    config
}

/// The port of a base URL at another address of this machine, where it has more than one.
fn beside(url: &str) -> Option<String> {
    let (_, port) = url.rsplit_once(':')?;
    let at = format!("127.0.0.2:{port}");
    std::net::TcpListener::bind(&at).is_ok().then_some(at)
}

fn storage(options: &Options) -> Value {
    let mut storage = Table::new();
    storage.insert("database".into(), format!("sqlite:{}", options.dir.join("sluice.db").display()).into());
    storage.insert("bus".into(), "local:".into());
    storage.insert("objects".into(), format!("file:{}", options.dir.join("objects").display()).into());
    storage.into()
}

fn list(items: impl IntoIterator<Item = String>) -> Value {
    Value::Array(items.into_iter().map(Value::from).collect())
}

fn path(path: &Path) -> Value {
    path.to_string_lossy().into_owned().into()
}

fn put(config: &mut Table, section: &str, key: &str, value: Value) {
    if let Value::Table(section) = config.entry(section).or_insert_with(|| Table::new().into()) {
        section.insert(key.into(), value);
    }
}

fn put_none(config: &mut Table, section: &str, key: &str) {
    if let Some(Value::Table(section)) = config.get_mut(section) {
        section.remove(key);
    }
}

/// An address on loopback: the port wanted, or a free one for 0.
fn free_or(port: u16) -> anyhow::Result<String> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", port))
        .with_context(|| format!("port {port} is taken; choose others with PORT=9000"))?;
    Ok(listener.local_addr()?.to_string())
}
