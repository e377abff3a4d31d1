//! The last route table, kept on disk: an edge that starts while the control plane is gone serves by it.

use sluice_wire::RouteTable;
use sluice_wire::limits::MAX_TABLE_BYTES;
use std::io;
use std::path::{Path, PathBuf};

/// The table's file.
#[derive(Debug, Clone)]
pub(crate) struct Disk(PathBuf);

impl Disk {
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        Ok(Self(dir.join("routes.json")))
    }

    /// The last good table. A damaged one is none.
    pub(crate) fn load(&self) -> Option<RouteTable> {
        let text = std::fs::read(&self.0).ok().filter(|text| text.len() <= MAX_TABLE_BYTES)?;
        let table: RouteTable = serde_json::from_slice(&text).ok()?;
        match table.check() {
            Ok(()) => Some(table),
            Err(error) => {
                tracing::warn!(%error, file = %self.0.display(), "the kept route table is not usable");
                None
            }
        }
    }

    /// Keeps a table, whole or not at all.
    pub(crate) fn keep(&self, table: &RouteTable) -> io::Result<()> {
        let next = self.0.with_extension("next");
        std::fs::write(&next, serde_json::to_vec(table)?)?;
        std::fs::rename(&next, &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_table_is_found_again_and_a_damaged_one_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(dir.path()).unwrap();
        assert_eq!(disk.load(), None);
        let table = RouteTable { version: 3, nodes: vec![], origins: vec!["http://127.0.0.1:1".into()] };
        disk.keep(&table).unwrap();
        assert_eq!(disk.load(), Some(table));
        std::fs::write(
            dir.path().join("routes.json"),
            b"{\"version\":4,\"nodes\":[],\"origins\":[\"ftp://x\"]}",
        )
        .unwrap();
        assert_eq!(disk.load(), None);
    }
}
