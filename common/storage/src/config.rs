//! Which engines to use, as URLs.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where rows, events and bytes are kept.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StorageConfig {
    /// `sqlite:PATH` or `postgres://USER:PASSWORD@HOST:PORT/DATABASE`. A relative path is taken from the working
    /// directory; missing folders are made.
    pub database: String,
    /// `local:` (this process only; processes on one database wake each other there) or `redis://HOST:PORT/DB`.
    pub bus: String,
    /// `file:PATH`, or `s3://BUCKET/PREFIX?endpoint=URL&region=NAME&allow_http=true&virtual_hosted=false`, and
    /// `public_endpoint=URL` where clients reach it by another address than this process does. Keys come from `access_key_id` and
    /// `secret_access_key` in the query, else from `AWS_ACCESS_KEY_ID` and its siblings in the environment.
    pub objects: String,
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            database: "sqlite:var/sluice.db".into(),
            bus: "local:".into(),
            objects: "file:var/objects".into(),
        }
    }
}

impl StorageConfig {
    /// What is wrong with it, one line per setting, without touching any engine.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let checks = [
            crate::database::check_url(&self.database).err(),
            crate::bus::check_url(&self.bus).err(),
            crate::objects::check_url(&self.objects).err(),
        ];
        checks.into_iter().flatten().map(|e| e.to_string()).collect()
    }
}

/// Shows the engines but no address: URLs carry passwords and keys.
impl fmt::Debug for StorageConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = |url: &str| url.split(':').next().unwrap_or_default().to_owned();
        f.debug_struct("StorageConfig")
            .field("database", &scheme(&self.database))
            .field("bus", &scheme(&self.bus))
            .field("objects", &scheme(&self.objects))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_sound_and_every_bad_url_is_named_at_once() {
        assert!(StorageConfig::default().faults().is_empty());
        let bad = StorageConfig {
            database: "mysql://db".into(),
            bus: "carrier-pigeon:".into(),
            objects: "s3://".into(),
        };
        assert_eq!(bad.faults().len(), 3);
    }
    #[test]
    fn logging_it_tells_no_password() {
        let config =
            StorageConfig { database: "postgres://u:hunter2@h/d".into(), ..StorageConfig::default() };
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
