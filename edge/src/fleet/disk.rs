//! The last route table, kept on disk: an edge that starts while the control plane is gone serves by it.

use super::Trust;
use sluice_wire::RouteTable;
use sluice_wire::published::{Document, Message, Refused};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The table's file.
#[derive(Debug, Clone)]
pub(crate) struct Disk(PathBuf);

impl Disk {
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        Ok(Self(dir.join("routes.json")))
    }

    /// The last good table; `None` when there is none.
    ///
    /// # Errors
    /// Why the one that is there is not believed.
    pub(crate) fn load(&self, trust: &Trust) -> Result<Option<(Document, RouteTable)>, Refused> {
        let Ok(text) = std::fs::read(&self.0) else { return Ok(None) };
        let Message::Whole(document, signature) = Message::read(&text)? else {
            return Err(Refused::Malformed("changes alone".into()));
        };
        trust.judge(&document, signature.as_ref())?;
        let table = document.table()?;
        Ok(Some((document, table)))
    }

    /// Keeps a table's message, whole or not at all, also over a power cut.
    pub(crate) fn keep(&self, message: &[u8]) -> io::Result<()> {
        let next = self.0.with_extension("next");
        let mut file = std::fs::File::create(&next)?;
        file.write_all(message)?;
        file.sync_all()?;
        std::fs::rename(&next, &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_wire::token::mint::SigningKey;

    #[test]
    fn a_kept_table_is_found_again_and_a_damaged_or_forged_one_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, trust) = (Disk::open(dir.path()).unwrap(), Trust::open(&[], dir.path()));
        assert_eq!(disk.load(&trust), Ok(None));
        let origins = vec!["http://127.0.0.1:1".into()];
        let table = RouteTable { version: 3, origins, ..RouteTable::default() };
        let document = Document::of(&table);
        disk.keep(&document.message(None)).unwrap();
        assert_eq!(disk.load(&trust), Ok(Some((document.clone(), table.clone()))));
        let key = SigningKey::from_pem(SigningKey::generate().unwrap().as_bytes(), "k").unwrap();
        let pinned = Trust::open(&[key.public()], dir.path());
        assert_eq!(disk.load(&pinned), Err(Refused::Unsigned));
        let signature = document.sign(&key);
        disk.keep(&document.message(Some(&signature))).unwrap();
        assert_eq!(disk.load(&pinned), Ok(Some((document, table))));
        let file = dir.path().join("routes.json");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replace(":1\"", ":2\"")).unwrap();
        assert_eq!(disk.load(&pinned), Err(Refused::Signature));
        std::fs::write(&file, b"{\"version\":4,\"nodes\":[],\"origins\":[\"ftp://x\"]}").unwrap();
        assert!(matches!(disk.load(&trust), Err(Refused::Content(_))));
        std::fs::write(&file, b"{\"vers").unwrap();
        assert!(matches!(disk.load(&trust), Err(Refused::Malformed(_))));
    }
}
