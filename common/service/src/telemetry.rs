//! Logs: tracing to standard error.

use crate::config::LogConfig;
use std::sync::OnceLock;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

/// Changes the filter of the process's log.
type SetFilter = Box<dyn Fn(EnvFilter) + Send + Sync>;

static FILTER: OnceLock<SetFilter> = OnceLock::new();

/// Starts logging as configured. The first call of a process wins, so that tests may run many servers.
pub fn init(config: &LogConfig) {
    let out = std::io::stderr;
    let (result, set): (_, SetFilter) = if config.json {
        let builder = fmt().json().with_writer(out).with_env_filter(filter(config)).with_filter_reloading();
        let handle = builder.reload_handle();
        (builder.try_init(), Box::new(move |filter| drop(handle.reload(filter))))
    } else {
        let builder =
            fmt().with_ansi(false).with_writer(out).with_env_filter(filter(config)).with_filter_reloading();
        let handle = builder.reload_handle();
        (builder.try_init(), Box::new(move |filter| drop(handle.reload(filter))))
    };
    if result.is_ok() {
        drop(FILTER.set(set));
    }
}

/// Changes the filter of a log that was started.
pub(crate) fn set_filter(config: &LogConfig) {
    if let Some(set) = FILTER.get() {
        set(filter(config));
    }
}

fn filter(config: &LogConfig) -> EnvFilter {
    config.filter.parse().unwrap_or_else(|_| EnvFilter::new("info"))
}
