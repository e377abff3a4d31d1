//! Rules and keys as they are now: read at the start, and again when they change. What cannot be read leaves the last good
//! in force.

use super::Access;
use super::keys::Keys;
use super::rules::Rules;
use crate::edge::Shared;
use sluice_service::{Places, read_bounded};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::{sleep, timeout};

/// Bytes of a file of rules, or of a set of keys.
const MAX_FILE: u64 = 4 << 20;
/// Time for a set of keys to be fetched.
const FETCH: Duration = Duration::from_secs(10);

/// By what a file is seen to have changed.
type Mark = Option<(SystemTime, u64, u64)>;

pub(super) fn rules(path: &Path) -> Result<Rules, String> {
    let text = read_bounded(path, MAX_FILE)?;
    Rules::parse(std::str::from_utf8(&text).map_err(|error| error.to_string())?)
}

pub(super) fn keys(path: &Path) -> Result<Keys, String> {
    Keys::parse(&read_bounded(path, MAX_FILE)?)
}

fn mark(path: &Path) -> Mark {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len(), meta.ino()))
}

/// Reads a file into force.
type Read = fn(&Access, &Path) -> Result<(), String>;

/// A file that is read again when it changes.
#[derive(Debug, Clone)]
struct Watched {
    what: &'static str,
    path: PathBuf,
    mark: Mark,
    read: Read,
}

impl Watched {
    /// `None` for a file that is not configured. What was read at the start is read once more: it may have changed before
    /// the first look.
    fn new(what: &'static str, path: Option<&PathBuf>, read: Read) -> Option<Self> {
        Some(Self { what, path: path?.clone(), mark: None, read })
    }

    /// Reads it if it has changed; whether that went well.
    fn look(&mut self, access: &Access) -> Option<Result<(), String>> {
        let now = mark(&self.path);
        let changed = now != self.mark;
        self.mark = now;
        changed.then(|| (self.read)(access, &self.path))
    }
}

/// Follows the files, and the set of keys at a URL, until the drain begins.
pub(crate) async fn follow(edge: Arc<Shared>) {
    let stop = edge.drain.token();
    tokio::select! {
        () = files(&edge) => {}
        () = fetched_keys(&edge) => {}
        () = stop.cancelled() => {}
    }
}

async fn files(edge: &Arc<Shared>) {
    let config = &edge.config.access;
    let mut watched: Vec<Watched> = [
        Watched::new("rules", config.rules_file.as_ref(), |access, path| {
            rules(path).map(|new| access.rules.store(Arc::new(new)))
        }),
        Watched::new("keys", config.keys_file.as_ref(), |access, path| {
            keys(path).map(|new| access.set_keys(Some(new), None))
        }),
        Watched::new("places", config.geo_file.as_ref(), |access, path| {
            Places::read(path).map(|new| access.places.store(Some(Arc::new(new))))
        }),
    ]
    .into_iter()
    .flatten()
    .collect();
    loop {
        for file in &mut watched {
            let (shared, mut looked) = (Arc::clone(edge), file.clone());
            let look = move || {
                let read = looked.look(&shared.access);
                (looked, read)
            };
            let Ok((looked, read)) = tokio::task::spawn_blocking(look).await else { continue };
            *file = looked;
            let Some(read) = read else { continue };
            edge.metrics.reloaded(file.what, read.is_ok());
            let name = file.path.display();
            match read {
                Ok(()) => tracing::info!(file = %name, "{} read", file.what),
                Err(why) => tracing::warn!(file = %name, why, "{}: the last good ones stay", file.what),
            }
        }
        sleep(Duration::from_millis(edge.live().access.poll_ms)).await;
    }
}

async fn fetched_keys(edge: &Shared) {
    let Some(url) = &edge.config.access.keys_url else { return std::future::pending().await };
    loop {
        let fetched = timeout(FETCH, fetch(edge, url)).await.unwrap_or_else(|_| Err("no answer".into()));
        edge.metrics.reloaded("keys_url", fetched.is_ok());
        match fetched {
            Ok(keys) => edge.access.set_keys(None, Some(keys)),
            Err(why) => tracing::warn!(url, why, "keys: the last good ones stay in force"),
        }
        sleep(Duration::from_millis(edge.live().access.keys_url_ms)).await;
    }
}

async fn fetch(edge: &Shared, url: &str) -> Result<Keys, String> {
    let answer = edge.http.get(url).send().await.and_then(reqwest::Response::error_for_status);
    let mut answer = answer.map_err(|error| error.to_string())?;
    let mut text = vec![];
    while let Some(piece) = answer.chunk().await.map_err(|error| error.to_string())? {
        text.extend_from_slice(&piece);
        if text.len() as u64 > MAX_FILE {
            return Err("a set of keys beyond its limit".into());
        }
    }
    Keys::parse(&text)
}
