//! The life of a server, from its command line to its end.

use crate::command::{self, Command, Told};
use crate::config::{ConfigError, ListenConfig, ProcessConfig, ServerConfig};
use crate::listen::{BindError, Listeners};
use crate::reload::{Apply, Reload, Source};
use crate::takeover::{self, Inherited};
use crate::{Addresses, Admin, Drain, Health, Metrics, admin, announce, telemetry};
use axum::Router;
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Why a server could not start or had to end.
pub type ProcessError = Box<dyn std::error::Error + Send + Sync>;

/// What a server gets to work with.
#[derive(Debug)]
pub struct Context {
    /// Its bound ports.
    pub listeners: Listeners,
    /// Its metrics.
    pub metrics: Metrics,
    /// Its readiness.
    pub health: Health,
    /// What it answers on its admin listener beside metrics and health.
    pub admin: Admin,
    /// Its end.
    pub drain: Drain,
}

/// A server.
pub trait Process: Sized + Send {
    /// The program's name.
    const NAME: &'static str;
    /// Its configuration.
    type Config: ProcessConfig;

    /// What it can do beside serving.
    const COMMANDS: &'static [Command] = &[];

    /// Does one of its commands; what is to be printed then.
    ///
    /// # Errors
    /// Why it could not be done, in words for the operator; unless told otherwise, that there is no such command.
    fn command(
        name: &str,
        told: Told,
        config: Self::Config,
    ) -> impl Future<Output = Result<String, ProcessError>> + Send {
        let unknown = format!("{name} is no command");
        drop((told, config));
        async move { Err(unknown.into()) }
    }

    /// Opens what it needs. Nothing is accepted yet.
    ///
    /// # Errors
    /// Why it cannot start; the process ends with it.
    fn load(
        config: Self::Config,
        context: Context,
    ) -> impl Future<Output = Result<Self, ProcessError>> + Send;

    /// How it takes a configuration into force while it serves, for the keys that its
    /// [`live_keys`](ProcessConfig::live_keys) names.
    fn applier(&self) -> Apply<Self::Config> {
        Box::new(|_| {})
    }

    /// Serves until drained.
    ///
    /// # Errors
    /// Why it had to end before.
    fn run(self) -> impl Future<Output = Result<(), ProcessError>> + Send;
}

/// The command line or the configuration is at fault (EX_USAGE of sysexits.h).
const EXIT_USAGE: u8 = 64;
/// A port or a store is not to be had (EX_UNAVAILABLE).
const EXIT_UNAVAILABLE: u8 = 69;

/// Runs a server from its command line: the whole of a `main`. The code is 0, 64 for a fault of command line or configuration, 69
/// for whatever else failed.
pub fn main_with<P: Process>(args: impl Iterator<Item = OsString>) -> ExitCode {
    let environment = std::env::vars_os()
        .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
        .collect();
    let source = Source { program: P::NAME, args: args.collect(), environment };
    let named = |command: &&Command| source.args.get(1).is_some_and(|arg| arg == command.name);
    if let Some(command) = P::COMMANDS.iter().find(named) {
        return match command.load::<P::Config>(P::NAME, &source.args, &source.environment) {
            Ok((config, told)) => done::<P>(command, told, config),
            Err(error) => not_loaded(P::NAME, error, ""),
        };
    }
    let loaded = match source.load::<P::Config>() {
        Ok(loaded) => loaded,
        Err(error) => return not_loaded(P::NAME, error, &command::listed(P::COMMANDS)),
    };
    if loaded.check_only {
        say(&mut std::io::stdout(), "the configuration is good\n");
        return ExitCode::SUCCESS;
    }
    // Before anything else is opened: what was handed over has numbers that are free otherwise.
    let inherited = match Inherited::of(&source.environment) {
        Ok(inherited) => inherited,
        Err(error) => return failed(P::NAME, &error.to_string()),
    };
    telemetry::init(&loaded.config.server().log);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(P::NAME, &error.to_string()),
    };
    let ended = runtime.block_on(live::<P>(loaded.config, source, inherited));
    runtime.shutdown_timeout(Duration::from_secs(1));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(P::NAME, &chain(error.as_ref())),
    }
}

/// Help was asked for, or the command line is at fault.
fn not_loaded(program: &str, error: ConfigError, more: &str) -> ExitCode {
    if let ConfigError::Shown(text) = &error {
        // The version is a line; help is more.
        let more =
            if more.is_empty() || text.lines().count() < 2 { String::new() } else { format!("\n{more}\n") };
        say(&mut std::io::stdout(), &format!("{text}{more}"));
        return ExitCode::SUCCESS;
    }
    say(&mut std::io::stderr(), &format!("{program}: {error}\n"));
    ExitCode::from(EXIT_USAGE)
}

/// Does a command, and says what came of it.
fn done<P: Process>(command: &Command, told: Told, config: P::Config) -> ExitCode {
    telemetry::init(&config.server().log);
    let program = format!("{} {}", P::NAME, command.name);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&program, &error.to_string()),
    };
    match runtime.block_on(P::command(command.name, told, config)) {
        Ok(text) => {
            say(&mut std::io::stdout(), &text);
            ExitCode::SUCCESS
        }
        Err(error) => failed(&program, &chain(error.as_ref())),
    }
}

async fn live<P: Process>(
    config: P::Config,
    source: Source,
    inherited: Inherited,
) -> Result<(), ProcessError> {
    let (metrics, health) = (Metrics::default(), Health::default());
    let ServerConfig { listen, tls, drain_grace_ms, .. } = config.server().clone();
    let drain = Drain::new(Duration::from_millis(drain_grace_ms));
    let listeners = Listeners::bind(&listen, &tls, drain.clone(), &metrics, &inherited)?;
    let at = listeners.addresses();
    let reload = Reload::default();
    watch_signals(&drain, &reload)?;
    let admin = Listeners::admin(&listen, drain.clone(), &inherited)?;
    let mut sockets = listeners.sockets()?;
    if let Some(admin) = &admin {
        admin.add_to(&mut sockets)?;
    }
    let at = Addresses { admin: admin.as_ref().and_then(|a| a.addresses().http), ..at };
    let own = Admin::default();
    let accepts = CancellationToken::new();
    if !inherited.is_takeover() {
        accepts.cancel();
    }
    if let Some(admin) = admin {
        let service = admin::router(metrics.clone(), health.clone(), reload.clone(), own.clone());
        serve_admin(admin, service, &accepts, &drain);
    }
    let takeovers = metrics.counters(
        "sluice_takeovers_total",
        "New processes in place of this one by result",
        &["result"],
    );
    let context = Context { listeners, metrics: metrics.clone(), health, admin: own, drain: drain.clone() };
    let process = P::load(config.clone(), context).await?;
    reload.begin(source.clone(), config, process.applier(), drain.clone(), &metrics);
    drain.tasks().spawn(takeover::watch(source, sockets, drain.clone(), takeovers));
    let took_over = inherited.relied_on().await?;
    accepts.cancel();
    say_where(&listen, &at, took_over)?;
    tracing::info!(program = P::NAME, http = ?at.http, https = ?at.https, h3 = ?at.h3, admin = ?at.admin, "serving");
    let ran = drain.bounded(process.run()).await;
    let report = drain.finish().await;
    tracing::info!(program = P::NAME, cut = report.cut, "drained");
    ran
}

/// Serves the admin listener once connections are accepted: who asks before a new process is relied on is answered by the
/// one that still serves.
fn serve_admin(admin: Listeners, service: Router, accepts: &CancellationToken, drain: &Drain) {
    let (accepts, begun) = (accepts.clone(), drain.token());
    drain.tasks().spawn(async move {
        tokio::select! {
            () = accepts.cancelled() => admin.serve_quietly(service).await,
            () = begun.cancelled() => {}
        }
    });
}

/// Says where it serves, to whoever reads that.
fn say_where(listen: &ListenConfig, at: &Addresses, took_over: bool) -> Result<(), ProcessError> {
    let Some(file) = &listen.announce else { return Ok(()) };
    match announce::write(file, at).map_err(|e| format!("listen.announce {}: {e}", file.display())) {
        // The process before this one is going already: clients count more than whoever reads this.
        Err(error) if took_over => tracing::error!("{error}"),
        written => written?,
    }
    Ok(())
}

/// SIGTERM and SIGINT begin the drain; SIGHUP reads the configuration anew.
fn watch_signals(drain: &Drain, reload: &Reload) -> Result<(), BindError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(BindError::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(BindError::Signal)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(BindError::Signal)?;
    let (drain_on_signal, reload) = (drain.clone(), reload.clone());
    let begun = drain.token();
    drain.tasks().spawn(async move {
        loop {
            tokio::select! {
                // What came of it is logged and counted.
                _ = hangup.recv() => drop(reload.run()),
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                () = begun.cancelled() => break,
            }
        }
        drain_on_signal.begin();
    });
    Ok(())
}

fn failed(program: &str, why: &str) -> ExitCode {
    say(&mut std::io::stderr(), &format!("{program}: {why}\n"));
    ExitCode::from(EXIT_UNAVAILABLE)
}

/// An error with its causes, in a line; a cause that its error already tells is not told twice.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let said = next.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = next.source();
    }
    text
}

fn say(out: &mut impl Write, text: &str) {
    // Nobody is left to be told when this fails.
    drop(out.write_all(text.as_bytes()));
}
