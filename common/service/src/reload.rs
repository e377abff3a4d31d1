//! The configuration, read anew while a server serves.
//!
//! All layers are read again and judged as at the start. What is faulty, or changes a key that only a new process can take,
//! leaves everything as it was; what is good is taken into force at once, as a whole.

use crate::config::{self, ConfigError, Faults, ProcessConfig};
use crate::{Drain, Metrics, telemetry};
use prometheus::IntCounterVec;
use std::ffi::OsString;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Where a configuration comes from: read at the start, and again at each reload.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) program: &'static str,
    /// The command line, the program's name first.
    pub(crate) args: Vec<OsString>,
    pub(crate) environment: Vec<(String, String)>,
}

impl Source {
    pub(crate) fn load<C: ProcessConfig>(&self) -> Result<config::Loaded<C>, ConfigError> {
        config::load(self.program, self.args.iter().cloned(), self.environment.iter().cloned())
    }
}

/// How a server takes a configuration into force while it serves: at once, and without failing.
pub type Apply<C> = Box<dyn Fn(&C) + Send + Sync>;

/// A reload: the keys that changed, or every fault.
type Attempt = dyn Fn() -> Result<Vec<String>, Faults> + Send + Sync;

/// The way to reload, once the server has loaded. Clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct Reload(Arc<OnceLock<Box<Attempt>>>);

impl std::fmt::Debug for Reload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reload").field("ready", &self.0.get().is_some()).finish()
    }
}

impl Reload {
    /// From here on a configuration from `source` may take the place of `current`.
    pub(crate) fn begin<C: ProcessConfig>(
        &self,
        source: Source,
        current: C,
        apply: Apply<C>,
        drain: Drain,
        metrics: &Metrics,
    ) {
        let results = metrics.counters(
            "sluice_config_reloads_total",
            "Reloads of the configuration by result",
            &["result"],
        );
        let current = Mutex::new(current);
        let attempt = move || {
            let mut current = current.lock().unwrap_or_else(PoisonError::into_inner);
            let read = read(&source, &*current);
            count(&results, &read);
            let (next, changed) = read?;
            if !changed.is_empty() {
                let server = next.server();
                drain.set_grace_ms(server.drain_grace_ms);
                telemetry::set_filter(&server.log);
                apply(&next);
                *current = next;
            }
            Ok(changed)
        };
        // Only one server is begun on it.
        drop(self.0.set(Box::new(attempt)));
    }

    /// Reads and applies.
    ///
    /// # Errors
    /// Every fault; what was in force stays so.
    pub(crate) fn run(&self) -> Result<Vec<String>, Faults> {
        let Some(attempt) = self.0.get() else {
            let mut faults = Faults::default();
            faults.add("configuration", "the server is still starting; ask again once it is ready");
            return Err(faults);
        };
        let result = attempt();
        match &result {
            Ok(changed) => tracing::info!(changed = changed.join(", "), "the configuration was read anew"),
            Err(faults) => {
                tracing::error!(
                    faults = faults.lines().join("; "),
                    "the configuration is kept: the new one has faults"
                );
            }
        }
        result
    }
}

fn read<C: ProcessConfig>(source: &Source, current: &C) -> Result<(C, Vec<String>), Faults> {
    let next = match source.load::<C>() {
        Ok(loaded) => loaded.config,
        Err(ConfigError::Faults(faults)) => return Err(faults),
        Err(ConfigError::Shown(text) | ConfigError::Usage(text)) => {
            let mut faults = Faults::default();
            faults.add("command line", text);
            return Err(faults);
        }
    };
    let changed = config::changed_keys(current, &next);
    let mut faults = Faults::default();
    for key in changed.iter().filter(|key| !config::is_live::<C>(key)) {
        faults.add(key, "cannot change while this process serves; start another in its place (SIGUSR2)");
    }
    if faults.is_empty() { Ok((next, changed)) } else { Err(faults) }
}

fn count<C>(results: &IntCounterVec, read: &Result<(C, Vec<String>), Faults>) {
    let result = match read {
        Ok((_, changed)) if changed.is_empty() => "unchanged",
        Ok(_) => "applied",
        Err(_) => "refused",
    };
    results.with_label_values(&[result]).inc();
}
