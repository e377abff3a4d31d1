//! Logs: tracing to standard error.

use crate::config::LogConfig;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

/// Starts logging as configured. The first call of a process wins, so that tests may run many servers.
pub fn init(config: &LogConfig) {
    let filter = config.filter.parse().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(true);
    let result = if config.json { builder.json().try_init() } else { builder.with_ansi(false).try_init() };
    drop(result);
}
